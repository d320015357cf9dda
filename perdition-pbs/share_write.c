/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_write - what this host has to tell, as messages; see share.h.
 */
#include "config.h"

#include "perdition-pbs/relay_remote.h"
#include "perdition-pbs/share_private.h"

#include "common/banned.h"

#define LOOK_PER_CALL 8192u /* entries, in one turn of the loop */

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
fresh_change(
    struct share *s, const struct share_fresh *f, struct share_change *c)
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
	share_refresh(s);
	share_tell_all_if_due(s);
	while (n + SHARE_LINE_MAX <= SHARE_MESSAGE_MAX) {
		bool found;
		long len;

		if (has_to_ask(s))
			found = ask(s, &c);
		else if (s->head != s->tail)
			found = fresh_change(
			    s, &s->ring[s->head++ % SHARE_RING], &c);
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
		   (s->tell_all && share_tell_all_is_due(
				       s, s->clock.mono_ms(s->clock.arg))));
}
