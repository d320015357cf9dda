/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hash_pool - see hash_pool.h.
 */
#include "config.h"

#include "perdition/modules/hash_pool.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

struct server {
	char *name, *text;
	size_t name_n, text_n;
	unsigned int weight;
	bool down;
	uint64_t *draws; /* H(name, NUL, i), weight of them */
};

struct hash_pool {
	struct server *v;
	size_t n, cap;
	unsigned int weights;
};

struct rank {
	uint64_t drawn;
	const struct server *server;
};

struct hash_pool *
hash_pool_create(void)
{
	return calloc(1, sizeof(struct hash_pool));
}

static void
server_clear(struct server *s)
{
	free(s->name);
	free(s->text);
	free(s->draws);
}

void
hash_pool_destroy(struct hash_pool **pp)
{
	struct hash_pool *p = *pp;

	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++)
		server_clear(&p->v[i]);
	free(p->v);
	free(p);
	*pp = NULL;
}

static uint64_t
hash(struct slice s)
{
	static const struct hash_key key = { 0, 0 };

	return hash_bytes(&key, s);
}

/* name with NUL and a number behind it. */
static int
make_draws(struct server *s)
{
	size_t n = s->name_n + 5;
	char *text = malloc(n);

	s->draws = calloc(s->weight, sizeof(*s->draws));
	if (text == NULL || s->draws == NULL) {
		free(text);
		return -1;
	}
	memcpy(text, s->name, s->name_n);
	text[s->name_n] = '\0';
	for (unsigned int i = 0; i < s->weight; i++) {
		for (unsigned int b = 0; b < 4; b++)
			text[s->name_n + 1 + b] = (char)(i >> (8 * b) & 0xff);
		s->draws[i] = hash(slice_make(text, n));
	}
	free(text);
	return 0;
}

static bool
has(const struct hash_pool *p, struct slice name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (slice_eq(slice_make(p->v[i].name, p->v[i].name_n), name))
			return true;
	}
	return false;
}

static int
grow(struct hash_pool *p)
{
	size_t cap = p->cap == 0 ? 16 : p->cap * 2;
	struct server *v = reallocarray(p->v, cap, sizeof(*v));

	if (v == NULL)
		return -1;
	p->v = v;
	p->cap = cap;
	return 0;
}

int
hash_pool_add(struct hash_pool *p, struct slice name, struct slice server,
    unsigned int weight, bool down, struct popmap_error *err)
{
	struct server s = { .weight = weight,
		.down = down,
		.name_n = name.n,
		.text_n = server.n };

	if (has(p, name))
		return map_error(err, "%.*s: the second of this name",
		    (int)(name.n > 200 ? 200 : name.n), name.p);
	if (weight > HASH_WEIGHTS_MAX - p->weights)
		return map_error(
		    err, "weights of more than %u together", HASH_WEIGHTS_MAX);
	s.name = slice_dup(name);
	s.text = slice_dup(server);
	if (s.name == NULL || s.text == NULL || make_draws(&s) == -1 ||
	    (p->n == p->cap && grow(p) == -1)) {
		server_clear(&s);
		return map_error(err, "out of memory");
	}
	p->v[p->n++] = s;
	p->weights += weight;
	return 0;
}

size_t
hash_pool_count(const struct hash_pool *p)
{
	return p->n;
}

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccd;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53;
	return x ^ x >> 33;
}

static uint64_t
best_draw(const struct server *s, uint64_t key)
{
	uint64_t best = 0;

	for (unsigned int i = 0; i < s->weight; i++) {
		uint64_t drawn = mix(key ^ s->draws[i]);

		if (drawn > best)
			best = drawn;
	}
	return best;
}

static bool
is_before(const struct rank *a, const struct rank *b)
{
	size_t n = a->server->name_n < b->server->name_n ? a->server->name_n
							 : b->server->name_n;
	int d;

	if (a->drawn != b->drawn)
		return a->drawn > b->drawn;
	d = memcmp(a->server->name, b->server->name, n);
	return d != 0 ? d < 0 : a->server->name_n < b->server->name_n;
}

/* Into the list of the best, which holds n of at most max; its new length. */
static size_t
insert(struct rank *list, size_t n, size_t max, struct rank r)
{
	size_t at = n;

	while (at > 0 && is_before(&r, &list[at - 1]))
		at--;
	if (at == max)
		return n;
	if (n < max)
		n++;
	memmove(&list[at + 1], &list[at], (n - at - 1) * sizeof(*list));
	list[at] = r;
	return n;
}

size_t
hash_pool_find(const struct hash_pool *p, struct slice key, size_t max,
    struct slice *servers)
{
	struct rank best[POPMAP_SERVERS_MAX];
	uint64_t hashed = hash(key);
	size_t n = 0;

	if (max > POPMAP_SERVERS_MAX)
		max = POPMAP_SERVERS_MAX;
	for (size_t i = 0; i < p->n; i++) {
		const struct server *s = &p->v[i];

		if (!s->down)
			n = insert(best, n, max,
			    (struct rank){ best_draw(s, hashed), s });
	}
	for (size_t i = 0; i < n; i++)
		servers[i] =
		    slice_make(best[i].server->text, best[i].server->text_n);
	return n;
}
