/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several maps: the first answer, what a failed one means, and that one which
 * hangs or dies holds up nobody who does not need it.
 */
#include "config.h"

#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../lib/check_run.h"
#include "common/log.h"
#include "map_scratch.h"
#include "perdition/maps.h"

#include "common/banned.h"

static char modules[256], script[] = TEST_MODULES "/popmap_script.so",
			  regex[] = BUILT_MODULES "/popmap_regex.so",
			  rules[256], a_host[] = "a.example",
			  b_host[] = "b.example", trouble[256];
static char *libraries[4], *options[4];
static struct config config;
static struct maps *maps;
static struct popmap_answer answer;
static struct err err;
static struct memo_waiter waiter;
static int epoll;
static bool woken;
static uint64_t now, replies;

static void
quiet(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
wake(struct memo_waiter *w, uint64_t at)
{
	(void)w;
	(void)at;
	woken = true;
}

static void
setup(void)
{
	log_set_sink(quiet, NULL);
	scratch_make();
	scratch_write("rules", SLICE("^quick$ quick.example\n"));
	snprintf(rules, sizeof(rules), "%s", scratch_path("rules"));
	snprintf(trouble, sizeof(trouble), "%s", scratch_path("trouble"));
	config = (struct config){
		.map_library = { libraries, 0 },
		.map_library_opt = { options, 0 },
		.module_dir = modules,
		.map_timeout = 10,
		.map_connections = 1,
		.popmap_cache_size = 100,
	};
	waiter = (struct memo_waiter){ .wake = wake };
	now = 1000000;
	epoll = epoll_create1(EPOLL_CLOEXEC);
}

static void
teardown(void)
{
	maps_close(&maps);
	close(epoll);
	scratch_remove();
}

static void
add(char *library, char *option)
{
	size_t n = config.map_library.n++;

	config.map_library_opt.n++;
	libraries[n] = library;
	options[n] = option;
}

static void
open_maps(int fd)
{
	ck_assert_msg(maps_open(&maps, &config, fd, NULL, &replies, &err) == 0,
	    "%s", err.msg);
}

static int
ask_keys(const char *one, const char *two, uint64_t since)
{
	static struct sockaddr_in any = { .sin_family = AF_INET };
	struct popmap_text keys[2] = { { one, strlen(one) },
		{ two, two == NULL ? 0 : strlen(two) } };
	struct popmap_query q = { .delimiter = "@",
		.protocol = "imap4",
		.client_addr = (struct sockaddr *)&any,
		.local_addr = (struct sockaddr *)&any };

	return maps_ask(maps, &q, keys, two == NULL ? 1 : 2, now, since,
	    &waiter, &answer, &err);
}

/* "found HOST", "none", "failed WHY", "wait" */
static const char *
shown(int ret)
{
	static char text[sizeof(err.msg) + 1024];

	if (ret == 1)
		snprintf(text, sizeof(text), "found %.*s",
		    (int)answer.server[0].len, answer.server[0].text);
	else if (ret == -1)
		snprintf(text, sizeof(text), "failed %s", err.msg);
	else
		snprintf(text, sizeof(text), "%s", ret == 0 ? "none" : "wait");
	return text;
}

static const char *
ask(const char *one, const char *two)
{
	return shown(ask_keys(one, two, replies));
}

/* As a lookup process does it: again whenever something has come. */
static const char *
ask_and_wait(const char *one, const char *two)
{
	uint64_t since = replies;
	int ret = ask_keys(one, two, since);

	for (int i = 0; ret == MAPS_WAIT && i < 1000; i++) {
		struct epoll_event ev;

		woken = false;
		maps_tick(maps, now);
		if (epoll_wait(epoll, &ev, 1, 10) == 1) {
			struct watch *w = ev.data.ptr;

			w->ready(w, now);
		}
		if (woken)
			ret = ask_keys(one, two, since);
	}
	return shown(ret);
}

START_TEST(first_answer)
{
	add(regex, rules);
	add(script, a_host);
	add(script, b_host);
	open_maps(_i == 0 ? -1 : epoll);
	ck_assert_str_eq(ask_and_wait("quick", NULL), "found quick.example");
	ck_assert_str_eq(ask_and_wait("other", NULL), "found a.example");
	/* A map is asked for all keys before the next one is. */
	ck_assert_str_eq(ask_and_wait("none", "other"), "found a.example");
	ck_assert_str_eq(ask_and_wait("other", "quick"), "found quick.example");
	ck_assert_str_eq(ask_and_wait("none", "none"), "none");
}
END_TEST

START_TEST(failed_map)
{
	add(script, trouble); /* fails while that file is there */
	add(regex, rules);
	open_maps(_i == 0 ? -1 : epoll);
	scratch_write("trouble", SLICE(""));
	ck_assert_str_eq(ask_and_wait("quick", NULL),
	    _i == 0 ? "failed popmap script: told to"
		    : "failed map script: popmap script: told to");
	config.map_fallthrough = true;
	ck_assert_str_eq(ask_and_wait("quick", NULL), "found quick.example");
	/* Nobody can say that there is no such user. */
	ck_assert_ptr_nonnull(strstr(ask_and_wait("x", NULL), "told to"));
}
END_TEST

START_TEST(no_map)
{
	static char none[] = "";

	add(none, none);
	open_maps(epoll);
	ck_assert_uint_eq(maps_count(maps), 0);
	ck_assert_str_eq(ask("x", NULL), "none");
}
END_TEST

START_TEST(bad_options_stop_the_start)
{
	static char bad[] = "bad", missing[] = "/nonexistent/x.so";

	add(script, bad);
	ck_assert_int_eq(maps_open(&maps, &config, _i == 0 ? -1 : epoll, NULL,
			     &replies, &err),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "bad options"));
	libraries[0] = missing;
	ck_assert_int_eq(maps_open(&maps, &config, _i == 0 ? -1 : epoll, NULL,
			     &replies, &err),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.msg, missing));
}
END_TEST

START_TEST(hung_map)
{
	add(regex, rules);
	add(script, a_host);
	open_maps(epoll);
	ck_assert_str_eq(ask("hang", NULL), "wait");
	memo_waiter_leave(&waiter);
	ck_assert_str_eq(ask("quick", NULL), "found quick.example");
	ck_assert_uint_eq(maps_due(maps), now + maps_limit_ms(&config));
	ck_assert_uint_lt(maps_limit_ms(&config), 10000);
	now += maps_limit_ms(&config);
	ck_assert_str_eq(
	    ask_and_wait("hang", NULL), "failed map script: no answer in time");
	/* And it is there again. */
	ck_assert_str_eq(ask_and_wait("other", NULL), "found a.example");
}
END_TEST

START_TEST(dead_map)
{
	add(script, a_host);
	open_maps(epoll);
	ck_assert_str_eq(
	    ask_and_wait("die", NULL), "failed map script: its process ended");
	ck_assert_str_eq(ask_and_wait("other", NULL), "found a.example");
}
END_TEST

static bool
counts(const char *key, unsigned int n)
{
	char want[32];
	const char *got = ask_and_wait(key, NULL);

	snprintf(want, sizeof(want), "found n%u.p", n);
	return strncmp(got, want, strlen(want)) == 0;
}

START_TEST(cache)
{
	add(script, a_host);
	config.popmap_cache = 5;
	open_maps(epoll);
	ck_assert(counts("count", 1));
	now += 4999;
	ck_assert(counts("count", 1));
	now++;
	ck_assert(counts("count", 2));
	ck_assert(counts("brief", 3)); /* says itself: one second */
	now += 1000;
	ck_assert(counts("brief", 4));
	ck_assert(counts("once", 5));
	ck_assert(counts("once", 6));
}
END_TEST

START_TEST(no_cache)
{
	add(script, a_host);
	open_maps(epoll);
	ck_assert(counts("count", 1));
	ck_assert(counts("count", 2)); /* in the same millisecond */
}
END_TEST

START_TEST(stale_while_it_fails)
{
	add(script, trouble);
	config.popmap_cache_stale = 60;
	open_maps(epoll);
	ck_assert(counts("count", 1));
	scratch_write("trouble", SLICE(""));
	now += 1000;
	/* "count" does not fail; another key tells that the map does. */
	ck_assert_ptr_nonnull(strstr(ask_and_wait("x", NULL), "told to"));
	ck_assert(counts("count", 1));
	now += 60000;
	ck_assert(!counts("count", 1));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("maps");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, first_answer, 0, 2);
	tcase_add_loop_test(t, failed_map, 0, 2);
	tcase_add_test(t, no_map);
	tcase_add_loop_test(t, bad_options_stop_the_start, 0, 2);
	tcase_add_test(t, hung_map);
	tcase_add_test(t, dead_map);
	tcase_add_test(t, cache);
	tcase_add_test(t, no_cache);
	tcase_add_test(t, stale_while_it_fails);
	return check_run("maps", t);
}
