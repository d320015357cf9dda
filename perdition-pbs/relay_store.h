/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_store - who may relay, and until when, in memory.
 *
 * A hash table with a secret key (clients choose their addresses) over a
 * dense array of entries, and a heap by expiry, so that only what expires is
 * ever visited.  At most 104 bytes an entry.  Knows neither policy nor disk;
 * the clock is an argument.
 */
#ifndef PERDITION_PBS_RELAY_STORE_H
#define PERDITION_PBS_RELAY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "perdition-pbs/relay_key.h"

#define RELAY_STORE_MAX 100000000u /* entries; positions fit 32 bits */

struct relay_entry {
	struct relay_key key;
	int64_t expires; /* seconds since the epoch, UTC: dead from then on */
};

struct relay_store;

struct relay_store *relay_store_create(void); /* NULL with errno */
void relay_store_destroy(struct relay_store **);

enum relay_touch {
	RELAY_NEW,      /* the key was not there, or was dead */
	RELAY_LONGER,   /* it was, and lives longer now */
	RELAY_NO_CHANGE /* it lives that long anyway: touching never shortens */
};

/*
 * Adds or prolongs e.  Returns enum relay_touch, or -1 with errno ENOMEM
 * (or ENOSPC: RELAY_STORE_MAX entries).  O(log n).
 */
int relay_store_touch(
    struct relay_store *, const struct relay_entry *e, int64_t now);

/* Whether key was there.  O(log n). */
bool relay_store_remove(struct relay_store *, const struct relay_key *);

/* The entry, or NULL; valid until the store changes. */
const struct relay_entry *relay_store_find(
    const struct relay_store *, const struct relay_key *);

/* The entry that expires next, or NULL. */
const struct relay_entry *relay_store_next(const struct relay_store *);

/* Adds delta seconds to every expiry: the clock was set.  O(n). */
void relay_store_shift(struct relay_store *, int64_t delta);

void relay_store_clear(struct relay_store *);
size_t relay_store_count(const struct relay_store *);

/* Entry i of 0 ... count - 1, in no order; valid until the store changes. */
const struct relay_entry *relay_store_at(const struct relay_store *, size_t i);

#endif
