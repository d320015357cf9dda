/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_read - what the log tells, done here; see share.h.
 */
#include "config.h"

#include "common/log.h"
#include "perdition-pbs/relay_remote.h"
#include "perdition-pbs/share_private.h"

#include "common/banned.h"

/* When k was shut, alone or with all; INT64_MIN: never. */
static int64_t
shut_at(const struct relay_store *shuts, int64_t all, const struct relay_key *k)
{
	const struct relay_entry *e =
	    relay_store_count(shuts) == 0 ? NULL : relay_store_find(shuts, k);

	return e == NULL || e->expires < all ? all : e->expires;
}

/* A time on the log's clock as seconds since the epoch on ours. */
static int64_t
to_wall(const struct share *s, int64_t at, int64_t now)
{
	return (s->wall - (now - at)) / MS;
}

/* Whether what was opened at `at' has been shut since. */
static bool
is_shut(const struct share *s, const struct relay_key *k, int64_t at)
{
	return at < shut_at(s->shuts, s->shut_all, k) ||
	       at - s->ahead < shut_at(s->unsaid, s->unsaid_all, k);
}

/* Our own opening came back: the others know of it now, and what came of it
 * there comes of it here. */
static void
read_own_open(struct share *s, const struct share_change *c, int64_t expires,
    bool shut, const struct share_message *m)
{
	relay_remote_told(s->relay, &c->key, expires, s->mark);
	if (shut)
		relay_remote_shut(s->relay, &c->key, to_wall(s, m->at, m->now),
		    s->mark, s->wall / MS);
}

static void
log_opened(const struct share_change *c, const struct share_message *m)
{
	char text[RELAY_TEXT_MAX];

	if (!log_wants(LOG_DEBUG))
		return; /* the host that it came from has said it */
	relay_key_write(&c->key, text);
	log_event(LOG_DEBUG, "relay-open", LOG_STR("address", text),
	    LOG_SLICE("user", slice_make(c->user, c->user_n)),
	    LOG_SLICE("from", m->from));
}

static void
log_shut(
    const char *event, const struct relay_key *k, const struct share_message *m)
{
	char text[RELAY_TEXT_MAX] = "all";

	if (k != NULL)
		relay_key_write(k, text);
	log_event(LOG_INFO, event, LOG_STR("address", text),
	    LOG_SLICE("from", m->from));
}

static void
read_open(struct share *s, const struct share_change *c,
    const struct share_message *m)
{
	int64_t at = m->at - (int64_t)c->age_ms;
	int64_t left = (int64_t)c->left_ms - (m->now - m->at);
	bool shut = is_shut(s, &c->key, at);
	struct relay_remote o = {
		.key = c->key,
		.expires = (s->wall + left + MS / 2) / MS,
		.user = slice_make(c->user, c->user_n),
		.mark = s->mark,
	};

	if (m->own)
		read_own_open(s, c, o.expires, shut, m);
	else if (!shut &&
		 relay_remote_open(s->relay, &o, s->wall / MS) == RELAY_OPENED)
		log_opened(c, m);
}

static void
read_shut(struct share *s, const struct share_change *c,
    const struct share_message *m)
{
	int64_t at = m->at - (int64_t)c->age_ms;
	const struct relay_entry *mine = relay_store_find(s->unsaid, &c->key);

	/* Said by now, by us or by somebody who said it later. */
	if (mine != NULL && mine->expires <= at - s->ahead + MS)
		relay_store_remove(s->unsaid, &c->key);
	share_remember(s->shuts, &c->key, at, m->now - share_timeout_ms(s));
	if (relay_remote_shut(s->relay, &c->key, to_wall(s, at, m->now),
		s->mark, s->wall / MS) > 0)
		log_shut("relay-remove", &c->key, m);
}

static void
read_shut_all(struct share *s, const struct share_change *c,
    const struct share_message *m)
{
	int64_t at = m->at - (int64_t)c->age_ms;

	if (s->unsaid_all <= at - s->ahead + MS)
		s->unsaid_all = INT64_MIN;
	if (at > s->shut_all)
		s->shut_all = at;
	if (relay_remote_shut_all(
		s->relay, to_wall(s, at, m->now), s->mark, s->wall / MS) > 0)
		log_shut("relay-purge", NULL, m);
}

/* Who asks has read what stands before this in the log as far as it is still
 * there, and reads all that comes behind: so only that counts as told.  Told
 * later, it still comes behind; and one pass answers all who have asked before
 * it. */
static void
read_tell_all(struct share *s, const struct share_message *m)
{
	if (m->own) {
		s->missed = false; /* as is known to the others now */
		return;
	}
	if (!s->any_known)
		return; /* nothing told came before this, and all is told */
	s->tell_all = true;
	share_tell_all_if_due(s);
}

static void
read_change(struct share *s, const struct share_change *c,
    const struct share_message *m)
{
	if (c->kind != SHARE_TELL_ALL)
		s->any_known = true;
	switch (c->kind) {
	case SHARE_OPEN:
		read_open(s, c, m);
		break;
	case SHARE_SHUT:
		read_shut(s, c, m);
		break;
	case SHARE_SHUT_ALL:
		read_shut_all(s, c, m);
		break;
	case SHARE_TELL_ALL:
		read_tell_all(s, m);
		break;
	}
}

/* The next change of some messages; false: the end. */
static bool
next_change(const struct share_message **m, const struct share_message *end,
    struct slice *text, struct share_change *c)
{
	for (;;) {
		int ret = share_wire_read(text, c);

		if (ret == 1)
			return true;
		if (ret == -1)
			continue; /* of a later version, or a stranger's */
		if (++*m == end)
			return false;
		*text = (*m)->text;
	}
}

/* What the first n of s->read need, all at once: most of the time for one is
 * waiting for that. */
static void
fetch(const struct share *s, size_t n)
{
	struct relay_key keys[RELAY_STORE_FETCH];
	struct slice users[RELAY_STORE_FETCH];
	size_t some = 0;

	for (size_t i = 0; i < n; i++) {
		const struct share_change *c = &s->read[i].change;

		if (c->kind != SHARE_OPEN && c->kind != SHARE_SHUT)
			continue; /* has no key */
		keys[some] = c->key;
		users[some++] = c->kind == SHARE_OPEN
				    ? slice_make(c->user, c->user_n)
				    : SLICE("");
	}
	relay_store_fetch(s->relay->store, keys, users, some);
}

static void
take(struct share *s, size_t n)
{
	fetch(s, n);
	for (size_t i = 0; i < n; i++) {
		const struct share_message *m = s->read[i].message;

		s->ahead = m->now - s->mono;
		read_change(s, &s->read[i].change, m);
	}
}

void
share_read(struct share *s, const struct share_message *m, size_t n)
{
	const struct share_message *end = m + n;
	struct slice text;
	size_t some = 0;

	if (n == 0)
		return;
	share_refresh(s);
	text = m->text;
	while (next_change(&m, end, &text, &s->read[some].change)) {
		s->read[some++].message = m;
		if (some < RELAY_STORE_FETCH)
			continue;
		take(s, some);
		some = 0;
	}
	take(s, some);
}
