/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay - rules, store and journal as one; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay.h"

#include <string.h>

#include "common/banned.h"

static void
drop(struct relay *r, const struct relay_key *k)
{
	struct relay_key key = *k; /* may live in the store */

	if (!relay_store_remove(r->store, &key))
		return;
	if (r->journal != NULL)
		journal_remove(r->journal, &key);
	r->sink.changed(r->sink.arg, &key, true);
}

static int
touch(struct relay *r, const struct relay_key *k, int64_t expires, int64_t now)
{
	struct relay_entry e = { .key = *k, .expires = expires };
	int ret;

	if (relay_store_find(r->store, k) == NULL)
		while (relay_store_count(r->store) >= r->limits.max_entries)
			drop(r, &relay_store_next(r->store)->key);
	ret = relay_store_touch(r->store, &e, now);
	if (ret == RELAY_NEW || ret == RELAY_LONGER) {
		if (r->journal != NULL)
			journal_touch(r->journal, &e);
		r->sink.changed(r->sink.arg, k, ret == RELAY_NEW);
	}
	return ret;
}

/* All keys alike, so the first, the address itself, tells. */
static enum relay_verdict
touch_all(struct relay *r, const struct relay_key *keys, size_t n,
    int64_t expires, int64_t now)
{
	int first = RELAY_NO_CHANGE;

	for (size_t i = 0; i < n; i++) {
		int ret = touch(r, &keys[i], expires, now);

		if (ret == -1)
			return RELAY_NOMEM;
		if (i == 0)
			first = ret;
	}
	return first == RELAY_NEW      ? RELAY_OPENED
	       : first == RELAY_LONGER ? RELAY_EXTENDED
				       : RELAY_KEPT;
}

static bool
is_open(const struct relay *r, const struct relay_key *k, int64_t now)
{
	const struct relay_entry *e = relay_store_find(r->store, k);

	return e != NULL && e->expires > now;
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

enum relay_verdict
relay_login(
    struct relay *r, const struct addr *client, int64_t when, int64_t now)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_rule_keys(&r->rule, client, false, keys);
	int64_t expires = (when < now ? when : now) + r->limits.timeout;

	if (n == 0)
		return RELAY_NEVER;
	if (expires <= now)
		return RELAY_OLD;
	if (!is_open(r, &keys[0], now) && flooded(r, now))
		return RELAY_FLOOD;
	return touch_all(r, keys, n, expires, now);
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
	return touch_all(r, keys, n, expires, now);
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
	r->sink.all_changed(r->sink.arg);
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
		r->sink.changed(r->sink.arg, &gone.key, true);
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
		for (size_t i = 0; i < relay_store_count(r->store); i++)
			journal_touch(r->journal, relay_store_at(r->store, i));
	}
	r->sink.all_changed(r->sink.arg);
}
