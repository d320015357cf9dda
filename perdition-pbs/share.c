/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share - keeping the entries of several hosts alike; see the header.  What
 * others know, and what has happened here that they do not.
 */
#include "config.h"

#include "perdition-pbs/share.h"

#include <stdlib.h>

#include "perdition-pbs/relay_remote.h"
#include "perdition-pbs/share_private.h"

#include "common/banned.h"

/* Between two times that all is told because others ask for it: whoever can
 * write to the log can ask without end. */
#define TELL_ALL_MS (30 * MS)

static void on_news(void *arg, const struct relay_news *);

void
share_refresh(struct share *s)
{
	s->wall = s->clock.wall_ms(s->clock.arg);
	s->mono = s->clock.mono_ms(s->clock.arg);
}

int64_t
share_timeout_ms(const struct share *s)
{
	return (int64_t)s->relay->limits.timeout * MS;
}

/* --- removals ------------------------------------------------------------ */

void
share_remember(struct relay_store *shuts, const struct relay_key *k, int64_t at,
    int64_t old)
{
	struct relay_entry e = { .key = *k, .expires = at };
	const struct relay_entry *first;
	struct relay_key gone;

	while ((first = relay_store_due(shuts, old - 1)) != NULL) {
		gone = first->key;
		relay_store_remove(shuts, &gone);
	}
	if (at < old || (relay_store_count(shuts) >= SHARE_SHUTS_MAX &&
			    at <= relay_store_next(shuts)->expires))
		return;
	if (relay_store_touch(shuts, &e, SLICE(""), INT64_MIN) == -1)
		return; /* no memory: as if it were the oldest of too many */
	if (relay_store_count(shuts) > SHARE_SHUTS_MAX) {
		gone = relay_store_next(shuts)->key;
		relay_store_remove(shuts, &gone);
	}
}

/* --- news of this host --------------------------------------------------- */

void
share_look(struct share *s)
{
	s->looking = true;
	/* One more, for all. */
	s->look_shuts = relay_store_count(s->unsaid) + 1;
	s->look_entries = relay_store_count(s->relay->store);
}

static void
push(struct share *s, const struct share_fresh *f)
{
	if (!s->up)
		return; /* its mark tells */
	if (s->tail - s->head == SHARE_RING) {
		s->head = s->tail;
		share_look(s);
		return;
	}
	s->ring[s->tail++ % SHARE_RING] = *f;
}

static void
on_news(void *arg, const struct relay_news *news)
{
	struct share *s = arg;
	struct share_fresh f;
	int64_t late;

	share_refresh(s);
	f.at = s->mono;
	switch (news->kind) {
	case RELAY_NEWS_OPEN:
		f.kind = SHARE_OPEN;
		f.key = *news->key;
		/* Of a login's time only the seconds are known. */
		late = s->wall / MS - news->when;
		if (late > RELAY_REMOTE_SLACK)
			f.at -= late * MS;
		break;
	case RELAY_NEWS_SHUT:
		f.kind = SHARE_SHUT;
		f.key = *news->key;
		share_remember(
		    s->unsaid, &f.key, f.at, f.at - share_timeout_ms(s));
		break;
	case RELAY_NEWS_SHUT_ALL:
		f.kind = SHARE_SHUT_ALL;
		relay_store_clear(s->unsaid);
		s->unsaid_all = f.at;
		break;
	}
	push(s, &f);
}

static void
on_changed(void *arg, const struct relay_key *k, bool urgent)
{
	(void)arg;
	(void)k;
	(void)urgent;
}

static void
on_all_changed(void *arg)
{
	(void)arg;
}

/* --- life ---------------------------------------------------------------- */

struct share *
share_create(struct relay *relay, const struct share_clock *clock)
{
	struct share *s = calloc(1, sizeof(*s));
	struct relay_sink sink = { on_changed, on_all_changed, s, on_news };

	if (s == NULL)
		return NULL;
	s->relay = relay;
	s->clock = *clock;
	s->mark = 1; /* 0: told to nobody */
	s->shut_all = s->unsaid_all = s->tell_next = INT64_MIN;
	s->ring = calloc(SHARE_RING, sizeof(*s->ring));
	s->shuts = relay_store_create();
	s->unsaid = relay_store_create();
	if (s->ring == NULL || s->shuts == NULL || s->unsaid == NULL ||
	    relay_attach(relay, &sink) == -1)
		share_destroy(&s);
	return s;
}

void
share_destroy(struct share **sp)
{
	struct share *s = *sp;

	if (s == NULL)
		return;
	relay_store_destroy(&s->shuts);
	relay_store_destroy(&s->unsaid);
	free(s->ring);
	free(s);
	*sp = NULL;
}

bool
share_is_up(const struct share *s)
{
	return s->up;
}

void
share_down(struct share *s)
{
	s->up = false;
	s->asked = false;
	s->looking = false;
	s->head = s->tail;
}

void
share_missed(struct share *s)
{
	s->missed = true;
	s->asked = false;
}

void
share_again(struct share *s)
{
	s->asked = false;
	s->head = s->tail;
	if (s->up)
		share_look(s);
}

void
share_renew(struct share *s)
{
	if (!s->up)
		return;
	s->long_too = true;
	share_look(s);
}

/* Marks are few: after some losses the first one is used again. */
static void
next_mark(struct share *s)
{
	s->mark++;
	s->any_known = s->tell_all = false;
	if (s->mark <= RELAY_MARK_MAX)
		return;
	s->mark = 1;
	relay_store_unmark(s->relay->store);
}

void
share_forgotten(struct share *s)
{
	int64_t old;

	share_refresh(s);
	old = s->mono - share_timeout_ms(s);
	next_mark(s);
	for (size_t i = 0; i < relay_store_count(s->shuts); i++) {
		const struct relay_entry *e = relay_store_at(s->shuts, i);

		share_remember(s->unsaid, &e->key, e->expires - s->ahead, old);
	}
	if (s->shut_all != INT64_MIN && s->shut_all - s->ahead > s->unsaid_all)
		s->unsaid_all = s->shut_all - s->ahead;
	relay_store_clear(s->shuts);
	s->shut_all = INT64_MIN;
}

/* A pass over all that is known here is never begun anew before its end: who
 * asks often would keep it from getting there. */
bool
share_tell_all_is_due(const struct share *s, int64_t mono)
{
	return s->tell_all && !s->looking && mono >= s->tell_next;
}

void
share_tell_all_if_due(struct share *s)
{
	if (!share_tell_all_is_due(s, s->mono))
		return;
	s->tell_next = s->mono + TELL_ALL_MS;
	share_forgotten(s);
	if (s->up)
		share_look(s);
}

void
share_up(struct share *s)
{
	share_refresh(s);
	share_tell_all_if_due(s);
	s->up = true;
	share_look(s);
}
