/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_store - hash table and expiry heap over one array; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

#define FIRST_CAP 64u /* entries; a power of 2, as all later sizes are */

struct slot {
	struct relay_entry e;
	uint32_t heap; /* where in heap[] this entry stands */
};

struct relay_store {
	struct hash_key hash;
	size_t n, cap;      /* entries used and allocated */
	struct slot *slots; /* cap of them, the first n in use */
	uint32_t *heap;     /* cap of them: positions in slots, by expiry */
	uint32_t *table;    /* 2 * cap: position + 1, 0 is free */
};

struct relay_store *
relay_store_create(void)
{
	struct relay_store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	if (hash_key_make(&s->hash) == -1) {
		free(s);
		return NULL;
	}
	return s;
}

void
relay_store_destroy(struct relay_store **sp)
{
	if (*sp == NULL)
		return;
	free((*sp)->slots);
	free((*sp)->heap);
	free((*sp)->table);
	free(*sp);
	*sp = NULL;
}

static size_t
home(const struct relay_store *s, const struct relay_key *k)
{
	char b[sizeof(k->ip) + 1];

	memcpy(b, &k->ip, sizeof(k->ip));
	b[sizeof(k->ip)] = (char)k->prefix;
	return hash_bytes(&s->hash, slice_make(b, sizeof(b))) &
	       (2 * s->cap - 1);
}

/* Where in the table k is, or the free place where it would go. */
static size_t
place(const struct relay_store *s, const struct relay_key *k)
{
	size_t mask = 2 * s->cap - 1, i = home(s, k);

	while (s->table[i] != 0 &&
	       !relay_key_eq(&s->slots[s->table[i] - 1].e.key, k))
		i = (i + 1) & mask;
	return i;
}

static int
grow(struct relay_store *s)
{
	size_t cap = s->cap == 0 ? FIRST_CAP : 2 * s->cap;
	struct slot *slots;
	uint32_t *heap, *table;

	if (s->n >= RELAY_STORE_MAX) {
		errno = ENOSPC;
		return -1;
	}
	slots = reallocarray(s->slots, cap, sizeof(*slots));
	if (slots == NULL)
		return -1;
	s->slots = slots;
	heap = reallocarray(s->heap, cap, sizeof(*heap));
	if (heap == NULL)
		return -1;
	s->heap = heap;
	table = calloc(2 * cap, sizeof(*table));
	if (table == NULL)
		return -1;
	free(s->table);
	s->table = table;
	s->cap = cap;
	for (size_t i = 0; i < s->n; i++)
		s->table[place(s, &s->slots[i].e.key)] = (uint32_t)i + 1;
	return 0;
}

/* --- the heap: the entry that expires first is heap[0] ------------------- */

static int64_t
heap_expires(const struct relay_store *s, size_t h)
{
	return s->slots[s->heap[h]].e.expires;
}

static void
heap_set(struct relay_store *s, size_t h, uint32_t slot)
{
	s->heap[h] = slot;
	s->slots[slot].heap = (uint32_t)h;
}

static void
heap_swap(struct relay_store *s, size_t a, size_t b)
{
	uint32_t slot = s->heap[a];

	heap_set(s, a, s->heap[b]);
	heap_set(s, b, slot);
}

static void
heap_up(struct relay_store *s, size_t h)
{
	while (h > 0 && heap_expires(s, h) < heap_expires(s, (h - 1) / 2)) {
		heap_swap(s, h, (h - 1) / 2);
		h = (h - 1) / 2;
	}
}

static void
heap_down(struct relay_store *s, size_t h)
{
	for (;;) {
		size_t least = h;

		for (size_t c = 2 * h + 1; c <= 2 * h + 2 && c < s->n; c++)
			if (heap_expires(s, c) < heap_expires(s, least))
				least = c;
		if (least == h)
			return;
		heap_swap(s, h, least);
		h = least;
	}
}

/* --- entries ------------------------------------------------------------- */

int
relay_store_touch(
    struct relay_store *s, const struct relay_entry *e, int64_t now)
{
	struct slot *slot;
	size_t i;

	if (s->n > 0) {
		i = place(s, &e->key);
		if (s->table[i] != 0) {
			bool dead;

			slot = &s->slots[s->table[i] - 1];
			dead = slot->e.expires <= now;
			if (e->expires <= slot->e.expires)
				return RELAY_NO_CHANGE;
			slot->e.expires = e->expires;
			heap_down(s, slot->heap);
			return dead ? RELAY_NEW : RELAY_LONGER;
		}
	}
	if (s->n == s->cap && grow(s) == -1)
		return -1;
	i = place(s, &e->key);
	s->table[i] = (uint32_t)s->n + 1;
	s->slots[s->n].e = *e;
	heap_set(s, s->n, (uint32_t)s->n);
	s->n++;
	heap_up(s, s->n - 1);
	return RELAY_NEW;
}

/* Takes table[i] out and moves up what had been pushed behind it. */
static void
table_remove(struct relay_store *s, size_t i)
{
	size_t mask = 2 * s->cap - 1, j = i;

	for (;;) {
		size_t h;

		j = (j + 1) & mask;
		if (s->table[j] == 0)
			break;
		h = home(s, &s->slots[s->table[j] - 1].e.key);
		/* j may stay where it is if its home lies between i and j. */
		if (((j - h) & mask) < ((j - i) & mask))
			continue;
		s->table[i] = s->table[j];
		i = j;
	}
	s->table[i] = 0;
}

bool
relay_store_remove(struct relay_store *s, const struct relay_key *k)
{
	size_t i, slot, h, last;

	if (s->n == 0)
		return false;
	i = place(s, k);
	if (s->table[i] == 0)
		return false;
	slot = s->table[i] - 1;
	h = s->slots[slot].heap;
	table_remove(s, i);
	last = s->n - 1;
	if (h != last)
		heap_swap(s, h, last);
	s->n = last;
	if (h != last) {
		heap_down(s, h);
		heap_up(s, h);
	}
	if (slot != last) { /* the array stays dense */
		s->table[place(s, &s->slots[last].e.key)] = (uint32_t)slot + 1;
		s->slots[slot] = s->slots[last];
		s->heap[s->slots[slot].heap] = (uint32_t)slot;
	}
	return true;
}

const struct relay_entry *
relay_store_find(const struct relay_store *s, const struct relay_key *k)
{
	size_t i;

	if (s->n == 0)
		return NULL;
	i = place(s, k);
	return s->table[i] == 0 ? NULL : &s->slots[s->table[i] - 1].e;
}

const struct relay_entry *
relay_store_next(const struct relay_store *s)
{
	return s->n == 0 ? NULL : &s->slots[s->heap[0]].e;
}

void
relay_store_shift(struct relay_store *s, int64_t delta)
{
	for (size_t i = 0; i < s->n; i++)
		s->slots[i].e.expires += delta;
}

void
relay_store_clear(struct relay_store *s)
{
	s->n = 0;
	if (s->cap > 0)
		memset(s->table, 0, 2 * s->cap * sizeof(*s->table));
}

size_t
relay_store_count(const struct relay_store *s)
{
	return s->n;
}

const struct relay_entry *
relay_store_at(const struct relay_store *s, size_t i)
{
	return &s->slots[i].e;
}
