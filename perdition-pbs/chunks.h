/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chunks - an array of millions of small items that grows and shrinks in
 * pieces: nothing is ever moved, so that growing takes no second copy and no
 * pause, and a pointer to an item stays good.
 */
#ifndef PERDITION_PBS_CHUNKS_H
#define PERDITION_PBS_CHUNKS_H

#include <stddef.h>

#define CHUNK_BITS 14
#define CHUNK_ITEMS ((size_t)1 << CHUNK_BITS)

struct chunks {
	size_t item; /* bytes of one; set by the owner, the rest is 0 */
	size_t n;    /* chunks */
	char **v;
};

/* Room for so many items; new ones are zero.  0, or -1 with errno ENOMEM. */
int chunks_reserve(struct chunks *, size_t items);

/* Gives back what so many items do not need, but for one chunk to spare. */
void chunks_trim(struct chunks *, size_t items);
void chunks_clear(struct chunks *); /* gives back all */

size_t chunks_bytes(const struct chunks *); /* held */

/* i: below what was reserved. */
static inline void *
chunks_at(const struct chunks *c, size_t i)
{
	return c->v[i >> CHUNK_BITS] + (i & (CHUNK_ITEMS - 1)) * c->item;
}

#endif
