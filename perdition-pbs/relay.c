/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay - rules, store and journal as one; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay.h"

#include <errno.h>
#include <string.h>

#include "common/banned.h"

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

static void
all_changed(struct relay *r)
{
	for (size_t i = 0; i < r->sinks_n; i++)
		r->sinks[i].all_changed(r->sinks[i].arg);
}

static void
drop(struct relay *r, const struct relay_key *k)
{
	struct relay_key key = *k; /* may live in the store */

	if (!relay_store_remove(r->store, &key))
		return;
	if (r->journal != NULL)
		journal_remove(r->journal, &key);
	changed(r, &key, true);
}

static int
touch(struct relay *r, const struct relay_key *k, int64_t expires,
    struct slice user, int64_t now)
{
	struct relay_entry e = { .key = *k, .expires = expires };
	int ret;

	if (relay_store_find(r->store, k) == NULL)
		while (relay_store_count(r->store) >= r->limits.max_entries)
			drop(r, &relay_store_next(r->store)->key);
	ret = relay_store_touch(r->store, &e, user, now);
	if (ret == RELAY_NEW || ret == RELAY_LONGER) {
		if (r->journal != NULL)
			journal_touch(r->journal, &e, user);
		changed(r, k, ret == RELAY_NEW);
	}
	return ret;
}

/* All keys alike, so the first, the address itself, tells. */
static enum relay_verdict
touch_all(struct relay *r, const struct relay_key *keys, size_t n,
    int64_t expires, struct slice user, int64_t now)
{
	int first = RELAY_NO_CHANGE;

	for (size_t i = 0; i < n; i++) {
		int ret = touch(r, &keys[i], expires, user, now);

		if (ret == -1)
			return RELAY_NOMEM;
		if (i == 0)
			first = ret;
	}
	return first == RELAY_NEW      ? RELAY_OPENED
	       : first == RELAY_LONGER ? RELAY_EXTENDED
				       : RELAY_KEPT;
}

/* The entry of k, if it is alive. */
static const struct relay_entry *
find_open(const struct relay *r, const struct relay_key *k, int64_t now)
{
	const struct relay_entry *e = relay_store_find(r->store, k);

	return e != NULL && e->expires > now ? e : NULL;
}

static bool
flooded(struct relay *r, int64_t now)
{
	if (now != r->second) {
		r->second = now;
		r->new_n = 0;
	}
	if (r->new_n >= r->limits.max_new_per_second)
		return true;
	r->new_n++;
	return false;
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
	enum relay_verdict verdict;
	bool handed;

	if (ev->kind == AUTH_CLOSE)
		return RELAY_KEPT;
	if (n == 0)
		return RELAY_NEVER;
	if (expires <= now)
		return RELAY_OLD;
	e = find_open(r, &keys[0], now);
	if (e == NULL && flooded(r, now))
		return RELAY_FLOOD;
	handed = is_anothers(r, e, ev->user);
	verdict = touch_all(r, keys, n, expires, ev->user, now);
	return handed && verdict == RELAY_EXTENDED ? RELAY_HANDED : verdict;
}

static size_t
keys_of(const struct relay *r, const struct relay_key *k, bool all,
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
	size_t n = keys_of(r, k, false, keys);

	if (n == 0)
		return RELAY_NEVER;
	return touch_all(r, keys, n, expires, SLICE(""), now);
}

bool
relay_remove(struct relay *r, const struct relay_key *k)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = keys_of(r, k, true, keys);
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		found = found || relay_store_find(r->store, &keys[i]) != NULL;
		drop(r, &keys[i]);
	}
	return found;
}

size_t
relay_purge(struct relay *r)
{
	size_t n = relay_store_count(r->store);

	relay_store_clear(r->store);
	if (r->journal != NULL)
		journal_purge(r->journal);
	all_changed(r);
	return n;
}

size_t
relay_expire(struct relay *r, int64_t now, size_t max,
    void (*on_gone)(void *arg, const struct relay_entry *), void *arg)
{
	const struct relay_entry *e;
	size_t n = 0;

	while ((max == 0 || n < max) &&
	       (e = relay_store_next(r->store)) != NULL && e->expires <= now) {
		struct relay_entry gone = *e;

		/* Not for the journal: who reads it drops what is dead. */
		relay_store_remove(r->store, &gone.key);
		changed(r, &gone.key, true);
		if (on_gone != NULL)
			on_gone(arg, &gone);
		n++;
	}
	return n;
}

size_t
relay_apply_rules(struct relay *r)
{
	size_t n = 0;

	for (size_t i = relay_store_count(r->store); i-- > 0;) {
		const struct relay_entry *e = relay_store_at(r->store, i);

		/* The last takes the place of one that goes: it was seen. */
		if (!relay_rule_allows(&r->rule, &e->key)) {
			drop(r, &e->key);
			n++;
		}
	}
	while (relay_store_count(r->store) > r->limits.max_entries) {
		drop(r, &relay_store_next(r->store)->key);
		n++;
	}
	return n;
}

void
relay_shift(struct relay *r, int64_t delta)
{
	relay_store_shift(r->store, delta);
	if (r->journal != NULL) {
		journal_purge(r->journal);
		for (size_t i = 0; i < relay_store_count(r->store); i++) {
			const struct relay_entry *e =
			    relay_store_at(r->store, i);

			journal_touch(
			    r->journal, e, relay_store_user(r->store, e));
		}
	}
	all_changed(r);
}
