/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker's side of the lookup channel when nobody is left to answer. */
#include "config.h"

#include <check.h>
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

int
main(void)
{
	TCase *t = tcase_create("lookup_client");

	tcase_add_test(t, no_spinning_when_all_are_gone);
	return check_run("lookup_client", t);
}
