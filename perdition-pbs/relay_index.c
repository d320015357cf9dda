/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_index - linear hashing; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_index.h"

#include <assert.h>

#include "common/banned.h"

#define CHAINS_MIN 64u /* a power of 2 */
static_assert(
    RELAY_WALK_MAX <= CHAINS_MIN / 2, "the next to be split are there");

static uint32_t *
head(const struct relay_index *ix, size_t chain)
{
	return chunks_at(&ix->heads, chain);
}

/* Chains beyond n have not been split off yet: theirs are still below. */
static size_t
chain_of(const struct relay_index *ix, uint64_t hash)
{
	size_t chain = (size_t)hash & ix->mask;

	return chain < ix->n ? chain : chain & ix->mask >> 1;
}

void
relay_index_init(struct relay_index *ix)
{
	ix->heads = (struct chunks){ .item = sizeof(uint32_t) };
	ix->n = ix->mask = ix->used = 0;
}

void
relay_index_clear(struct relay_index *ix)
{
	chunks_clear(&ix->heads);
	relay_index_init(ix);
}

uint32_t
relay_index_first(const struct relay_index *ix, uint64_t hash)
{
	return ix->n == 0 ? 0 : *head(ix, chain_of(ix, hash));
}

/* One chain more, with half of those of the chain that it is split from. */
static void
split(struct relay_index *ix)
{
	size_t fresh = ix->n;
	uint32_t id, *from, *to;

	if (chunks_reserve(&ix->heads, fresh + 1) == -1)
		return; /* so the chains get a little longer */
	if (fresh > ix->mask)
		ix->mask = 2 * ix->mask + 1;
	ix->n++;
	from = head(ix, fresh & ix->mask >> 1);
	to = head(ix, fresh);
	*to = 0;
	while ((id = *from) != 0) {
		uint32_t *next = ix->next(ix->owner, id);

		if (chain_of(ix, ix->hash(ix->owner, id)) != fresh) {
			from = next;
			continue;
		}
		*from = *next;
		*next = *to;
		*to = id;
	}
}

/* The reverse. */
static void
merge(struct relay_index *ix)
{
	size_t last = ix->n - 1;
	uint32_t *end = head(ix, last & ix->mask >> 1);
	uint32_t more = *head(ix, last);

	while (more != 0 && *end != 0)
		end = ix->next(ix->owner, *end);
	if (more != 0)
		*end = more;
	ix->n--;
	if (ix->n - 1 <= ix->mask >> 1)
		ix->mask >>= 1;
	chunks_trim(&ix->heads, ix->n);
}

static int
begin(struct relay_index *ix)
{
	if (ix->n > 0)
		return 0;
	if (chunks_reserve(&ix->heads, CHAINS_MIN) == -1)
		return -1;
	ix->n = CHAINS_MIN;
	ix->mask = CHAINS_MIN - 1;
	return 0;
}

int
relay_index_add(struct relay_index *ix, uint32_t id, uint64_t hash)
{
	uint32_t *first;

	if (begin(ix) == -1)
		return -1;
	if (ix->used >= ix->n)
		split(ix);
	first = head(ix, chain_of(ix, hash));
	*ix->next(ix->owner, id) = *first;
	*first = id;
	ix->used++;
	return 0;
}

/* Where the number id stands in its chain. */
static uint32_t *
link_to(const struct relay_index *ix, uint32_t id, uint64_t hash)
{
	uint32_t *p = head(ix, chain_of(ix, hash));

	while (*p != id)
		p = ix->next(ix->owner, *p);
	return p;
}

void
relay_index_remove(struct relay_index *ix, uint32_t id, uint64_t hash)
{
	*link_to(ix, id, hash) = *ix->next(ix->owner, id);
	ix->used--;
	/* Twice as fast as they came: what was large once does not stay so. */
	for (int i = 0; i < 2 && ix->n > CHAINS_MIN && ix->n > 2 * ix->used;
	     i++)
		merge(ix);
}

void
relay_index_rename(
    struct relay_index *ix, uint32_t id, uint32_t to, uint64_t hash)
{
	*link_to(ix, id, hash) = to;
}

void
relay_index_fit(struct relay_index *ix)
{
	while (ix->n > CHAINS_MIN && ix->n > ix->used)
		merge(ix);
}

void
relay_index_reserve(struct relay_index *ix, size_t n)
{
	if (begin(ix) == -1)
		return;
	while (ix->n < n) { /* empty chains are split in no time */
		size_t was = ix->n;

		split(ix);
		if (ix->n == was)
			return;
	}
}

/* --- fetching what is going to be read ----------------------------------- */

static void
walk_to(struct relay_walk *w, const struct relay_index *ix, uint32_t id)
{
	if (id == 0)
		return;
	ix->fetch(ix->owner, id);
	w->id[w->n++] = id;
}

/* Of each chain that is going to be split, since all in it is hashed then.
 * That is the one below the new one, also when mask grows meanwhile: n is less
 * than half of it. */
void
relay_walk_begin(struct relay_walk *w, const struct relay_index *ix, size_t n)
{
	size_t spare = ix->n > ix->used ? ix->n - ix->used : 0;

	w->n = 0;
	for (size_t i = spare; ix->n > 0 && i < n; i++) {
		size_t fresh = ix->n + i - spare;

		walk_to(w, ix, *head(ix, fresh & ix->mask >> 1));
	}
}

void
relay_walk_head(const struct relay_index *ix, uint64_t hash)
{
	if (ix->n > 0)
		__builtin_prefetch(head(ix, chain_of(ix, hash)));
}

void
relay_walk_first(
    struct relay_walk *w, const struct relay_index *ix, uint64_t hash)
{
	walk_to(w, ix, relay_index_first(ix, hash));
}

void
relay_walk_next(struct relay_walk *w, const struct relay_index *ix)
{
	size_t n = w->n;

	w->n = 0;
	for (size_t i = 0; i < n; i++)
		walk_to(w, ix, *ix->next(ix->owner, w->id[i]));
}
