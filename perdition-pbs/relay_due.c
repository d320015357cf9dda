/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_due - a timing wheel; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_due.h"

#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

#define LISTS ((size_t)1 << 17) /* seconds: 36 hours */
#define BITS 64

struct link {
	uint32_t next, before; /* 0: it is the last, the first of its list */
};

#define IN_NO_LIST UINT32_MAX /* before of those that are never due */

static struct link *
link_of(const struct relay_due *d, uint32_t id)
{
	return chunks_at(&d->links, id);
}

static size_t
list_of(const struct relay_due *d, int64_t when)
{
	return (size_t)((uint64_t)when - (uint64_t)d->shift) & (LISTS - 1);
}

int
relay_due_init(struct relay_due *d)
{
	d->links = (struct chunks){ .item = sizeof(struct link) };
	d->first = calloc(LISTS, sizeof(*d->first));
	d->used = calloc(LISTS / BITS, sizeof(*d->used));
	if (d->first != NULL && d->used != NULL)
		return 0;
	relay_due_free(d);
	return -1;
}

void
relay_due_clear(struct relay_due *d)
{
	/* Only what was written to: the rest takes no memory so far. */
	for (size_t i = 0; i < LISTS / BITS; i++)
		if (d->used[i] != 0)
			memset(
			    d->first + i * BITS, 0, BITS * sizeof(*d->first));
	memset(d->used, 0, LISTS / BITS * sizeof(*d->used));
	chunks_clear(&d->links);
	d->n = d->below = 0;
}

void
relay_due_free(struct relay_due *d)
{
	chunks_clear(&d->links);
	free(d->first);
	free(d->used);
	d->first = NULL;
	d->used = NULL;
}

int
relay_due_reserve(struct relay_due *d, size_t n)
{
	return chunks_reserve(&d->links, n);
}

void
relay_due_trim(struct relay_due *d, size_t n)
{
	chunks_trim(&d->links, n);
}

static void
set_first(struct relay_due *d, size_t list, uint32_t id)
{
	uint64_t bit = (uint64_t)1 << list % BITS;

	d->first[list] = id;
	if (id == 0)
		d->used[list / BITS] &= ~bit;
	else
		d->used[list / BITS] |= bit;
}

void
relay_due_add(struct relay_due *d, uint32_t id, int64_t when)
{
	struct link *l = link_of(d, id);
	size_t list = list_of(d, when);

	*l = (struct link){ .next = d->first[list] };
	if (l->next != 0)
		link_of(d, l->next)->before = id;
	set_first(d, list, id);
	if (d->n++ == 0)
		d->from = d->resume = when;
	if (when < d->from)
		d->from = when;
	if (when < d->resume)
		d->below++;
}

void
relay_due_add_never(struct relay_due *d, uint32_t id)
{
	*link_of(d, id) = (struct link){ .before = IN_NO_LIST };
}

/* What stands before the one with link l, which is at when, leads to id. */
static void
lead_to(struct relay_due *d, const struct link *l, int64_t when, uint32_t id)
{
	if (l->before == 0)
		set_first(d, list_of(d, when), id);
	else
		link_of(d, l->before)->next = id;
}

void
relay_due_remove(struct relay_due *d, uint32_t id, int64_t when)
{
	const struct link *l = link_of(d, id);

	if (l->before == IN_NO_LIST)
		return;
	lead_to(d, l, when, l->next);
	if (l->next != 0)
		link_of(d, l->next)->before = l->before;
	d->n--;
	if (when < d->resume)
		d->below--;
}

void
relay_due_rename(struct relay_due *d, uint32_t id, uint32_t to, int64_t when)
{
	struct link *l = link_of(d, to);

	*l = *link_of(d, id);
	if (l->before == IN_NO_LIST)
		return;
	lead_to(d, l, when, to);
	if (l->next != 0)
		link_of(d, l->next)->before = to;
}

void
relay_due_shift(struct relay_due *d, int64_t delta)
{
	d->shift += delta;
	d->from += delta;
	d->resume += delta;
}

/* --- the first ----------------------------------------------------------- */

/* How many lists behind this one the next is that is not empty; there is
 * one. */
static size_t
skip_empty(const struct relay_due *d, size_t list)
{
	size_t word = list / BITS, skip = 0;
	uint64_t bits = d->used[word] >> list % BITS;

	if (bits != 0)
		return (size_t)__builtin_ctzll(bits);
	skip = BITS - list % BITS;
	while ((bits = d->used[++word % (LISTS / BITS)]) == 0)
		skip += BITS;
	return skip + (size_t)__builtin_ctzll(bits);
}

/*
 * One that is due exactly then, or 0: what is in the list comes later.  All of
 * them come to its front, where those that are looked for one after the other
 * are found at once.
 */
static uint32_t
due_at(struct relay_due *d, int64_t when)
{
	uint32_t id = d->first[list_of(d, when)], next, found = 0;

	if (id == 0 || d->when(d->owner, id) == when)
		return id;
	for (; id != 0; id = next) {
		next = link_of(d, id)->next;
		if (d->when(d->owner, id) != when)
			continue;
		relay_due_remove(d, id, when);
		relay_due_add(d, id, when);
		found = id;
	}
	return found;
}

/* Of all lists: there is nothing within a turn of the wheel. */
static uint32_t
first_of_all(const struct relay_due *d)
{
	uint32_t first = 0;
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < LISTS; i++) {
		for (uint32_t id = d->first[i]; id != 0;
		     id = link_of(d, id)->next) {
			int64_t when = d->when(d->owner, id);

			if (first == 0 || when < least) {
				first = id;
				least = when;
			}
		}
	}
	return first;
}

/* Nothing is due before. */
static void
look_from(struct relay_due *d, int64_t from)
{
	d->from = from;
	if (d->resume < from)
		d->resume = from;
}

uint32_t
relay_due_until(struct relay_due *d, int64_t until)
{
	size_t seen = 0;
	uint32_t id;

	while (d->n > 0) {
		size_t skip;

		if (d->below == 0)
			d->from = d->resume;
		if (d->from > until)
			return 0;
		skip = skip_empty(d, list_of(d, d->from));
		if (skip > (uint64_t)until - (uint64_t)d->from) {
			look_from(d, until + 1);
			return 0;
		}
		look_from(d, d->from + (int64_t)skip);
		id = due_at(d, d->from);
		if (id != 0)
			return id;
		look_from(d, d->from + 1);
		seen += skip + 1;
		if (seen >= LISTS) {
			id = first_of_all(d);
			look_from(d, d->when(d->owner, id));
			return d->from <= until ? id : 0;
		}
	}
	return 0;
}

uint32_t
relay_due_first(struct relay_due *d)
{
	return relay_due_until(d, INT64_MAX);
}

bool
relay_due_is_never(const struct relay_due *d, uint32_t id)
{
	return link_of(d, id)->before == IN_NO_LIST;
}

void
relay_due_fetch(const struct relay_due *d, uint32_t id)
{
	__builtin_prefetch(link_of(d, id), 1);
}

void
relay_due_fetch_beside(const struct relay_due *d, uint32_t id)
{
	const struct link *l = link_of(d, id);

	if (l->before == IN_NO_LIST)
		return;
	__builtin_prefetch(link_of(d, l->before), 1);
	__builtin_prefetch(link_of(d, l->next), 1);
}

size_t
relay_due_bytes(const struct relay_due *d)
{
	return LISTS * sizeof(*d->first) + LISTS / BITS * sizeof(*d->used) +
	       chunks_bytes(&d->links);
}
