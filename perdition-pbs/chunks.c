/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chunks - an array in pieces; see the header.
 */
#include "config.h"

#include "perdition-pbs/chunks.h"

#include <stdlib.h>

#include "common/banned.h"

static size_t
chunks_for(size_t items)
{
	return (items + CHUNK_ITEMS - 1) >> CHUNK_BITS;
}

int
chunks_reserve(struct chunks *c, size_t items)
{
	size_t want = chunks_for(items);
	char **v;

	if (want <= c->n)
		return 0;
	v = reallocarray(c->v, want, sizeof(*v));
	if (v == NULL)
		return -1;
	c->v = v;
	while (c->n < want) {
		c->v[c->n] = calloc(CHUNK_ITEMS, c->item);
		if (c->v[c->n] == NULL)
			return -1;
		c->n++;
	}
	return 0;
}

void
chunks_trim(struct chunks *c, size_t items)
{
	while (c->n > chunks_for(items) + 1)
		free(c->v[--c->n]);
}

void
chunks_clear(struct chunks *c)
{
	while (c->n > 0)
		free(c->v[--c->n]);
	free(c->v);
	c->v = NULL;
}

size_t
chunks_bytes(const struct chunks *c)
{
	return c->n * (CHUNK_ITEMS * c->item + sizeof(*c->v));
}
