/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_file - the relay database as a whole file: written from a store, read
 * back into one, and changed by a tool while no daemon runs.
 */
#ifndef PERDITION_PBS_RELAY_FILE_H
#define PERDITION_PBS_RELAY_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/relay.h"
#include "perdition-pbs/relay_store.h"

struct relay_written {
	size_t records; /* all spellings of all entries */
	bool in_place;  /* as in struct dbfile_plan; also after a failure */
};

/*
 * Makes the file (named as dbfile.h has it) anew from store.  uid, gid: the
 * owner, or -1; w may be NULL.  0, or -1 with err set to an errno value.
 */
int relay_file_write(const char *name, const char *prefix,
    const struct relay_store *store, uid_t uid, gid_t gid,
    struct relay_written *w, struct err *);

/*
 * Adds to store what path holds and is alive at now, none of it past limit,
 * and what may relay always only if limit is RELAY_FOREVER.
 * Records of perdition-pbs 2.2 are left out.  0, or -1 with err; its code is
 * EEXIST when the file holds something else's records: leave it alone.
 */
int relay_file_read(const char *path, const char *prefix,
    struct relay_store *store, int64_t now, int64_t limit, struct err *);

/*
 * Whether path may be made anew, by its first records: 0, or -1 with err, whose
 * code is EEXIST as above.  ENOENT and what cannot be read are errors too.
 */
int relay_file_check(const char *path, struct err *err);

/* One record as the tools see it; only canonical spellings are records. */
bool relay_file_parse(struct slice key, struct slice value, const char *prefix,
    struct relay_entry *);

enum relay_op {
	RELAY_INSERT,
	RELAY_REMOVE,
	RELAY_PURGE,
	RELAY_EXPIRE,
	RELAY_CHECK, /* whether an import would be refused */
	RELAY_IMPORT /* all of it, or, if any is refused, nothing */
};

struct relay_request {
	enum relay_op op;
	const struct relay_key *keys; /* insert, remove */
	size_t n;
	unsigned int timeout;              /* insert: seconds */
	const struct relay_store *entries; /* check, import */
};

struct relay_result {
	size_t done;    /* entries or addresses that it changed something for */
	size_t refused; /* insert, import: never authorised */
};

/* Carries q out on r; the same for the daemon and for a tool. */
void relay_execute(struct relay *r, const struct relay_request *q, int64_t now,
    struct relay_result *);

#define RELAY_FILES_MAX 4u

/*
 * The same on the files alone, and in the daemon's journal if there is one.
 * rule and limits as configured.  0, or -1 with err; err->code EWOULDBLOCK:
 * the database belongs to a daemon that runs, or to another tool.
 */
struct relay_file_config {
	char *const *names; /* the first tells what is there */
	size_t n;           /* RELAY_FILES_MAX at most */
	const char *prefix;
	const char *journal; /* path; need not exist; NULL: none */
	struct relay_rule rule;
	struct relay_limits limits;
};
int relay_file_change(const struct relay_file_config *,
    const struct relay_request *, int64_t now, struct relay_result *,
    struct err *);

#endif
