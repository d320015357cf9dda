/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resolver's order, memory and refusals, with a clock of our own.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "fake_resolver.h"
#include "perdition/request.h"
#include "perdition/resolve.h"

#include "common/banned.h"

static struct resolver *r;
static uint64_t replies;
static struct addr out[64];
static size_t n;
static struct err err;

static void
quiet(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
setup(void)
{
	log_set_sink(quiet, NULL);
	fake_asked = 0;
	fake_failure = 0;
	fake_reverse = NULL;
	ck_assert_int_eq(
	    resolve_open(&r, false, &fake_resolver, -1, 1000, &replies, &err),
	    0);
}

static void
teardown(void)
{
	resolve_close(&r);
	ck_assert_ptr_null(r);
}

static const struct resolve_when *
at(uint64_t now)
{
	static struct resolve_when when;

	when = (struct resolve_when){ .now_ms = now, .since = replies };
	return &when;
}

static int
ask(const char *host, uint64_t now)
{
	return resolve_host(r, slice_str(host), at(now), out, 64, &n, &err);
}

static void
is_at(size_t i, const char *text)
{
	char got[ADDR_TEXT_MAX];

	ck_assert_uint_lt(i, n);
	addr_write_ip(&out[i], got);
	ck_assert_str_eq(got, text);
	ck_assert_uint_eq(out[i].port, 0);
}

START_TEST(numbers_ask_nobody)
{
	ck_assert_int_eq(ask("192.0.2.1", 0), 1);
	is_at(0, "192.0.2.1");
	ck_assert_int_eq(ask("2001:db8::1", 0), 1);
	is_at(0, "2001:db8::1");
	ck_assert_uint_eq(fake_asked, 0);
}
END_TEST

static void
woken(struct memo_waiter *w, uint64_t now_ms)
{
	(void)now_ms;
	*w = (struct memo_waiter){ .wake = NULL };
}

/* Where all servers are addresses nobody is needed who may wait. */
START_TEST(no_process_before_a_name)
{
	struct memo_waiter waiter = { .wake = woken };
	struct resolve_when when = { .waiter = &waiter };
	struct epoll_event ev;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	resolve_close(&r);
	ck_assert_int_eq(resolve_open(&r, false, &fake_resolver, epoll, 1000,
			     &replies, &err),
	    0);
	ck_assert_int_eq(
	    resolve_host(r, SLICE("192.0.2.1"), &when, out, 64, &n, &err), 1);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_int_eq(
	    resolve_host(r, SLICE("one.example"), &when, out, 64, &n, &err),
	    RESOLVE_WAIT);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), 0);
	while (waiter.wake != NULL) {
		struct watch *w;

		ck_assert_int_eq(epoll_wait(epoll, &ev, 1, 10000), 1);
		w = ev.data.ptr;
		w->ready(w, 0);
	}
	ck_assert_int_eq(
	    resolve_host(r, SLICE("one.example"), &when, out, 64, &n, &err), 1);
	is_at(0, "192.0.2.9");
	close(epoll);
}
END_TEST

START_TEST(families_take_turns)
{
	ck_assert_int_eq(ask("two.example", 0), 1);
	ck_assert_uint_eq(n, 4);
	is_at(0, "2001:db8::1");
	is_at(1, "192.0.2.1");
	is_at(2, "2001:db8::2");
	is_at(3, "192.0.2.2");
}
END_TEST

START_TEST(bounds)
{
	char name[300];

	ck_assert_int_eq(ask("many.example", 0), 1);
	ck_assert_uint_eq(n, RESOLVE_ADDRS_MAX);
	ck_assert_int_eq(
	    resolve_host(r, SLICE("many.example"), at(0), out, 3, &n, &err), 1);
	ck_assert_uint_eq(n, 3);
	is_at(2, "192.0.2.3");
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(ask(name, 0), 0);
	ck_assert_int_eq(ask("", 0), 0);
	ck_assert_int_eq(
	    resolve_host(r, SLICE("one.example\0x"), at(0), out, 1, &n, &err),
	    0);
}
END_TEST

START_TEST(hits_are_kept)
{
	ck_assert_int_eq(ask("one.example", 1000), 1);
	ck_assert_int_eq(ask("one.example", 999 + RESOLVE_HIT_MS), 1);
	ck_assert_uint_eq(fake_asked, 1);
	ck_assert_int_eq(ask("one.example", 1000 + RESOLVE_HIT_MS), 1);
	ck_assert_uint_eq(fake_asked, 2);
}
END_TEST

START_TEST(misses_are_kept_shorter)
{
	ck_assert_int_eq(ask("no.example", 1000), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "no.example: "));
	ck_assert_int_eq(ask("no.example", 999 + RESOLVE_MISS_MS), 0);
	ck_assert_uint_eq(fake_asked, 1);
	ck_assert_int_eq(ask("no.example", 1000 + RESOLVE_MISS_MS), 0);
	ck_assert_uint_eq(fake_asked, 2);

	ck_assert_int_eq(ask("again.example", 1000), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "again.example: "));
	ck_assert_int_eq(ask("again.example", 1001), -1);
	ck_assert_uint_eq(fake_asked, 3);
}
END_TEST

START_TEST(old_hits_serve_while_the_resolver_is_down)
{
	uint64_t later = RESOLVE_HIT_MS + 1;

	ck_assert_int_eq(ask("one.example", 0), 1);
	fake_failure = EAI_AGAIN;
	ck_assert_int_eq(ask("one.example", later), 1);
	is_at(0, "192.0.2.9");
	ck_assert_uint_eq(fake_asked, 2);
	ck_assert_int_eq(ask("one.example", later + 1), 1);
	ck_assert_uint_eq(fake_asked, 2);
	ck_assert_int_eq(ask("one.example", RESOLVE_STALE_MS + 1), -1);
	fake_failure = 0;
	ck_assert_int_eq(ask("one.example", 2 * RESOLVE_STALE_MS), 1);

	/* That there is no such name is an answer. */
	fake_failure = EAI_NONAME;
	ck_assert_int_eq(ask("one.example", 3 * RESOLVE_STALE_MS), 0);
}
END_TEST

START_TEST(more_names_than_places)
{
	char name[32];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		ck_assert_int_eq(ask(name, 0), 0);
		ck_assert_ptr_nonnull(strstr(err.msg, name));
	}
	ck_assert_int_eq(ask("one.example", 0), 1);
}
END_TEST

START_TEST(numeric)
{
	char domain[LOOKUP_DOMAIN_MAX];
	struct addr a;
	uint16_t port;

	resolve_close(&r);
	ck_assert_int_eq(
	    resolve_open(&r, true, &fake_resolver, -1, 1000, &replies, &err),
	    0);
	fake_reverse = "a.example";
	ck_assert_int_eq(ask("one.example", 0), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "no_lookup"));
	ck_assert_int_eq(ask("192.0.2.1", 0), 1);
	ck_assert_int_eq(resolve_port(r, SLICE("pop3"), &port, &err), -1);
	ck_assert_int_eq(resolve_port(r, SLICE("110"), &port, &err), 0);
	ck_assert_uint_eq(port, 110);
	ck_assert_int_eq(addr_parse_ip(SLICE("192.0.2.1"), &a), 0);
	ck_assert_int_eq(resolve_domain(r, &a, 1, at(0), domain, &err), 0);
	ck_assert_uint_eq(fake_asked, 0);
}
END_TEST

static const struct {
	struct slice text;
	int ret;
	uint16_t port;
} ports[] = {
	{ SLICE("1"), 0, 1 },
	{ SLICE("65535"), 0, 65535 },
	{ SLICE("0"), -1, 0 },
	{ SLICE("65536"), -1, 0 },
	{ SLICE(""), -1, 0 },
	{ SLICE("no-such-service"), -1, 0 },
	{ SLICE("pop3\0"), -1, 0 },
};

START_TEST(port_cases)
{
	uint16_t port = 0;

	err.msg[0] = '\0';
	ck_assert_int_eq(
	    resolve_port(r, ports[_i].text, &port, &err), ports[_i].ret);
	ck_assert_uint_eq(port, ports[_i].port);
	ck_assert_int_eq(err.msg[0] != '\0', ports[_i].ret == -1);
}
END_TEST

static const struct {
	const char *name;
	unsigned int depth;
	int ret;
	const char *domain;
} domains[] = {
	{ "mail.a.example", 1, 1, "a.example" },
	{ "mail.a.example", 2, 1, "example" },
	{ "mail.a.example", 3, 0, "" },
	{ "mail.a.example", 99, 0, "" },
	{ "mail.a.example.", 1, 1, "a.example" },
	{ "mail", 1, 0, "" },
	{ "m_1.a-b.Example", 1, 1, "a-b.Example" },
	{ NULL, 1, 0, "" },
	{ "", 1, 0, "" },
	{ "mail.a example", 1, 0, "" },
	{ "mail.a\r\nA1 LOGOUT", 1, 0, "" },
	{ "mail.a\"b", 1, 0, "" },
	{ "mail.a@b", 1, 0, "" },
	{ "mail.\xc3\xa4", 1, 0, "" },
};

START_TEST(domain_cases)
{
	char domain[LOOKUP_DOMAIN_MAX] = "x";
	struct addr a;

	ck_assert_int_eq(addr_parse(SLICE("[::1]:143"), true, &a), 0);
	fake_reverse = domains[_i].name;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(resolve_domain(r, &a, domains[_i].depth, at(0),
				     domain, &err),
		    domains[_i].ret);
		ck_assert_str_eq(domain, domains[_i].domain);
	}
	ck_assert_uint_eq(fake_asked, 1);
}
END_TEST

START_TEST(domain_fails)
{
	char domain[LOOKUP_DOMAIN_MAX];
	struct addr a;

	ck_assert_int_eq(addr_parse_ip(SLICE("192.0.2.1"), &a), 0);
	fake_failure = EAI_AGAIN;
	ck_assert_int_eq(resolve_domain(r, &a, 1, at(0), domain, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "192.0.2.1"));
	/* The same text as a host's name is another question. */
	fake_failure = 0;
	fake_reverse = "x.example";
	ck_assert_int_eq(
	    resolve_domain(r, &a, 1, at(RESOLVE_MISS_MS), domain, &err), 1);
	ck_assert_str_eq(domain, "example");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("resolve");
	TCase *t = tcase_create("resolve");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, numbers_ask_nobody);
	tcase_add_test(t, no_process_before_a_name);
	tcase_add_test(t, families_take_turns);
	tcase_add_test(t, bounds);
	tcase_add_test(t, hits_are_kept);
	tcase_add_test(t, misses_are_kept_shorter);
	tcase_add_test(t, old_hits_serve_while_the_resolver_is_down);
	tcase_add_test(t, more_names_than_places);
	tcase_add_test(t, numeric);
	tcase_add_loop_test(t, port_cases, 0, sizeof(ports) / sizeof(ports[0]));
	tcase_add_loop_test(
	    t, domain_cases, 0, sizeof(domains) / sizeof(domains[0]));
	tcase_add_test(t, domain_fails);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
