/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop_uv - libuv for timers and turns, with one epoll set for all sockets.
 *
 * A poll handle of libuv costs four system calls more for each socket (it
 * tries the socket in a set, makes it non-blocking again, and takes it out
 * before it is closed), which was a third of all that a login needs.  So the
 * sockets are in a set of our own, and libuv watches that.
 */
#include "config.h"

#include "perdition/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#include "common/banned.h"

#define BATCH 128 /* events of one turn; the rest comes in the next */

struct loop {
	uv_loop_t uv;
	uv_poll_t poll; /* of the set */
	uv_prepare_t prepare;
	uv_idle_t idle; /* runs while something is posted */
	int epoll;
	struct epoll_event batch[BATCH];
	int at, n; /* in batch; n is 0 outside of set_ready() */
	struct loop_io *closed;
	/* Posted: in this turn and being reported; for the next turn. */
	struct loop_io *due, *posted, **posted_end;
	void (*turn_end)(void *arg);
	void *turn_end_arg;
};

static void
report(struct epoll_event *ev)
{
	struct loop_io *io = ev->data.ptr;
	unsigned int e = 0;

	if (ev->events & EPOLLERR) {
		io->failed = true;
		io->ready(io, LOOP_ERROR);
		/* Nobody has dealt with it: it would be reported again and
		 * again.  Mostly it is closed by now. */
		if (io->failed && io->want != 0)
			loop_io_want(io, 0);
		return;
	}
	if (ev->events & (EPOLLIN | EPOLLHUP))
		e |= LOOP_READ;
	if (ev->events & (EPOLLOUT | EPOLLHUP))
		e |= LOOP_WRITE;
	e &= io->want;
	if (e != 0)
		io->ready(io, e);
}

static void
set_ready(uv_poll_t *p, int status, int events)
{
	struct loop *l = p->data;

	(void)status;
	(void)events;
	l->n = epoll_wait(l->epoll, l->batch, BATCH, 0);
	for (l->at = 0; l->at < l->n; l->at++)
		if (l->batch[l->at].data.ptr != NULL)
			report(&l->batch[l->at]);
	l->n = 0;
}

/* What is posted meanwhile has to wait for the next turn. */
static void
report_posted(uv_idle_t *idle)
{
	struct loop *l = idle->data;

	uv_idle_stop(idle);
	l->due = l->posted;
	l->posted = NULL;
	l->posted_end = &l->posted;
	while (l->due != NULL) {
		struct loop_io *io = l->due;
		unsigned int e = io->posted & io->want;

		l->due = io->next;
		io->posted = 0;
		if (e != 0)
			io->ready(io, e);
	}
}

static void
forget_posted(struct loop *l, const struct loop_io *io)
{
	struct loop_io **p = &l->due;

	while (*p != NULL && *p != io)
		p = &(*p)->next;
	if (*p != NULL) {
		*p = io->next;
		return;
	}
	for (p = &l->posted; *p != io;)
		p = &(*p)->next;
	*p = io->next;
	if (l->posted_end == &io->next)
		l->posted_end = p;
}

static void
tell_closed(struct loop *l)
{
	while (l->closed != NULL) {
		struct loop_io *io = l->closed;

		l->closed = io->next;
		if (io->closed != NULL)
			io->closed(io);
	}
}

static void
end_turn(uv_prepare_t *p)
{
	struct loop *l = p->data;

	tell_closed(l);
	if (l->turn_end != NULL)
		l->turn_end(l->turn_end_arg);
}

static int
start(struct loop *l)
{
	int e;

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll == -1)
		return -1;
	l->poll.data = l->prepare.data = l->idle.data = l;
	l->posted_end = &l->posted;
	e = uv_poll_init(&l->uv, &l->poll, l->epoll);
	if (e == 0)
		e = uv_poll_start(&l->poll, UV_READABLE, set_ready);
	if (e == 0)
		e = uv_prepare_init(&l->uv, &l->prepare);
	if (e == 0)
		e = uv_prepare_start(&l->prepare, end_turn);
	if (e == 0)
		e = uv_idle_init(&l->uv, &l->idle);
	if (e == 0)
		return 0;
	close(l->epoll);
	errno = -e;
	return -1;
}

struct loop *
loop_create(void)
{
	struct loop *l = calloc(1, sizeof(*l));
	int e;

	if (l == NULL)
		return NULL;
	e = uv_loop_init(&l->uv);
	if (e != 0) {
		free(l);
		errno = -e;
		return NULL;
	}
	if (start(l) == -1) {
		uv_loop_close(&l->uv);
		free(l);
		return NULL;
	}
	return l;
}

void
loop_destroy(struct loop **lp)
{
	struct loop *l = *lp;

	if (l == NULL)
		return;
	tell_closed(l);
	uv_close((uv_handle_t *)&l->poll, NULL);
	uv_close((uv_handle_t *)&l->prepare, NULL);
	uv_close((uv_handle_t *)&l->idle, NULL);
	/* Handles that were closed get their last callback here. */
	uv_run(&l->uv, UV_RUN_NOWAIT);
	close(l->epoll);
	uv_loop_close(&l->uv);
	free(l);
	*lp = NULL;
}

int
loop_run(struct loop *l)
{
	/* Who was started last is called first.  What is closed may have
	 * something to log, and the log's queue is sent in the same way. */
	uv_prepare_stop(&l->prepare);
	uv_prepare_start(&l->prepare, end_turn);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	return 0;
}

void
loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}

void *
loop_uv(struct loop *l)
{
	return &l->uv;
}

uint64_t
loop_now(const struct loop *l)
{
	return uv_now(&l->uv);
}

int64_t
loop_wall(const struct loop *l)
{
	(void)l;
	return time(NULL);
}

void
loop_at_turn_end(struct loop *l, void (*end)(void *arg), void *arg)
{
	l->turn_end = end;
	l->turn_end_arg = arg;
}

int
loop_io_open(struct loop *l, struct loop_io *io, int fd,
    void (*ready)(struct loop_io *, unsigned int events))
{
	io->loop = l;
	io->fd = fd;
	io->ready = ready;
	io->closed = NULL;
	io->next = NULL;
	io->want = io->posted = 0;
	io->failed = false;
	return 0;
}

/* A socket that is waited for in no way is not in the set, since errors and
 * hang-ups are reported all the same. */
void
loop_io_want(struct loop_io *io, unsigned int events)
{
	struct epoll_event ev = { .data.ptr = io };
	int op = events == 0     ? EPOLL_CTL_DEL
		 : io->want == 0 ? EPOLL_CTL_ADD
				 : EPOLL_CTL_MOD;

	io->failed = false;
	if (io->want == events)
		return;
	if (events & LOOP_READ)
		ev.events |= EPOLLIN;
	if (events & LOOP_WRITE)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(io->loop->epoll, op, io->fd, &ev) == 0)
		io->want = (uint8_t)events;
	else
		log_event(
		    LOG_ERR, "epoll-failed", LOG_STR("why", strerror(errno)));
}

void
loop_io_post(struct loop_io *io, unsigned int events)
{
	struct loop *l = io->loop;

	if (io->posted == 0) {
		io->next = NULL;
		*l->posted_end = io;
		l->posted_end = &io->next;
		uv_idle_start(&l->idle, report_posted);
	}
	io->posted |= (uint8_t)events;
}

void
loop_io_close(struct loop_io *io, void (*closed)(struct loop_io *))
{
	struct loop *l = io->loop;

	/* What of this turn is still to be reported must not reach it. */
	for (int i = l->at + 1; i < l->n; i++)
		if (l->batch[i].data.ptr == io)
			l->batch[i].data.ptr = NULL;
	if (io->posted != 0)
		forget_posted(l, io);
	io->want = io->posted = 0;
	io->closed = closed;
	io->next = l->closed;
	l->closed = io;
}

static void
timer_fired(uv_timer_t *t)
{
	struct loop_timer *timer = t->data;

	timer->fire(timer);
}

void
loop_timer_open(
    struct loop *l, struct loop_timer *t, void (*fire)(struct loop_timer *))
{
	uv_timer_init(&l->uv, &t->uv);
	t->uv.data = t;
	t->fire = fire;
}

void
loop_timer_start(struct loop_timer *t, uint64_t ms)
{
	uv_timer_start(&t->uv, timer_fired, ms, 0);
}

void
loop_timer_stop(struct loop_timer *t)
{
	uv_timer_stop(&t->uv);
}

static void
timer_closed(uv_handle_t *h)
{
	struct loop_timer *t = h->data;

	if (t->closed != NULL)
		t->closed(t);
}

void
loop_timer_close(struct loop_timer *t, void (*closed)(struct loop_timer *))
{
	t->closed = closed;
	uv_close((uv_handle_t *)&t->uv, timer_closed);
}
