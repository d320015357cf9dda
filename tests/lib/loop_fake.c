/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop_fake - lists of sockets and timers, poll(2) without waiting.
 */
#include "config.h"

#include "tests/lib/loop_fake.h"

#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/banned.h"

#define HANDLES 256
#define ROUNDS 100000 /* of settling: beyond, somebody spins */

struct fake_io {
	struct loop_io *io;
	int fd;
	bool closing;
};

struct fake_timer {
	struct loop_timer *timer;
	uint64_t due; /* 0: not running */
	bool closing;
};

struct loop {
	uint64_t now;
	struct fake_io io[HANDLES];
	struct fake_timer timer[HANDLES];
	size_t io_count, timer_count;
};

/* The timers' libuv handles are free for our use: data is the loop. */
static struct fake_io *
io_of(struct loop_io *io)
{
	struct loop *l = io->loop;

	for (size_t i = 0; i < l->io_count; i++)
		if (l->io[i].io == io && !l->io[i].closing)
			return &l->io[i];
	abort();
}

static struct fake_timer *
timer_of(struct loop_timer *t)
{
	struct loop *l = t->uv.data;

	for (size_t i = 0; i < l->timer_count; i++)
		if (l->timer[i].timer == t && !l->timer[i].closing)
			return &l->timer[i];
	abort();
}

struct loop *
loop_create(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->now = 1000000;
	return l;
}

void
loop_destroy(struct loop **lp)
{
	free(*lp);
	*lp = NULL;
}

int
loop_run(struct loop *l)
{
	loop_fake_settle(l);
	return 0;
}

void
loop_stop(struct loop *l)
{
	(void)l;
}

void *
loop_uv(struct loop *l)
{
	(void)l;
	return NULL;
}

uint64_t
loop_now(const struct loop *l)
{
	return l->now;
}

int64_t
loop_wall(const struct loop *l)
{
	return 1700000000 + (int64_t)(l->now / 1000);
}

int
loop_io_open(struct loop *l, struct loop_io *io, int fd,
    void (*ready)(struct loop_io *, unsigned int events))
{
	if (l->io_count == HANDLES)
		abort();
	/* As libuv, which does not take a handle again that it still has. */
	for (size_t i = 0; i < l->io_count; i++)
		if (l->io[i].io == io)
			abort();
	io->loop = l;
	io->ready = ready;
	io->want = io->posted = 0;
	l->io[l->io_count++] = (struct fake_io){ .io = io, .fd = fd };
	return 0;
}

void
loop_io_want(struct loop_io *io, unsigned int events)
{
	(void)io_of(io);
	io->want = (uint8_t)events;
}

void
loop_io_post(struct loop_io *io, unsigned int events)
{
	(void)io_of(io);
	io->posted |= (uint8_t)events;
}

void
loop_io_close(struct loop_io *io, void (*closed)(struct loop_io *))
{
	io_of(io)->closing = true;
	io->closed = closed;
	io->want = io->posted = 0;
}

void
loop_timer_open(
    struct loop *l, struct loop_timer *t, void (*fire)(struct loop_timer *))
{
	if (l->timer_count == HANDLES)
		abort();
	t->uv.data = l;
	t->fire = fire;
	l->timer[l->timer_count++] = (struct fake_timer){ .timer = t };
}

void
loop_timer_start(struct loop_timer *t, uint64_t ms)
{
	struct loop *l = t->uv.data;

	timer_of(t)->due = l->now + ms;
}

void
loop_timer_stop(struct loop_timer *t)
{
	timer_of(t)->due = 0;
}

void
loop_timer_close(struct loop_timer *t, void (*closed)(struct loop_timer *))
{
	struct fake_timer *f = timer_of(t);

	f->closing = true;
	f->due = 0;
	t->closed = closed;
}

/* The last callback of one closed handle.  False when there is none. */
static bool
close_one(struct loop *l)
{
	for (size_t i = 0; i < l->io_count; i++) {
		struct loop_io *io = l->io[i].io;

		if (!l->io[i].closing)
			continue;
		l->io[i] = l->io[--l->io_count];
		if (io->closed != NULL)
			io->closed(io);
		return true;
	}
	for (size_t i = 0; i < l->timer_count; i++) {
		struct loop_timer *t = l->timer[i].timer;

		if (!l->timer[i].closing)
			continue;
		l->timer[i] = l->timer[--l->timer_count];
		if (t->closed != NULL)
			t->closed(t);
		return true;
	}
	return false;
}

/* One that was posted.  False when there is none. */
static bool
serve_posted(struct loop *l)
{
	for (size_t i = 0; i < l->io_count; i++) {
		struct loop_io *io = l->io[i].io;
		unsigned int e = io->posted & io->want;

		if (io->posted == 0 || l->io[i].closing)
			continue;
		io->posted = 0;
		if (e != 0)
			io->ready(io, e);
		return true;
	}
	return false;
}

/* One socket that is ready.  False when there is none. */
static bool
serve_one(struct loop *l)
{
	for (size_t i = 0; i < l->io_count; i++) {
		struct loop_io *io = l->io[i].io;
		struct pollfd p = { .fd = l->io[i].fd };
		unsigned int e = 0;

		if (io->want == 0 || l->io[i].closing)
			continue;
		if (io->want & LOOP_READ)
			p.events |= POLLIN;
		if (io->want & LOOP_WRITE)
			p.events |= POLLOUT;
		if (poll(&p, 1, 0) != 1)
			continue;
		if (p.revents & POLLERR)
			e = LOOP_ERROR;
		else if (p.revents & POLLHUP)
			e = io->want;
		else
			e = (p.revents & POLLIN ? LOOP_READ : 0) |
			    (p.revents & POLLOUT ? LOOP_WRITE : 0);
		if (e == LOOP_ERROR)
			io->want = 0;
		io->ready(io, e);
		return true;
	}
	return false;
}

void
loop_fake_settle(struct loop *l)
{
	for (int i = 0; i < ROUNDS; i++) {
		bool served = serve_posted(l) || serve_one(l);

		if (!close_one(l) && !served)
			return;
	}
	abort();
}

static struct fake_timer *
next_timer(struct loop *l)
{
	struct fake_timer *best = NULL;

	for (size_t i = 0; i < l->timer_count; i++)
		if (l->timer[i].due != 0 &&
		    (best == NULL || l->timer[i].due < best->due))
			best = &l->timer[i];
	return best;
}

void
loop_fake_pass(struct loop *l, uint64_t ms)
{
	uint64_t end = l->now + ms;

	for (;;) {
		struct fake_timer *f = next_timer(l);

		if (f == NULL || f->due > end)
			break;
		l->now = f->due;
		f->due = 0;
		f->timer->fire(f->timer);
		loop_fake_settle(l);
	}
	l->now = end;
	loop_fake_settle(l);
}

void
loop_at_turn_end(struct loop *l, void (*end)(void *arg), void *arg)
{
	(void)l; /* nobody under test asks for it */
	(void)end;
	(void)arg;
}
