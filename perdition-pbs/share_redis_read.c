/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis_read - the reader: what comes in the stream; see the private
 * header.
 */
#include "config.h"

#include "perdition-pbs/share_redis_private.h"

#include <stdio.h>

#include "common/log.h"
#include "perdition-pbs/share_answer.h"

#include "common/banned.h"

#define BLOCK_MS 5000 /* XREAD comes back at least so often */
/* In one turn of the loop are read so many full entries of the stream, or more
 * that are small; which are few still if those are full after all: some ms. */
#define READ_MIN 64u
#define READ_MAX 256u

static void on_read(void *arg, const redisReply *r);

/* Of a stream as long as it may be: is all in it that is alive? */
static void
on_first(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_id first;
	int64_t age;

	if (share_redis_refused(s, r) || !s->from_start ||
	    share_answer_first(r, &first) != 1)
		return;
	s->from_start = false;
	age = share_redis_now(s) - (int64_t)first.ms;
	if (age >= share_timeout_ms(s->share))
		return;
	share_missed(s->share);
	if (!s->said_trimmed)
		log_event(LOG_WARNING, "redis-trimmed",
		    LOG_U64("entries", s->read_n),
		    LOG_I64("seconds", age / 1000),
		    LOG_STR("consequence",
			"other hosts tell again what they know: raise "
			"redis_maxlen"));
	s->said_trimmed = true;
}

static void
up(struct share_redis *s)
{
	char place[SHARE_HOST_MAX + 16];

	share_up(s->share);
	s->said_n = 0;
	s->tried = 0;
	s->wait_ms = RETRY_MIN_MS;
	share_redis_write_place(&s->at, place, sizeof(place));
	log_event(LOG_NOTICE, "redis-up", LOG_STR("server", place));
	/* Where we went on from: else the stream may have been cut past what we
	 * were about to read. */
	share_redis_check_kept(s);
}

/*
 * The stream has been read to its very end.  Where that is cut at so many
 * entries, it had as many when we began, and when it was cut past what we were
 * about to read.
 */
static void
check_start(struct share_redis *s)
{
	s->from_start = s->read_n >= s->maxlen_n;
	if (s->from_start)
		share_redis_send(s, &s->writer, on_first,
		    WORDS(SLICE("XRANGE"), slice_str(s->key), SLICE("-"),
			SLICE("+"), SLICE("COUNT"), SLICE("1")));
}

static void
read_next(struct share_redis *s, const struct share_id *behind)
{
	char id[SHARE_ID_MAX], count[16], block[16];

	s->asked = s->read_count;
	share_id_write(behind, id);
	snprintf(count, sizeof(count), "%u", s->read_count);
	snprintf(block, sizeof(block), "%d", BLOCK_MS);
	share_redis_send(s, &s->reader, on_read,
	    WORDS(SLICE("XREAD"), SLICE("COUNT"), slice_str(count),
		SLICE("BLOCK"), slice_str(block), SLICE("STREAMS"),
		slice_str(s->key), slice_str(id)));
}

/* Entry i as a message, if it is one. */
static bool
take_entry(struct share_redis *s, const redisReply *r, size_t i, int64_t now,
    struct share_message *m)
{
	struct share_stored e;
	bool ours = share_answer_entry(r, i, &e);

	if (!share_id_before(&s->last, &e.id))
		return false; /* no id, or Redis makes no sense */
	s->last = e.id;
	s->has_last = true;
	if (!s->has_kept && share_is_up(s->share)) {
		s->has_kept = true;
		s->kept = e.id;
	}
	if (!ours || e.changes.n > SHARE_MESSAGE_MAX)
		return false; /* a stranger's */
	m->text = e.changes;
	m->from = e.from;
	m->own = slice_eq(e.from, slice_str(s->self));
	m->at = (int64_t)e.id.ms;
	m->now = now < m->at ? m->at : now;
	return true;
}

/* How many to ask for, when n had so many bytes; each of a stranger counts as
 * if it were full. */
static unsigned int
count_for(size_t n, size_t bytes)
{
	size_t count =
	    bytes == 0 ? 0 : READ_MIN * SHARE_MESSAGE_MAX * n / bytes;

	return count < READ_MIN   ? READ_MIN
	       : count > READ_MAX ? READ_MAX
				  : (unsigned int)count;
}

static void
take_entries(struct share_redis *s, const redisReply *r, size_t n)
{
	struct share_message m[RELAY_STORE_FETCH];
	int64_t now = share_redis_now(s);
	size_t some = 0, bytes = 0;

	for (size_t i = 0; i < n; i++) {
		if (!take_entry(s, r, i, now, &m[some])) {
			bytes += SHARE_MESSAGE_MAX;
			continue;
		}
		bytes += m[some].text.n;
		if (++some < RELAY_STORE_FETCH)
			continue;
		share_read(s->share, m, some);
		some = 0;
	}
	share_read(s->share, m, some);
	s->read_n += n;
	s->kept_n += n;
	s->read_count = count_for(n, bytes);
}

static void
on_read(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_stored newest = { { 0, 0 }, SLICE(""), SLICE("") };
	unsigned int asked = s->asked;
	size_t n;

	if (share_redis_refused(s, r))
		return;
	n = share_answer_entries(r);
	if (n > 0)
		share_answer_entry(r, n - 1, &newest);
	if (n > 0 && !share_id_before(&s->last, &newest.id)) {
		/* It would answer the same again, at once and for ever. */
		share_redis_odd(s);
		return;
	}
	/* Asked for before these are taken, so that Redis is busy meanwhile. */
	read_next(s, n > 0 ? &newest.id : &s->last);
	if (s->reader != NULL)
		share_link_push(s->reader);
	if (s->reader == NULL)
		return; /* what was asked for is read again */
	take_entries(s, r, n);
	if (!share_is_up(s->share) &&
	    (n == 0 || !s->has_newest ||
		!share_id_before(&s->last, &s->newest)))
		up(s);
	if (s->from_start && n < asked && share_is_up(s->share))
		check_start(s);
}

static void
begin(struct share_redis *s)
{
	if (!s->has_last || !s->last_there) {
		int64_t from = share_redis_now(s) - share_timeout_ms(s->share);

		if (s->has_last)
			share_forgotten(s->share);
		/* What is older is dead. */
		s->last.ms = from < 0 ? 0 : (uint64_t)from;
		s->last.seq = 0;
		s->has_last = false;
		s->from_start = true;
		s->read_n = 0;
	}
	s->read_count = READ_MIN;
	s->kept_n = 0;
	s->kept = s->last;
	s->has_kept = s->has_last;
}

void
share_redis_read(struct share_redis *s)
{
	begin(s);
	s->reader = share_redis_dial(s, &s->at, BLOCK_MS + ANSWER_MS);
	if (s->reader == NULL)
		return;
	share_redis_log_in(s, &s->reader);
	if (s->reader == NULL)
		return;
	if (!s->has_newest || !share_id_before(&s->last, &s->newest))
		up(s);
	read_next(s, &s->last);
}
