/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was answered: for how long it counts, who shares it, and what counts
 * while nobody can tell.  Asked here, at once, or by a process, later.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../lib/check_run.h"
#include "common/log.h"
#include "perdition/memo.h"

#include "common/banned.h"

static struct memo *memo;
static uint64_t replies;
static struct ask_pool *pool;
static int epoll;
static unsigned int asked, woken;
static enum memo_result answer_with;
static uint32_t ttl;
static const struct memo_times times = {
	.found = 1000, .none = 300, .failed = 100, .stale = 5000, .refresh = 0
};

static void
quiet(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static int
counted_open(void *arg, void **state, struct err *err)
{
	(void)arg;
	(void)err;
	*state = NULL;
	return 0;
}

/* The answer tells how many there have been. */
static void
counted_serve(void *state, struct slice request, struct msg_writer *w)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%u", ++asked);

	(void)state;
	(void)request;
	memo_reply_begin(w, answer_with, ttl);
	msg_put_bytes(w, text, (size_t)n);
}

static void
counted_close(void *state)
{
	(void)state;
}

static void
open_pool(unsigned int processes)
{
	static const struct ask_ops ops = { "counted", counted_open,
		counted_serve, counted_close };
	struct ask_pool_settings set = { .ops = &ops,
		.processes = processes,
		.limit_ms = 1000,
		.epoll = epoll,
		.done = memo_done };
	struct err err;

	ck_assert_int_eq(ask_pool_open(&pool, &set, &err), 0);
}

static void
setup(void)
{
	log_set_sink(quiet, NULL);
	asked = woken = 0;
	replies = 0;
	answer_with = MEMO_FOUND;
	ttl = 0;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	memo = memo_create(3, &replies);
	ck_assert_ptr_nonnull(memo);
}

static void
teardown(void)
{
	ask_pool_close(&pool);
	memo_destroy(&memo);
	close(epoll);
}

static const char *
get_with(const struct memo_times *t, const char *key, uint64_t now,
    uint64_t since, struct memo_waiter *w)
{
	static const char *const names[] = { "none", "found", "failed",
		"wait" };
	static char text[64];
	struct slice answer;
	enum memo_result r = memo_get(memo, pool, t, slice_str(key),
	    slice_str(key), now, since, w, &answer);

	if (r == MEMO_FOUND || r == MEMO_FAILED)
		snprintf(text, sizeof(text), "%s %.*s", names[r], (int)answer.n,
		    answer.p);
	else
		snprintf(text, sizeof(text), "%s", names[r]);
	return text;
}

static const char *
get(const char *key, uint64_t now)
{
	return get_with(&times, key, now, replies, NULL);
}

START_TEST(lifetimes)
{
	open_pool(0);
	ck_assert_str_eq(get("a", 10000), "found 1");
	ck_assert_str_eq(get("a", 10999), "found 1");
	ck_assert_str_eq(get("b", 10999), "found 2");
	ck_assert_str_eq(get("a", 11000), "found 3");
	answer_with = MEMO_NONE;
	ck_assert_str_eq(get("c", 11000), "none");
	ck_assert_str_eq(get("c", 11299), "none");
	ck_assert_uint_eq(asked, 4);
	ck_assert_str_eq(get("c", 11300), "none");
	ck_assert_uint_eq(asked, 5);
}
END_TEST

START_TEST(lifetime_of_the_answer)
{
	open_pool(0);
	ttl = 7;
	ck_assert_str_eq(get("a", 10000), "found 1");
	ck_assert_str_eq(get("a", 16999), "found 1");
	ttl = UINT32_MAX;
	ck_assert_str_eq(get("a", 17000), "found 2");
	ck_assert_str_eq(get("a", 17001), "found 3");
}
END_TEST

/* What was learned after somebody had asked is good enough for him, however
 * long that took; for nobody who asked later, not even in that millisecond. */
START_TEST(asked_before)
{
	uint64_t before = replies;

	open_pool(0);
	ttl = UINT32_MAX;
	ck_assert_str_eq(get("a", 10000), "found 1");
	ck_assert_str_eq(get_with(&times, "a", 99999, before, NULL), "found 1");
	ck_assert_str_eq(get("a", 10000), "found 2");
	/* Also when what came meanwhile was about something else. */
	before = replies;
	ck_assert_str_eq(get("b", 10000), "found 3");
	ck_assert_str_eq(get_with(&times, "a", 10000, before, NULL), "found 4");
}
END_TEST

START_TEST(stale)
{
	open_pool(0);
	ck_assert_str_eq(get("a", 10000), "found 1");
	answer_with = MEMO_FAILED;
	ck_assert_str_eq(get("a", 11000), "found 1"); /* asked, in vain */
	ck_assert_uint_eq(asked, 2);
	ck_assert_str_eq(get("a", 11099), "found 1");
	ck_assert_uint_eq(asked, 2); /* not again so soon */
	ck_assert_str_eq(get("a", 11100), "found 1");
	ck_assert_uint_eq(asked, 3);
	ck_assert_str_eq(get("a", 15000), "failed 4");
	ck_assert_str_eq(get("b", 15000), "failed 5");
	answer_with = MEMO_FOUND;
	ck_assert_str_eq(get("b", 15099), "failed 5");
	ck_assert_str_eq(get("b", 15100), "found 6");
}
END_TEST

/* A user who is gone does not come back from old times. */
START_TEST(none_ends_stale)
{
	open_pool(0);
	get("a", 10000);
	answer_with = MEMO_NONE;
	ck_assert_str_eq(get("a", 11000), "none");
	answer_with = MEMO_FAILED;
	ck_assert_str_eq(get("a", 11300), "failed 3");
}
END_TEST

START_TEST(bounded)
{
	open_pool(0);
	get("a", 10000);
	get("b", 10000);
	get("c", 10000);
	ck_assert_str_eq(get("a", 10000), "found 1"); /* now b is oldest */
	get("d", 10000);
	ck_assert_str_eq(get("a", 10000), "found 1");
	ck_assert_str_eq(get("c", 10000), "found 3");
	ck_assert_str_eq(get("d", 10000), "found 4");
	ck_assert_str_eq(get("b", 10000), "found 5");
}
END_TEST

/* --- by a process ------------------------------------------------------- */

static void
wake(struct memo_waiter *w, uint64_t now)
{
	(void)now;
	ck_assert_ptr_null(w->prev);
	woken++;
}

static void
answered(uint64_t now, unsigned int until)
{
	for (int i = 0; i < 1000 && woken < until; i++) {
		struct epoll_event ev;

		if (epoll_wait(epoll, &ev, 1, 10) == 1) {
			struct watch *w = ev.data.ptr;

			w->ready(w, now);
		}
	}
	ck_assert_uint_eq(woken, until);
}

START_TEST(identical_questions)
{
	struct memo_waiter w[4];

	memset(w, 0, sizeof(w));
	for (int i = 0; i < 4; i++)
		w[i].wake = wake;
	open_pool(1);
	for (int i = 0; i < 3; i++)
		ck_assert_str_eq(
		    get_with(&times, "a", 10000, 0, &w[i]), "wait");
	ck_assert_str_eq(get_with(&times, "b", 10000, 0, &w[3]), "wait");
	memo_waiter_leave(&w[1]);
	memo_waiter_leave(&w[1]);
	answered(10005, 3);
	/* One question for "a", one for "b". */
	ck_assert_str_eq(get_with(&times, "a", 10005, 0, &w[0]), "found 1");
	ck_assert_str_eq(get_with(&times, "b", 10005, 0, &w[0]), "found 2");
}
END_TEST

/* What is under way is never thrown out, however many there are. */
START_TEST(more_under_way_than_room)
{
	struct memo_waiter w[8];
	char key[2] = "a";

	memset(w, 0, sizeof(w));
	open_pool(1);
	for (int i = 0; i < 8; i++, key[0]++) {
		w[i].wake = wake;
		ck_assert_str_eq(
		    get_with(&times, key, 10000, 0, &w[i]), "wait");
	}
	answered(10000, 8);
}
END_TEST

START_TEST(refreshed_in_the_background)
{
	struct memo_times t = times;
	struct memo_waiter w = { .wake = wake };

	t.refresh = 500;
	open_pool(1);
	get_with(&t, "a", 10000, replies, &w);
	answered(10000, 1);
	/* At the end of its life it is still given, and asked anew, once. */
	ck_assert_str_eq(get_with(&t, "a", 11000, replies, &w), "found 1");
	ck_assert_str_eq(get_with(&t, "a", 11499, replies, &w), "found 1");
	ck_assert_str_eq(get_with(&t, "a", 11500, replies, &w), "wait");
	answered(11501, 2);
	ck_assert_str_eq(get_with(&t, "a", 11501, replies - 1, &w), "found 2");
}
END_TEST

/* While the pool fails nobody waits who could have an old answer. */
START_TEST(stale_at_once_while_it_fails)
{
	struct memo_waiter w = { .wake = wake };

	open_pool(1);
	get_with(&times, "a", 10000, replies, &w);
	answered(10000, 1);
	ck_assert_str_eq(get_with(&times, "a", 12000, replies, &w), "wait");
	memo_waiter_leave(&w);
	ask_pool_set_failing(pool, true);
	ck_assert_str_eq(get_with(&times, "a", 12000, replies, &w), "found 1");
	ck_assert_str_eq(get_with(&times, "a", 14999, replies, &w), "found 1");
	ck_assert_str_eq(get_with(&times, "a", 15000, replies, &w), "wait");
	memo_waiter_leave(&w);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("memo");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lifetimes);
	tcase_add_test(t, lifetime_of_the_answer);
	tcase_add_test(t, asked_before);
	tcase_add_test(t, stale);
	tcase_add_test(t, none_ends_stale);
	tcase_add_test(t, bounded);
	tcase_add_test(t, identical_questions);
	tcase_add_test(t, more_under_way_than_room);
	tcase_add_test(t, refreshed_in_the_background);
	tcase_add_test(t, stale_at_once_while_it_fails);
	return check_run("memo", t);
}
