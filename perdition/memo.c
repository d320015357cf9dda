/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memo - see memo.h.
 */
#include "config.h"

#include "perdition/memo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"

#include "common/banned.h"

#define TTL_NONE UINT32_MAX

struct entry {
	struct memo *memo;
	struct ask_pool *pool; /* while one is on its way */
	struct memo_times times;
	struct entry *chain;         /* of the same hash */
	struct entry *newer, *older; /* by use */
	enum memo_result result;     /* MEMO_WAIT: nothing is known yet */
	uint64_t learned;     /* number of the last reply, also a failed one */
	uint64_t until;       /* ms; ask anew from then on */
	uint64_t stale_until; /* ms; of the bytes of MEMO_FOUND */
	struct memo_waiter *waiters;
	char *bytes; /* malloc'ed: the answer, or why it failed */
	size_t n;
	size_t key_n;
	char key[];
};

struct memo {
	struct hash_key hash;
	struct entry **bucket;
	size_t buckets, n, max;
	uint64_t *replies;
	struct entry *newest, *oldest;
};

struct memo *
memo_create(size_t max, uint64_t *replies)
{
	struct memo *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->max = max;
	m->replies = replies;
	m->buckets = 64;
	while (m->buckets < max)
		m->buckets *= 2;
	m->bucket = calloc(m->buckets, sizeof(*m->bucket));
	if (m->bucket != NULL && hash_key_make(&m->hash) == 0)
		return m;
	memo_destroy(&m);
	return NULL;
}

static void
entry_free(struct entry *e)
{
	while (e->waiters != NULL)
		memo_waiter_leave(e->waiters);
	free(e->bytes);
	free(e);
}

void
memo_destroy(struct memo **mp)
{
	struct memo *m = *mp;

	if (m == NULL)
		return;
	while (m->newest != NULL) {
		struct entry *e = m->newest;

		m->newest = e->older;
		entry_free(e);
	}
	free(m->bucket);
	free(m);
	*mp = NULL;
}

/* --- who waits ---------------------------------------------------------- */

void
memo_waiter_leave(struct memo_waiter *w)
{
	if (w->prev == NULL)
		return;
	*w->prev = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	w->next = NULL;
	w->prev = NULL;
}

static void
join(struct entry *e, struct memo_waiter *w)
{
	memo_waiter_leave(w);
	w->next = e->waiters;
	if (w->next != NULL)
		w->next->prev = &w->next;
	w->prev = &e->waiters;
	e->waiters = w;
}

/* Those that are woken may ask for the same again, and wait again: not for
 * ever, since they are told only once here. */
static void
wake_all(struct entry *e, uint64_t now)
{
	struct memo_waiter *list = e->waiters;

	e->waiters = NULL;
	if (list != NULL)
		list->prev = &list;
	while (list != NULL) {
		struct memo_waiter *w = list;

		memo_waiter_leave(w);
		w->wake(w, now);
	}
}

/* --- what is kept ------------------------------------------------------- */

static struct entry **
place_of(struct memo *m, struct slice key)
{
	struct entry **at =
	    &m->bucket[hash_bytes(&m->hash, key) & (m->buckets - 1)];

	while (
	    *at != NULL && !slice_eq(slice_make((*at)->key, (*at)->key_n), key))
		at = &(*at)->chain;
	return at;
}

static void
unlink_use(struct memo *m, struct entry *e)
{
	*(e->newer == NULL ? &m->newest : &e->newer->older) = e->older;
	*(e->older == NULL ? &m->oldest : &e->older->newer) = e->newer;
}

static void
link_newest(struct memo *m, struct entry *e)
{
	e->newer = NULL;
	e->older = m->newest;
	*(m->newest == NULL ? &m->oldest : &m->newest->newer) = e;
	m->newest = e;
}

/* The least recently used that is not on its way; when all are, none goes:
 * their number is bounded by those who ask. */
static void
make_room(struct memo *m)
{
	struct entry *e = m->oldest;

	while (e != NULL && e->pool != NULL)
		e = e->newer;
	if (e == NULL)
		return;
	*place_of(m, slice_make(e->key, e->key_n)) = e->chain;
	unlink_use(m, e);
	entry_free(e);
	m->n--;
}

/* Found or made, and the newest by use; NULL with errno. */
static struct entry *
entry_of(struct memo *m, struct slice key)
{
	struct entry *e = *place_of(m, key);

	if (e != NULL) {
		unlink_use(m, e);
		link_newest(m, e);
		return e;
	}
	if (m->n >= m->max)
		make_room(m);
	e = calloc(1, sizeof(*e) + key.n);
	if (e == NULL)
		return NULL;
	e->memo = m;
	e->result = MEMO_WAIT;
	e->key_n = key.n;
	if (key.n > 0)
		memcpy(e->key, key.p, key.n);
	*place_of(m, key) = e;
	link_newest(m, e);
	m->n++;
	return e;
}

/* --- replies ------------------------------------------------------------ */

void
memo_reply_begin(struct msg_writer *w, enum memo_result result, uint32_t ttl)
{
	msg_put_u8(w, (uint8_t)result);
	msg_put_u32(w, ttl);
}

static bool
set_bytes(struct entry *e, struct slice s)
{
	char *copy = malloc(s.n + 1);

	if (copy == NULL)
		return false;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	free(e->bytes);
	e->bytes = copy;
	e->n = s.n;
	return true;
}

static uint64_t
lifetime(uint32_t ttl, uint64_t usual)
{
	if (ttl == TTL_NONE)
		return 0;
	return ttl == 0 ? usual : (uint64_t)ttl * 1000;
}

static void
learn_failed(struct entry *e, struct slice why, uint64_t now)
{
	e->until = now + e->times.failed;
	/* Better than nothing. */
	if (e->result == MEMO_FOUND && now < e->stale_until)
		return;
	e->result = MEMO_FAILED;
	if (!set_bytes(e, why))
		e->n = 0;
}

static void
learn(struct entry *e, enum memo_result result, uint32_t ttl, struct slice s,
    uint64_t now)
{
	if (result == MEMO_FOUND && set_bytes(e, s)) {
		e->result = result;
		e->until = now + lifetime(ttl, e->times.found);
		e->stale_until = now + e->times.stale;
	} else if (result == MEMO_NONE) {
		e->result = result;
		e->until = now + lifetime(ttl, e->times.none);
	} else {
		learn_failed(e, s, now);
	}
}

void
memo_done(void *owner, struct slice reply, const char *why, uint64_t now_ms)
{
	struct entry *e = owner;
	struct ask_pool *pool = e->pool;
	enum memo_result result = MEMO_FAILED;
	struct msg_reader r;
	uint32_t ttl = 0;

	msg_read_init(&r, reply.p == NULL ? slice_make(NULL, 0) : reply);
	if (reply.p != NULL) {
		result = (enum memo_result)msg_get_u8(&r);
		ttl = msg_get_u32(&r);
		why = "malformed reply";
	}
	if (r.failed || result > MEMO_FAILED)
		reply.p = NULL;
	e->pool = NULL;
	e->learned = ++*e->memo->replies;
	if (reply.p == NULL)
		learn_failed(e, slice_str(why), now_ms);
	else
		learn(e, result, ttl, r.rest, now_ms);
	ask_pool_set_failing(pool, reply.p == NULL || result == MEMO_FAILED);
	wake_all(e, now_ms);
}

/* --- questions ---------------------------------------------------------- */

static enum memo_result
tell(const struct entry *e, struct slice *answer)
{
	*answer = slice_make(e->n == 0 ? "" : e->bytes, e->n);
	return e->result;
}

static bool
is_fresh(const struct entry *e, uint64_t now, uint64_t since)
{
	return e->result != MEMO_WAIT && (now < e->until || e->learned > since);
}

/* Out of date, but good enough while the new one is under way. */
static bool
is_good_enough(const struct entry *e, const struct ask_pool *pool, uint64_t now)
{
	if (e->result != MEMO_FOUND)
		return false;
	return now < e->until + e->times.refresh ||
	       (ask_pool_failing(pool) && now < e->stale_until);
}

enum memo_result
memo_get(struct memo *m, struct ask_pool *pool, const struct memo_times *times,
    struct slice key, struct slice request, uint64_t now_ms, uint64_t since,
    struct memo_waiter *w, struct slice *answer)
{
	struct entry *e = entry_of(m, key);

	*answer = SLICE("out of memory");
	if (e == NULL)
		return MEMO_FAILED;
	if (is_fresh(e, now_ms, since))
		return tell(e, answer);
	if (e->pool == NULL) {
		e->pool = pool;
		e->times = *times;
		if (ask_pool_ask(pool, request, e, now_ms) == -1) {
			e->pool = NULL;
			return MEMO_FAILED;
		}
	}
	if (e->pool == NULL) /* answered at once */
		return tell(e, answer);
	if (is_good_enough(e, pool, now_ms))
		return tell(e, answer);
	join(e, w);
	return MEMO_WAIT;
}
