/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_db - one database file as the daemon keeps it: a copy of the store.
 *
 * Changes are gathered and written in place under the lock, in no more
 * batches than relay_pace.h allows; a type that cannot be changed in place, a
 * lock that is not to be had, any error, and a file that somebody else has
 * changed or replaced lead to a new file by rename, made by relay_build.h
 * unless it is small.  Never waits.
 */
#ifndef PERDITION_PBS_RELAY_DB_H
#define PERDITION_PBS_RELAY_DB_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "common/err.h"
#include "perdition-pbs/relay_store.h"

struct relay_db;

struct relay_db_config {
	const char *name;   /* as dbfile.h has it; borrowed */
	const char *prefix; /* in lower case; borrowed */
	uid_t uid;          /* the file's owner, or (uid_t)-1 */
	gid_t gid;
	unsigned int changes_per_second; /* see relay_pace.h */
};

/* store is borrowed.  NULL with errno. */
struct relay_db *relay_db_create(
    const struct relay_db_config *, const struct relay_store *store);
void relay_db_destroy(struct relay_db **); /* after the loop has run dry */

/* Makes the file anew, now.  0, or -1 with err (at start: before the loop). */
int relay_db_rebuild(struct relay_db *, struct err *);

/*
 * The file cannot be made now, and what it lets in is not known to be right:
 * from now on it lets nobody in (see dbfile_shut()), and is made on the loop as
 * soon as that can be.  why is logged.  0, or -1 with err.
 */
int relay_db_shut(struct relay_db *, const struct err *why, struct err *);

/* From now on retries run on the loop. */
int relay_db_start(struct relay_db *, uv_loop_t *);
void relay_db_stop(struct relay_db *); /* writes what it can; closes timers */

/* k came, went or changed; not urgent: within a second. */
void relay_db_changed(
    struct relay_db *, const struct relay_key *k, bool urgent);
void relay_db_all_changed(struct relay_db *);

/* From now on at most so many changes a second. */
void relay_db_pace(struct relay_db *, unsigned int changes_per_second);

/* At the end of each turn of the loop. */
void relay_db_flush(struct relay_db *);

#endif
