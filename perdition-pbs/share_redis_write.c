/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis_write - the writer: what this host has to say; see the private
 * header.
 */
#include "config.h"

#include "perdition-pbs/share_redis_private.h"

#include "common/log.h"
#include "perdition-pbs/share_answer.h"

#include "common/banned.h"

#define IN_FLIGHT 16 /* XADD without an answer */
#define FULL_RETRY_MS 1000

static void
on_full_over(uv_timer_t *t)
{
	struct share_redis *s = t->data;

	share_again(s->share);
	share_redis_flush(s);
}

static void
on_added(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	enum share_error error = share_answer_error(r);

	s->in_flight--;
	if (error == SHARE_ERROR_FULL) {
		share_redis_say(s, &s->at, share_answer_text(r));
		s->is_full = true;
		if (!uv_is_active((uv_handle_t *)&s->full))
			uv_timer_start(
			    &s->full, on_full_over, FULL_RETRY_MS, 0);
		return;
	}
	if (error != SHARE_NO_ERROR) {
		share_redis_give_up(s, &s->at, share_answer_text(r));
		return;
	}
	if (s->is_full && !uv_is_active((uv_handle_t *)&s->full)) {
		s->is_full = false;
		s->said_n = 0;
		log_event(LOG_NOTICE, "redis-restored");
	}
}

static void
on_again(uv_timer_t *t)
{
	(void)t; /* the turn that it causes ends in a flush */
}

void
share_redis_flush(struct share_redis *s)
{
	char text[SHARE_MESSAGE_MAX];
	unsigned int most = s->is_full ? 1 : IN_FLIGHT;

	if (s->loop == NULL || !share_is_up(s->share) ||
	    uv_is_active((uv_handle_t *)&s->full))
		return;
	while (s->in_flight < most && share_busy(s->share)) {
		size_t n = share_write(s->share, text);

		if (n == 0)
			break;
		s->in_flight++;
		share_redis_send(s, &s->writer, on_added,
		    WORDS(SLICE("XADD"), slice_str(s->key), SLICE("MAXLEN"),
			SLICE("~"), slice_str(s->maxlen), SLICE("*"),
			SLICE("v"), SLICE("1"), SLICE("from"),
			slice_str(s->self), SLICE("changes"),
			slice_make(text, n)));
	}
	/* Else the next answer wakes us. */
	if (s->in_flight < most && share_busy(s->share))
		uv_timer_start(&s->again, on_again, 0, 0);
}
