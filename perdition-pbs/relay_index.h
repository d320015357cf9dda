/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_index - finds things by their hash: linear hashing (Litwin, 1980).
 *
 * Chains whose number grows and shrinks by one with what they hold, so that
 * no operation ever touches more than a few of them: there is no moment at
 * which a table of millions is built anew.  What is found has a number (its
 * id, never 0) and keeps the number of the next in its chain; the owner says
 * where, and compares.
 */
#ifndef PERDITION_PBS_RELAY_INDEX_H
#define PERDITION_PBS_RELAY_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "perdition-pbs/chunks.h"

struct relay_index {
	uint32_t *(*next)(void *owner, uint32_t id); /* where id keeps it */
	uint64_t (*hash)(void *owner, uint32_t id);
	void *owner;
	struct chunks heads; /* uint32_t: the first of each chain, or 0 */
	size_t n;            /* chains */
	size_t mask;         /* least 2^k - 1 that is n - 1 or more */
	size_t used;         /* ids */
};

/* next, hash and owner are set, the rest is 0: nothing can fail. */
void relay_index_init(struct relay_index *);
void relay_index_clear(struct relay_index *); /* forgets all, frees */

/* The first of the chain where hash belongs, or 0. */
uint32_t relay_index_first(const struct relay_index *, uint64_t hash);

/* id is not there yet.  0, or -1 with errno ENOMEM. */
int relay_index_add(struct relay_index *, uint32_t id, uint64_t hash);

/* id is there. */
void relay_index_remove(struct relay_index *, uint32_t id, uint64_t hash);

/* What was id has become `to', which holds the same hash and next. */
void relay_index_rename(
    struct relay_index *, uint32_t id, uint32_t to, uint64_t hash);

/* Makes chains for n ids at once; without memory for that it does not. */
void relay_index_reserve(struct relay_index *, size_t n);
void relay_index_fit(struct relay_index *); /* gives back those too many */

/* hash is going to be looked for: has its chain's head fetched from memory. */
void relay_index_prefetch(const struct relay_index *, uint64_t hash);

#endif
