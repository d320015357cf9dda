/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Popmap questions and answers come out as they went in, cut ones not at all.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>

#include "../lib/check_run.h"
#include "perdition/map_channel.h"

#include "common/banned.h"

static struct sockaddr_in client = { .sin_family = AF_INET };
static struct sockaddr_in6 local = { .sin6_family = AF_INET6 };
static struct popmap_query query;
static struct map_question got;
static char mem[65536];
static struct msg_writer w;

static void
setup(void)
{
	client.sin_port = htons(4711);
	client.sin_addr.s_addr = htonl(0xc0000207);
	local.sin6_port = htons(143);
	local.sin6_addr.s6_addr[0] = 0x20;
	query = (struct popmap_query){
		.key = { "k\0y", 3 },
		.user = { "u\xff@d", 4 },
		.local = { "u\xff", 2 },
		.domain = { NULL, 0 },
		.delimiter = "@",
		.protocol = "imap4",
		.client_addr = (struct sockaddr *)&client,
		.local_addr = (struct sockaddr *)&local,
		.client_tls = true,
		.port = 993,
	};
	msg_write_init(&w, mem, sizeof(mem));
}

static bool
same(struct popmap_text a, struct popmap_text b)
{
	return slice_eq(slice_make(a.p, a.n), slice_make(b.p, b.n));
}

START_TEST(question)
{
	map_question_write(&w, &query, 0);
	ck_assert_int_eq(map_question_read(slice_make(mem, w.n), &got), 0);
	ck_assert(same(got.query.key, query.key));
	ck_assert(same(got.query.user, query.user));
	ck_assert(same(got.query.local, query.local));
	ck_assert_uint_eq(got.query.domain.n, 0);
	ck_assert_str_eq(got.query.delimiter, "@");
	ck_assert_str_eq(got.query.protocol, "imap4");
	ck_assert_mem_eq(got.query.client_addr, &client, sizeof(client));
	ck_assert_mem_eq(got.query.local_addr, &local, sizeof(local));
	ck_assert(got.query.client_tls);
	ck_assert_uint_eq(got.query.port, 993);
}
END_TEST

/* The same bytes for all that the module does not look at. */
START_TEST(flags)
{
	static const struct {
		unsigned int flags;
		bool same_for_port, same_for_address;
	} cases[] = {
		{ 0, false, false },
		{ POPMAP_ANY_PORT, true, false },
		{ POPMAP_ANY_CLIENT, true, true },
		{ POPMAP_ANY_CLIENT | POPMAP_ANY_PORT, true, true },
	};
	char first[1024];
	size_t n;

	for (int i = 0; i < COUNT(cases); i++) {
		setup();
		map_question_write(&w, &query, cases[i].flags);
		n = w.n;
		memcpy(first, mem, n);
		ck_assert_int_eq(
		    map_question_read(slice_make(mem, n), &got), 0);
		client.sin_port = htons(4712);
		msg_write_init(&w, mem, sizeof(mem));
		map_question_write(&w, &query, cases[i].flags);
		ck_assert_int_eq(n == w.n && memcmp(first, mem, n) == 0,
		    cases[i].same_for_port);
		setup();
		client.sin_addr.s_addr = 1;
		map_question_write(&w, &query, cases[i].flags);
		ck_assert_int_eq(n == w.n && memcmp(first, mem, n) == 0,
		    cases[i].same_for_address);
	}
}
END_TEST

START_TEST(cut_questions)
{
	size_t n;

	map_question_write(&w, &query, 0);
	n = w.n;
	for (size_t i = 0; i < n; i++) {
		int ret = map_question_read(slice_make(mem, i), &got);

		/* Where the addresses begin it is one without them. */
		if (ret == 0)
			ck_assert_uint_eq(got.client.ss_family, AF_INET);
		ck_assert_int_eq(ret == 0 && i == n, 0);
	}
	mem[n] = 0;
	ck_assert_int_eq(map_question_read(slice_make(mem, n + 1), &got), -1);
}
END_TEST

START_TEST(servers)
{
	static struct popmap_answer a, b;

	a.n = POPMAP_SERVERS_MAX;
	for (size_t i = 0; i < a.n; i++) {
		a.server[i].len = i == 0 ? sizeof(a.server[0].text) : i;
		memset(a.server[i].text, 'a' + (int)i, a.server[i].len);
	}
	map_servers_write(&w, &a);
	ck_assert_int_eq(map_servers_read(slice_make(mem, w.n), &b), 0);
	ck_assert_uint_eq(b.n, a.n);
	for (size_t i = 0; i < a.n; i++) {
		ck_assert_uint_eq(b.server[i].len, a.server[i].len);
		ck_assert_mem_eq(
		    b.server[i].text, a.server[i].text, a.server[i].len);
	}
	ck_assert_int_eq(map_servers_read(slice_make(mem, w.n - 1), &b), -1);
	ck_assert_int_eq(map_servers_read(slice_make(mem, 0), &b), -1);
	msg_put_slice(&w, SLICE("one more"));
	ck_assert_int_eq(map_servers_read(slice_make(mem, w.n), &b), -1);
	msg_write_init(&w, mem, sizeof(mem));
	msg_put_u32(&w, sizeof(a.server[0].text) + 1);
	w.n += sizeof(a.server[0].text) + 1;
	ck_assert_int_eq(map_servers_read(slice_make(mem, w.n), &b), -1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("map_channel");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, question);
	tcase_add_test(t, flags);
	tcase_add_test(t, cut_questions);
	tcase_add_test(t, servers);
	return check_run("map_channel", t);
}
