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

struct journal {
	char *path, *tmp;
	int fd;
	struct hash_key key;
	uint64_t size; /* of the file's good part */
	size_t pending_n;
	bool failed; /* the file misses something: only a snapshot helps */
	bool cut;    /* it has an entry that lives for longer than it should */
	struct positions *positions;
	char pending[PENDING_MAX];
};

/* Without a file, and without a lock.  NULL with err. */
struct journal *journal_create(const char *path, struct err *);

/* Begins the file behind fd, which is empty.  0, or -1 with errno. */
int journal_write_header(struct journal *, int fd);

uint32_t journal_checksum(const struct journal *, const char *record, size_t n);

/* Says what errno says of path; -1. */
int journal_fail(struct err *, const char *path);

#endif
