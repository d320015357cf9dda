/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share - keeping the entries of several hosts alike; see the header.
 */
#include "config.h"

#include "perdition-pbs/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "perdition-pbs/relay_remote.h"

#include "common/banned.h"

#define RING 65536u         /* fresh news; a power of 2 */
#define LOOK_PER_CALL 8192u /* entries, in one turn of the loop */
#define MS 1000
/* Between two times that all is told because others ask for it: whoever can
 * write to the log can ask without end. */
#define TELL_ALL_MS (30 * MS)

/* What has just happened here, told in this order. */
struct fresh {
	struct relay_key key;
	enum share_kind kind;
	int64_t at; /* mono */
};

struct share {
	struct relay *relay;
	struct share_clock clock;
	int64_t wall, mono; /* ms, as of refresh() */
	bool up;
	unsigned int mark; /* of entries that the others know */
	bool any_known;    /* something was read since mark is new */
	bool tell_all;     /* the others have asked for it */
	int64_t tell_next; /* mono: not before that */
	bool missed;       /* the others are to tell all once more */
	bool asked;        /* and it is on its way to them */

	struct fresh *ring;
	uint32_t head, tail;

	/* Looking for what the others do not know: first shuts, then entries,
	 * each from the end; the next position is one less. */
	bool looking, long_too;
	size_t look_shuts, look_entries;

	/* Whose "expires" is when: removals read from the log (its ms), and
	 * those that were not read back yet (mono ms). */
	struct relay_store *shuts, *unsaid;
	int64_t shut_all, unsaid_all; /* the same of all; INT64_MIN: none */
	int64_t ahead; /* the log's clock less mono, when last seen */

	struct {
		struct share_change change;
		const struct share_message *message;
	} read[RELAY_STORE_FETCH];
};

static void on_news(void *arg, const struct relay_news *);

/* First in all that is called from outside: one time for all that it does. */
static void
refresh(struct share *s)
{
	s->wall = s->clock.wall_ms(s->clock.arg);
	s->mono = s->clock.mono_ms(s->clock.arg);
}

static int64_t
timeout_ms(const struct share *s)
{
	return (int64_t)s->relay->limits.timeout * MS;
}

/* --- removals ------------------------------------------------------------ */

/* When k was shut, alone or with all; INT64_MIN: never. */
static int64_t
shut_at(const struct relay_store *shuts, int64_t all, const struct relay_key *k)
{
	const struct relay_entry *e =
	    relay_store_count(shuts) == 0 ? NULL : relay_store_find(shuts, k);

	return e == NULL || e->expires < all ? all : e->expires;
}

/* Remembers that k was shut at `at'; what is older than `old' is of no use. */
static void
remember(struct relay_store *shuts, const struct relay_key *k, int64_t at,
    int64_t old)
{
	struct relay_entry e = { .key = *k, .expires = at };
	const struct relay_entry *first;

	if (relay_store_touch(shuts, &e, SLICE(""), INT64_MIN) == -1)
		return; /* no memory: as if it were the oldest of too many */
	while ((first = relay_store_next(shuts)) != NULL &&
	       (first->expires < old ||
		   relay_store_count(shuts) > SHARE_SHUTS_MAX)) {
		struct relay_key gone = first->key;

		relay_store_remove(shuts, &gone);
	}
}

/* --- news of this host --------------------------------------------------- */

static void
look(struct share *s)
{
	s->looking = true;
	/* One more, for all. */
	s->look_shuts = relay_store_count(s->unsaid) + 1;
	s->look_entries = relay_store_count(s->relay->store);
}

static void
push(struct share *s, const struct fresh *f)
{
	if (!s->up)
		return; /* its mark tells */
	if (s->tail - s->head == RING) {
		s->head = s->tail;
		look(s);
		return;
	}
	s->ring[s->tail++ % RING] = *f;
}

static void
on_news(void *arg, const struct relay_news *news)
{
	struct share *s = arg;
	struct fresh f;
	int64_t late;

	refresh(s);
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
		remember(s->unsaid, &f.key, f.at, f.at - timeout_ms(s));
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
	s->ring = calloc(RING, sizeof(*s->ring));
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
		look(s);
}

void
share_renew(struct share *s)
{
	if (!s->up)
		return;
	s->long_too = true;
	look(s);
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

	refresh(s);
	old = s->mono - timeout_ms(s);
	next_mark(s);
	for (size_t i = 0; i < relay_store_count(s->shuts); i++) {
		const struct relay_entry *e = relay_store_at(s->shuts, i);

		remember(s->unsaid, &e->key, e->expires - s->ahead, old);
	}
	if (s->shut_all != INT64_MIN && s->shut_all - s->ahead > s->unsaid_all)
		s->unsaid_all = s->shut_all - s->ahead;
	relay_store_clear(s->shuts);
	s->shut_all = INT64_MIN;
}

/* A pass over all that is known here is never begun anew before its end: who
 * asks often would keep it from getting there. */
static bool
tell_all_is_due(const struct share *s, int64_t mono)
{
	return s->tell_all && !s->looking && mono >= s->tell_next;
}

static void
tell_all_if_due(struct share *s)
{
	if (!tell_all_is_due(s, s->mono))
		return;
	s->tell_next = s->mono + TELL_ALL_MS;
	share_forgotten(s);
	if (s->up)
		look(s);
}

void
share_up(struct share *s)
{
	refresh(s);
	tell_all_if_due(s);
	s->up = true;
	look(s);
}

/* --- writing ------------------------------------------------------------- */

/* What is to be said of k's entry, opened `age' ms ago; false: nothing. */
static bool
open_change(struct share *s, const struct relay_key *k, int64_t age,
    struct share_change *c)
{
	const struct relay_entry *e = relay_store_find(s->relay->store, k);
	int64_t left;

	if (e == NULL)
		return false;
	left = e->expires * MS - s->wall;
	if (left <= 0 || left > (int64_t)SHARE_MS_MAX)
		return false; /* dead, or here by configuration */
	c->kind = SHARE_OPEN;
	c->key = *k;
	c->left_ms = (uint64_t)left;
	c->age_ms = age < 0 ? 0 : (uint64_t)age;
	share_change_user(c, relay_store_user(s->relay->store, e));
	return true;
}

static void
shut_change(const struct share *s, const struct relay_key *k, int64_t at,
    struct share_change *c)
{
	int64_t age = s->mono - at;

	c->kind = k == NULL ? SHARE_SHUT_ALL : SHARE_SHUT;
	if (k != NULL)
		c->key = *k;
	c->age_ms = age < 0 ? 0 : (uint64_t)age;
}

/* What became of a piece of news meanwhile; false: nothing to say. */
static bool
fresh_change(struct share *s, const struct fresh *f, struct share_change *c)
{
	if (f->kind == SHARE_OPEN) {
		const struct relay_entry *e =
		    relay_store_find(s->relay->store, &f->key);

		return e != NULL && e->mark != s->mark &&
		       open_change(s, &f->key, s->mono - f->at, c);
	}
	shut_change(s, f->kind == SHARE_SHUT ? &f->key : NULL, f->at, c);
	return true;
}

static bool
look_at_shut(struct share *s, struct share_change *c)
{
	const struct relay_entry *e;

	if (s->look_shuts == 0 && s->unsaid_all != INT64_MIN) {
		shut_change(s, NULL, s->unsaid_all, c);
		return true;
	}
	if (s->look_shuts == 0 || s->look_shuts > relay_store_count(s->unsaid))
		return false; /* some went meanwhile */
	e = relay_store_at(s->unsaid, s->look_shuts - 1);
	shut_change(s, &e->key, e->expires, c);
	return true;
}

static bool
look_at_entry(struct share *s, struct share_change *c)
{
	const struct relay_entry *e;
	int64_t now = s->wall / MS, opened, age;

	if (s->look_entries >= relay_store_count(s->relay->store))
		return false; /* some went meanwhile */
	e = relay_store_at(s->relay->store, s->look_entries);
	opened = relay_remote_opened(s->relay, e, now);
	if (e->mark == s->mark && !(s->long_too && opened == INT64_MIN))
		return false;
	/* Of when it was opened only the second is known, and that may have
	 * been rounded up: of a login and a removal as close as that, the
	 * removal is to count. */
	age = opened == INT64_MIN ? 0 : s->wall - opened * MS + MS / 2;
	return open_change(s, &e->key, age, c);
}

/* One step of looking; whether it found something to say. */
static bool
look_step(struct share *s, struct share_change *c)
{
	if (s->look_shuts > 0) {
		s->look_shuts--;
		return look_at_shut(s, c);
	}
	if (s->look_entries > 0) {
		s->look_entries--;
		return look_at_entry(s, c);
	}
	s->looking = false;
	s->long_too = false;
	return false;
}

static bool
has_to_ask(const struct share *s)
{
	return s->missed && !s->asked;
}

/* First of all: what is told behind it need not be told once more. */
static bool
ask(struct share *s, struct share_change *c)
{
	c->kind = SHARE_TELL_ALL;
	s->asked = true;
	return true;
}

size_t
share_write(struct share *s, char out[SHARE_MESSAGE_MAX])
{
	struct share_change c;
	size_t n = 0, looked = 0;

	if (!s->up)
		return 0;
	refresh(s);
	tell_all_if_due(s);
	while (n + SHARE_LINE_MAX <= SHARE_MESSAGE_MAX) {
		bool found;
		long len;

		if (has_to_ask(s))
			found = ask(s, &c);
		else if (s->head != s->tail)
			found = fresh_change(s, &s->ring[s->head++ % RING], &c);
		else if (s->looking && looked++ < LOOK_PER_CALL)
			found = look_step(s, &c);
		else
			break;
		len = found
			  ? share_wire_write(&c, out + n, SHARE_MESSAGE_MAX - n)
			  : 0;
		n += len > 0 ? (size_t)len : 0;
	}
	return n;
}

bool
share_busy(const struct share *s)
{
	return s->up &&
	       (s->looking || s->head != s->tail || has_to_ask(s) ||
		   (s->tell_all &&
		       tell_all_is_due(s, s->clock.mono_ms(s->clock.arg))));
}

/* --- reading ------------------------------------------------------------- */

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
	remember(s->shuts, &c->key, at, m->now - timeout_ms(s));
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
	tell_all_if_due(s);
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
	refresh(s);
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
