/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis_call - connections, commands and what goes wrong with them; see
 * the private header.
 */
#include "config.h"

#include "perdition-pbs/share_redis_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "perdition-pbs/share_answer.h"

#include "common/banned.h"

#define RETRY_MAX_MS 800 /* back within a second */

/* --- what goes wrong ----------------------------------------------------- */

void
share_redis_write_place(const struct share_place *p, char *out, size_t cap)
{
	if (p->port == 0)
		snprintf(out, cap, "%s", p->host);
	else
		snprintf(out, cap,
		    strchr(p->host, ':') != NULL ? "[%s]:%u" : "%s:%u", p->host,
		    p->port);
}

/* Each problem once, until all was well again. */
void
share_redis_say(
    struct share_redis *s, const struct share_place *where, struct slice why)
{
	static const struct hash_key fixed = { 0 };
	char place[SHARE_HOST_MAX + 16], text[600];
	uint64_t sum;
	int n;

	share_redis_write_place(where, place, sizeof(place));
	n = snprintf(text, sizeof(text), "%s %.*s", place,
	    (int)(why.n > 200 ? 200 : why.n), why.p);
	sum = hash_bytes(&fixed, slice_make(text, (size_t)n));
	for (size_t i = 0; i < s->said_n; i++)
		if (s->said[i] == sum)
			return;
	if (s->said_n == SAID_MAX)
		return;
	s->said[s->said_n++] = sum;
	log_event(LOG_ERR, "redis-error", LOG_STR("server", place),
	    LOG_SLICE("error", why),
	    LOG_STR("consequence",
		"not shared with other hosts, tried again each second"));
}

void
share_redis_hang_up(struct share_redis *s)
{
	share_link_close(&s->ask);
	share_link_close(&s->writer);
	share_link_close(&s->reader);
	uv_timer_stop(&s->poll);
	uv_timer_stop(&s->full);
	s->in_flight = 0;
	s->is_full = false;
	share_down(s->share);
}

/* This server is of no use now; the next one is tried. */
void
share_redis_give_up(
    struct share_redis *s, const struct share_place *where, struct slice why)
{
	bool was_up = share_is_up(s->share);

	share_redis_hang_up(s);
	share_redis_say(s, where, why);
	s->server = (s->server + 1) % s->servers_n;
	if (was_up) {
		s->wait_ms = RETRY_MIN_MS;
		s->tried = 0;
	} else if (++s->tried < s->servers_n) {
		uv_timer_start(&s->retry, share_redis_on_retry, 0, 0);
		return;
	}
	s->tried = 0;
	uv_timer_start(&s->retry, share_redis_on_retry, s->wait_ms, 0);
	s->wait_ms *= 2;
	if (s->wait_ms > RETRY_MAX_MS)
		s->wait_ms = RETRY_MAX_MS;
}

static void
on_failed(void *arg, const char *why)
{
	struct share_redis *s = arg;

	share_redis_give_up(s, &s->at, slice_str(why));
}

/* Whether r is an error, which ends this session. */
bool
share_redis_refused(struct share_redis *s, const redisReply *r)
{
	if (share_answer_error(r) == SHARE_NO_ERROR)
		return false;
	share_redis_give_up(s, &s->at, share_answer_text(r));
	return true;
}

void
share_redis_odd(struct share_redis *s)
{
	share_redis_give_up(s, &s->at, SLICE("an answer that makes no sense"));
}

/* --- commands ------------------------------------------------------------ */

void
share_redis_send(struct share_redis *s, struct share_link **lp, share_reply *fn,
    const struct slice *words, size_t n)
{
	if (*lp != NULL && share_link_send(*lp, fn, words, n) == -1)
		share_redis_give_up(s, &s->at, slice_str(strerror(ENOBUFS)));
}

void
share_redis_on_ok(void *arg, const redisReply *r)
{
	share_redis_refused(arg, r);
}

void
share_redis_log_in(struct share_redis *s, struct share_link **lp)
{
	struct slice password = secret_get(&s->password);

	if (s->user[0] != '\0')
		share_redis_send(s, lp, share_redis_on_ok,
		    WORDS(SLICE("AUTH"), slice_str(s->user), password));
	else if (password.n > 0)
		share_redis_send(
		    s, lp, share_redis_on_ok, WORDS(SLICE("AUTH"), password));
	if (strcmp(s->db, "0") != 0)
		share_redis_send(s, lp, share_redis_on_ok,
		    WORDS(SLICE("SELECT"), slice_str(s->db)));
}

struct share_link *
share_redis_dial(
    struct share_redis *s, const struct share_place *p, unsigned int answer_ms)
{
	struct share_link_config c = {
		.loop = s->loop,
		.host = p->host,
		.port = p->port,
		.tls = s->tls,
		.answer_ms = answer_ms,
		.failed = on_failed,
		.arg = s,
	};
	struct share_link *l = share_link_open(&c);

	if (l == NULL)
		share_redis_give_up(s, p, slice_str(strerror(errno)));
	return l;
}
