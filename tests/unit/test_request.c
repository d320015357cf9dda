/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lookup channel's packets: parse(write(x)) = x, and nothing else parses.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "perdition/request.h"

#include "common/banned.h"

static struct addr
an_addr(uint16_t port)
{
	struct addr a;

	memset(&a, 0, sizeof(a));
	a.ip.s6_addr[0] = 0xfe;
	a.ip.s6_addr[1] = 0x80;
	a.ip.s6_addr[15] = 7;
	a.port = port;
	a.scope = 3;
	return a;
}

static void
a_question(struct lookup_question *q, size_t user_len)
{
	memset(q, 0, sizeof(*q));
	q->id = 0x0123456789abcdefULL;
	q->listener = 65535;
	q->client = an_addr(1234);
	q->local = an_addr(143);
	q->user_len = user_len;
	for (size_t i = 0; i < user_len; i++)
		q->user[i] = (char)i;
}

static void
an_answer(struct lookup_answer *a, enum lookup_status status, size_t n)
{
	memset(a, 0, sizeof(*a));
	a->id = 42;
	a->status = status;
	a->defaults = n > 1;
	a->has_user = n % 2 == 1;
	if (a->has_user) {
		a->user_len = sizeof(a->user);
		memset(a->user, '\0', sizeof(a->user));
	}
	memset(a->domain, 'd', sizeof(a->domain) - 1);
	memset(a->text, 't', sizeof(a->text) - 1);
	a->n = n;
	for (size_t i = 0; i < n; i++) {
		a->candidate[i].addr = an_addr((uint16_t)(i + 1));
		memset(a->candidate[i].host, 'h', LOOKUP_HOST_MAX - 1);
		a->candidate[i].same = i % 2 == 1;
	}
}

static const size_t question_lengths[] = { 0, 1, 255, AUTH_USER_MAX };

START_TEST(question)
{
	struct lookup_question q, got;
	char mem[1024];
	long n;

	a_question(&q, question_lengths[_i]);
	n = lookup_question_write(&q, mem, sizeof(mem));
	ck_assert_int_gt(n, 0);
	memset(&got, 0, sizeof(got)); /* what does not count is not written */
	ck_assert_int_eq(
	    lookup_question_parse(slice_make(mem, (size_t)n), &got), 0);
	ck_assert(memcmp(&q, &got, sizeof(q)) == 0);

	for (long cut = 0; cut < n; cut++) {
		errno = 0;
		ck_assert_int_eq(
		    lookup_question_parse(slice_make(mem, (size_t)cut), &got),
		    -1);
		ck_assert_int_eq(errno, EBADMSG);
		ck_assert_int_eq(
		    lookup_question_write(&q, mem, (size_t)cut), -1);
	}
	ck_assert_int_eq(lookup_question_write(&q, mem, sizeof(mem)), n);
	mem[n] = '\0';
	ck_assert_int_eq(
	    lookup_question_parse(slice_make(mem, (size_t)n + 1), &got), -1);
}
END_TEST

START_TEST(question_too_long)
{
	struct lookup_question q, got;
	struct msg_writer w;
	char mem[2048];
	char user[AUTH_USER_MAX + 1];
	long n;

	a_question(&q, 0);
	n = lookup_question_write(&q, mem, sizeof(mem));
	ck_assert_int_gt(n, 4);
	/* The same with a user one byte too long. */
	memset(user, 'u', sizeof(user));
	msg_write_init(&w, mem + n - 4, sizeof(mem) - (size_t)n);
	msg_put_slice(&w, slice_make(user, sizeof(user)));
	ck_assert_int_eq(
	    lookup_question_parse(slice_make(mem, (size_t)n - 4 + w.n), &got),
	    -1);
	q.user_len = AUTH_USER_MAX + 1;
	ck_assert_int_eq(lookup_question_write(&q, mem, sizeof(mem)), -1);
}
END_TEST

static const struct {
	enum lookup_status status;
	size_t n;
} answers[] = {
	{ LOOKUP_FOUND, 1 },
	{ LOOKUP_FOUND, 2 },
	{ LOOKUP_FOUND, LOOKUP_CANDIDATES_MAX },
	{ LOOKUP_NONE, 0 },
	{ LOOKUP_FAILED, 0 },
	{ LOOKUP_DENIED, 0 },
};

START_TEST(answer)
{
	struct lookup_answer a, got;
	static char mem[MSG_MAX];
	long n;

	an_answer(&a, answers[_i].status, answers[_i].n);
	n = lookup_answer_write(&a, mem, sizeof(mem));
	ck_assert_int_gt(n, 0);
	memset(&got, 0, sizeof(got));
	ck_assert_int_eq(
	    lookup_answer_parse(slice_make(mem, (size_t)n), &got), 0);
	ck_assert(memcmp(&a, &got, sizeof(a)) == 0);

	for (long cut = 0; cut < n; cut++) {
		errno = 0;
		ck_assert_int_eq(
		    lookup_answer_parse(slice_make(mem, (size_t)cut), &got),
		    -1);
		ck_assert_int_eq(errno, EBADMSG);
	}
	mem[n] = '\0';
	ck_assert_int_eq(
	    lookup_answer_parse(slice_make(mem, (size_t)n + 1), &got), -1);
	ck_assert_int_eq(lookup_answer_write(&a, mem, (size_t)n - 1), -1);
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

static void
spoil_count(struct lookup_answer *a)
{
	a->n = LOOKUP_CANDIDATES_MAX + 1;
}

static void
spoil_found(struct lookup_answer *a)
{
	a->n = 0;
}

static void
spoil_none(struct lookup_answer *a)
{
	a->status = LOOKUP_NONE;
}

static void
spoil_status(struct lookup_answer *a)
{
	a->status = (enum lookup_status)(LOOKUP_DENIED + 1);
}

static void
spoil_port(struct lookup_answer *a)
{
	a->candidate[0].addr.port = 0;
}

static void
spoil_host(struct lookup_answer *a)
{
	a->candidate[1].host[0] = '\0';
}

static void
spoil_same(struct lookup_answer *a)
{
	a->candidate[0].same = true;
}

static void
spoil_user(struct lookup_answer *a)
{
	a->has_user = false;
	a->user_len = 1;
}

static void (*const spoilers[])(struct lookup_answer *) = { spoil_count,
	spoil_found, spoil_none, spoil_status, spoil_port, spoil_host,
	spoil_same, spoil_user };

START_TEST(answer_unsound)
{
	struct lookup_answer a;
	static char mem[MSG_MAX];

	an_answer(&a, LOOKUP_FOUND, 2);
	ck_assert_int_gt(lookup_answer_write(&a, mem, sizeof(mem)), 0);
	spoilers[_i](&a);
	errno = 0;
	ck_assert_int_eq(lookup_answer_write(&a, mem, sizeof(mem)), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* Any byte changed: refused, or a sound answer that writes back the same. */
START_TEST(answer_flipped)
{
	struct lookup_answer a, got;
	static char mem[MSG_MAX], back[MSG_MAX];
	long n;

	an_answer(&a, LOOKUP_FOUND, 3);
	a.user_len = 1;
	n = lookup_answer_write(&a, mem, sizeof(mem));
	for (long i = 0; i < n; i++) {
		char was = mem[i];

		for (int bit = 0; bit < 8; bit++) {
			mem[i] = (char)(was ^ (1 << bit));
			if (lookup_answer_parse(
				slice_make(mem, (size_t)n), &got) == -1)
				continue;
			ck_assert_int_eq(
			    lookup_answer_write(&got, back, sizeof(back)), n);
			ck_assert(memcmp(mem, back, (size_t)n) == 0);
		}
		mem[i] = was;
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("request");
	TCase *t = tcase_create("request");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, question, 0,
	    sizeof(question_lengths) / sizeof(question_lengths[0]));
	tcase_add_test(t, question_too_long);
	tcase_add_loop_test(t, answer, 0, sizeof(answers) / sizeof(answers[0]));
	tcase_add_loop_test(
	    t, answer_unsound, 0, sizeof(spoilers) / sizeof(spoilers[0]));
	tcase_add_test(t, answer_flipped);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
