/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memo - what an ask_pool answered, for its time, and who waits for answers.
 *
 * Of identical questions one is on its way, and all who ask get its answer.
 * An answer counts for whoever asked before it was learned, for its lifetime
 * and, while those who could tell anew fail, for longer (stale).  The number of
 * answers is bounded; the least recently used go first.
 */
#ifndef PERDITION_MEMO_H
#define PERDITION_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/slice.h"
#include "perdition/ask_pool.h"

struct memo;

/* One who waits; embedded in what is to be woken.  Zeroed while it waits for
 * nothing. */
struct memo_waiter {
	struct memo_waiter *next, **prev;
	void (*wake)(struct memo_waiter *, uint64_t now_ms);
};
/* It waits no more; harmless when it does not. */
void memo_waiter_leave(struct memo_waiter *);

enum memo_result {
	MEMO_NONE,   /* there is no such thing */
	MEMO_FOUND,  /* *answer is set; valid until memo is used again */
	MEMO_FAILED, /* *answer is why, as text */
	MEMO_WAIT,   /* the waiter is woken when there is more to tell */
};

/* Milliseconds. */
struct memo_times {
	uint64_t found, none; /* lifetimes, unless the answer has its own */
	uint64_t failed;      /* how soon it is asked again */
	uint64_t stale;   /* counted from when it was learned: for so long an
			   * answer is better than none */
	uint64_t refresh; /* an answer at the end of its life is still given
			   * for so long, while it is asked anew */
};

/*
 * max: answers kept, at least 1.  replies: counted here, also by other memos of
 * the same asker, so that what is older than what can be told without a clock;
 * borrowed until the end, 0 at first.  NULL with errno.
 */
struct memo *memo_create(size_t max, uint64_t *replies);
void memo_destroy(struct memo **); /* after the pools that it asked */

/*
 * key: names the question among all of this memo.  request: what the pool is
 * asked unless the answer is known.  since: what *replies was when the asker
 * began to want it; what came later is good enough for it.  w: NULL where the
 * pool answers at once (ask_pool_settings.processes 0).
 */
enum memo_result memo_get(struct memo *, struct ask_pool *,
    const struct memo_times *, struct slice key, struct slice request,
    uint64_t now_ms, uint64_t since, struct memo_waiter *w,
    struct slice *answer);

/* The pool's done; every owner is the memo's. */
void memo_done(
    void *owner, struct slice reply, const char *why, uint64_t now_ms);

/* What a pool's process replies, and memo_done reads: result (not MEMO_WAIT),
 * lifetime in seconds (0: as memo_times say, UINT32_MAX: not kept), and then
 * the answer's bytes until the end. */
void memo_reply_begin(struct msg_writer *, enum memo_result, uint32_t ttl);

#endif
