/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * positions - places in sources by name; see the header.
 */
#include "config.h"

#include "perdition-pbs/positions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

struct position {
	size_t name_n, n;
	char *bytes; /* the name, then the position */
};

struct positions {
	size_t n;
	struct position v[POSITIONS_MAX];
};

struct positions *
positions_create(void)
{
	return calloc(1, sizeof(struct positions));
}

void
positions_clear(struct positions *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].bytes);
	p->n = 0;
}

void
positions_destroy(struct positions **pp)
{
	if (*pp == NULL)
		return;
	positions_clear(*pp);
	free(*pp);
	*pp = NULL;
}

/* Its index, or n. */
static size_t
find(const struct positions *p, struct slice name)
{
	size_t i = 0;

	while (i < p->n &&
	       !slice_eq(slice_make(p->v[i].bytes, p->v[i].name_n), name))
		i++;
	return i;
}

static void
forget(struct positions *p, size_t i)
{
	if (i == p->n)
		return;
	free(p->v[i].bytes);
	p->v[i] = p->v[--p->n];
}

int
positions_set(struct positions *p, struct slice name, struct slice position)
{
	size_t i = find(p, name);
	char *bytes;

	if (position.n == 0) {
		forget(p, i);
		return 0;
	}
	errno = name.n > POSITION_NAME_MAX || position.n > POSITION_BYTES_MAX
		    ? EMSGSIZE
		: i == POSITIONS_MAX ? ENOSPC
				     : 0;
	if (errno != 0)
		return -1;
	bytes = malloc(name.n + position.n);
	if (bytes == NULL)
		return -1;
	if (name.n > 0)
		memcpy(bytes, name.p, name.n);
	memcpy(bytes + name.n, position.p, position.n);
	if (i == p->n)
		p->n++;
	else
		free(p->v[i].bytes);
	p->v[i].name_n = name.n;
	p->v[i].n = position.n;
	p->v[i].bytes = bytes;
	return 0;
}

struct slice
positions_get(const struct positions *p, struct slice name)
{
	size_t i = find(p, name);

	if (i == p->n)
		return slice_make(NULL, 0);
	return slice_make(p->v[i].bytes + p->v[i].name_n, p->v[i].n);
}

bool
positions_at(const struct positions *p, size_t i, struct slice *name,
    struct slice *position)
{
	if (i >= p->n)
		return false;
	*name = slice_make(p->v[i].bytes, p->v[i].name_n);
	*position = slice_make(p->v[i].bytes + p->v[i].name_n, p->v[i].n);
	return true;
}
