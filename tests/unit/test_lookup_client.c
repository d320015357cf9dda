/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker's side of the lookup channel when nobody is left to answer. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "common/msg.h"
#include "perdition/lookup_client.h"
#include "tests/lib/check_run.h"

#include "common/banned.h"

static void
answered(void *owner, const struct lookup_answer *a)
{
	(void)owner;
	(void)a;
	ck_abort_msg("there is no answer");
}

static void
count_turn(uv_prepare_t *prepare)
{
	++*(unsigned int *)prepare->data;
}

static void
stop(struct loop_timer *t)
{
	loop_stop(t->uv.loop->data);
}

/* The master was killed, and with it went the lookup processes: sessions that
 * are logged in live on, and must not do so with a busy processor. */
START_TEST(no_spinning_when_all_are_gone)
{
	struct loop *loop = loop_create();
	struct lookup_client *c;
	struct lookup_question question = { .user = "u", .user_len = 1 };
	struct loop_timer timer;
	uv_prepare_t prepare;
	unsigned int turns = 0;
	int channel[2];

	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(msg_pair(channel), 0);
	c = lookup_client_create(loop, channel[1], answered);
	ck_assert_ptr_nonnull(c);
	loop_timer_open(loop, &timer, stop);
	((uv_loop_t *)loop_uv(loop))->data = loop;
	uv_prepare_init(loop_uv(loop), &prepare);
	prepare.data = &turns;
	uv_prepare_start(&prepare, count_turn);
	close(channel[0]);
	loop_timer_start(&timer, 50);
	loop_run(loop);
	ck_assert_uint_lt(turns, 10);

	/* Who asks all the same is told nothing: his time limit decides. */
	turns = 0;
	ck_assert_uint_ne(lookup_client_ask(c, &question, &turns), 0);
	loop_timer_start(&timer, 50);
	loop_run(loop);
	ck_assert_uint_lt(turns, 10);

	lookup_client_destroy(&c);
	loop_timer_close(&timer, NULL);
	uv_close((uv_handle_t *)&prepare, NULL);
	loop_destroy(&loop);
	close(channel[1]);
}
END_TEST

/* --- together or apart --------------------------------------------------- */

static unsigned int answers;

static void
count_answer(void *owner, const struct lookup_answer *a)
{
	ck_assert_int_eq(a->status, LOOKUP_NONE);
	++*(unsigned int *)owner;
}

/* Reads a packet of questions and answers them all; how many there were, 0 for
 * no packet. */
static unsigned int
serve(int fd, bool quick)
{
	static char in_mem[MSG_MAX], out_mem[MSG_MAX];
	struct lookup_question q;
	struct msg_writer out;
	struct msg_reader in;
	unsigned int found = 0;
	ssize_t n = msg_recv(fd, in_mem, sizeof(in_mem));

	if (n == -1 && errno == EAGAIN)
		return 0;
	ck_assert_int_gt(n, 2);
	msg_write_init(&out, out_mem, sizeof(out_mem));
	msg_put_u16(&out, LOOKUP_ANSWER);
	msg_put_u8(&out, quick);
	msg_read_init(&in, slice_make(in_mem, (size_t)n));
	ck_assert_uint_eq(msg_get_u16(&in), LOOKUP_ASK);
	for (; in.rest.n > 0; found++) {
		static struct lookup_answer a = { .status = LOOKUP_NONE };
		char text[1024];
		long len;

		ck_assert_int_eq(
		    lookup_question_parse(msg_get_slice(&in), &q), 0);
		a.id = q.id;
		len = lookup_answer_write(&a, text, sizeof(text));
		ck_assert_int_gt(len, 0);
		msg_put_slice(&out, slice_make(text, (size_t)len));
	}
	ck_assert_int_eq(msg_send(fd, slice_make(out_mem, out.n)), 0);
	return found;
}

static void
run_for(struct loop *loop, struct loop_timer *timer, uint64_t ms)
{
	loop_timer_start(timer, ms);
	loop_run(loop);
}

/* To a map that may block, each question in a packet of its own; to one that
 * is quick, those of one turn in one; and back. */
START_TEST(together_when_quick)
{
	static const struct {
		bool quick; /* as the answers say */
		unsigned int packets, each;
	} rounds[] = { { true, 5, 1 }, { true, 1, 5 }, { false, 1, 5 },
		{ false, 5, 1 } };
	struct loop *loop = loop_create();
	struct lookup_client *c;
	struct loop_timer timer;
	int channel[2];

	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(msg_pair(channel), 0);
	c = lookup_client_create(loop, channel[1], count_answer);
	ck_assert_ptr_nonnull(c);
	loop_timer_open(loop, &timer, stop);
	((uv_loop_t *)loop_uv(loop))->data = loop;
	for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		answers = 0;
		for (unsigned int k = 0; k < 5; k++) {
			struct lookup_question q = { .user = "u",
				.user_len = 1 };

			ck_assert_uint_ne(
			    lookup_client_ask(c, &q, &answers), 0);
		}
		run_for(loop, &timer, 1);
		for (unsigned int k = 0; k < rounds[i].packets; k++)
			ck_assert_uint_eq(
			    serve(channel[0], rounds[i].quick), rounds[i].each);
		ck_assert_uint_eq(serve(channel[0], false), 0);
		for (int k = 0; k < 1000 && answers < 5; k++)
			run_for(loop, &timer, 1);
		ck_assert_uint_eq(answers, 5);
	}
	lookup_client_destroy(&c);
	loop_timer_close(&timer, NULL);
	loop_destroy(&loop);
	close(channel[0]);
	close(channel[1]);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("lookup_client");

	tcase_add_test(t, together_when_quick);
	tcase_add_test(t, no_spinning_when_all_are_gone);
	return check_run("lookup_client", t);
}
