/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_private - what the file looks like, for those that write it and
 * those that read it.
 *
 * A header (magic, a random key), then records of a head (checksum, length,
 * type) and a body.  The checksum is a keyed hash over the rest of the
 * record.  Numbers are in host order: the file never leaves its host.
 */
#ifndef PERDITION_PBS_JOURNAL_PRIVATE_H
#define PERDITION_PBS_JOURNAL_PRIVATE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/addr.h"
#include "common/err.h"
#include "perdition-pbs/journal.h"
#include "perdition-pbs/positions.h"
#include "perdition-pbs/relay_names.h"

#define PENDING_MAX 65536 /* bytes that wait */

#define JOURNAL_MAGIC "perdition-pbs 1"

/* The file begins with it. */
struct header {
	char magic[16];
	struct hash_key key;
};

enum record_type {
	RECORD_TOUCH = 1,
	RECORD_REMOVE,
	RECORD_PURGE,
	RECORD_SOURCE,       /* of old: the only source's position */
	RECORD_SHIFT,        /* by so many seconds (64 bits): all before it */
	RECORD_POSITION = 16 /* name's length (16 bits), name, position */
};

struct record_head {
	uint32_t sum; /* over all that follows */
	uint16_t len; /* of the body */
	uint16_t type;
};

struct record_entry { /* body of RECORD_TOUCH, before the user's name, and
			 of RECORD_REMOVE */
	struct in6_addr ip;
	int64_t expires; /* 0 in RECORD_REMOVE */
	uint8_t prefix, zero[7];
};

#define POSITION_MAX (sizeof(uint16_t) + POSITION_NAME_MAX + POSITION_BYTES_MAX)
#define RECORD_MAX (sizeof(struct record_head) + POSITION_MAX)
/* With a name of some length. */
#define RECORD_TYPICAL                                                         \
	(sizeof(struct record_head) + sizeof(struct record_entry) + 24)
static_assert(sizeof(struct record_entry) + RELAY_USER_MAX <= POSITION_MAX,
    "RECORD_MAX does not hold every record");

struct journal_out {   /* a file, and what waits to be appended to it */
	int fd;        /* -1: none */
	uint64_t size; /* of its good part */
	int error; /* of a write, and from then on it misses something; or 0 */
	size_t pending_n;
	char pending[PENDING_MAX];
};

struct journal {
	char *path, *tmp;
	struct hash_key key;
	struct journal_out out;
	struct positions *positions;
	bool cut; /* it has an entry that lives for longer than it should */

	/* --- a snapshot -------------------------------------------------- */
	struct journal_out *next; /* takes the place of out; NULL: none is
				   * being made */
	size_t left;        /* of the store's entries: the first, not there */
	uint64_t on_disk;   /* of next: has been handed to the disk */
	uint64_t not_below; /* size of out: since one could not be made */
	int old_fd;         /* of what has been replaced; -1: none */
	off_t old_size;
};

/* Without a file, and without a lock.  NULL with err. */
struct journal *journal_create(const char *path, struct err *);

/* Whether the open file has the name still, which a snapshot takes from it; st
 * is then what fstat(2) says of it. */
bool journal_has_name(const struct journal *, struct stat *st);

/* Begins the file, which is empty, with j's key.  0, or -1 with errno. */
int journal_write_header(const struct journal *j, struct journal_out *);

uint32_t journal_checksum(const struct journal *, const char *record, size_t n);

/* Records for one file alone; as make_record() makes them. */
void journal_put_touch(const struct journal *, struct journal_out *,
    const struct relay_entry *, struct slice user);
void journal_put_position(const struct journal *, struct journal_out *,
    struct slice name, struct slice position);

/* Writes what waits.  0, or -1 with errno: it is lost, and all that comes. */
int journal_write(struct journal_out *);

/* Gives up what is being made and what was replaced. */
void journal_abandon(struct journal *);

/* Writes the same file anew, whole; a kill meanwhile costs entries. */
int journal_rewrite(struct journal *, const struct relay_store *, struct err *);

/* Says what errno says of path; -1. */
int journal_fail(struct err *, const char *path);

#endif
