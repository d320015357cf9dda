/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is posted to the loop is reported once, at the next turn, to those
 * who want it and are still there; an error once to those who ignore it.
 */
#include "config.h"

#include "perdition/loop.h"

#include <check.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/check_run.h"

#include "common/banned.h"

#define IOS 3

struct side {
	struct loop_io io;
	int pair[2];
	unsigned int events, calls, closed;
	struct side *post, *close; /* to be done when called */
	bool want;                 /* goes on wanting to read, then */
};

static struct loop *loop;
static struct side side[IOS];
static unsigned int turns, stop_after;

static void
on_closed(struct loop_io *io)
{
	((struct side *)io)->closed++;
}

static void
on_ready(struct loop_io *io, unsigned int events)
{
	struct side *s = (struct side *)io;

	s->events |= events;
	s->calls++;
	if (s->post != NULL)
		loop_io_post(&s->post->io, LOOP_READ);
	s->post = NULL;
	if (s->close != NULL)
		loop_io_close(&s->close->io, on_closed);
	s->close = NULL;
	if (s->want)
		loop_io_want(&s->io, LOOP_READ);
}

static void
on_turn_end(void *arg)
{
	(void)arg;
	if (++turns == stop_after)
		loop_stop(loop);
}

/* Without a timer a turn in which nothing is posted would wait for ever. */
static void
on_timer(struct loop_timer *t)
{
	loop_timer_start(t, 1);
}

static struct loop_timer timer;

static void
setup(void)
{
	memset(side, 0, sizeof(side));
	loop = loop_create();
	ck_assert_ptr_nonnull(loop);
	for (int i = 0; i < IOS; i++) {
		ck_assert_int_eq(
		    socketpair(
			AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, side[i].pair),
		    0);
		ck_assert_int_eq(
		    loop_io_open(loop, &side[i].io, side[i].pair[0], on_ready),
		    0);
		loop_io_want(&side[i].io, LOOP_READ);
	}
	loop_timer_open(loop, &timer, on_timer);
	loop_timer_start(&timer, 1);
	loop_at_turn_end(loop, on_turn_end, NULL);
}

static void
run_turns(unsigned int n)
{
	turns = 0;
	stop_after = n;
	loop_run(loop);
}

static void
teardown(void)
{
	for (int i = 0; i < IOS; i++) {
		if (side[i].closed == 0) {
			loop_io_want(&side[i].io, 0);
			loop_io_close(&side[i].io, on_closed);
		}
		close(side[i].pair[0]);
		close(side[i].pair[1]);
	}
	loop_timer_close(&timer, NULL);
	loop_destroy(&loop);
}

START_TEST(once)
{
	loop_io_post(&side[0].io, LOOP_READ);
	loop_io_post(&side[0].io, LOOP_READ);
	loop_io_post(&side[1].io, LOOP_READ);
	run_turns(3);
	ck_assert_uint_eq(side[0].calls, 1);
	ck_assert_uint_eq(side[0].events, LOOP_READ);
	ck_assert_uint_eq(side[1].calls, 1);
	ck_assert_uint_eq(side[2].calls, 0);
}
END_TEST

START_TEST(only_what_is_wanted)
{
	loop_io_post(&side[0].io, LOOP_READ | LOOP_WRITE);
	loop_io_post(&side[1].io, LOOP_READ);
	loop_io_want(&side[1].io, 0);
	run_turns(3);
	ck_assert_uint_eq(side[0].events, LOOP_READ);
	ck_assert_uint_eq(side[1].calls, 0);
	/* It is not kept for later. */
	loop_io_want(&side[1].io, LOOP_READ);
	run_turns(3);
	ck_assert_uint_eq(side[1].calls, 0);
}
END_TEST

START_TEST(next_turn)
{
	side[0].post = &side[0];
	loop_io_post(&side[0].io, LOOP_READ);
	run_turns(1);
	ck_assert_uint_eq(side[0].calls, 1);
	run_turns(1);
	ck_assert_uint_eq(side[0].calls, 2);
	run_turns(2);
	ck_assert_uint_eq(side[0].calls, 2);
}
END_TEST

/* _i: who closes whom, and how many are posted */
START_TEST(closed)
{
	for (int i = 0; i < IOS; i++)
		loop_io_post(&side[i].io, LOOP_READ);
	side[0].close = &side[1 + _i];
	side[0].post = &side[0];
	run_turns(1);
	ck_assert_uint_eq(side[1 + _i].calls, 0);
	ck_assert_uint_eq(side[1 + _i].closed, 1);
	ck_assert_uint_eq(side[2 - _i].calls, 1);
	run_turns(2);
	ck_assert_uint_eq(side[0].calls, 2);
}
END_TEST

START_TEST(closed_before_the_turn)
{
	for (int i = 0; i < IOS; i++)
		loop_io_post(&side[i].io, LOOP_READ);
	loop_io_close(&side[_i].io, on_closed);
	loop_io_want(&side[(_i + 1) % IOS].io, LOOP_READ);
	run_turns(2);
	for (int i = 0; i < IOS; i++)
		ck_assert_uint_eq(side[i].calls, i == _i ? 0 : 1);
	/* The list's end is right: one more can be put there. */
	loop_io_post(&side[(_i + 1) % IOS].io, LOOP_READ);
	run_turns(2);
	ck_assert_uint_eq(side[(_i + 1) % IOS].calls, 2);
}
END_TEST

/* A socket error stays: who does nothing about it hears of it once, and the
 * loop does not spin; who wants to read on is told again. */
START_TEST(error)
{
	bool again = _i == 1;

	side[0].want = again;
	ck_assert_int_eq(write(side[0].pair[0], "x", 1), 1);
	close(side[0].pair[1]); /* with a byte unread: a reset */
	run_turns(5);
	ck_assert_uint_eq(side[0].events, LOOP_ERROR);
	if (again)
		ck_assert_uint_gt(side[0].calls, 1);
	else
		ck_assert_uint_eq(side[0].calls, 1);
	side[0].pair[1] = -1;
}
END_TEST

static unsigned int seen;

static void
look(uv_prepare_t *p)
{
	(void)p;
	seen = side[1].closed;
}

/* Who sends at the end of a turn what has gathered in it, as the log's queue
 * does, finds there what a socket's end had to say: else that would wait until
 * something else happens. */
START_TEST(told_before_others_end_the_turn)
{
	uv_prepare_t other;

	uv_prepare_init(loop_uv(loop), &other);
	uv_prepare_start(&other, look);
	side[0].close = &side[1];
	loop_io_post(&side[0].io, LOOP_READ);
	run_turns(1);
	ck_assert_uint_eq(side[1].closed, 1);
	ck_assert_uint_eq(seen, 1);
	uv_close((uv_handle_t *)&other, NULL);
	uv_run(loop_uv(loop), UV_RUN_NOWAIT);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("post");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, once);
	tcase_add_test(t, only_what_is_wanted);
	tcase_add_test(t, next_turn);
	tcase_add_loop_test(t, closed, 0, 2);
	tcase_add_loop_test(t, error, 0, 2);
	tcase_add_loop_test(t, closed_before_the_turn, 0, IOS);
	tcase_add_test(t, told_before_others_end_the_turn);
	return check_run("loop", t);
}
