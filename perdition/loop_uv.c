/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop_uv - the loop on libuv, with poll handles on our own sockets.
 */
#include "config.h"

#include "perdition/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "common/banned.h"

struct loop {
	uv_loop_t uv;
};

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
	return l;
}

void
loop_destroy(struct loop **lp)
{
	struct loop *l = *lp;

	if (l == NULL)
		return;
	/* Handles that were closed get their last callback here. */
	uv_run(&l->uv, UV_RUN_NOWAIT);
	uv_loop_close(&l->uv);
	free(l);
	*lp = NULL;
}

int
loop_run(struct loop *l)
{
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

static void
poll_ready(uv_poll_t *p, int status, int events)
{
	struct loop_io *io = p->data;
	unsigned int e = 0;

	if (status < 0) {
		/* libuv has stopped watching the socket. */
		io->want = 0;
		io->ready(io, LOOP_ERROR);
		return;
	}
	if (events & UV_READABLE)
		e |= LOOP_READ;
	if (events & UV_WRITABLE)
		e |= LOOP_WRITE;
	io->ready(io, e);
}

int
loop_io_open(struct loop *l, struct loop_io *io, int fd,
    void (*ready)(struct loop_io *, unsigned int events))
{
	int e = uv_poll_init(&l->uv, &io->uv, fd);

	if (e != 0) {
		errno = -e;
		return -1;
	}
	io->uv.data = io;
	io->ready = ready;
	io->want = 0;
	return 0;
}

void
loop_io_want(struct loop_io *io, unsigned int events)
{
	int e = 0;

	if (io->want == events)
		return;
	io->want = events;
	if (events == 0) {
		uv_poll_stop(&io->uv);
		return;
	}
	if (events & LOOP_READ)
		e |= UV_READABLE;
	if (events & LOOP_WRITE)
		e |= UV_WRITABLE;
	uv_poll_start(&io->uv, e, poll_ready);
}

static void
poll_closed(uv_handle_t *h)
{
	struct loop_io *io = h->data;

	if (io->closed != NULL)
		io->closed(io);
}

void
loop_io_close(struct loop_io *io, void (*closed)(struct loop_io *))
{
	io->closed = closed;
	uv_close((uv_handle_t *)&io->uv, poll_closed);
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
