/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay - rules, store and journal as one; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay.h"

#include <errno.h>
#include <string.h>

#include "perdition-pbs/relay_private.h"

#include "common/banned.h"

/* Seconds.  A longer life may stay unwritten for one or two; who reads the
 * file and looks at the time must not refuse meanwhile. */
#define SOON 5

/* Entries that go for one that comes, when there are too many: more than one,
 * so that an excess shrinks, and few, since others wait meanwhile. */
#define LOSSES 2

#define RULES_SLICE 16384u /* entries: a millisecond, 30 if all of them go */

int
relay_attach(struct relay *r, const struct relay_sink *sink)
{
	if (r->sinks_n == RELAY_SINKS_MAX) {
		errno = ENOSPC;
		return -1;
	}
	r->sinks[r->sinks_n++] = *sink;
	return 0;
}

static void
changed(struct relay *r, const struct relay_key *k, bool urgent)
{
	for (size_t i = 0; i < r->sinks_n; i++)
		r->sinks[i].changed(r->sinks[i].arg, k, urgent);
}

void
relay_all_changed(struct relay *r)
{
	for (size_t i = 0; i < r->sinks_n; i++)
		r->sinks[i].all_changed(r->sinks[i].arg);
}

static void
tell(struct relay *r, const struct relay_news *news)
{
	for (size_t i = 0; i < r->sinks_n; i++)
		if (r->sinks[i].news != NULL)
			r->sinks[i].news(r->sinks[i].arg, news);
}

static void
tell_if_open(struct relay *r, const struct relay_key *k, int64_t when,
    enum relay_verdict verdict)
{
	struct relay_news news = { RELAY_NEWS_OPEN, k, when };

	if (verdict == RELAY_OPENED || verdict == RELAY_EXTENDED)
		tell(r, &news);
}

void
relay_drop(struct relay *r, const struct relay_key *k)
{
	struct relay_key key = *k; /* may live in the store */

	if (!relay_store_remove(r->store, &key))
		return;
	if (r->journal != NULL)
		journal_remove(r->journal, &key);
	changed(r, &key, true);
}

static void
report(struct relay *r, const struct relay_entry *e, enum relay_loss why)
{
	if (r->on_lost != NULL)
		r->on_lost(
		    r->on_lost_arg, e, relay_store_user(r->store, e), why);
}

static void
lose(struct relay *r, const struct relay_entry *e, enum relay_loss why)
{
	report(r, e, why);
	relay_drop(r, &e->key);
}

static bool
is_full(const struct relay *r, size_t more)
{
	size_t n = relay_store_count(r->store);

	return n > 0 && n + more > r->limits.max_entries &&
	       relay_store_next(r->store)->expires != RELAY_FOREVER;
}

/* By the rules as they are now, which may forbid what they let in before. */
static bool
is_wrong(const struct relay *r, const struct relay_entry *e)
{
	return !relay_rule_allows(&r->rule, &e->key) ||
	       (e->expires == RELAY_FOREVER &&
		   !relay_rule_is_always(&r->rule, &e->key));
}

bool
relay_is_stale(const struct relay *r, const struct relay_entry *e)
{
	return r->unruled > 0 && is_wrong(r, e);
}

/* By the name that it has by now: who reads the journal may not know of it from
 * an earlier record. */
static void
note(struct relay *r, const struct relay_entry *e, struct slice user)
{
	if (r->journal == NULL || e->expires == RELAY_FOREVER)
		return;
	if (user.n == 0)
		user = relay_store_user(
		    r->store, relay_store_find(r->store, &e->key));
	journal_touch(r->journal, e, user);
}

int
relay_touch_at(struct relay *r, struct relay_place place,
    const struct relay_entry *e, struct slice user, int64_t now)
{
	const struct relay_entry *had = relay_store_get(r->store, place);
	bool urgent;
	int ret;

	/* It still has to go, and e is not to go with it. */
	if (had != NULL && relay_is_stale(r, had)) {
		lose(r, had, RELAY_LOST_RULES);
		place = relay_store_place(r->store, &e->key);
		had = NULL;
	}
	urgent = had == NULL || had->expires - now <= SOON;
	if (had == NULL)
		for (int i = 0; i < LOSSES && is_full(r, 1); i++)
			lose(r, relay_store_next(r->store), RELAY_LOST_ENTRIES);
	ret = relay_store_touch_at(r->store, place, e, user, now);
	if (ret == RELAY_NEW || ret == RELAY_LONGER) {
		note(r, e, user);
		changed(r, &e->key, urgent);
	}
	return ret;
}

int
relay_touch(struct relay *r, const struct relay_entry *e, struct slice user,
    int64_t now)
{
	return relay_touch_at(
	    r, relay_store_place(r->store, &e->key), e, user, now);
}

/* All keys alike, so the first, the address itself, tells; place: where that
 * is. */
static enum relay_verdict
touch_all(struct relay *r, const struct relay_key *keys, size_t n,
    struct relay_place place, int64_t expires, struct slice user, int64_t now)
{
	int first = RELAY_NO_CHANGE;

	for (size_t i = 0; i < n; i++) {
		struct relay_entry e = { .key = keys[i], .expires = expires };
		int ret = i == 0 ? relay_touch_at(r, place, &e, user, now)
				 : relay_touch(r, &e, user, now);

		if (ret == -1)
			return RELAY_NOMEM;
		if (i == 0)
			first = ret;
	}
	return first == RELAY_NEW      ? RELAY_OPENED
	       : first == RELAY_LONGER ? RELAY_EXTENDED
				       : RELAY_KEPT;
}

/* The entry at place, if it is alive and may be. */
static const struct relay_entry *
find_open(const struct relay *r, struct relay_place place, int64_t now)
{
	const struct relay_entry *e = relay_store_get(r->store, place);

	return e != NULL && e->expires > now && !relay_is_stale(r, e) ? e
								      : NULL;
}

static bool
flooded(struct relay *r, int64_t when)
{
	struct relay_second *s = &r->seconds[(uint64_t)when % RELAY_SECONDS];

	if (when != s->second)
		*s = (struct relay_second){ .second = when };
	if (s->opened >= r->limits.max_new_per_second)
		return true;
	s->opened++;
	return false;
}

/* k was let in for a user who may have too many by now. */
void
relay_limit_user(struct relay *r, const struct relay_key *k)
{
	const struct relay_entry *e, *old;

	while (r->limits.max_per_user > 0 &&
	       (e = relay_store_find(r->store, k)) != NULL &&
	       (old = relay_store_oldest(r->store, e)) != NULL && old != e) {
		/* A network is as new as the newest of the addresses in it: one
		 * that is the oldest of all has lost them. */
		if (!relay_key_is_net(&old->key) &&
		    relay_store_addresses(r->store, e) <=
			r->limits.max_per_user)
			return;
		lose(r, old, RELAY_LOST_ADDRESSES);
	}
}

/* Whether e has a user, and another one. */
static bool
is_anothers(
    const struct relay *r, const struct relay_entry *e, struct slice user)
{
	struct slice had;

	if (e == NULL || user.n == 0)
		return false;
	had = relay_store_user(r->store, e);
	return had.n > 0 && !slice_eq(had, user);
}

enum relay_verdict
relay_login(struct relay *r, const struct relay_event *ev, int64_t now)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_rule_keys(&r->rule, &ev->client, false, keys);
	int64_t when = ev->when < now ? ev->when : now;
	int64_t expires = when + r->limits.timeout;
	const struct relay_entry *e;
	struct relay_place place;
	enum relay_verdict verdict;
	bool handed;

	if (ev->kind == AUTH_CLOSE && !r->limits.from_logout)
		return RELAY_KEPT;
	if (n == 0)
		return RELAY_NEVER;
	if (expires <= now)
		return RELAY_OLD;
	place = relay_store_place(r->store, &keys[0]);
	e = find_open(r, place, now);
	if (e == NULL && flooded(r, when))
		return RELAY_FLOOD;
	handed = is_anothers(r, e, ev->user);
	verdict = touch_all(r, keys, n, place, expires, ev->user, now);
	relay_limit_user(r, &keys[0]);
	tell_if_open(r, &keys[0], when, verdict);
	return handed && verdict == RELAY_EXTENDED ? RELAY_HANDED : verdict;
}

void
relay_fetch(
    const struct relay *r, const struct relay_event *ev, size_t n, int64_t now)
{
	struct relay_key keys[RELAY_STORE_FETCH];
	struct slice users[RELAY_STORE_FETCH];
	size_t some = 0;

	for (size_t i = 0; i < n; i++) {
		if (ev[i].when + r->limits.timeout <= now)
			continue; /* nobody asks the store */
		relay_key_make(&keys[some], &ev[i].client, 32, 128);
		users[some++] = ev[i].user;
	}
	relay_store_fetch(r->store, keys, users, some);
}

size_t
relay_keys_of(const struct relay *r, const struct relay_key *k, bool all,
    struct relay_key out[RELAY_RULE_KEYS])
{
	struct addr a = { .ip = k->ip };

	if (!relay_key_is_net(k))
		return relay_rule_keys(&r->rule, &a, all, out);
	out[0] = *k;
	return all || relay_rule_allows(&r->rule, k) ? 1 : 0;
}

enum relay_verdict
relay_insert(
    struct relay *r, const struct relay_key *k, int64_t expires, int64_t now)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_keys_of(r, k, false, keys);
	enum relay_verdict verdict;

	if (n == 0)
		return RELAY_NEVER;
	verdict = touch_all(r, keys, n, relay_store_place(r->store, &keys[0]),
	    expires, SLICE(""), now);
	tell_if_open(r, k, now, verdict);
	return verdict;
}

enum relay_verdict
relay_import(struct relay *r, const struct relay_entry *e, struct slice user,
    int64_t now)
{
	enum relay_verdict verdict;
	int64_t when;

	if (!relay_rule_allows(&r->rule, &e->key))
		return RELAY_NEVER;
	if (e->expires <= now)
		return RELAY_OLD;
	verdict = touch_all(r, &e->key, 1, relay_store_place(r->store, &e->key),
	    e->expires, user, now);
	relay_limit_user(r, &e->key);
	/* As if by the login that would have opened for that long. */
	when = e->expires - r->limits.timeout;
	tell_if_open(r, &e->key, when < now ? when : now, verdict);
	return verdict;
}

bool
relay_remove(struct relay *r, const struct relay_key *k)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_keys_of(r, k, true, keys);
	struct relay_news news = { RELAY_NEWS_SHUT, k, 0 };
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		if (relay_rule_is_always(&r->rule, &keys[i]))
			continue;
		found = found || relay_store_find(r->store, &keys[i]) != NULL;
		relay_drop(r, &keys[i]);
	}
	tell(r, &news);
	return found;
}

static void
add_always(struct relay *r, int64_t now)
{
	for (size_t i = 0; i < r->rule.always_n; i++) {
		struct relay_entry e = { .key = r->rule.always[i],
			.expires = RELAY_FOREVER };

		relay_touch(r, &e, SLICE(""), now);
	}
}

size_t
relay_clear(struct relay *r)
{
	size_t was = relay_store_count(r->store);

	relay_store_clear(r->store);
	if (r->journal != NULL)
		journal_purge(r->journal);
	add_always(r, 0);
	relay_all_changed(r);
	return was - relay_store_count(r->store);
}

size_t
relay_purge(struct relay *r)
{
	struct relay_news news = { RELAY_NEWS_SHUT_ALL, NULL, 0 };
	size_t n = relay_clear(r);

	tell(r, &news);
	return n;
}

size_t
relay_expire(struct relay *r, int64_t now, size_t max)
{
	const struct relay_entry *e;
	size_t n = 0;

	while ((max == 0 || n < max) &&
	       (e = relay_store_due(r->store, now)) != NULL) {
		struct relay_key gone = e->key;

		report(r, e, RELAY_LOST_TIME);
		/* Not for the journal: who reads it drops what is dead. */
		relay_store_remove(r->store, &gone);
		changed(r, &gone, true);
		n++;
	}
	return n;
}

void
relay_rules_begin(struct relay *r, int64_t now)
{
	size_t n = relay_store_count(r->store);

	/* Those of always are allowed: there is no need to look. */
	r->unruled = 0;
	add_always(r, now);
	r->unruled = n;
}

bool
relay_rules_step(struct relay *r, size_t *removed)
{
	size_t n;

	/* From the end: the last, which takes the place of one that goes, was
	 * seen, or is new and was let in by these rules. */
	if (r->unruled > relay_store_count(r->store))
		r->unruled = relay_store_count(r->store);
	for (n = 0; n < RULES_SLICE && r->unruled > 0; n++) {
		const struct relay_entry *e =
		    relay_store_at(r->store, --r->unruled);

		if (is_wrong(r, e)) {
			lose(r, e, RELAY_LOST_RULES);
			++*removed;
		}
	}
	for (; n < RULES_SLICE && is_full(r, 0); n++) {
		lose(r, relay_store_next(r->store), RELAY_LOST_RULES);
		++*removed;
	}
	return n == RULES_SLICE;
}

size_t
relay_apply_rules(struct relay *r, int64_t now)
{
	size_t n = 0;

	relay_rules_begin(r, now);
	while (relay_rules_step(r, &n))
		continue;
	return n;
}

const struct relay_entry *
relay_find(const struct relay *r, const struct addr *client, int64_t now)
{
	const struct relay_entry *e;
	struct relay_key k;

	relay_key_make(&k, client, 32, 128);
	if (client->scope != 0 || !relay_rule_allows(&r->rule, &k))
		return NULL;
	e = relay_store_cover(r->store, &client->ip, 128, now);
	while (e != NULL && relay_is_stale(r, e))
		e = relay_store_cover(
		    r->store, &client->ip, e->key.prefix - 1, now);
	return e;
}

void
relay_shift(struct relay *r, int64_t delta)
{
	relay_store_shift(r->store, delta);
	if (r->journal != NULL)
		journal_shift(r->journal, delta);
	relay_all_changed(r);
}
