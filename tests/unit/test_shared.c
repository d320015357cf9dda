/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The workers' shared numbers. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "perdition/shared.h"

#include "common/banned.h"

static struct shared *s;
static int fd;

static void
setup(void)
{
	s = shared_create(&fd);
	ck_assert_ptr_nonnull(s);
}

static void
teardown(void)
{
	shared_detach(&s);
	ck_assert_ptr_null(s);
	close(fd);
}

START_TEST(turns_are_shared)
{
	struct shared *other = shared_attach(fd);

	ck_assert_ptr_nonnull(other);
	ck_assert_uint_eq(shared_turn(s), 0);
	ck_assert_uint_eq(shared_turn(other), 1);
	ck_assert_uint_eq(shared_turn(s), 2);
	shared_detach(&other);
}
END_TEST

START_TEST(attach_refuses_another_size)
{
	int small = memfd_create("small", MFD_CLOEXEC);

	ck_assert_int_ne(small, -1);
	errno = 0;
	ck_assert_ptr_null(shared_attach(small));
	ck_assert_int_eq(errno, EINVAL);
	close(small);
}
END_TEST

START_TEST(sessions_are_summed_and_wiped)
{
	shared_sessions_add(s, 0, 2);
	shared_sessions_add(s, 63, 5);
	shared_sessions_add(s, 0, -1);
	ck_assert_uint_eq(shared_sessions(s), 6);
	shared_slot_wipe(s, 63);
	ck_assert_uint_eq(shared_sessions(s), 1);
}
END_TEST

START_TEST(hashes_tell_kind_from_name)
{
	uint64_t a = shared_hash(s, SLICE("ab"), SLICE("c"));

	ck_assert_uint_ne(a, 0);
	ck_assert_uint_ne(a, shared_hash(s, SLICE("a"), SLICE("bc")));
	ck_assert_uint_eq(a, shared_hash(s, SLICE("ab"), SLICE("c")));
}
END_TEST

START_TEST(counts_over_slots)
{
	uint64_t h = shared_hash(s, SLICE("addr"), SLICE("192.0.2.1"));

	ck_assert_uint_eq(shared_count(s, h), 0);
	ck_assert_uint_eq(shared_count_add(s, 0, h, 1), 1);
	ck_assert_uint_eq(shared_count_add(s, 1, h, 1), 2);
	ck_assert_uint_eq(shared_count_add(s, 1, h, 1), 3);
	ck_assert_uint_eq(shared_count_add(s, 2, h, -1), 3); /* had none */
	ck_assert_uint_eq(shared_count_add(s, 0, h, -1), 2);
	ck_assert_uint_eq(shared_count_add(s, 0, h, -1), 2); /* not below 0 */
	shared_slot_wipe(s, 1);
	ck_assert_uint_eq(shared_count(s, h), 0);
}
END_TEST

/* Neighbours in the table: removing one must not hide another. */
START_TEST(counts_of_neighbours)
{
	uint64_t h[4];
	size_t i;

	for (i = 0; i < 4; i++)
		h[i] = 1000 + i * 32768; /* the same place */
	for (i = 0; i < 4; i++)
		ck_assert_uint_eq(shared_count_add(s, 0, h[i], 1), 1);
	ck_assert_uint_eq(shared_count_add(s, 0, h[1], -1), 0);
	ck_assert_uint_eq(shared_count(s, h[2]), 1);
	ck_assert_uint_eq(shared_count(s, h[3]), 1);
	ck_assert_uint_eq(shared_count_add(s, 0, h[1], 1), 1);
	ck_assert_uint_eq(shared_count_add(s, 0, h[3], -1), 0);
	ck_assert_uint_eq(shared_count_add(s, 0, h[2], -1), 0);
	ck_assert_uint_eq(shared_count_add(s, 0, h[1], -1), 0);
	ck_assert_uint_eq(shared_count(s, h[0]), 1);
	ck_assert_uint_eq(shared_count_add(s, 0, h[0], -1), 0);
	for (i = 0; i < 4; i++)
		ck_assert_uint_eq(shared_count(s, h[i]), 0);
}
END_TEST

START_TEST(full_table_says_what_it_knows)
{
	uint64_t h;
	uint32_t got = 1;
	unsigned int n = 0;

	for (h = 7; got == 1 && n < 1000; h += 32768) {
		got = shared_count_add(s, 0, h, 1);
		n++;
	}
	ck_assert_uint_eq(got, 0); /* the last found no room */
	ck_assert_uint_eq(n, 65);
	ck_assert_uint_eq(shared_count_add(s, 1, h - 32768, 1), 1);
}
END_TEST

START_TEST(many_counts)
{
	uint32_t i;

	for (i = 0; i < 10000; i++) {
		uint64_t h = shared_hash(
		    s, SLICE("n"), slice_make((const char *)&i, sizeof(i)));

		ck_assert_uint_eq(shared_count_add(s, 3, h, 1), 1);
	}
	for (i = 0; i < 10000; i++) {
		uint64_t h = shared_hash(
		    s, SLICE("n"), slice_make((const char *)&i, sizeof(i)));

		ck_assert_uint_eq(shared_count_add(s, 3, h, -1), 0);
	}
}
END_TEST

START_TEST(penalty_grows_and_ends)
{
	struct addr a;
	struct addr b;
	uint64_t now = 5000;
	uint64_t ms;

	ck_assert_int_eq(addr_parse(SLICE("192.0.2.1:143"), true, &a), 0);
	ck_assert_int_eq(addr_parse(SLICE("192.0.2.1:110"), true, &b), 0);
	ck_assert(!shared_server_penalised(s, &a, now));
	shared_server_worked(s, &a); /* unknown: nothing happens */
	for (ms = 1000; ms <= 32000; ms *= 2) {
		shared_server_failed(s, &a, now);
		shared_server_failed(s, &a, now + 1); /* at the same time */
		ck_assert(shared_server_penalised(s, &a, now + ms - 1));
		ck_assert(!shared_server_penalised(s, &a, now + ms));
		now += ms;
	}
	for (ms = 0; ms < 3; ms++) {
		shared_server_failed(s, &a, now);
		ck_assert(shared_server_penalised(s, &a, now + 59999));
		ck_assert(!shared_server_penalised(s, &a, now + 60000));
		now += 60000;
	}
	ck_assert(!shared_server_penalised(s, &b, now - 1));
	shared_server_failed(s, &a, now);
	shared_server_worked(s, &a);
	ck_assert(!shared_server_penalised(s, &a, now + 1));
	shared_server_failed(s, &a, now);
	ck_assert(!shared_server_penalised(s, &a, now + 1000));
}
END_TEST

/* More servers than are remembered: the newest still count. */
START_TEST(many_servers)
{
	struct addr a;
	unsigned int i;

	ck_assert_int_eq(addr_parse(SLICE("192.0.2.1:1"), true, &a), 0);
	for (i = 1; i < 3000; i++) {
		a.port = (uint16_t)i;
		shared_server_failed(s, &a, 1000 + i);
		ck_assert(shared_server_penalised(s, &a, 1001 + i));
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("shared");
	TCase *t = tcase_create("shared");
	SRunner *r = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, turns_are_shared);
	tcase_add_test(t, attach_refuses_another_size);
	tcase_add_test(t, sessions_are_summed_and_wiped);
	tcase_add_test(t, hashes_tell_kind_from_name);
	tcase_add_test(t, counts_over_slots);
	tcase_add_test(t, counts_of_neighbours);
	tcase_add_test(t, full_table_says_what_it_knows);
	tcase_add_test(t, many_counts);
	tcase_add_test(t, penalty_grows_and_ends);
	tcase_add_test(t, many_servers);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
