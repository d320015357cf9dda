/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may relay, in memory: spellings, rules, store, and the three as one.
 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../lib/check_run.h"
#include "perdition-pbs/relay.h"
#include "perdition-pbs/relay_file.h"
#include "perdition-pbs/relay_index.h"
#include "perdition-pbs/relay_names.h"
#include "perdition-pbs/relay_remote.h"

#include "common/banned.h"

static struct relay_key
key(const char *text)
{
	struct relay_key k;

	ck_assert_msg(
	    relay_key_parse(slice_str(text), "", &k) == 0, "%s", text);
	return k;
}

static struct addr
ip(const char *text)
{
	struct addr a;

	ck_assert_int_eq(addr_parse_ip(slice_str(text), &a), 0);
	return a;
}

/* --- spellings ----------------------------------------------------------- */

static const struct {
	const char *prefix, *key, *spelled[RELAY_SPELLINGS + 1];
} spellings[] = {
	{ "", "203.0.113.77", { "203.0.113.77" } },
	{ "", "::ffff:203.0.113.77", { "203.0.113.77" } },
	{ "", "2001:DB8:9::1", { "2001:db8:9::1", "2001:db8:9:0:0:0:0:1" } },
	{ "", "2001:db8:1:2:3:4:5:6", { "2001:db8:1:2:3:4:5:6" } },
	{ "pop:", "203.0.113.77", { "pop:203.0.113.77" } },
	{ "pop:", "2001:db8::1",
	    { "pop:2001:db8::1", "pop:2001:db8:0:0:0:0:0:1",
		"pop:ipv6:2001:db8:0:0:0:0:0:1" } },
	{ "", "203.0.113.0/24", { "203.0.113.0/24", "203.0.113" } },
	{ "", "203.0.0.0/16", { "203.0.0.0/16", "203.0" } },
	{ "", "203.0.113.64/26", { "203.0.113.64/26" } },
	{ "", "2001:db8:9::/64",
	    { "2001:db8:9::/64", "2001:db8:9:0",
		"2001.0db8.0009.0000.0000.0000.0000.0000/64" } },
	{ "", "2001:db8::/32",
	    { "2001:db8::/32", "2001:db8",
		"2001.0db8.0000.0000.0000.0000.0000.0000/32" } },
	{ "", "2001:db8:9:f0::/60",
	    { "2001:db8:9:f0::/60",
		"2001.0db8.0009.00f0.0000.0000.0000.0000/60" } },
};

START_TEST(spelling)
{
	struct relay_key k = key(spellings[_i].key), back;
	struct relay_spellings s;
	size_t n = 0;

	relay_key_spell(&k, spellings[_i].prefix, &s);
	for (; spellings[_i].spelled[n] != NULL; n++) {
		ck_assert_uint_lt(n, s.n);
		ck_assert_str_eq(s.text[n], spellings[_i].spelled[n]);
	}
	ck_assert_uint_eq(s.n, n);
	ck_assert_uint_ge(relay_key_spellings_max(&k, spellings[_i].prefix), n);
	ck_assert_int_eq(
	    relay_key_parse(slice_str(s.text[0]), spellings[_i].prefix, &back),
	    0);
	ck_assert(relay_key_eq(&k, &back));
}
END_TEST

static const struct {
	const char *text, *prefix;
	int ret;
} parses[] = {
	{ "POP:203.0.113.77", "pop:", 0 },
	{ "203.0.113.77", "pop:", 0 },
	{ "pop:203.0.113.77", "", -1 },
	{ "", "", -1 },
	{ "pop:", "pop:", -1 },
	{ "203.0.113.077", "", -1 },
	{ "203.0.113.77:143", "", -1 },
	{ "203.0.113", "", -1 },
	{ "unknown", "", -1 },
	{ "fe80::1%1", "", -1 },
	{ "203.0.113.1/24", "", -1 }, /* host bits */
	{ "203.0.0.0/15", "", -1 },   /* too wide */
	{ "0.0.0.0/0", "", -1 },
	{ "2001:d00::/31", "", -1 },
	{ "::/0", "", -1 },
	{ "2001:db8::/129", "", -1 },
	{ "2001:db8::/", "", -1 },
};

START_TEST(parsing)
{
	struct relay_key k;

	ck_assert_int_eq(
	    relay_key_parse(slice_str(parses[_i].text), parses[_i].prefix, &k),
	    parses[_i].ret);
}
END_TEST

/* --- rules --------------------------------------------------------------- */

static const struct {
	const char *client, *never;
	unsigned int v4, v6;
	bool loopback;
	const char *keys[RELAY_RULE_KEYS + 1];
} rules[] = {
	{ "192.0.2.7", NULL, 32, 64, false, { "192.0.2.7" } },
	{ "192.0.2.7", NULL, 24, 64, false, { "192.0.2.7", "192.0.2.0/24" } },
	{ "2001:db8::7", NULL, 32, 64, false,
	    { "2001:db8::7", "2001:db8::/64" } },
	{ "2001:db8::7", NULL, 32, 128, false, { "2001:db8::7" } },
	{ "192.0.2.7", "192.0.2.0/24", 32, 64, false, { NULL } },
	{ "192.0.2.7", "192.0.2.7", 24, 64, false, { NULL } },
	/* The network would let the forbidden neighbour in. */
	{ "192.0.2.7", "192.0.2.8", 24, 64, false, { "192.0.2.7" } },
	{ "192.0.2.7", "198.51.100.0/24", 24, 64, false,
	    { "192.0.2.7", "192.0.2.0/24" } },
	{ "2001:db8::7", "2001:db8::/48", 32, 64, false, { NULL } },
	{ "::ffff:192.0.2.7", "192.0.2.0/24", 32, 64, false, { NULL } },
	{ "127.0.0.1", NULL, 32, 64, false, { NULL } },
	{ "127.9.9.9", NULL, 32, 64, false, { NULL } },
	{ "::1", NULL, 32, 64, false, { NULL } },
	{ "127.0.0.1", NULL, 32, 64, true, { "127.0.0.1" } },
	{ "::1", NULL, 32, 128, true, { "::1" } },
	{ "0.0.0.0", NULL, 32, 64, true, { NULL } },
	{ "255.255.255.255", NULL, 32, 64, true, { NULL } },
	{ "224.0.0.1", NULL, 32, 64, true, { NULL } },
	{ "::", NULL, 32, 64, true, { NULL } },
	{ "ff02::1", NULL, 32, 64, true, { NULL } },
	{ "fe80::1", NULL, 32, 64, true, { NULL } },
	/* A /64 that holds the whole of IPv4, or strangers. */
	{ "64:ff9b::203.0.113.77", NULL, 32, 64, false,
	    { "64:ff9b::cb00:714d" } },
	{ "64:ff9b:1::203.0.113.77", NULL, 32, 64, false,
	    { "64:ff9b:1::cb00:714d" } },
	{ "::ffff:0:203.0.113.77", NULL, 32, 64, false,
	    { "::ffff:0:cb00:714d" } },
	{ "2001:0:cb00:714d::1", NULL, 32, 64, false,
	    { "2001:0:cb00:714d::1" } },
	{ "64:ff9b:2::1", NULL, 32, 64, false,
	    { "64:ff9b:2::1", "64:ff9b:2::/64" } },
};

START_TEST(ruling)
{
	struct addr a = ip(rules[_i].client);
	struct addr_net net;
	struct relay_rule r = { .allow_loopback = rules[_i].loopback,
		.v4_mask = rules[_i].v4,
		.v6_mask = rules[_i].v6 };
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n, want = 0;

	if (rules[_i].never != NULL) {
		ck_assert_int_eq(
		    addr_net_parse(slice_str(rules[_i].never), &net), 0);
		r.never = &net;
		r.never_n = 1;
	}
	n = relay_rule_keys(&r, &a, false, keys);
	for (; rules[_i].keys[want] != NULL; want++) {
		struct relay_key k = key(rules[_i].keys[want]);

		ck_assert_uint_lt(want, n);
		ck_assert(relay_key_eq(&keys[want], &k));
	}
	ck_assert_uint_eq(n, want);
}
END_TEST

/* --- store --------------------------------------------------------------- */

static struct relay_entry
numbered(uint32_t i, int64_t expires)
{
	struct relay_entry e = { .key = key("10.0.0.0"), .expires = expires };

	e.key.ip.s6_addr[13] = (uint8_t)(i >> 16);
	e.key.ip.s6_addr[14] = (uint8_t)(i >> 8);
	e.key.ip.s6_addr[15] = (uint8_t)i;
	return e;
}

START_TEST(store_touches)
{
	struct relay_store *s = relay_store_create();
	struct relay_entry e = numbered(1, 100);

	ck_assert_int_eq(relay_store_touch(s, &e, SLICE(""), 0), RELAY_NEW);
	ck_assert_int_eq(
	    relay_store_touch(s, &e, SLICE(""), 0), RELAY_NO_CHANGE);
	e.expires = 99;
	ck_assert_int_eq(
	    relay_store_touch(s, &e, SLICE(""), 0), RELAY_NO_CHANGE);
	ck_assert_int_eq(relay_store_find(s, &e.key)->expires, 100);
	e.expires = 101;
	ck_assert_int_eq(relay_store_touch(s, &e, SLICE(""), 0), RELAY_LONGER);
	e.expires = 300;
	ck_assert_int_eq(
	    relay_store_touch(s, &e, SLICE(""), 101), RELAY_NEW); /* dead */
	ck_assert_uint_eq(relay_store_count(s), 1);
	ck_assert(relay_store_remove(s, &e.key));
	ck_assert(!relay_store_remove(s, &e.key));
	ck_assert_ptr_null(relay_store_find(s, &e.key));
	ck_assert_ptr_null(relay_store_next(s));
	relay_store_destroy(&s);
	ck_assert_ptr_null(s);
}
END_TEST

/* Against an array: the same answers after 200,000 random operations. */
START_TEST(store_agrees)
{
	enum { N = 3000 };
	static int64_t model[N]; /* expiry; 0: not there */
	struct relay_store *s = relay_store_create();
	uint64_t x = 88172645463325252u;

	for (int op = 0; op < 200000; op++) {
		struct relay_entry e;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		e = numbered((uint32_t)(x % N), 1 + (int64_t)(x >> 20) % 1000);
		if (x >> 62 != 0) {
			relay_store_touch(s, &e, SLICE(""), 0);
			if (model[x % N] < e.expires)
				model[x % N] = e.expires;
		} else {
			ck_assert_int_eq(
			    relay_store_remove(s, &e.key), model[x % N] != 0);
			model[x % N] = 0;
		}
	}
	for (uint32_t i = 0; i < N; i++) {
		struct relay_entry e = numbered(i, 0);
		const struct relay_entry *f = relay_store_find(s, &e.key);

		ck_assert_int_eq(f == NULL ? 0 : f->expires, model[i]);
	}
	for (int64_t last = 0; relay_store_count(s) > 0;) {
		const struct relay_entry *f = relay_store_next(s);
		struct relay_key k = f->key;

		ck_assert_int_ge(f->expires, last);
		last = f->expires;
		ck_assert(relay_store_remove(s, &k));
	}
	relay_store_destroy(&s);
}
END_TEST

/* Nothing is lost where the clock leads over the time that means for ever. */
START_TEST(shifted_to_forever)
{
	struct relay_store *s = relay_store_create();
	struct relay_entry a = numbered(1, RELAY_FOREVER - 3600);
	struct relay_entry b = numbered(2, 0), always = numbered(3, 0);
	const int64_t turn = 1 << 17;

	always.expires = RELAY_FOREVER;
	relay_store_touch(s, &always, SLICE(""), 0);
	ck_assert_ptr_null(relay_store_due(s, INT64_MAX));
	ck_assert_int_eq(relay_store_next(s)->expires, RELAY_FOREVER);
	relay_store_touch(s, &a, SLICE(""), 0);
	relay_store_shift(s, 3600);
	relay_store_shift(s, -86400);
	ck_assert_int_eq(
	    relay_store_find(s, &a.key)->expires, RELAY_FOREVER - 86400);
	ck_assert_int_eq(
	    relay_store_find(s, &always.key)->expires, RELAY_FOREVER);
	/* In the list where a would be without the shifts, too. */
	for (int64_t shift = -90000; shift <= 0; shift += 1800) {
		b = numbered((uint32_t)(100000 + shift),
		    (RELAY_FOREVER + shift) % turn + 100 * turn);
		relay_store_touch(s, &b, SLICE(""), 0);
	}
	relay_store_remove(s, &a.key);
	for (int64_t last = 0; relay_store_count(s) > 1;) {
		struct relay_key k = relay_store_next(s)->key;

		ck_assert_int_ge(relay_store_next(s)->expires, last);
		last = relay_store_next(s)->expires;
		ck_assert_int_lt(last, RELAY_FOREVER);
		relay_store_remove(s, &k);
	}
	ck_assert_int_eq(relay_store_next(s)->expires, RELAY_FOREVER);
	relay_store_destroy(&s);
}
END_TEST

/* What an array says of who has what, and since when. */
enum { KEYS = 300, USERS = 12 };

struct owner {
	unsigned int user, since; /* since 0: no entry */
	int64_t expires;
};

static struct slice
user_text(unsigned int user, char text[600])
{
	/* From none at all to one that is cut, with any bytes. */
	size_t n = user == 0 ? 0 : user == USERS - 1 ? 600 : 5 * user;

	memset(text, 0, 600);
	snprintf(text, 600, "u%u\n", user);
	return slice_make(text, n);
}

static void
check_owners(const struct relay_store *s, const struct owner *model)
{
	size_t addresses[USERS] = { 0 }, n = 0;
	unsigned int oldest[USERS];
	char text[600];

	memset(oldest, 0xff, sizeof(oldest));
	for (unsigned int i = 0; i < KEYS; i++) {
		const struct owner *o = &model[i];

		n += o->since > 0;
		if (o->since == 0)
			continue;
		addresses[o->user] += o->user > 0 && i % 4 != 0;
		if (o->since < oldest[o->user])
			oldest[o->user] = o->since;
	}
	ck_assert_uint_eq(relay_store_count(s), n);
	for (unsigned int i = 0; i < KEYS; i++) {
		const struct owner *o = &model[i];
		struct relay_entry want = numbered(i * 256, 0);
		const struct relay_entry *e, *old;
		struct slice user = user_text(o->user, text);

		want.key.prefix = i % 4 == 0 ? 120 : 128;
		e = relay_store_find(s, &want.key);
		ck_assert_int_eq(e != NULL, o->since > 0);
		if (e == NULL)
			continue;
		user.n = user.n > 512 ? 512 : user.n;
		ck_assert(slice_eq(relay_store_user(s, e), user));
		ck_assert_uint_eq(
		    relay_store_addresses(s, e), addresses[o->user]);
		old = relay_store_oldest(s, e);
		if (o->user == 0)
			ck_assert_ptr_null(old);
		else if (o->since == oldest[o->user])
			ck_assert_ptr_eq(old, e);
	}
}

START_TEST(store_users)
{
	static struct owner model[KEYS];
	struct relay_store *s = relay_store_create();
	uint64_t x = 88172645463325252u;
	char text[600];

	for (unsigned int op = 1; op < 30000; op++) {
		unsigned int i, user;
		struct relay_entry e;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		i = (unsigned int)(x % KEYS);
		user = (unsigned int)(x >> 20) % USERS;
		e = numbered(i * 256, op);
		e.key.prefix = i % 4 == 0 ? 120 : 128;
		if (x >> 62 != 0) {
			struct slice fetched = user_text(user, text);

			relay_store_fetch(s, &e.key, &fetched, 1);
			ck_assert_int_ne(relay_store_touch(s, &e,
					     user_text(user, text), op - 200),
			    -1);
			/* Nobody in particular: who had it has it, if
			 * alive. */
			if (user > 0 || model[i].since == 0 ||
			    model[i].expires <= op - 200)
				model[i].user = user;
			model[i].since = op;
			model[i].expires = op;
		} else {
			relay_store_remove(s, &e.key);
			model[i].since = 0;
		}
		if (op % 500 == 0)
			check_owners(s, model);
	}
	relay_store_destroy(&s);
}
END_TEST

/* 64 bytes an entry beyond its key and its user's name, and all of it is given
 * back. */
START_TEST(store_memory)
{
	enum { N = 98000 }; /* near a multiple of CHUNK_ITEMS */
	struct relay_store *s = relay_store_create();
	struct relay_names *names = relay_names_create();
	size_t empty = relay_store_bytes(s) + relay_names_bytes(names);
	size_t without, with, text_bytes = 0;

	for (uint32_t i = 0; i < N; i++) {
		struct relay_entry e = numbered(i, 1 + i % 1000);

		ck_assert_int_eq(
		    relay_store_touch(s, &e, SLICE(""), 0), RELAY_NEW);
	}
	without = relay_store_bytes(s) - empty;
	ck_assert_uint_lt(without, N * (17 + 64));
	for (uint32_t i = 0; i < N; i++) {
		struct relay_entry e = numbered(i, 1000 + i % 1000);
		char text[40];
		int n = snprintf(text, sizeof(text), "user%u@example.net", i);

		text_bytes += (size_t)n;
		relay_store_touch(s, &e, slice_make(text, (size_t)n), 0);
	}
	with = relay_store_bytes(s) - empty;
	ck_assert_uint_gt(with, without);
	ck_assert_uint_lt(with, N * (17 + 64) + text_bytes);
	while (relay_store_count(s) > 0) {
		struct relay_key k = relay_store_next(s)->key;

		relay_store_remove(s, &k);
	}
	ck_assert_uint_lt(relay_store_bytes(s), empty + 4 * 1024 * 1024);
	relay_store_destroy(&s);
	relay_names_destroy(&names);
}
END_TEST

/* --- what is fetched from memory ----------------------------------------- */

enum { THINGS = 3000, ROUND = 16 };

struct things {
	uint32_t next[THINGS + 1];
	bool fetched[THINGS + 1];
	uint32_t known; /* ids that were there when it was fetched */
	unsigned int unforeseen;
};

static uint32_t *
thing_next(void *owner, uint32_t id)
{
	struct things *t = owner;

	return &t->next[id];
}

static uint64_t
thing_hash(void *owner, uint32_t id)
{
	struct things *t = owner;

	if (id <= t->known && !t->fetched[id])
		t->unforeseen++;
	return (id * 0x9e3779b97f4a7c15u) >> 20;
}

static void
thing_fetch(void *owner, uint32_t id)
{
	struct things *t = owner;

	t->fetched[id] = true;
}

/* All that is hashed or compared while some are added was fetched before. */
START_TEST(fetching)
{
	static struct things t;
	struct relay_index ix = { .next = thing_next,
		.hash = thing_hash,
		.fetch = thing_fetch,
		.owner = &t };
	struct relay_walk w;

	relay_index_init(&ix);
	for (uint32_t n = 1; n + ROUND <= THINGS; n += ROUND) {
		uint64_t hash[ROUND];

		memset(t.fetched, 0, sizeof(t.fetched));
		t.known = 0;
		relay_walk_begin(&w, &ix, ROUND);
		for (uint32_t i = 0; i < ROUND; i++) {
			hash[i] = thing_hash(&t, n + i);
			relay_walk_head(&ix, hash[i]);
		}
		for (uint32_t i = 0; i < ROUND; i++)
			relay_walk_first(&w, &ix, hash[i]);
		while (w.n > 0)
			relay_walk_next(&w, &ix);
		t.known = n - 1;
		for (uint32_t i = 0; i < ROUND; i++) {
			uint32_t id = relay_index_first(&ix, hash[i]);

			for (; id != 0; id = t.next[id])
				ck_assert(id > t.known || t.fetched[id]);
			ck_assert_int_eq(
			    relay_index_add(&ix, n + i, hash[i]), 0);
		}
	}
	ck_assert_uint_eq(t.unforeseen, 0);
	relay_index_clear(&ix);
}
END_TEST

/* --- as one -------------------------------------------------------------- */

struct seen {
	unsigned int changed, urgent, all;
};

static void
saw_change(void *arg, const struct relay_key *k, bool urgent)
{
	struct seen *s = arg;

	(void)k;
	s->changed++;
	s->urgent += urgent ? 1 : 0;
}

static void
saw_all(void *arg)
{
	struct seen *s = arg;

	s->all++;
}

static struct relay
make(struct seen *seen)
{
	*seen = (struct seen){ 0 };
	return (struct relay){
		.store = relay_store_create(),
		.rule = { .v4_mask = 32, .v6_mask = 64 },
		.limits = { .timeout = 100,
		    .max_entries = 4,
		    .max_new_per_second = 3 },
		.sinks = { { .changed = saw_change,
		    .all_changed = saw_all,
		    .arg = seen } },
		.sinks_n = 1,
	};
}

static enum relay_verdict
login_as(struct relay *r, const char *user, const struct addr *a, int64_t when,
    int64_t now)
{
	return relay_login(r,
	    &(struct relay_event){
		.client = *a, .user = slice_str(user), .when = when },
	    now);
}

static enum relay_verdict
login(struct relay *r, const struct addr *a, int64_t when, int64_t now)
{
	return login_as(r, "", a, when, now);
}

START_TEST(logins)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct addr a = ip("192.0.2.1"), lo = ip("127.0.0.1");
	struct relay_key k = key("192.0.2.1");

	ck_assert_int_eq(login(&r, &a, 1000, 1000), RELAY_OPENED);
	ck_assert_int_eq(relay_store_find(r.store, &k)->expires, 1100);
	ck_assert_int_eq(login(&r, &a, 990, 1001), RELAY_KEPT);
	ck_assert_int_eq(relay_store_find(r.store, &k)->expires, 1100);
	ck_assert_uint_eq(seen.changed, 1);
	ck_assert_int_eq(login(&r, &a, 1001, 1001), RELAY_EXTENDED);
	ck_assert_uint_eq(seen.urgent, 1);
	/* One from the future counts from now. */
	ck_assert_int_eq(login(&r, &a, 9000, 1002), RELAY_EXTENDED);
	ck_assert_int_eq(relay_store_find(r.store, &k)->expires, 1102);
	/* At the last moment: whoever reads the file must know at once. */
	ck_assert_int_eq(login(&r, &a, 1096, 1096), RELAY_EXTENDED);
	ck_assert_uint_eq(seen.urgent, 1);
	ck_assert_int_eq(login(&r, &a, 1192, 1192), RELAY_EXTENDED);
	ck_assert_uint_eq(seen.urgent, 2);
	ck_assert_int_eq(login(&r, &lo, 1002, 1002), RELAY_NEVER);
	/* Read late: past its time it opens nothing. */
	a = ip("192.0.2.2");
	ck_assert_int_eq(login(&r, &a, 900, 1000), RELAY_OLD);
	ck_assert_int_eq(login(&r, &a, 901, 1000), RELAY_OPENED);
	ck_assert_uint_eq(relay_expire(&r, 1001, 0), 1);
	ck_assert_uint_eq(relay_expire(&r, 1291, 0), 0);
	ck_assert_uint_eq(relay_expire(&r, 1292, 0), 1);
	ck_assert_uint_eq(relay_store_count(r.store), 0);
	relay_store_destroy(&r.store);
}
END_TEST

START_TEST(users)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct addr a = ip("2001:db8::1");
	struct relay_key k = key("2001:db8::/64");
	const struct relay_entry *e;

	ck_assert_int_eq(login_as(&r, "ann", &a, 1000, 1000), RELAY_OPENED);
	e = relay_store_find(r.store, &k);
	ck_assert(slice_eq(relay_store_user(r.store, e), SLICE("ann")));
	ck_assert_uint_eq(relay_store_addresses(r.store, e), 1);
	ck_assert_int_eq(login_as(&r, "bob", &a, 1000, 1000), RELAY_KEPT);
	ck_assert_int_eq(login_as(&r, "", &a, 1001, 1001), RELAY_EXTENDED);
	ck_assert_int_eq(login_as(&r, "ann", &a, 1002, 1002), RELAY_EXTENDED);
	ck_assert(slice_eq(relay_store_user(r.store, e), SLICE("ann")));
	ck_assert_int_eq(login_as(&r, "bob", &a, 1003, 1003), RELAY_HANDED);
	ck_assert(slice_eq(relay_store_user(r.store, e), SLICE("bob")));
	relay_store_destroy(&r.store);
}
END_TEST

/* The clock goes a day back, then two on: who had how long to live keeps it,
 * and the limits count on. */
START_TEST(clock_steps)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct addr a = ip("192.0.2.1");
	const int64_t day = 86400;
	int64_t now = 100 * day;

	for (unsigned int i = 0; i < 3; i++) {
		a.ip.s6_addr[15] = (uint8_t)(1 + i);
		ck_assert_int_eq(
		    login(&r, &a, now - 10 * i, now), RELAY_OPENED);
	}
	relay_shift(&r, -day);
	now -= day;
	a.ip.s6_addr[15] = 9;
	ck_assert_int_eq(login(&r, &a, now, now), RELAY_OPENED);
	a.ip.s6_addr[15] = 10; /* max_entries: the soonest to expire goes */
	ck_assert_int_eq(login(&r, &a, now, now), RELAY_OPENED);
	ck_assert_uint_eq(relay_store_count(r.store), 4);
	a.ip.s6_addr[15] = 3;
	ck_assert_ptr_null(relay_find(&r, &a, now));
	ck_assert_uint_eq(relay_expire(&r, now + 89, 0), 0);
	ck_assert_uint_eq(relay_expire(&r, now + 90, 0), 1);
	relay_shift(&r, 2 * day);
	now += 2 * day;
	ck_assert_uint_eq(relay_expire(&r, now + 99, 0), 0);
	ck_assert_uint_eq(relay_expire(&r, now + 100, 0), 3);
	ck_assert_uint_eq(seen.all, 2);
	relay_store_destroy(&r.store);
}
END_TEST

START_TEST(bounds)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct relay_key first;
	char text[20];

	/* Three new addresses a second, four in all. */
	for (int i = 1; i <= 7; i++) {
		int64_t when = i == 1 ? 910 : i <= 5 ? 920 : 930;
		struct addr a;

		snprintf(text, sizeof(text), "192.0.2.%d", i);
		a = ip(text);
		/* By the second of the login, whenever it is read. */
		ck_assert_int_eq(login(&r, &a, when, 1000),
		    i == 5 ? RELAY_FLOOD : RELAY_OPENED);
	}
	ck_assert_uint_eq(relay_store_count(r.store), 4);
	/* The one that would have gone first went. */
	first = key("192.0.2.1");
	ck_assert_ptr_null(relay_store_find(r.store, &first));
	relay_store_destroy(&r.store);
}
END_TEST

static void
saw_loss(void *arg, const struct relay_entry *e, struct slice user,
    enum relay_loss why)
{
	char *log = arg, text[RELAY_TEXT_MAX];
	size_t n = strlen(log);

	relay_key_write(&e->key, text);
	snprintf(log + n, 400 - n, "%s %.*s %d, ", text, (int)user.n,
	    user.n == 0 ? "" : user.p, (int)why);
}

START_TEST(user_limit)
{
	static const struct {
		const char *user, *client;
	} steps[] = {
		{ "ann", "192.0.2.1" },
		{ "ann", "192.0.2.2" },
		{ "bob", "192.0.2.3" },
		{ "ann", "192.0.2.1" }, /* so .2 is the oldest */
		{ "bob", "192.0.2.4" },
		{ "ann", "192.0.2.4" }, /* which is bob's no more */
		{ "bob", "192.0.2.5" },
		{ "ann", "192.0.2.4" },
		/* Two of one network, which stays until both are gone. */
		{ "eve", "2001:db8::1" },
		{ "eve", "2001:db8::2" },
		{ "eve", "2001:db8::3" },
		{ "eve", "192.0.2.8" },
		{ "eve", "192.0.2.9" },
		{ "", "192.0.2.10" },
		{ "", "192.0.2.11" },
		{ "", "192.0.2.12" },
	};
	struct seen seen;
	struct relay r = make(&seen);
	char lost[400] = "";

	r.limits = (struct relay_limits){ 100, 99, 99, 2, false };
	r.on_lost = saw_loss;
	r.on_lost_arg = lost;
	for (int i = 0; i < COUNT(steps); i++) {
		struct addr a = ip(steps[i].client);

		ck_assert_int_ne(
		    login_as(&r, steps[i].user, &a, i, i), RELAY_NEVER);
		ck_assert_ptr_nonnull(relay_find(&r, &a, i));
	}
	ck_assert_str_eq(lost, "192.0.2.2 ann 2, 2001:db8::1 eve 2, "
			       "2001:db8::2 eve 2, 2001:db8::3 eve 2, "
			       "2001:db8::/64 eve 2, ");
	relay_store_destroy(&r.store);
}
END_TEST

/* From the end of the session, if that is heard of, or told to others. */
START_TEST(logout)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct relay_event ev = { .client = ip("192.0.2.1"), .when = 1000 };

	ck_assert_int_eq(relay_login(&r, &ev, 1000), RELAY_OPENED);
	ev =
	    (struct relay_event){ AUTH_CLOSE, ev.client, { NULL, 0 }, 1050, 1 };
	ck_assert_int_eq(relay_login(&r, &ev, 1050), RELAY_KEPT);
	ck_assert_int_eq(relay_store_next(r.store)->expires, 1100);
	r.limits.from_logout = true;
	ck_assert_int_eq(relay_login(&r, &ev, 1050), RELAY_EXTENDED);
	ck_assert_int_eq(relay_store_next(r.store)->expires, 1150);
	ev.kind = AUTH_RELOG;
	ev.when = 1070;
	ck_assert_int_eq(relay_login(&r, &ev, 1070), RELAY_EXTENDED);
	ck_assert_uint_eq(relay_expire(&r, 1170, 0), 1);
	/* Longer than anything was heard of it. */
	ev.kind = AUTH_CLOSE;
	ev.when = 2000;
	ck_assert_int_eq(relay_login(&r, &ev, 2000), RELAY_OPENED);
	/* One that is told of late opens no longer than it should. */
	ev.client = ip("192.0.2.2");
	ck_assert_int_eq(relay_login(&r, &ev, 2100), RELAY_OLD);
	relay_store_destroy(&r.store);
}
END_TEST

static const struct {
	const char *net;
	size_t n;
	const char *first, *last;
} splits[] = {
	{ "10.0.0.0/8", 256, "10.0.0.0/16", "10.255.0.0/16" },
	{ "172.16.0.0/12", 16, "172.16.0.0/16", "172.31.0.0/16" },
	{ "192.0.0.0/16", 1, "192.0.0.0/16", "192.0.0.0/16" },
	{ "192.0.2.0/23", 2, "192.0.2.0/24", "192.0.3.0/24" },
	{ "192.0.2.0/24", 1, "192.0.2.0/24", "192.0.2.0/24" },
	{ "192.0.2.64/26", 64, "192.0.2.64", "192.0.2.127" },
	{ "192.0.2.1", 1, "192.0.2.1", "192.0.2.1" },
	{ "10.0.0.0/7", 0, NULL, NULL },
	{ "0.0.0.0/0", 0, NULL, NULL },
	{ "2001:d00::/24", 256, "2001:d00::/32", "2001:dff::/32" },
	{ "2001:db8::/32", 1, "2001:db8::/32", "2001:db8::/32" },
	{ "2001:db8:4::/46", 4, "2001:db8:4::/48", "2001:db8:7::/48" },
	{ "2001:db8:0:8000::/50", 0, NULL, NULL },
	{ "2001:db8::80/121", 128, "2001:db8::80", "2001:db8::ff" },
	{ "::/0", 0, NULL, NULL },
};

START_TEST(splitting)
{
	struct relay_key keys[RELAY_SPLIT_MAX], want;
	struct addr_net net;
	size_t n = splits[_i].n;

	ck_assert_int_eq(addr_net_parse(slice_str(splits[_i].net), &net), 0);
	ck_assert_uint_eq(relay_rule_split(&net, NULL), n);
	if (n == 0)
		return;
	ck_assert_uint_eq(relay_rule_split(&net, keys), n);
	want = key(splits[_i].first);
	ck_assert(relay_key_eq(&keys[0], &want));
	want = key(splits[_i].last);
	ck_assert(relay_key_eq(&keys[n - 1], &want));
}
END_TEST

START_TEST(always)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct relay_key keys[] = { key("2001:db8::1"), key("192.0.2.0/24") };
	struct addr in = ip("192.0.2.7"), out = ip("198.51.100.1");
	struct addr v6 = ip("2001:db8::1");
	struct addr_net net;

	relay_rule_sort(keys, 2);
	r.rule.always = keys;
	r.rule.always_n = 2;
	ck_assert_uint_eq(relay_apply_rules(&r, 1000), 0);
	ck_assert_uint_eq(seen.urgent, 2);
	ck_assert_ptr_nonnull(relay_find(&r, &in, 1000));
	ck_assert_ptr_nonnull(relay_find(&r, &v6, RELAY_FOREVER - 1));
	ck_assert_ptr_null(relay_find(&r, &out, 1000));
	/* Neither time nor clock, nor any tool, nor too many others. */
	relay_shift(&r, -86400);
	ck_assert_uint_eq(relay_expire(&r, INT64_C(1) << 34, 0), 0);
	ck_assert(!relay_remove(&r, &keys[0]));
	ck_assert_uint_eq(relay_purge(&r), 0);
	for (int i = 0; i < 5; i++) {
		out.ip.s6_addr[15]++;
		ck_assert_int_eq(
		    login(&r, &out, 1000 + i, 1000 + i), RELAY_OPENED);
	}
	ck_assert_uint_eq(relay_store_count(r.store), 4);
	ck_assert_ptr_nonnull(relay_find(&r, &in, 1000));
	ck_assert_int_eq(login(&r, &v6, 1005, 1005), RELAY_KEPT);
	ck_assert_int_eq(login(&r, &in, 1005, 1005), RELAY_OPENED);
	/* never goes first, and what is gone from the rules goes. */
	ck_assert_int_eq(addr_net_parse(SLICE("192.0.2.7"), &net), 0);
	r.rule.never = &net;
	r.rule.never_n = 1;
	ck_assert_ptr_null(relay_find(&r, &in, 1005));
	r.rule.always_n = 0;
	relay_apply_rules(&r, 1005);
	ck_assert_ptr_null(relay_find(&r, &in, 1005));
	relay_store_destroy(&r.store);
}
END_TEST

/* The narrowest that is alive. */
START_TEST(covering)
{
	struct relay_store *s = relay_store_create();
	const char *const nets[] = { "2001:db8::/32", "2001:db8::/61",
		"2001:db8::7", "192.0.0.0/16", "192.0.2.0/26" };
	struct addr a = ip("2001:db8::7");

	for (int i = 0; i < COUNT(nets); i++) {
		struct relay_entry e = { .key = key(nets[i]),
			.expires = 100 - 10 * i };

		relay_store_touch(s, &e, SLICE(""), 0);
	}
	ck_assert_int_eq(relay_store_cover(s, &a.ip, 128, 0)->key.prefix, 128);
	ck_assert_int_eq(relay_store_cover(s, &a.ip, 128, 80)->key.prefix, 61);
	ck_assert_int_eq(relay_store_cover(s, &a.ip, 128, 90)->key.prefix, 32);
	ck_assert_ptr_null(relay_store_cover(s, &a.ip, 128, 100));
	a = ip("2001:db8:0:8::");
	ck_assert_int_eq(relay_store_cover(s, &a.ip, 128, 0)->key.prefix, 32);
	a = ip("192.0.2.64");
	ck_assert_int_eq(
	    relay_store_cover(s, &a.ip, 128, 0)->key.prefix, 96 + 16);
	a = ip("192.0.2.63");
	ck_assert_int_eq(
	    relay_store_cover(s, &a.ip, 128, 0)->key.prefix, 96 + 26);
	a = ip("192.1.2.63");
	ck_assert_ptr_null(relay_store_cover(s, &a.ip, 128, 0));
	a = ip("192.0.2.63");
	ck_assert_int_eq(
	    relay_store_cover(s, &a.ip, 96 + 25, 0)->key.prefix, 96 + 16);
	ck_assert_ptr_null(relay_store_cover(s, &a.ip, 96 + 15, 0));
	ck_assert_ptr_null(relay_store_cover(s, &a.ip, 95, 0));
	relay_store_destroy(&s);
}
END_TEST

START_TEST(requests)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct relay_key k[] = { key("2001:db8::1"), key("127.0.0.1") };
	struct relay_request q = {
		.op = RELAY_INSERT, .keys = k, .n = 2, .timeout = 50
	};
	struct relay_result res;

	relay_execute(&r, &q, 1000, &res);
	ck_assert_uint_eq(res.done, 1);
	ck_assert_uint_eq(res.refused, 1);
	ck_assert_uint_eq(relay_store_count(r.store), 2); /* and its /64 */
	ck_assert_int_eq(relay_store_find(r.store, &k[0])->expires, 1050);
	q.op = RELAY_REMOVE;
	relay_execute(&r, &q, 1000, &res);
	ck_assert_uint_eq(res.done, 1);
	ck_assert_uint_eq(relay_store_count(r.store), 0);
	q.op = RELAY_INSERT;
	relay_execute(&r, &q, 1000, &res);
	q = (struct relay_request){ .op = RELAY_EXPIRE };
	relay_execute(&r, &q, 1049, &res);
	ck_assert_uint_eq(res.done, 0);
	relay_execute(&r, &q, 1050, &res);
	ck_assert_uint_eq(res.done, 2);
	q.op = RELAY_PURGE;
	relay_execute(&r, &q, 1050, &res);
	ck_assert_uint_eq(seen.all, 1);
	relay_store_destroy(&r.store);
}
END_TEST

START_TEST(new_rules)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct addr_net net;
	struct addr a = ip("2001:db8::1"), b = ip("192.0.2.1");

	login(&r, &a, 1000, 1000);
	login(&r, &b, 1000, 1000);
	ck_assert_uint_eq(relay_apply_rules(&r, 1000), 0);
	ck_assert_int_eq(addr_net_parse(SLICE("2001:db8::1"), &net), 0);
	r.rule.never = &net;
	r.rule.never_n = 1;
	ck_assert_uint_eq(relay_apply_rules(&r, 1000), 2);
	ck_assert_uint_eq(relay_store_count(r.store), 1);
	relay_shift(&r, -500);
	ck_assert_int_eq(relay_store_next(r.store)->expires, 600);
	relay_store_destroy(&r.store);
}
END_TEST

#define MANY 100000u

static struct addr
one_of_many(unsigned int i)
{
	struct addr a = ip("10.0.0.0");

	a.ip.s6_addr[13] = (uint8_t)(i >> 16);
	a.ip.s6_addr[14] = (uint8_t)(i >> 8);
	a.ip.s6_addr[15] = (uint8_t)i;
	return a;
}

/* Entries come and go between two slices, and none that the rules forbid is
 * missed. */
START_TEST(new_rules_in_slices)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct addr_net net;
	struct addr a;
	unsigned int fresh = MANY, steps = 0;
	size_t removed = 0;

	r.limits.max_entries = 2 * MANY;
	r.limits.max_new_per_second = 2 * MANY;
	for (unsigned int i = 0; i < MANY; i++) {
		a = one_of_many(i);
		login(&r, &a, 1000, 1000);
	}
	ck_assert_int_eq(addr_net_parse(SLICE("10.0.0.0/17"), &net), 0);
	r.rule.never = &net;
	r.rule.never_n = 1;
	relay_rules_begin(&r, 1000);
	while (relay_rules_step(&r, &removed)) {
		ck_assert_uint_lt(++steps, 100);
		for (unsigned int i = 0; i < 100; i++) {
			struct relay_key k;

			a = one_of_many(steps * 200 + i); /* forbidden */
			relay_key_make(&k, &a, 32, 128);
			relay_remove(&r, &k);
			a = one_of_many(MANY - steps * 200 - i);
			relay_key_make(&k, &a, 32, 128);
			relay_remove(&r, &k);
			a = one_of_many(fresh++);
			login(&r, &a, 1000, 1000);
		}
	}
	ck_assert_uint_ge(steps, 3);
	ck_assert_uint_ge(removed, 32768 - 100 * steps);
	/* All but what was forbidden, and as many came as were removed. */
	ck_assert_uint_eq(relay_store_count(r.store), MANY - 32768);
	for (size_t i = 0; i < relay_store_count(r.store); i++)
		ck_assert(relay_rule_allows(
		    &r.rule, &relay_store_at(r.store, i)->key));
	r.limits.max_entries = MANY / 4;
	relay_rules_begin(&r, 1000);
	for (steps = 0; relay_rules_step(&r, &removed); steps++)
		ck_assert_uint_lt(steps, 100);
	ck_assert_uint_gt(steps, 2);
	ck_assert_uint_eq(relay_store_count(r.store), MANY / 4);
	relay_store_destroy(&r.store);
}
END_TEST

/* Who comes is not kept waiting until all that are too many have gone. */
START_TEST(lower_limit)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct addr a;
	size_t removed = 0;

	r.limits.max_entries = 2000;
	for (unsigned int i = 0; i < 1000; i++) {
		a = one_of_many(i);
		login(&r, &a, 1000 + i, 1000 + i);
	}
	r.limits.timeout = 10000;
	r.limits.max_entries = 16;
	seen = (struct seen){ 0 };
	a = one_of_many(1000);
	ck_assert_int_eq(login(&r, &a, 1000, 1000), RELAY_OPENED);
	ck_assert_uint_eq(relay_store_count(r.store), 1000 - 2 + 1);
	ck_assert_uint_eq(seen.urgent, 2 + 1);
	ck_assert_int_eq(relay_store_next(r.store)->expires, 1102);
	/* The rest goes without any login. */
	relay_rules_begin(&r, 1000);
	while (relay_rules_step(&r, &removed))
		continue;
	ck_assert_uint_eq(removed, 999 - 16);
	ck_assert_uint_eq(seen.urgent, 3 + removed);
	ck_assert_uint_eq(relay_store_count(r.store), 16);
	ck_assert_int_eq(relay_store_next(r.store)->expires, 1099 + 1000 - 14);
	/* Within the limit it stays. */
	a = one_of_many(1001);
	ck_assert_int_eq(login(&r, &a, 1000, 1000), RELAY_OPENED);
	ck_assert_uint_eq(relay_store_count(r.store), 16);
	relay_store_destroy(&r.store);
}
END_TEST

/* Before the first slice. */
START_TEST(new_rules_at_once)
{
	struct seen seen;
	struct relay r = make(&seen);
	struct relay_key keys[] = { key("192.0.0.0/16"), key("192.0.2.0/24"),
		key("198.51.100.0/24"), key("203.0.113.7"), key("203.0.113.8"),
		key("203.0.113.9") };
	struct addr both = ip("192.0.2.7"), net = ip("198.51.100.7");
	struct addr alone = ip("203.0.113.7"), third = ip("203.0.113.9");
	struct addr elsewhere = ip("203.0.113.8");
	struct relay_remote told = { .key = keys[4], .expires = 1090 };
	struct addr v6 = ip("2001:db8::1"), neighbour = ip("2001:db8::2");
	struct addr_net never;
	size_t removed = 0;

	r.limits.max_entries = 16;
	r.rule.always = keys;
	r.rule.always_n = COUNT(keys);
	relay_apply_rules(&r, 1000);
	login(&r, &v6, 1000, 1000);
	ck_assert_int_eq(relay_find(&r, &both, 1000)->key.prefix, 96 + 24);
	ck_assert_ptr_nonnull(relay_find(&r, &net, 1000));
	ck_assert_ptr_nonnull(relay_find(&r, &alone, 1000));
	ck_assert_ptr_nonnull(relay_find(&r, &neighbour, 1000));
	r.rule.always_n = 1;
	ck_assert_int_eq(addr_net_parse(SLICE("2001:db8::3"), &never), 0);
	r.rule.never = &never;
	r.rule.never_n = 1;
	relay_rules_begin(&r, 1000);
	ck_assert_int_eq(relay_find(&r, &both, 1000)->key.prefix, 96 + 16);
	ck_assert_ptr_null(relay_find(&r, &net, 1000));
	ck_assert_ptr_null(relay_find(&r, &alone, 1000));
	ck_assert_ptr_null(relay_find(&r, &neighbour, 1000));
	ck_assert_ptr_nonnull(relay_find(&r, &v6, 1000));
	/* Who logs in now does not go with what was there. */
	r.limits.max_new_per_second = 2;
	ck_assert_int_eq(login(&r, &alone, 1000, 1000), RELAY_OPENED);
	ck_assert_int_eq(relay_remote_open(&r, &told, 1000), RELAY_OPENED);
	/* It counts as new: the second had v6 and alone. */
	ck_assert_int_eq(login(&r, &third, 1000, 1000), RELAY_FLOOD);
	while (relay_rules_step(&r, &removed))
		continue;
	/* Three that were always, and the /64. */
	ck_assert_uint_eq(removed, 4);
	ck_assert_int_eq(relay_find(&r, &elsewhere, 1000)->expires, 1090);
	ck_assert_int_eq(relay_find(&r, &alone, 1000)->expires, 1100);
	ck_assert_ptr_null(relay_find(&r, &alone, 1100));
	relay_store_destroy(&r.store);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("relay");

	tcase_add_loop_test(t, spelling, 0, COUNT(spellings));
	tcase_add_loop_test(t, parsing, 0, COUNT(parses));
	tcase_add_loop_test(t, ruling, 0, COUNT(rules));
	tcase_add_test(t, store_touches);
	tcase_add_test(t, store_agrees);
	tcase_add_test(t, shifted_to_forever);
	tcase_add_test(t, store_users);
	tcase_add_test(t, store_memory);
	tcase_add_test(t, fetching);
	tcase_add_test(t, clock_steps);
	tcase_add_test(t, logins);
	tcase_add_test(t, users);
	tcase_add_test(t, bounds);
	tcase_add_test(t, user_limit);
	tcase_add_test(t, logout);
	tcase_add_loop_test(t, splitting, 0, COUNT(splits));
	tcase_add_test(t, always);
	tcase_add_test(t, covering);
	tcase_add_test(t, requests);
	tcase_add_test(t, new_rules);
	tcase_add_test(t, new_rules_in_slices);
	tcase_add_test(t, lower_limit);
	tcase_add_test(t, new_rules_at_once);
	return check_run("relay", t);
}
