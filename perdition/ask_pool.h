/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask_pool - processes that may block, asked by one that may not.
 *
 * A pool asks one kind of thing, such as a map whose database is elsewhere, or
 * the resolver.  Its processes are forked when they are needed, up to a number,
 * and each serves one request at a time; the others wait in order.  A process
 * that is busy for longer than the limit is killed and replaced, so that what
 * hangs hangs nobody else.  While all are busy and answer quickly, the next
 * request already waits at the process itself, which so never idles; it is
 * taken back when that process takes long or ends.  Knows nothing of what
 * requests and replies mean.
 */
#ifndef PERDITION_ASK_POOL_H
#define PERDITION_ASK_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/msg.h"
#include "common/slice.h"

struct ask_pool;

struct ask_ops {          /* run in the pool's processes */
	const char *name; /* for messages, and the process's name */
	/* The state for serve; it may be NULL.  0, or -1 with err. */
	int (*open)(void *arg, void **state, struct err *);
	/* May block.  All of the reply goes to the writer. */
	void (*serve)(
	    void *state, struct slice request, struct msg_writer *reply);
	void (*close)(void *state);
};

struct ask_pool_settings {
	const struct ask_ops *ops; /* borrowed, as arg is */
	void *arg;
	/* 0: none; whoever asks serves, and waits. */
	unsigned int processes;
	bool late;         /* none is started before it is needed */
	uint64_t limit_ms; /* for a reply, from the asking on */
	int epoll;         /* the processes' channels go in there */
	/*
	 * Once for each request; owner is what was given when asking.  reply:
	 * valid during the call; or its p is NULL, and why says what is wrong.
	 */
	void (*done)(
	    void *owner, struct slice reply, const char *why, uint64_t now_ms);
};

/* What an epoll event's data.ptr points to, here and in the lookup process. */
struct watch {
	void (*ready)(struct watch *, uint64_t now_ms);
	int fd;
};

/*
 * Starts one process, unless that is for later, to see whether it opens (for at
 * most limit_ms, or 30 seconds when that is more).  0, or -1 with err.
 */
int ask_pool_open(
    struct ask_pool **, const struct ask_pool_settings *, struct err *);
/* Ends the processes; done is called no more. */
void ask_pool_close(struct ask_pool **);

/* Copies request.  done is called later, or, where whoever asks serves,
 * before this returns.  0, or -1 with errno; then done is not called. */
int ask_pool_ask(
    struct ask_pool *, struct slice request, void *owner, uint64_t now_ms);

/* Gives up what took too long; to be called when ask_pool_due() is reached. */
void ask_pool_tick(struct ask_pool *, uint64_t now_ms);
/* When something is to be given up, ms, monotonic; UINT64_MAX for never. */
uint64_t ask_pool_due(const struct ask_pool *);

/* Whether the last thing known is that requests fail or get no reply. */
bool ask_pool_failing(const struct ask_pool *);
/* What done makes of a reply decides too. */
void ask_pool_set_failing(struct ask_pool *, bool failing);

#endif
