/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_names - the names of users, each kept once, however many addresses
 * the user has: any bytes, packed into chunks.
 *
 * A name has a number, its id, as long as its owner keeps it.  Knows nothing
 * of entries.
 */
#ifndef PERDITION_PBS_RELAY_NAMES_H
#define PERDITION_PBS_RELAY_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition-pbs/relay_index.h"

#define RELAY_NAME_ID_MAX 0xfffffffu /* 28 bits: a gigabyte of names */
#define RELAY_USER_MAX 512 /* bytes; as AUTH_USER_MAX; longer ones are cut */

struct relay_names;

struct relay_name {
	uint32_t next;      /* relay_names' own */
	uint32_t first;     /* the owner's; 0 at first */
	uint32_t addresses; /* the owner's; 0 at first */
	uint16_t n;
	char text[]; /* n bytes */
};

struct relay_names *relay_names_create(void); /* NULL with errno */
void relay_names_destroy(struct relay_names **);

/* The name's number: found or made.  0 with errno ENOMEM, or ENOSPC (the
 * numbers have run out).  Text is not empty. */
uint32_t relay_names_add(struct relay_names *, struct slice text);
void relay_names_remove(struct relay_names *, uint32_t id);
void relay_names_clear(struct relay_names *);

/* The number of a name that is there, or 0. */
uint32_t relay_names_find(const struct relay_names *, struct slice text);

/*
 * About n names come at once, if any: the first makes room for them in the
 * index.  0: all have come, and what was too much is given back.
 */
void relay_names_expect(struct relay_names *, size_t n);

/* Where names are found: for struct relay_walk. */
const struct relay_index *relay_names_index(const struct relay_names *);
uint64_t relay_names_hash(const struct relay_names *, struct slice text);

/* Valid until id is removed. */
struct relay_name *relay_names_get(const struct relay_names *, uint32_t id);

/* Whether id is what relay_names_add() of text would return. */
bool relay_names_is(const struct relay_names *, uint32_t id, struct slice text);

size_t relay_names_count(const struct relay_names *);
size_t relay_names_bytes(const struct relay_names *); /* of memory held */

#endif
