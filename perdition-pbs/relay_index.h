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
	void (*fetch)(void *owner, uint32_t id); /* from memory, for both */
	void *owner;
	struct chunks heads; /* uint32_t: the first of each chain, or 0 */
	size_t n;            /* chains */
	size_t mask;         /* least 2^k - 1 that is n - 1 or more */
	size_t used;         /* ids */
};

/* next, hash, fetch and owner are set, the rest is 0: nothing can fail. */
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

/*
 * Some are going to be looked for and added: has what that reads fetched from
 * memory, all at the same time.  In steps, best with other work in between,
 * since each tells where the next has to look: begin; head for each hash;
 * first for each; then next, which goes once along the chains, as often as
 * seems worth it.
 */
#define RELAY_WALK_MAX 16
struct relay_walk {
	uint32_t id[2 * RELAY_WALK_MAX]; /* how far each chain was walked */
	size_t n;
};

/* n: hashes to come, RELAY_WALK_MAX at most. */
void relay_walk_begin(
    struct relay_walk *, const struct relay_index *, size_t n);
void relay_walk_head(const struct relay_index *, uint64_t hash);
void relay_walk_first(
    struct relay_walk *, const struct relay_index *, uint64_t hash);
void relay_walk_next(struct relay_walk *, const struct relay_index *);

#endif
