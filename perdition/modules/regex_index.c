/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regex_index - see regex_index.h.
 */
#include "config.h"

#include "perdition/modules/regex_index.h"

#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

struct item {
	bool suffix;
	size_t n; /* bytes of the literal; 0: nothing is sure */
	const char *literal;
	size_t number;
};

/* Items that differ in nothing but the number. */
struct drawer {
	char *literal;     /* into bytes */
	size_t first, end; /* in numbers */
};

/* Drawers whose literals are of one kind and length, sorted by them. */
struct row {
	bool suffix;
	size_t n;
	size_t first, end; /* in drawers */
};

struct regex_index {
	struct item *items; /* until it is finished */
	size_t n;
	size_t *numbers;
	char *bytes;
	struct drawer *drawers;
	struct row row[REGEX_LISTS_MAX];
	size_t rows;
};

struct regex_index *
regex_index_create(size_t n)
{
	struct regex_index *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->items = calloc(n + 1, sizeof(*x->items));
	x->numbers = calloc(n + 1, sizeof(*x->numbers));
	x->drawers = calloc(n + 1, sizeof(*x->drawers));
	if (x->items == NULL || x->numbers == NULL || x->drawers == NULL)
		regex_index_destroy(&x);
	return x;
}

void
regex_index_destroy(struct regex_index **xp)
{
	struct regex_index *x = *xp;

	if (x == NULL)
		return;
	free(x->items);
	free(x->numbers);
	free(x->drawers);
	free(x->bytes);
	free(x);
	*xp = NULL;
}

void
regex_index_add(
    struct regex_index *x, size_t number, const struct regex_literals *l)
{
	bool suffix = l->suffix_n > l->prefix_n;

	x->items[x->n++] = (struct item){
		.suffix = suffix,
		.n = suffix ? l->suffix_n : l->prefix_n,
		.literal = suffix ? l->suffix : l->prefix,
		.number = number,
	};
}

static int
compare(const void *va, const void *vb)
{
	const struct item *a = va, *b = vb;
	int d;

	if (a->suffix != b->suffix)
		return a->suffix ? 1 : -1;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	d = a->n == 0 ? 0 : memcmp(a->literal, b->literal, a->n);
	if (d != 0)
		return d;
	return a->number < b->number ? -1 : a->number > b->number;
}

static bool
same_row(const struct item *a, const struct item *b)
{
	return a->suffix == b->suffix && a->n == b->n;
}

static bool
same_drawer(const struct item *a, const struct item *b)
{
	return same_row(a, b) &&
	       (a->n == 0 || memcmp(a->literal, b->literal, a->n) == 0);
}

int
regex_index_finish(struct regex_index *x)
{
	size_t bytes = 0, drawers = 0;

	qsort(x->items, x->n, sizeof(*x->items), compare);
	for (size_t i = 0; i < x->n; i++)
		bytes += x->items[i].n;
	x->bytes = malloc(bytes + 1);
	if (x->bytes == NULL)
		return -1;
	bytes = 0;
	for (size_t i = 0; i < x->n; i++) {
		const struct item *it = &x->items[i];

		if (i == 0 || !same_row(it, it - 1))
			x->row[x->rows++] =
			    (struct row){ it->suffix, it->n, drawers, drawers };
		if (i == 0 || !same_drawer(it, it - 1)) {
			x->drawers[drawers++] =
			    (struct drawer){ x->bytes + bytes, i, i };
			if (it->n > 0)
				memcpy(x->bytes + bytes, it->literal, it->n);
			bytes += it->n;
		}
		x->drawers[drawers - 1].end = i + 1;
		x->row[x->rows - 1].end = drawers;
		x->numbers[i] = it->number;
	}
	free(x->items);
	x->items = NULL;
	return 0;
}

static const struct drawer *
find(const struct regex_index *x, const struct row *row, struct slice text)
{
	size_t low = row->first, high = row->end;
	const char *literal;

	if (row->n == 0)
		return &x->drawers[low];
	if (text.n < row->n)
		return NULL;
	literal = row->suffix ? text.p + (text.n - row->n) : text.p;
	while (low < high) {
		size_t at = low + (high - low) / 2;
		const struct drawer *d = &x->drawers[at];
		/* There are drawers wherever there is a row.
		 * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		int order = memcmp(literal, d->literal, row->n);

		if (order == 0)
			return d;
		if (order < 0)
			high = at;
		else
			low = at + 1;
	}
	return NULL;
}

void
regex_index_find(
    const struct regex_index *x, struct slice text, struct regex_candidates *c)
{
	c->n = 0;
	for (size_t i = 0; i < x->rows; i++) {
		const struct drawer *d = find(x, &x->row[i], text);

		if (d == NULL)
			continue;
		c->list[c->n].next = x->numbers + d->first;
		c->list[c->n++].end = x->numbers + d->end;
	}
}

bool
regex_index_next(struct regex_candidates *c, size_t *number)
{
	size_t best = c->n;

	for (size_t i = 0; i < c->n; i++) {
		if (c->list[i].next == c->list[i].end)
			continue;
		if (best == c->n || *c->list[i].next < *c->list[best].next)
			best = i;
	}
	if (best == c->n)
		return false;
	*number = *c->list[best].next++;
	return true;
}
