/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis - the log of share.h in a Redis stream; see the header.
 *
 * A round goes through the servers until one takes us: from a Sentinel the
 * master's address, then the writer's greeting (may we write, what time is it
 * there, is what we read last still there), then the reader.
 */
#include "config.h"

#include "perdition-pbs/share_redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perdition-pbs/share_answer.h"
#include "perdition-pbs/share_redis_private.h"

#include "common/banned.h"

#define POLL_MS 10000

/* --- asking -------------------------------------------------------------- */

static void
on_time(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	int64_t now = share_answer_time(r);

	if (share_redis_refused(s, r))
		return;
	if (now == -1)
		share_redis_odd(s);
	else
		s->ahead = now - s->clock.mono_ms(s->clock.arg);
}

/* The first command that writes. */
static void
on_expire(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;

	if (share_answer_error(r) != SHARE_ERROR_FULL)
		share_redis_refused(s, r);
}

static void
on_trim(void *arg, const redisReply *r)
{
	/* MINID came with Redis 6.2; before, there is only maxlen. */
	if (share_answer_error(r) != SHARE_ERROR_FULL &&
	    share_answer_error(r) != SHARE_ERROR_COMMAND)
		share_redis_refused(arg, r);
}

static void
on_last(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_id id;

	if (!share_redis_refused(s, r))
		s->last_there = share_answer_first(r, &id) == 1;
}

static void
on_kept(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_id id;

	if (share_redis_refused(s, r) || share_answer_first(r, &id) == 1)
		return;
	/* The next greeting looks in vain for an entry before all others, even
	 * if the last that was read is there. */
	s->last = (struct share_id){ 0, 0 };
	share_redis_give_up(s, &s->at,
	    SLICE("what was shared is gone from there: starting over"));
}

static void
on_newest(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	int ret;

	if (share_redis_refused(s, r))
		return;
	ret = share_answer_first(r, &s->newest);
	if (ret == -1) {
		share_redis_odd(s);
		return;
	}
	s->has_newest = ret == 1;
	share_redis_read(s);
}

static void
ask_time(struct share_redis *s)
{
	char ms[SLICE_U64_MAX + 1];

	snprintf(ms, sizeof(ms), "%" PRId64, 2 * share_timeout_ms(s->share));
	share_redis_send(s, &s->writer, on_expire,
	    WORDS(SLICE("PEXPIRE"), slice_str(s->key), slice_str(ms)));
	share_redis_send(s, &s->writer, on_time, WORDS(SLICE("TIME")));
}

/* Whether the entry id is there. */
static void
ask_for(struct share_redis *s, const struct share_id *id, share_reply *fn)
{
	char text[SHARE_ID_MAX];

	share_id_write(id, text);
	share_redis_send(s, &s->writer, fn,
	    WORDS(SLICE("XRANGE"), slice_str(s->key), slice_str(text),
		slice_str(text), SLICE("COUNT"), SLICE("1")));
}

void
share_redis_check_kept(struct share_redis *s)
{
	int64_t oldest = share_redis_now(s) - share_timeout_ms(s->share);

	if (s->has_kept && (int64_t)s->kept.ms > oldest + POLL_MS)
		ask_for(s, &s->kept, on_kept);
	s->has_kept = s->has_last;
	s->kept = s->last;
	s->kept_n = 0;
}

static void
on_poll(uv_timer_t *t)
{
	struct share_redis *s = t->data;
	int64_t oldest = share_redis_now(s) - share_timeout_ms(s->share);
	char text[SLICE_U64_MAX + 1];

	ask_time(s);
	snprintf(text, sizeof(text), "%" PRId64, oldest < 0 ? 0 : oldest);
	share_redis_send(s, &s->writer, on_trim,
	    WORDS(SLICE("XTRIM"), slice_str(s->key), SLICE("MINID"), SLICE("~"),
		slice_str(text)));
	/* So many came behind what was kept that it may have been cut, and some
	 * may not have been read yet. */
	if (s->kept_n >= s->maxlen_n / 2)
		s->has_kept = false;
	if (share_is_up(s->share))
		share_redis_check_kept(s);
	if (uv_now(s->loop) - s->renewed >=
	    (uint64_t)share_timeout_ms(s->share) / 4) {
		s->renewed = uv_now(s->loop);
		share_renew(s->share);
	}
}

static void
greet(struct share_redis *s)
{
	s->writer = share_redis_dial(s, &s->at, ANSWER_MS);
	if (s->writer == NULL)
		return;
	s->last_there = false;
	share_redis_log_in(s, &s->writer);
	ask_time(s);
	if (s->has_last)
		ask_for(s, &s->last, on_last);
	share_redis_send(s, &s->writer, on_newest,
	    WORDS(SLICE("XREVRANGE"), slice_str(s->key), SLICE("+"), SLICE("-"),
		SLICE("COUNT"), SLICE("1")));
	if (s->writer != NULL)
		uv_timer_start(&s->poll, on_poll, POLL_MS, POLL_MS);
}

static void
on_master(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_place p;
	int ret;

	if (share_redis_refused(s, r))
		return;
	ret = share_answer_master(r, &p);
	if (ret == 0)
		share_redis_give_up(
		    s, &s->at, SLICE("knows no master of that name"));
	if (ret == -1)
		share_redis_odd(s);
	if (ret != 1)
		return;
	share_link_close(&s->ask);
	s->at = p;
	greet(s);
}

static void
ask_sentinel(struct share_redis *s)
{
	struct slice password = secret_get(&s->sentinel_password);

	s->ask = share_redis_dial(s, &s->at, ANSWER_MS);
	if (s->ask != NULL && password.n > 0)
		share_redis_send(s, &s->ask, share_redis_on_ok,
		    WORDS(SLICE("AUTH"), password));
	share_redis_send(s, &s->ask, on_master,
	    WORDS(SLICE("SENTINEL"), SLICE("get-master-addr-by-name"),
		slice_str(s->sentinel)));
}

void
share_redis_on_retry(uv_timer_t *t)
{
	struct share_redis *s = t->data;

	s->at = s->servers[s->server];
	if (s->sentinel[0] != '\0')
		ask_sentinel(s);
	else
		greet(s);
}

/* --- life ---------------------------------------------------------------- */
bool
share_redis_behind(const struct share_redis *s)
{
	return s->reader != NULL && !share_is_up(s->share);
}

struct share_redis *
share_redis_create(const struct pbs_config *c, struct relay *relay,
    const struct share_clock *clock, struct err *err)
{
	struct share_redis *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	s->clock = *clock;
	if (share_redis_set_up(s, c, err) == -1) {
		share_redis_destroy(&s);
		return NULL;
	}
	s->share = share_create(relay, clock);
	if (s->share == NULL) {
		err_set(err, errno, "%s", strerror(errno));
		share_redis_destroy(&s);
	}
	return s;
}

int
share_redis_start(struct share_redis *s, uv_loop_t *loop)
{
	uv_timer_t *timers[] = { &s->retry, &s->poll, &s->full, &s->again };

	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		if (uv_timer_init(loop, timers[i]) != 0) {
			errno = ENOMEM;
			return -1;
		}
		timers[i]->data = s;
	}
	s->loop = loop;
	uv_timer_start(&s->retry, share_redis_on_retry, 0, 0);
	return 0;
}

void
share_redis_stop(struct share_redis *s)
{
	if (s->loop == NULL)
		return;
	/* What was said in this turn: of a removal the next start would not
	 * know that the others do not. */
	if (s->writer != NULL)
		share_link_push(s->writer);
	share_redis_hang_up(s);
	s->loop = NULL;
	uv_close((uv_handle_t *)&s->retry, NULL);
	uv_close((uv_handle_t *)&s->poll, NULL);
	uv_close((uv_handle_t *)&s->full, NULL);
	uv_close((uv_handle_t *)&s->again, NULL);
}

void
share_redis_destroy(struct share_redis **sp)
{
	struct share_redis *s = *sp;

	if (s == NULL)
		return;
	share_destroy(&s->share);
	share_tls_destroy(&s->tls);
	secret_clear(&s->password);
	secret_clear(&s->sentinel_password);
	free(s->servers);
	free(s->sentinel);
	free(s->user);
	free(s->key);
	free(s);
	*sp = NULL;
}
