/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sending side of the log channel: batches, bounds, never waiting. */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/logq.h"
#include "perdition/request.h"

#include "common/banned.h"

static int channel[2];
static struct logq *q;
static char packet[MSG_MAX];

static void
setup(void)
{
	ck_assert_int_eq(msg_pair(channel), 0);
	q = logq_open(channel[1]);
	ck_assert_ptr_nonnull(q);
}

static void
teardown(void)
{
	logq_close(&q);
	ck_assert_ptr_null(q);
	close(channel[0]);
	close(channel[1]);
}

struct record {
	unsigned int type, level;
	struct slice ident, text;
};

/* Reads one packet and hands out its records; returns how many. */
static unsigned int
receive(struct record *records, unsigned int max)
{
	struct msg_reader r;
	unsigned int n = 0;
	ssize_t len = msg_recv(channel[0], packet, sizeof(packet));

	if (len == -1)
		return 0;
	ck_assert_int_gt(len, 0);
	msg_read_init(&r, slice_make(packet, (size_t)len));
	ck_assert_uint_eq(msg_get_u16(&r), LOG_BATCH);
	while (r.rest.n > 0) {
		struct record got;

		got.type = msg_get_u8(&r);
		got.level = msg_get_u8(&r);
		ck_assert_uint_eq(msg_get_u32(&r), (uint32_t)getpid());
		got.ident = msg_get_slice(&r);
		got.text = msg_get_slice(&r);
		ck_assert(!r.failed);
		if (n < max)
			records[n] = got;
		n++;
	}
	return n;
}

START_TEST(lines_are_gathered)
{
	struct record got[3];

	logq_line(q, LOG_INFO, SLICE("one"));
	logq_set_ident(q, "imap4");
	logq_line(q, LOG_ERR, SLICE("two"));
	ck_assert_uint_eq(receive(got, 3), 0);
	ck_assert(logq_flush(q));
	ck_assert_uint_eq(receive(got, 3), 2);
	ck_assert(slice_eq(got[0].text, SLICE("one")));
	ck_assert(slice_eq(got[0].ident, SLICE("")));
	ck_assert_uint_eq(got[0].level, LOG_INFO);
	ck_assert(slice_eq(got[1].text, SLICE("two")));
	ck_assert(slice_eq(got[1].ident, SLICE("imap4")));
	ck_assert_uint_eq(got[1].level, LOG_ERR);
	ck_assert(logq_flush(q)); /* nothing: no packet */
	ck_assert_uint_eq(receive(got, 3), 0);
}
END_TEST

START_TEST(is_a_sink)
{
	struct record got[1];

	logq_install(q);
	log_event(LOG_NOTICE, "x", LOG_U64("n", 5));
	logq_flush(q);
	ck_assert_uint_eq(receive(got, 1), 1);
	ck_assert(slice_eq(got[0].text, SLICE("event=x n=5")));
}
END_TEST

START_TEST(events_are_records)
{
	struct auth_event ev = { .kind = AUTH_LOGIN, .ok = true };
	struct auth_event back;
	struct record got[1];

	ck_assert_int_eq(addr_parse(SLICE("192.0.2.1:9"), true, &ev.client), 0);
	ck_assert_int_eq(
	    addr_parse(SLICE("192.0.2.2:143"), true, &ev.local), 0);
	memcpy(ev.protocol, "IMAP4", 6);
	memcpy(ev.user, "a\"\n", 3);
	ev.user_len = 3;
	memcpy(ev.server, "s:143", 5);
	ev.server_len = 5;
	logq_auth(q, &ev, "imap4");
	ck_assert(logq_flush(q));
	ck_assert_uint_eq(receive(got, 1), 1);
	ck_assert_uint_eq(got[0].type, LOG_RECORD_AUTH);
	ck_assert(slice_eq(got[0].ident, SLICE("imap4")));
	ck_assert_int_eq(auth_event_parse_record(got[0].text, &back), 1);
	ck_assert_uint_eq(back.user_len, 3);
	ck_assert(back.ok);
}
END_TEST

/* Nobody reads: the queue fills, then lines are lost, and their number is
 * told once there is room, before anything new. */
START_TEST(bounded_and_told)
{
	static char line[1000];
	struct record got[64];
	uint64_t lost;
	unsigned int i;
	unsigned int n;
	unsigned int seen = 0;
	unsigned long long told = 0;
	bool all;

	memset(line, 'x', sizeof(line));
	for (i = 0; i < 2000; i++) {
		logq_line(q, LOG_INFO, slice_make(line, sizeof(line)));
		if (i % 10 == 0)
			logq_flush(q);
	}
	ck_assert(!logq_flush(q));
	lost = logq_lost(q);
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_lt(lost, 2000 - LOGQ_MAX / 1100);
	logq_line(q, LOG_INFO, SLICE("after")); /* lost too */
	do {
		all = logq_flush(q);
		while ((n = receive(got, 64)) > 0) {
			for (i = 0; i < n; i++) {
				if (slice_starts(got[i].text,
					SLICE("event=log-lost lines=")))
					told += strtoull(
					    got[i].text.p + 21, NULL, 10);
				else
					seen++;
			}
		}
	} while (!all);
	ck_assert_uint_eq(told, logq_lost(q));
	ck_assert_uint_eq(seen + told, 2001);
}
END_TEST

START_TEST(nobody_there)
{
	close(channel[0]);
	logq_line(q, LOG_INFO, SLICE("x"));
	ck_assert(!logq_flush(q)); /* and no signal */
	channel[0] = dup(channel[1]);
}
END_TEST

static void
stop_loop(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

START_TEST(attached_to_a_loop)
{
	uv_loop_t loop;
	uv_timer_t timer;
	struct record got[1];

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(logq_attach(q, &loop), 0);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_NOWAIT), 0); /* not alive */
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, stop_loop, 1, 0);
	logq_line(q, LOG_INFO, SLICE("x"));
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(receive(got, 1), 1);
	logq_close(&q);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

/* What did not fit goes as soon as the log process has read. */
START_TEST(room_again_wakes_the_loop)
{
	static char line[4000];
	uv_loop_t loop;
	uv_timer_t timer;
	struct record got[1];
	unsigned int i;
	unsigned int seen = 0;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(logq_attach(q, &loop), 0);
	uv_timer_init(&loop, &timer); /* keeps the loop turning */
	uv_timer_start(&timer, stop_loop, 1, 1);
	memset(line, 'y', sizeof(line));
	for (i = 0; i < 60; i++) {
		logq_line(q, LOG_INFO, slice_make(line, sizeof(line)));
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	ck_assert_uint_eq(logq_lost(q), 0);
	for (i = 0; i < 5000 && seen < 60; i++) {
		seen += receive(got, 1);
		uv_run(&loop, UV_RUN_ONCE);
	}
	ck_assert_uint_eq(seen, 60);
	logq_close(&q);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

static void
count_turn(uv_prepare_t *prepare)
{
	++*(unsigned int *)prepare->data;
}

/* The log process and the master died while lines waited for room. */
START_TEST(no_spinning_when_nobody_reads)
{
	static char line[4000];
	uv_loop_t loop;
	uv_timer_t timer;
	uv_prepare_t prepare;
	struct record got[1];
	unsigned int turns = 0;
	unsigned int i;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(logq_attach(q, &loop), 0);
	uv_timer_init(&loop, &timer);
	memset(line, 'y', sizeof(line));
	for (i = 0; i < 60; i++)
		logq_line(q, LOG_INFO, slice_make(line, sizeof(line)));
	uv_timer_start(&timer, stop_loop, 10, 0); /* past its gathering */
	uv_run(&loop, UV_RUN_ONCE);
	/* An end with unread packets would be an error, not a hang-up. */
	while (receive(got, 1) > 0)
		continue;
	close(channel[0]);
	channel[0] = -1;
	uv_prepare_init(&loop, &prepare);
	prepare.data = &turns;
	uv_prepare_start(&prepare, count_turn);
	uv_timer_start(&timer, stop_loop, 50, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_uint_lt(turns, 10);
	logq_close(&q);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_close((uv_handle_t *)&prepare, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("logq");
	TCase *t = tcase_create("logq");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lines_are_gathered);
	tcase_add_test(t, is_a_sink);
	tcase_add_test(t, events_are_records);
	tcase_add_test(t, bounded_and_told);
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, attached_to_a_loop);
	tcase_add_test(t, room_again_wakes_the_loop);
	tcase_add_test(t, no_spinning_when_nobody_reads);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
