/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that block for one that does not: in order, bounded, replaced when
 * they hang or die.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/check_run.h"
#include "common/log.h"
#include "perdition/ask_pool.h"

#include "common/banned.h"

#define CHANNEL 3  /* of the pool's processes */
#define LIMIT 1000 /* ms of a clock that the test moves */
#define TURNS 2000 /* of 10 ms; a test that waits in vain ends */

static struct ask_pool *pool;
static struct ask_pool_settings set;
static int epoll;
static bool cannot_open, dies_opening;
static uint64_t now;
/* What done() was given, in its order: "owner=reply" or "owner!why". */
static char said[1024];

static void
quiet(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static int
echo_open(void *arg, void **state, struct err *err)
{
	*state = arg;
	if (dies_opening)
		raise(SIGKILL);
	return cannot_open ? err_set(err, EACCES, "no key to the door") : 0;
}

static bool
next_comes(void)
{
	struct pollfd pfd = { .fd = CHANNEL, .events = POLLIN };

	return poll(&pfd, 1, 5000) == 1;
}

/*
 * "hang", "die", "pid", "long"; "peek" waits until there is another request
 * ("next"), "last" does so, answers ("bye") and ends; all else comes back.  No
 * assertions here: descriptor 3, where check writes, is the channel.
 */
static void
echo_serve(void *state, struct slice request, struct msg_writer *w)
{
	char text[32];
	int n = 0;

	if (state != &cannot_open)
		request = SLICE("not the state of open");
	if (slice_eq(request, SLICE("hang")))
		pause();
	if (slice_eq(request, SLICE("die")))
		_exit(1);
	if (slice_eq(request, SLICE("peek")))
		request = next_comes() ? SLICE("next") : SLICE("none");
	if (slice_eq(request, SLICE("last")) && next_comes()) {
		msg_send(CHANNEL, SLICE("bye"));
		_exit(0);
	}
	if (slice_eq(request, SLICE("pid")))
		n = snprintf(text, sizeof(text), "%d", (int)getpid());
	while (slice_eq(request, SLICE("long")) && !w->failed)
		msg_put_u64(w, 0);
	msg_put_bytes(
	    w, n > 0 ? text : request.p, n > 0 ? (size_t)n : request.n);
}

static void
echo_close(void *state)
{
	(void)state;
}

static void
done(void *owner, struct slice reply, const char *why, uint64_t at)
{
	size_t n = strlen(said);

	ck_assert_uint_eq(at, now);
	if (reply.p == NULL)
		snprintf(said + n, sizeof(said) - n, "%s%s!%s",
		    n == 0 ? "" : ";", (const char *)owner, why);
	else
		snprintf(said + n, sizeof(said) - n, "%s%s=%.*s",
		    n == 0 ? "" : ";", (const char *)owner, (int)reply.n,
		    reply.p);
}

static void
open_pool(unsigned int processes)
{
	static const struct ask_ops ops = { "echo", echo_open, echo_serve,
		echo_close };
	struct err err = { .msg = "" };

	set = (struct ask_pool_settings){ .ops = &ops,
		.arg = &cannot_open,
		.processes = processes,
		.limit_ms = LIMIT,
		.epoll = epoll,
		.done = done };
	ck_assert_msg(ask_pool_open(&pool, &set, &err) == 0, "%s", err.msg);
}

static void
setup(void)
{
	log_set_sink(quiet, NULL);
	said[0] = '\0';
	cannot_open = dies_opening = false;
	now = 1000000;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_ne(epoll, -1);
}

static void
teardown(void)
{
	ask_pool_close(&pool);
	ck_assert_ptr_null(pool);
	close(epoll);
}

static void
ask(const char *owner, const char *request)
{
	ck_assert_int_eq(ask_pool_ask(pool, slice_str(request),
			     (void *)(uintptr_t)owner, now),
	    0);
}

/* Turns of a loop until done() has been called so often; the clock stands. */
static void
wait_said(unsigned int times)
{
	for (int i = 0; i < TURNS; i++) {
		struct epoll_event ev;
		unsigned int got = said[0] != '\0';

		for (const char *p = said; *p != '\0'; p++)
			got += *p == ';';
		if (got >= times)
			return;
		ask_pool_tick(pool, now);
		if (epoll_wait(epoll, &ev, 1, 10) == 1) {
			struct watch *w = ev.data.ptr;

			w->ready(w, now);
		}
	}
	ck_abort_msg("only: %s", said);
}

START_TEST(answers_in_order)
{
	open_pool(1);
	ask("a", "1");
	ask("b", "2");
	ask("c", "3");
	ck_assert_uint_eq(ask_pool_due(pool), now + LIMIT);
	wait_said(3);
	ck_assert_str_eq(said, "a=1;b=2;c=3");
	ck_assert_uint_eq(ask_pool_due(pool), UINT64_MAX);
	ck_assert(!ask_pool_failing(pool));
}
END_TEST

START_TEST(without_processes)
{
	open_pool(0);
	ask("a", "1");
	ck_assert_str_eq(said, "a=1");
	ask("b", "long");
	ck_assert_str_eq(said, "a=1;b!reply too long");
}
END_TEST

START_TEST(one_process_is_enough_while_it_is)
{
	char first[sizeof(said)];

	open_pool(3);
	ask("a", "pid");
	wait_said(1);
	snprintf(first, sizeof(first), "%s", said);
	said[0] = '\0';
	ask("a", "pid");
	wait_said(1);
	ck_assert_str_eq(said, first);
}
END_TEST

/* What hangs holds up its own process only, and for its time only. */
START_TEST(hung_one_is_killed)
{
	open_pool(2);
	ask("h", "hang");
	ask("a", "1");
	ask("b", "2");
	wait_said(2);
	ck_assert_str_eq(said, "a=1;b=2");
	now += LIMIT - 1;
	ask_pool_tick(pool, now);
	ck_assert_str_eq(said, "a=1;b=2");
	now++;
	ask_pool_tick(pool, now);
	ck_assert_str_eq(said, "a=1;b=2;h!no answer in time");
	ck_assert(ask_pool_failing(pool));
	/* There are two again. */
	said[0] = '\0';
	ask("h", "hang");
	ask("c", "3");
	wait_said(1);
	ck_assert_str_eq(said, "c=3");
}
END_TEST

START_TEST(all_hang)
{
	open_pool(2);
	ask("h", "hang");
	ask("i", "hang");
	now += LIMIT / 2;
	ask("j", "later");
	/* Its own time, not that of those before it. */
	now += LIMIT / 2;
	ask_pool_tick(pool, now);
	wait_said(3);
	ck_assert_ptr_nonnull(strstr(said, "h!no answer in time;"));
	ck_assert_ptr_nonnull(strstr(said, "i!no answer in time;"));
	ck_assert_ptr_nonnull(strstr(said, ";j=later"));
}
END_TEST

/* The process that got to it late has its whole time, and goes on. */
START_TEST(waited_too_long)
{
	open_pool(1);
	ask("h", "hang");
	now += LIMIT - 1;
	ask("a", "hang");
	now++;
	ask_pool_tick(pool, now);
	ck_assert_str_eq(said, "h!no answer in time");
	wait_said(1);
	now += LIMIT - 1;
	for (int i = 0; i < TURNS && ask_pool_due(pool) != UINT64_MAX; i++) {
		ask_pool_tick(pool, now);
		if (strlen(said) > sizeof("h!no answer in time"))
			break;
		poll(NULL, 0, 1);
	}
	ck_assert_str_eq(said, "h!no answer in time;a!no answer in time");
}
END_TEST

START_TEST(dead_one_is_replaced)
{
	open_pool(1);
	ask("d", "die");
	ask("a", "1");
	wait_said(2);
	ck_assert_str_eq(said, "d!its process ended;a=1");
	said[0] = '\0';
	ask("l", "long"); /* a reply that does not fit ends it too */
	ask("b", "2");
	wait_said(2);
	ck_assert_str_eq(said, "l!its process ended;b=2");
}
END_TEST

/* A pool with n processes (1 or 2) that have answered at once. */
static void
make_quick(unsigned int n)
{
	open_pool(n);
	ask("x", "1");
	wait_said(1);
	if (n == 2) {
		ask("x", "peek"); /* busy until a second one has come */
		ask("x", "2");
		ask("x", "3");
		wait_said(4);
	}
	said[0] = '\0';
}

/* While all are busy the next one is already there: no process idles. */
START_TEST(next_waits_at_the_process)
{
	open_pool(1);
	ask("a", "1");
	wait_said(1);
	ask("a", "peek");
	ask("b", "peek");
	ask("c", "3");
	ask("d", "4");
	wait_said(5);
	ck_assert_str_eq(said, "a=1;a=next;b=next;c=3;d=4");
	ck_assert_uint_eq(ask_pool_due(pool), UINT64_MAX);
}
END_TEST

/* Where it would have to wait for long it stays here. */
START_TEST(next_of_a_slow_one)
{
	open_pool(1);
	ask("a", "1");
	wait_said(1);
	ask("b", "2");
	now += LIMIT / 2;
	wait_said(2);
	ask("h", "hang");
	ask("c", "3");
	ck_assert_uint_eq(ask_pool_due(pool), now + LIMIT);
}
END_TEST

/* What hangs does not keep the one behind it. */
START_TEST(taken_back_from_a_hung_one)
{
	make_quick(2);
	ask("h", "hang");
	ask("i", "peek");
	ask("j", "1"); /* behind h */
	ask("k", "2"); /* behind i */
	wait_said(2);
	ck_assert_str_eq(said, "i=next;k=2");
	ck_assert_uint_lt(ask_pool_due(pool), now + LIMIT);
	now = ask_pool_due(pool);
	wait_said(3);
	ck_assert_str_eq(said, "i=next;k=2;j=1");
}
END_TEST

/* It is asked of another, in what is left of its time. */
START_TEST(first_one_is_killed)
{
	make_quick(1);
	ask("h", "hang");
	now += 1;
	ask("a", "1");
	ask("b", "2");
	now += LIMIT - 1;
	wait_said(3);
	ck_assert_str_eq(said, "h!no answer in time;a=1;b=2");
}
END_TEST

START_TEST(all_in_their_time)
{
	make_quick(1);
	ask("h", "hang");
	ask("a", "1");
	ask("b", "2");
	now += LIMIT - 1;
	ask_pool_tick(pool, now);
	ck_assert_str_eq(said, "");
	ck_assert_uint_eq(ask_pool_due(pool), now + 1);
	now++;
	ask_pool_tick(pool, now);
	ck_assert_str_eq(said,
	    "h!no answer in time;a!no answer in time;b!no answer in time");
}
END_TEST

START_TEST(first_one_dies)
{
	make_quick(1);
	ask("d", "die");
	ask("a", "1");
	wait_said(2);
	ck_assert_str_eq(said, "d!its process ended;a=1");
	said[0] = '\0';
	/* Its last answer counts, though it left a request unread. */
	ask("c", "last");
	ask("e", "2");
	wait_said(2);
	ck_assert_str_eq(said, "c=bye;e!its process ended");
}
END_TEST

/* Its end is not known yet. */
static void
kill_unnoticed(int pid)
{
	siginfo_t info;

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

/* What it was never given another is asked. */
START_TEST(dies_while_idle)
{
	open_pool(1);
	ask("p", "pid");
	wait_said(1);
	kill_unnoticed(atoi(said + 2));
	said[0] = '\0';
	ask("a", "1");
	wait_said(1);
	ck_assert_str_eq(said, "a=1");
}
END_TEST

START_TEST(dies_after_its_answer)
{
	struct pollfd pfd = { .fd = epoll, .events = POLLIN };
	int pid;

	open_pool(1);
	ask("p", "pid");
	now += LIMIT / 2; /* so slow that b does not wait at the process */
	wait_said(1);
	pid = atoi(said + 2);
	said[0] = '\0';
	ask("a", "1");
	ask("b", "2");
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	kill_unnoticed(pid);
	wait_said(2);
	ck_assert_str_eq(said, "a=1;b=2");
}
END_TEST

START_TEST(closed_with_more_at_the_process)
{
	make_quick(1);
	ask("h", "hang");
	ask("i", "1");
	ask("j", "2");
	ask_pool_close(&pool);
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(cannot_start)
{
	static const struct ask_ops ops = { "echo", echo_open, echo_serve,
		echo_close };
	struct err err;

	set = (struct ask_pool_settings){ .ops = &ops,
		.arg = &cannot_open,
		.processes = 2,
		.limit_ms = LIMIT,
		.epoll = epoll,
		.done = done };
	cannot_open = true;
	ck_assert_int_eq(ask_pool_open(&pool, &set, &err), -1);
	ck_assert_str_eq(err.msg, "no key to the door");
	ck_assert_int_eq(err.code, EINVAL);
	/* That may be different the next time. */
	dies_opening = true;
	ck_assert_int_eq(ask_pool_open(&pool, &set, &err), -1);
	ck_assert_str_eq(err.msg, "echo: its process ended while it started");
	ck_assert_int_eq(err.code, EAGAIN);
	dies_opening = false;
	set.processes = 0;
	ck_assert_int_eq(ask_pool_open(&pool, &set, &err), -1);
	ck_assert_str_eq(err.msg, "no key to the door");
}
END_TEST

/* Who asks while none can be started is told at once, and why; and it is tried
 * again, but not each time. */
START_TEST(cannot_start_again)
{
	open_pool(1);
	cannot_open = true;
	ask("d", "die");
	ask("a", "1");
	wait_said(2);
	ck_assert_str_eq(said, "d!its process ended;a!no key to the door");
	ask("b", "2");
	ck_assert_str_eq(said,
	    "d!its process ended;a!no key to the door;b!no key to the door");
	said[0] = '\0';
	cannot_open = false;
	now += 1000; /* "its return is noticed within a second" */
	ask("c", "3");
	wait_said(1);
	ck_assert_str_eq(said, "c=3");
}
END_TEST

START_TEST(none_before_it_is_needed)
{
	struct err err;

	open_pool(2);
	ask_pool_close(&pool);
	set.late = true;
	cannot_open = true; /* nobody finds out before */
	ck_assert_int_eq(ask_pool_open(&pool, &set, &err), 0);
	ck_assert_uint_eq(ask_pool_due(pool), UINT64_MAX);
	ask("a", "1");
	wait_said(1);
	ck_assert_str_eq(said, "a!no key to the door");
	cannot_open = false;
	now += 1000;
	ask("b", "2");
	wait_said(2);
	ck_assert_str_eq(said, "a!no key to the door;b=2");
}
END_TEST

START_TEST(closed_while_busy)
{
	open_pool(2);
	ask("h", "hang");
	ask("i", "hang");
	ask("j", "1");
	ask_pool_close(&pool);
	ck_assert_str_eq(said, "");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("ask_pool");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, answers_in_order);
	tcase_add_test(t, without_processes);
	tcase_add_test(t, one_process_is_enough_while_it_is);
	tcase_add_test(t, hung_one_is_killed);
	tcase_add_test(t, all_hang);
	tcase_add_test(t, waited_too_long);
	tcase_add_test(t, dead_one_is_replaced);
	tcase_add_test(t, next_waits_at_the_process);
	tcase_add_test(t, next_of_a_slow_one);
	tcase_add_test(t, taken_back_from_a_hung_one);
	tcase_add_test(t, first_one_is_killed);
	tcase_add_test(t, all_in_their_time);
	tcase_add_test(t, first_one_dies);
	tcase_add_test(t, dies_while_idle);
	tcase_add_test(t, dies_after_its_answer);
	tcase_add_test(t, closed_with_more_at_the_process);
	tcase_add_test(t, cannot_start);
	tcase_add_test(t, cannot_start_again);
	tcase_add_test(t, none_before_it_is_needed);
	tcase_add_test(t, closed_while_busy);
	return check_run("ask_pool", t);
}
