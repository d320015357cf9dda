/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_remote - what other hosts say, done here; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_remote.h"

#include <stdlib.h>

#include "perdition-pbs/relay_private.h"

#include "common/banned.h"

static enum relay_verdict
open_key(struct relay *r, const struct relay_entry *e, struct slice user,
    int64_t now)
{
	struct relay_place place = relay_store_place(r->store, &e->key);
	const struct relay_entry *had = relay_store_get(r->store, place);
	int ret;

	/* Else hosts would prolong each other's entries for ever, a second a
	 * time. */
	if (had != NULL && !relay_is_stale(r, had) && had->expires > now &&
	    had->expires + RELAY_REMOTE_SLACK > e->expires) {
		if (had->expires <= e->expires + RELAY_REMOTE_SLACK)
			relay_store_mark(r->store, &e->key, e->mark);
		return RELAY_KEPT;
	}
	ret = relay_touch_at(r, place, e, user, now);
	return ret == -1             ? RELAY_NOMEM
	       : ret == RELAY_NEW    ? RELAY_OPENED
	       : ret == RELAY_LONGER ? RELAY_EXTENDED
				     : RELAY_KEPT;
}

enum relay_verdict
relay_remote_open(struct relay *r, const struct relay_remote *o, int64_t now)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_keys_of(r, &o->key, false, keys);
	int64_t limit = now + r->limits.timeout;
	enum relay_verdict first = RELAY_KEPT;

	if (n == 0)
		return RELAY_NEVER;
	if (o->expires <= now)
		return RELAY_OLD;
	for (size_t i = 0; i < n; i++) {
		struct relay_entry e = {
			.key = keys[i],
			.mark = o->mark & RELAY_MARK_MAX,
			.expires = o->expires < limit ? o->expires : limit,
		};
		enum relay_verdict v = open_key(r, &e, o->user, now);

		if (v == RELAY_NOMEM)
			return v;
		if (i == 0)
			first = v;
	}
	if (first != RELAY_KEPT)
		relay_limit_user(r, &keys[0]);
	return first;
}

void
relay_remote_told(struct relay *r, const struct relay_key *k, int64_t expires,
    unsigned int mark)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_keys_of(r, k, false, keys);

	for (size_t i = 0; i < n; i++) {
		const struct relay_entry *e =
		    relay_store_find(r->store, &keys[i]);

		if (e != NULL && e->expires <= expires + RELAY_REMOTE_SLACK)
			relay_store_mark(r->store, &keys[i], mark);
	}
}

int64_t
relay_remote_opened(
    const struct relay *r, const struct relay_entry *e, int64_t now)
{
	int64_t opened = e->expires - r->limits.timeout;

	return opened > now + RELAY_REMOTE_SLACK ? INT64_MIN : opened;
}

/*
 * Whether e was opened later than when.  Seconds are too coarse for those that
 * lie close together: then what the others know came before, and what they do
 * not know yet is going to be judged by them.
 */
static bool
outlives(const struct relay *r, const struct relay_entry *e, int64_t when,
    unsigned int mark, int64_t now)
{
	int64_t opened = relay_remote_opened(r, e, now);

	if (e->expires == RELAY_FOREVER)
		return true;
	if (opened == INT64_MIN)
		return false;
	return e->mark == mark ? opened > when + RELAY_REMOTE_SLACK
			       : opened + RELAY_REMOTE_SLACK >= when;
}

size_t
relay_remote_shut(struct relay *r, const struct relay_key *k, int64_t when,
    unsigned int mark, int64_t now)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_keys_of(r, k, true, keys), gone = 0;

	for (size_t i = 0; i < n; i++) {
		const struct relay_entry *e =
		    relay_store_find(r->store, &keys[i]);

		if (e == NULL || outlives(r, e, when, mark, now))
			continue;
		relay_drop(r, &keys[i]);
		gone++;
	}
	return gone;
}

size_t
relay_remote_shut_all(
    struct relay *r, int64_t when, unsigned int mark, int64_t now)
{
	size_t gone = 0, kept = 0;

	for (size_t i = relay_store_count(r->store); i-- > 0 && kept == 0;) {
		const struct relay_entry *e = relay_store_at(r->store, i);

		kept += e->expires != RELAY_FOREVER &&
			outlives(r, e, when, mark, now);
	}
	if (kept == 0)
		return relay_clear(r);
	/* From the end: the last takes the place of one that goes. */
	for (size_t i = relay_store_count(r->store); i-- > 0;) {
		const struct relay_entry *e = relay_store_at(r->store, i);

		if (outlives(r, e, when, mark, now))
			continue;
		relay_drop(r, &e->key);
		gone++;
	}
	return gone;
}
