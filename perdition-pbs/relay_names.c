/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_names - names in chunks; see the header.
 *
 * An id is the place of the name's record, counted in words.  A record is
 * taken from those of its length that are free, else from the end; it never
 * moves, and lies in one chunk.
 */
#include "config.h"

#include "perdition-pbs/relay_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "perdition-pbs/chunks.h"

#include "common/banned.h"

#define WORD sizeof(uint32_t)
#define WORDS(n) ((offsetof(struct relay_name, text) + (n) + WORD - 1) / WORD)

struct relay_names {
	struct hash_key hash;
	struct relay_index index;
	struct chunks words;
	size_t expected;                          /* names to come */
	size_t end;                               /* words; 0 is no id */
	uint32_t free[WORDS(RELAY_USER_MAX) + 1]; /* by words; 0: none */
};

struct relay_name *
relay_names_get(const struct relay_names *s, uint32_t id)
{
	return chunks_at(&s->words, id);
}

static struct slice
text_of(const struct relay_names *s, uint32_t id)
{
	const struct relay_name *r = relay_names_get(s, id);

	return slice_make(r->text, r->n);
}

static uint32_t *
next_of(void *owner, uint32_t id)
{
	return &relay_names_get(owner, id)->next;
}

static uint64_t
hash_of(void *owner, uint32_t id)
{
	const struct relay_names *s = owner;

	return hash_quick(&s->hash, text_of(s, id));
}

static void
fetch(void *owner, uint32_t id)
{
	const struct relay_name *r = relay_names_get(owner, id);

	__builtin_prefetch(r, 1);
	/* Of a name of some length the rest. */
	__builtin_prefetch(r->text + 32);
}

struct relay_names *
relay_names_create(void)
{
	struct relay_names *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	if (hash_key_make(&s->hash) == -1) {
		free(s);
		return NULL;
	}
	s->index.next = next_of;
	s->index.hash = hash_of;
	s->index.fetch = fetch;
	s->index.owner = s;
	relay_index_init(&s->index);
	s->words.item = WORD;
	s->end = 1;
	return s;
}

void
relay_names_clear(struct relay_names *s)
{
	relay_index_clear(&s->index);
	chunks_clear(&s->words);
	memset(s->free, 0, sizeof(s->free));
	s->end = 1;
}

void
relay_names_destroy(struct relay_names **sp)
{
	if (*sp == NULL)
		return;
	relay_names_clear(*sp);
	free(*sp);
	*sp = NULL;
}

static uint32_t
find(const struct relay_names *s, struct slice text, uint64_t hash)
{
	uint32_t id = relay_index_first(&s->index, hash);

	while (id != 0 && !slice_eq(text_of(s, id), text))
		id = relay_names_get(s, id)->next;
	return id;
}

static struct slice
cut(struct slice text)
{
	return slice_make(
	    text.p, text.n < RELAY_USER_MAX ? text.n : RELAY_USER_MAX);
}

bool
relay_names_is(const struct relay_names *s, uint32_t id, struct slice text)
{
	return slice_eq(text_of(s, id), cut(text));
}

uint32_t
relay_names_find(const struct relay_names *s, struct slice text)
{
	text = cut(text);
	return find(s, text, hash_quick(&s->hash, text));
}

/* A record of so many words, or 0. */
static uint32_t
take(struct relay_names *s, size_t words)
{
	uint32_t id = s->free[words];
	size_t at = s->end;

	if (id != 0) {
		s->free[words] = relay_names_get(s, id)->next;
		return id;
	}
	if (at % CHUNK_ITEMS + words > CHUNK_ITEMS)
		at += CHUNK_ITEMS - at % CHUNK_ITEMS;
	if (at + words > RELAY_NAME_ID_MAX) {
		errno = ENOSPC;
		return 0;
	}
	if (chunks_reserve(&s->words, at + words) == -1)
		return 0;
	s->end = at + words;
	return (uint32_t)at;
}

static void
give_back(struct relay_names *s, uint32_t id)
{
	struct relay_name *r = relay_names_get(s, id);

	r->next = s->free[WORDS(r->n)];
	s->free[WORDS(r->n)] = id;
}

uint32_t
relay_names_add(struct relay_names *s, struct slice text)
{
	struct relay_name *r;
	uint64_t hash;
	uint32_t id;

	text = cut(text);
	hash = hash_quick(&s->hash, text);
	id = find(s, text, hash);
	if (id != 0)
		return id;
	if (s->expected > 0 && s->index.n == 0)
		relay_index_reserve(&s->index, s->expected);
	id = take(s, WORDS(text.n));
	if (id == 0)
		return 0;
	r = relay_names_get(s, id);
	r->first = r->addresses = 0;
	r->n = (uint16_t)text.n;
	memcpy(r->text, text.p, text.n);
	if (relay_index_add(&s->index, id, hash) == -1) {
		give_back(s, id);
		return 0;
	}
	return id;
}

void
relay_names_remove(struct relay_names *s, uint32_t id)
{
	relay_index_remove(&s->index, id, hash_of(s, id));
	if (s->index.used == 0) /* pieces of odd lengths are one again */
		relay_names_clear(s);
	else
		give_back(s, id);
}

void
relay_names_expect(struct relay_names *s, size_t n)
{
	s->expected = n;
	if (n == 0)
		relay_index_fit(&s->index);
}

const struct relay_index *
relay_names_index(const struct relay_names *s)
{
	return &s->index;
}

uint64_t
relay_names_hash(const struct relay_names *s, struct slice text)
{
	return hash_quick(&s->hash, cut(text));
}

size_t
relay_names_count(const struct relay_names *s)
{
	return s->index.used;
}

size_t
relay_names_bytes(const struct relay_names *s)
{
	return sizeof(*s) + chunks_bytes(&s->words) +
	       chunks_bytes(&s->index.heads);
}
