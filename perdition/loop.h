/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop - the event loop as the session engine sees it: sockets that become
 * ready, timers, a clock.
 *
 * libuv runs it (loop_uv.c); the transcript tests put another one in its place,
 * with a clock that they turn themselves.  Callbacks run from the loop
 * only, never from inside one of these functions.
 */
#ifndef PERDITION_LOOP_H
#define PERDITION_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct loop;

#define LOOP_READ 1u
#define LOOP_WRITE 2u
#define LOOP_ERROR 4u /* always reported, alone: ask the socket why */

/*
 * Both are embedded in what they serve; close() must be called before that is
 * freed, and its memory must live until closed() was called.  Their members
 * are the loop's.
 */
struct loop_io {
	struct loop *loop;
	void (*ready)(struct loop_io *, unsigned int events);
	void (*closed)(struct loop_io *);
	struct loop_io *next; /* posted, or closed and to be told */
	int fd;
	uint8_t want, posted;
	bool failed; /* told so, and no word of what is wanted since */
};

struct loop_timer {
	uv_timer_t uv;
	void (*fire)(struct loop_timer *);
	void (*closed)(struct loop_timer *);
};

struct loop *loop_create(void); /* NULL with errno */
void loop_destroy(struct loop **);
int loop_run(struct loop *); /* until loop_stop(); 0 */
void loop_stop(struct loop *);
void *loop_uv(struct loop *); /* the uv_loop_t, for what needs it */

uint64_t loop_now(const struct loop *); /* ms, monotonic, of this turn */
int64_t loop_wall(const struct loop *); /* s since the epoch */

/* Called at the end of each turn, before the loop waits: for what is better
 * done once for all that happened in it.  One for a loop. */
void loop_at_turn_end(struct loop *, void (*end)(void *arg), void *arg);

/*
 * fd is borrowed and non-blocking.  It is to be closed right after
 * loop_io_close(), unless loop_io_want(io, 0) came before: so for one that
 * another process has too.  0, or -1 with errno.
 */
int loop_io_open(struct loop *, struct loop_io *, int fd,
    void (*ready)(struct loop_io *, unsigned int events));
void loop_io_want(struct loop_io *, unsigned int events); /* 0: pause */
/*
 * Report events at the next turn although the socket itself is silent, if they
 * are wanted by then.  Once: before that, posting them again adds nothing.
 */
void loop_io_post(struct loop_io *, unsigned int events);
void loop_io_close(struct loop_io *, void (*closed)(struct loop_io *));

void loop_timer_open(
    struct loop *, struct loop_timer *, void (*fire)(struct loop_timer *));
void loop_timer_start(struct loop_timer *, uint64_t ms); /* once; replaces */
void loop_timer_stop(struct loop_timer *);
void loop_timer_close(struct loop_timer *, void (*closed)(struct loop_timer *));

#endif
