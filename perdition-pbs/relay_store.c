/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_store - entries and their users' lists; see the header.
 *
 * Entries are numbered from 1 without gaps: the last one takes the place of
 * one that goes.
 */
#include "config.h"

#include "perdition-pbs/relay_store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "perdition-pbs/chunks.h"
#include "perdition-pbs/relay_due.h"
#include "perdition-pbs/relay_index.h"
#include "perdition-pbs/relay_names.h"

#include "common/banned.h"

#define CHAIN_STEPS 2 /* that are fetched beyond the first: few are longer */
static_assert(RELAY_STORE_FETCH <= RELAY_WALK_MAX, "all in one walk");

struct slot {
	struct relay_entry e;
	uint32_t hash;         /* of the key, as far as the index uses it */
	uint32_t next;         /* in its chain of the index */
	uint32_t newer, older; /* of the same user: a ring */
};

struct relay_store {
	struct hash_key hash;
	struct relay_index index;
	struct relay_names *names;
	size_t n; /* entries */
	size_t by_prefix[129];
	struct chunks slots; /* struct slot; 1 ... n are in use */
	struct relay_due due;
};

static struct slot *
slot_at(const struct relay_store *s, uint32_t id)
{
	return chunks_at(&s->slots, id);
}

/* As many bits as RELAY_STORE_MAX chains can use. */
static uint64_t
hash_key_of(const struct relay_store *s, const struct relay_key *k)
{
	char b[sizeof(k->ip) + 1];

	memcpy(b, &k->ip, sizeof(k->ip));
	b[sizeof(k->ip)] = (char)k->prefix;
	return (uint32_t)hash_quick(&s->hash, slice_make(b, sizeof(b)));
}

static uint32_t *
next_of(void *owner, uint32_t id)
{
	return &slot_at(owner, id)->next;
}

static uint64_t
hash_of(void *owner, uint32_t id)
{
	return slot_at(owner, id)->hash;
}

static int64_t
expires_of(void *owner, uint32_t id)
{
	return slot_at(owner, id)->e.expires;
}

/* It may lie across two lines of the cache. */
static void
fetch(void *owner, uint32_t id)
{
	const struct slot *slot = slot_at(owner, id);

	__builtin_prefetch(slot, 1);
	__builtin_prefetch((const char *)(slot + 1) - 1, 1);
}

struct relay_store *
relay_store_create(void)
{
	struct relay_store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->due = (struct relay_due){ .when = expires_of, .owner = s };
	s->names = relay_names_create();
	if (s->names == NULL || hash_key_make(&s->hash) == -1 ||
	    relay_due_init(&s->due) == -1) {
		relay_names_destroy(&s->names);
		free(s);
		return NULL;
	}
	s->index.next = next_of;
	s->index.hash = hash_of;
	s->index.fetch = fetch;
	s->index.owner = s;
	relay_index_init(&s->index);
	s->slots.item = sizeof(struct slot);
	return s;
}

void
relay_store_clear(struct relay_store *s)
{
	s->n = 0;
	memset(s->by_prefix, 0, sizeof(s->by_prefix));
	relay_index_clear(&s->index);
	relay_names_clear(s->names);
	relay_due_clear(&s->due);
	chunks_clear(&s->slots);
}

void
relay_store_destroy(struct relay_store **sp)
{
	struct relay_store *s = *sp;

	if (s == NULL)
		return;
	relay_store_clear(s);
	relay_due_free(&s->due);
	relay_names_destroy(&s->names);
	free(s);
	*sp = NULL;
}

static void
set_due(struct relay_store *s, uint32_t id)
{
	int64_t expires = slot_at(s, id)->e.expires;

	if (expires == RELAY_FOREVER)
		relay_due_add_never(&s->due, id);
	else
		relay_due_add(&s->due, id, expires);
}

/* --- users: a ring of entries each, the newest first --------------------- */

static bool
is_address(const struct slot *slot)
{
	return !relay_key_is_net(&slot->e.key);
}

static void
user_leave(struct relay_store *s, uint32_t id)
{
	struct slot *slot = slot_at(s, id);
	struct relay_name *user;

	if (slot->e.user == 0)
		return;
	user = relay_names_get(s->names, slot->e.user);
	user->addresses -= is_address(slot) ? 1 : 0;
	if (slot->older == id) {
		relay_names_remove(s->names, slot->e.user);
	} else {
		slot_at(s, slot->newer)->older = slot->older;
		slot_at(s, slot->older)->newer = slot->newer;
		if (user->first == id)
			user->first = slot->older;
	}
	slot->e.user = 0;
}

/* Makes id the newest of user's. */
static void
user_join(struct relay_store *s, uint32_t id, uint32_t user_id)
{
	struct slot *slot = slot_at(s, id);
	struct relay_name *user = relay_names_get(s->names, user_id);

	if (user->first == 0) {
		slot->newer = slot->older = id;
	} else {
		struct slot *first = slot_at(s, user->first);

		slot->older = user->first;
		slot->newer = first->newer; /* the oldest: a ring */
		slot_at(s, slot->newer)->older = id;
		first->newer = id;
	}
	user->first = id;
	user->addresses += is_address(slot) ? 1 : 0;
	slot->e.user = user_id & RELAY_NAME_ID_MAX;
}

/* 0, or -1 with errno ENOMEM: id is as it was. */
static int
user_change(struct relay_store *s, uint32_t id, struct slice user)
{
	uint32_t user_id = slot_at(s, id)->e.user;

	/* Nearly always it has been this user's. */
	if (user.n > 0 &&
	    (user_id == 0 || !relay_names_is(s->names, user_id, user)))
		user_id = relay_names_add(s->names, user);
	if (user_id == 0) {
		if (user.n > 0 && errno != ENOSPC)
			return -1;
		/* Nobody is shut out because others have used up the names. */
		user_leave(s, id);
		return 0;
	}
	if (relay_names_get(s->names, user_id)->first == id)
		return 0;
	user_leave(s, id);
	user_join(s, id, user_id);
	return 0;
}

/* The entry `from' has become number `to'. */
static void
user_rename(struct relay_store *s, uint32_t from, uint32_t to)
{
	struct slot *slot = slot_at(s, to);
	struct relay_name *user;

	if (slot->e.user == 0)
		return;
	user = relay_names_get(s->names, slot->e.user);
	if (user->first == from)
		user->first = to;
	if (slot->older == from) {
		slot->older = slot->newer = to;
		return;
	}
	slot_at(s, slot->older)->newer = to;
	slot_at(s, slot->newer)->older = to;
}

/* --- entries ------------------------------------------------------------- */

static uint32_t
find(const struct relay_store *s, const struct relay_key *k, uint64_t hash)
{
	uint32_t id = relay_index_first(&s->index, hash);

	while (id != 0 && !relay_key_eq(&slot_at(s, id)->e.key, k))
		id = slot_at(s, id)->next;
	return id;
}

static int
prolong(struct relay_store *s, uint32_t id, const struct relay_entry *e,
    struct slice user, int64_t now)
{
	struct slot *slot = slot_at(s, id);
	bool dead = slot->e.expires <= now;

	if (e->expires <= slot->e.expires)
		return RELAY_NO_CHANGE;
	if (dead && user.n == 0)
		user_leave(s, id);
	if (user_change(s, id, user) == -1)
		return -1;
	relay_due_remove(&s->due, id, slot->e.expires);
	slot->e.expires = e->expires;
	slot->e.mark = e->mark;
	set_due(s, id);
	return dead ? RELAY_NEW : RELAY_LONGER;
}

static int
add(struct relay_store *s, const struct relay_entry *e, struct slice user,
    uint64_t hash)
{
	uint32_t id = (uint32_t)s->n + 1;
	struct slot *slot;

	if (s->n >= RELAY_STORE_MAX) {
		errno = ENOSPC;
		return -1;
	}
	if (chunks_reserve(&s->slots, s->n + 2) == -1 ||
	    relay_due_reserve(&s->due, s->n + 2) == -1)
		return -1;
	slot = slot_at(s, id);
	memset(slot, 0, sizeof(*slot));
	slot->e.key = e->key;
	slot->e.expires = e->expires;
	slot->e.mark = e->mark;
	slot->hash = (uint32_t)hash;
	if (user_change(s, id, user) == -1)
		return -1;
	if (relay_index_add(&s->index, id, hash) == -1) {
		user_leave(s, id);
		return -1;
	}
	set_due(s, id);
	s->n++;
	s->by_prefix[e->key.prefix]++;
	return RELAY_NEW;
}

struct relay_place
relay_store_place(const struct relay_store *s, const struct relay_key *k)
{
	uint64_t hash = hash_key_of(s, k);

	return (struct relay_place){ hash, find(s, k, hash) };
}

const struct relay_entry *
relay_store_get(const struct relay_store *s, struct relay_place p)
{
	return p.id == 0 ? NULL : &slot_at(s, p.id)->e;
}

int
relay_store_touch_at(struct relay_store *s, struct relay_place p,
    const struct relay_entry *e, struct slice user, int64_t now)
{
	return p.id == 0 ? add(s, e, user, p.hash)
			 : prolong(s, p.id, e, user, now);
}

int
relay_store_touch(struct relay_store *s, const struct relay_entry *e,
    struct slice user, int64_t now)
{
	return relay_store_touch_at(
	    s, relay_store_place(s, &e->key), e, user, now);
}

void
relay_store_mark(
    struct relay_store *s, const struct relay_key *k, unsigned int mark)
{
	uint32_t id = find(s, k, hash_key_of(s, k));

	if (id != 0)
		slot_at(s, id)->e.mark = mark & RELAY_MARK_MAX;
}

void
relay_store_unmark(struct relay_store *s)
{
	for (size_t i = 1; i <= s->n; i++)
		slot_at(s, (uint32_t)i)->e.mark = 0;
}

/* The array stays dense: the last entry moves to the number that is free. */
static void
fill_gap(struct relay_store *s, uint32_t gap)
{
	uint32_t last = (uint32_t)s->n + 1; /* n has been lowered already */
	struct slot *slot = slot_at(s, gap);

	if (gap == last)
		return;
	*slot = *slot_at(s, last);
	relay_index_rename(&s->index, last, gap, slot->hash);
	relay_due_rename(&s->due, last, gap, slot->e.expires);
	user_rename(s, last, gap);
}

bool
relay_store_remove(struct relay_store *s, const struct relay_key *k)
{
	uint64_t hash = hash_key_of(s, k);
	uint32_t id = find(s, k, hash);

	if (id == 0)
		return false;
	user_leave(s, id);
	relay_index_remove(&s->index, id, hash);
	relay_due_remove(&s->due, id, slot_at(s, id)->e.expires);
	s->n--;
	s->by_prefix[k->prefix]--;
	fill_gap(s, id);
	chunks_trim(&s->slots, s->n + 1);
	relay_due_trim(&s->due, s->n + 1);
	return true;
}

const struct relay_entry *
relay_store_find(const struct relay_store *s, const struct relay_key *k)
{
	return relay_store_get(s, relay_store_place(s, k));
}

const struct relay_entry *
relay_store_cover(const struct relay_store *s, const struct in6_addr *ip,
    int most, int64_t now)
{
	/* An IPv4 address is in IPv4 networks only. */
	int widest = IN6_IS_ADDR_V4MAPPED(ip) ? 96 : 0;
	struct relay_key k;

	memset(&k, 0, sizeof(k));
	k.ip = *ip;
	for (int p = 128; p >= widest; p--) {
		const struct relay_entry *e;

		if (p < 128)
			k.ip.s6_addr[p / 8] &= (uint8_t)(0xff00u >> p % 8);
		k.prefix = (uint8_t)p;
		if (p > most || s->by_prefix[p] == 0)
			continue;
		e = relay_store_find(s, &k);
		if (e != NULL && e->expires > now)
			return e;
	}
	return NULL;
}

const struct relay_entry *
relay_store_due(struct relay_store *s, int64_t until)
{
	uint32_t id = relay_due_until(&s->due, until);

	return id == 0 ? NULL : &slot_at(s, id)->e;
}

const struct relay_entry *
relay_store_next(struct relay_store *s)
{
	uint32_t id = s->n == 0 ? 0 : relay_due_first(&s->due);

	if (s->n == 0)
		return NULL;
	return &slot_at(s, id == 0 ? 1 : id)->e; /* 0: all are for ever */
}

struct slice
relay_store_user(const struct relay_store *s, const struct relay_entry *e)
{
	const struct relay_name *user;

	if (e->user == 0)
		return slice_make(NULL, 0);
	user = relay_names_get(s->names, e->user);
	return slice_make(user->text, user->n);
}

size_t
relay_store_addresses(const struct relay_store *s, const struct relay_entry *e)
{
	return e->user == 0 ? 0 : relay_names_get(s->names, e->user)->addresses;
}

const struct relay_entry *
relay_store_oldest(const struct relay_store *s, const struct relay_entry *e)
{
	uint32_t first;

	if (e->user == 0)
		return NULL;
	first = relay_names_get(s->names, e->user)->first;
	return &slot_at(s, slot_at(s, first)->newer)->e;
}

void
relay_store_shift(struct relay_store *s, int64_t delta)
{
	for (size_t i = 1; i <= s->n; i++) {
		/* Not by the time: one may be shifted to RELAY_FOREVER. */
		if (!relay_due_is_never(&s->due, (uint32_t)i))
			slot_at(s, (uint32_t)i)->e.expires += delta;
	}
	relay_due_shift(&s->due, delta);
}

void
relay_store_load(struct relay_store *s, size_t n)
{
	n = n < RELAY_STORE_MAX ? n : RELAY_STORE_MAX;
	relay_index_reserve(&s->index, n);
	relay_names_expect(s->names, n);
}

/* --- what is going to be touched ----------------------------------------- */

/* A step of these uses what the one before it has had fetched, for all keys in
 * turn, so that they are waited for together. */

/* The id of each key's entry, or 0; of few it is another's. */
static void
fetch_entries(const struct relay_store *s, const struct relay_key *keys,
    uint32_t *ids, size_t n)
{
	uint64_t hash[RELAY_STORE_FETCH];

	for (size_t i = 0; i < n; i++) {
		hash[i] = hash_key_of(s, &keys[i]);
		relay_walk_head(&s->index, hash[i]);
	}
	for (size_t i = 0; i < n; i++) {
		ids[i] = relay_index_first(&s->index, hash[i]);
		if (ids[i] != 0)
			fetch(s->index.owner, ids[i]);
	}
	for (size_t i = 0; i < n * CHAIN_STEPS; i++) {
		uint32_t *id = &ids[i % n];

		if (*id == 0 ||
		    relay_key_eq(&slot_at(s, *id)->e.key, &keys[i % n]))
			continue;
		*id = slot_at(s, *id)->next;
		if (*id != 0)
			fetch(s->index.owner, *id);
	}
}

static void
fetch_known(const struct relay_store *s, uint32_t id)
{
	const struct slot *slot = slot_at(s, id);

	if (slot->e.user != 0)
		__builtin_prefetch(relay_names_get(s->names, slot->e.user), 1);
	relay_due_fetch(&s->due, id);
}

/* A user's list begins with an entry that gets a new neighbour. */
static void
fetch_ring(const struct relay_store *s, uint64_t name)
{
	uint32_t id = relay_index_first(relay_names_index(s->names), name);
	uint32_t first = id == 0 ? 0 : relay_names_get(s->names, id)->first;

	if (first != 0)
		fetch(s->index.owner, first);
}

/* names: hashes of the users of n entries that are going to be new. */
static void
fetch_new(const struct relay_store *s, const uint64_t *names, size_t n)
{
	const struct relay_index *index = relay_names_index(s->names);
	struct relay_walk slot_walk, name_walk;

	relay_walk_begin(&slot_walk, &s->index, n);
	relay_walk_begin(&name_walk, index, n);
	for (size_t i = 0; i < n; i++)
		relay_walk_first(&name_walk, index, names[i]);
	for (int step = 0; step < CHAIN_STEPS; step++) {
		relay_walk_next(&slot_walk, &s->index);
		relay_walk_next(&name_walk, index);
	}
	for (size_t i = 0; i < n; i++)
		fetch_ring(s, names[i]);
}

void
relay_store_fetch(const struct relay_store *s, const struct relay_key *keys,
    const struct slice *users, size_t n)
{
	uint32_t ids[RELAY_STORE_FETCH];
	uint64_t names[RELAY_STORE_FETCH];
	size_t fresh = 0;

	fetch_entries(s, keys, ids, n);
	for (size_t i = 0; i < n; i++) {
		if (ids[i] != 0) {
			fetch_known(s, ids[i]);
			continue;
		}
		names[fresh] = relay_names_hash(s->names, users[i]);
		relay_walk_head(relay_names_index(s->names), names[fresh++]);
	}
	fetch_new(s, names, fresh);
	for (size_t i = 0; i < n; i++)
		if (ids[i] != 0)
			relay_due_fetch_beside(&s->due, ids[i]);
}

void
relay_store_loaded(struct relay_store *s)
{
	relay_index_fit(&s->index);
	relay_names_expect(s->names, 0);
}

size_t
relay_store_count(const struct relay_store *s)
{
	return s->n;
}

size_t
relay_store_bytes(const struct relay_store *s)
{
	return sizeof(*s) + chunks_bytes(&s->slots) + relay_due_bytes(&s->due) +
	       chunks_bytes(&s->index.heads) + relay_names_bytes(s->names);
}

const struct relay_entry *
relay_store_at(const struct relay_store *s, size_t i)
{
	return &slot_at(s, (uint32_t)i + 1)->e;
}
