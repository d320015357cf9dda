/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The timing wheel, against an array: near and far times, many at once, times
 * that are shifted. */
#include "config.h"

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "perdition-pbs/relay_due.h"

#include "common/banned.h"

#define TURN (INT64_C(1) << 17) /* seconds: all the way around */
#define NEVER INT64_MAX

enum { MANY = 400 };

struct model {
	size_t n; /* ids 1 ... n are in use */
	int64_t when[MANY + 1];
};

static struct model model;
static struct relay_due due;
static uint64_t seed;
static size_t asked; /* times that when_of() was */

static uint64_t
chance(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % below;
}

static int64_t
when_of(void *owner, uint32_t id)
{
	const struct model *m = owner;

	asked++;
	return m->when[id];
}

static void
setup(void)
{
	model.n = asked = 0;
	seed = 88172645463325252u;
	due = (struct relay_due){ .when = when_of, .owner = &model };
	ck_assert_int_eq(relay_due_init(&due), 0);
	ck_assert_int_eq(relay_due_reserve(&due, MANY + 1), 0);
}

static void
teardown(void)
{
	relay_due_free(&due);
}

static void
add(int64_t when)
{
	model.when[++model.n] = when;
	if (when == NEVER)
		relay_due_add_never(&due, (uint32_t)model.n);
	else
		relay_due_add(&due, (uint32_t)model.n, when);
}

/* The last takes the place of one that goes, as in the store. */
static void
take_out(uint32_t id)
{
	uint32_t last = (uint32_t)model.n--;

	relay_due_remove(&due, id, model.when[id]);
	if (id == last)
		return;
	model.when[id] = model.when[last];
	relay_due_rename(&due, last, id, model.when[id]);
}

static void
put_off(uint32_t id, int64_t when)
{
	relay_due_remove(&due, id, model.when[id]);
	model.when[id] = when;
	relay_due_add(&due, id, when);
}

static void
shift(int64_t delta)
{
	for (size_t i = 1; i <= model.n; i++)
		if (model.when[i] != NEVER)
			model.when[i] += delta;
	relay_due_shift(&due, delta);
}

static void
check_first(void)
{
	uint32_t first = relay_due_first(&due);
	int64_t least = NEVER;

	for (size_t i = 1; i <= model.n; i++)
		if (model.when[i] < least)
			least = model.when[i];
	if (least == NEVER) {
		ck_assert_uint_eq(first, 0);
		return;
	}
	ck_assert_uint_ge(first, 1);
	ck_assert_uint_le(first, model.n);
	ck_assert_int_eq(model.when[first], least);
}

START_TEST(nothing)
{
	ck_assert_uint_eq(relay_due_first(&due), 0);
	add(NEVER);
	ck_assert_uint_eq(relay_due_first(&due), 0);
	add(5);
	ck_assert_uint_eq(relay_due_first(&due), 2);
	take_out(2);
	ck_assert_uint_eq(relay_due_first(&due), 0);
	take_out(1);
	ck_assert_uint_eq(relay_due_first(&due), 0);
}
END_TEST

/* Times that share a list, and those a list or a turn apart. */
START_TEST(around_the_wheel)
{
	static const int64_t apart[] = { 0, 1, 63, 64, 65, TURN - 1, TURN,
		TURN + 1, 2 * TURN, 100 * TURN + 7, INT64_C(1) << 60 };

	for (size_t i = 0; i < sizeof(apart) / sizeof(apart[0]); i++) {
		for (int64_t begin = -70; begin <= 70; begin += 35) {
			add(begin + apart[i]);
			add(begin);
			check_first();
			take_out(2);
			check_first();
			/* Earlier than where it has looked already. */
			add(begin - 1);
			check_first();
			take_out(1);
			check_first();
			take_out(1);
			check_first();
		}
	}
}
END_TEST

START_TEST(many_in_one_second)
{
	for (int i = 0; i < MANY / 2; i++) {
		add(1000);
		add(1000 + TURN);
	}
	while (model.n > 0) {
		check_first();
		take_out(relay_due_first(&due));
	}
	check_first();
}
END_TEST

static int64_t
some_time(void)
{
	static const uint64_t spans[] = { 50, 2000, 200000, 1u << 30 };
	int64_t begin = (int64_t)chance(3) * TURN;

	return begin - 100 +
	       (int64_t)chance(spans[chance(sizeof(spans) / sizeof(*spans))]);
}

/* Looking no further than the clock has come costs nothing, whatever comes
 * much later. */
START_TEST(short_lives_before_long_ones)
{
	for (int i = 1; i < MANY; i++)
		add(TURN + i * 1000);
	for (int64_t now = 0; now < 2000; now++) {
		ck_assert_uint_eq(relay_due_until(&due, now), 0);
		add(now + 1);
		ck_assert_uint_eq(relay_due_until(&due, now), 0);
		ck_assert_uint_eq(relay_due_until(&due, now + 1), MANY);
		take_out(MANY);
	}
	ck_assert_uint_lt(asked, 5 * 2000);
	check_first();
	ck_assert_uint_eq(relay_due_until(&due, TURN + 999), 0);
	ck_assert_uint_eq(relay_due_until(&due, INT64_MAX), 1);
}
END_TEST

/* A second whose list is full of those of another turn. */
START_TEST(among_others)
{
	add(1000);
	for (int i = 1; i < MANY; i++)
		add(1000 + TURN);
	ck_assert_uint_eq(relay_due_until(&due, 999), 0);
	ck_assert_uint_eq(relay_due_until(&due, 1000), 1);
	asked = 0;
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(relay_due_until(&due, 2000), 1);
	ck_assert_uint_le(asked, 100);
	/* The clock has leapt. */
	take_out(1);
	ck_assert_uint_eq(relay_due_until(&due, 999 + TURN), 0);
	ck_assert_uint_ne(relay_due_until(&due, 50 * TURN), 0);
	check_first();
}
END_TEST

/* Half of a second's list is of another turn; and each is taken out. */
START_TEST(half_of_another_turn)
{
	for (int i = 0; i < MANY; i++)
		add(1000 + i % 2 * TURN);
	while (model.n > MANY / 2) {
		uint32_t first = relay_due_until(&due, 1000);

		ck_assert_uint_ne(first, 0);
		ck_assert_int_eq(model.when[first], 1000);
		take_out(first);
	}
	ck_assert_uint_eq(relay_due_until(&due, 1000), 0);
	ck_assert_uint_lt(asked, 5 * MANY);
}
END_TEST

/* One that is due before all others comes and goes, again and again; those are
 * due much later. */
START_TEST(first_of_far_ones)
{
	for (int i = 1; i < MANY; i++)
		add(3 * TURN + i * 1000);
	ck_assert_uint_eq(relay_due_first(&due), 1);
	asked = 0;
	for (int64_t now = 0; now < 2000; now += 2) {
		add(now);
		ck_assert_uint_eq(relay_due_first(&due), MANY);
		take_out(MANY);
		ck_assert_uint_eq(relay_due_first(&due), 1);
	}
	ck_assert_uint_lt(asked, 5 * 1000);
	take_out(1);
	check_first();
}
END_TEST

START_TEST(agrees)
{
	for (int i = 0; i < 100000; i++) {
		uint32_t id = (uint32_t)chance(model.n + 1);

		if (id == 0 && model.n < MANY)
			add(chance(20) == 0 ? NEVER : some_time());
		else if (id != 0 && chance(3) == 0)
			take_out(id);
		else if (id != 0 && model.when[id] != NEVER)
			put_off(id, model.when[id] + (int64_t)chance(3000));
		if (model.n < MANY && chance(2) == 0)
			add(some_time());
		if (chance(500) == 0)
			shift((int64_t)chance(4 * TURN) - 2 * TURN);
		if (chance(20000) == 0) {
			model.n = 0;
			relay_due_clear(&due);
			ck_assert_int_eq(relay_due_reserve(&due, MANY + 1), 0);
		}
		check_first();
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("due");
	TCase *t = tcase_create("due");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing);
	tcase_add_test(t, around_the_wheel);
	tcase_add_test(t, many_in_one_second);
	tcase_add_test(t, short_lives_before_long_ones);
	tcase_add_test(t, among_others);
	tcase_add_test(t, half_of_another_turn);
	tcase_add_test(t, first_of_far_ones);
	tcase_add_test(t, agrees);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
