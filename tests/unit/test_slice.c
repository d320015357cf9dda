/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views of bytes: NULs inside, empty ones, and numbers at their limits.
 */
#include "config.h"

#include "common/slice.h"

#include <errno.h>

#include "tests/lib/check_run.h"
#include "common/banned.h"

static const struct {
	struct slice a, b;
	bool eq, caseeq;
} equals[] = {
	{ SLICE(""), SLICE(""), true, true },
	{ { NULL, 0 }, SLICE(""), true, true },
	{ SLICE("user"), SLICE("USER"), false, true },
	{ SLICE("user"), SLICE("users"), false, false },
	{ SLICE("a\0b"), SLICE("a\0B"), false, true },
	{ SLICE("a\0b"), SLICE("a\0c"), false, false },
	{ SLICE("@"), SLICE("`"), false, false },       /* 0x40, 0x60 */
	{ SLICE("["), SLICE("{"), false, false },       /* 0x5b, 0x7b */
	{ SLICE("\xc4"), SLICE("\xe4"), false, false }, /* not in ASCII */
};

START_TEST(compares)
{
	struct slice a = equals[_i].a, b = equals[_i].b;

	ck_assert(slice_eq(a, b) == equals[_i].eq);
	ck_assert(slice_eq(b, a) == equals[_i].eq);
	ck_assert(slice_caseeq(a, b) == equals[_i].caseeq);
	ck_assert(slice_caseeq(b, a) == equals[_i].caseeq);
}
END_TEST

START_TEST(finds)
{
	struct slice s = SLICE("a@b\0@c"), none = { NULL, 0 };

	ck_assert_int_eq(slice_find(s, '@'), 1);
	ck_assert_int_eq(slice_find(s, '\0'), 3);
	ck_assert_int_eq(slice_find(s, 'x'), -1);
	ck_assert_int_eq(slice_find(none, 'x'), -1);
	ck_assert_int_eq(slice_rfind(s, SLICE("@")), 4);
	ck_assert_int_eq(slice_rfind(s, SLICE("a@b")), 0);
	ck_assert_int_eq(slice_rfind(SLICE("a::::b"), SLICE("::")), 3);
	ck_assert_int_eq(slice_rfind(s, SLICE("@c")), 4);
	ck_assert_int_eq(slice_rfind(s, SLICE("")), -1);
	ck_assert_int_eq(slice_rfind(SLICE("ab"), SLICE("abc")), -1);
	ck_assert_int_eq(slice_rfind(none, SLICE("a")), -1);
}
END_TEST

static const struct {
	struct slice in, head, rest;
	bool found;
} cuts[] = {
	{ SLICE("a b c"), SLICE("a"), SLICE("b c"), true },
	{ SLICE(" b"), SLICE(""), SLICE("b"), true },
	{ SLICE("a "), SLICE("a"), SLICE(""), true },
	{ SLICE(" "), SLICE(""), SLICE(""), true },
	{ SLICE("abc"), SLICE("abc"), SLICE(""), false },
	{ SLICE(""), SLICE(""), SLICE(""), false },
	{ { NULL, 0 }, SLICE(""), SLICE(""), false },
};

START_TEST(is_cut)
{
	struct slice rest = cuts[_i].in, head;

	ck_assert(slice_cut(&rest, ' ', &head) == cuts[_i].found);
	ck_assert(slice_eq(head, cuts[_i].head));
	ck_assert(slice_eq(rest, cuts[_i].rest));
}
END_TEST

static const struct {
	struct slice in;
	bool word; /* with "._-" as well */
} words[] = {
	{ SLICE("az-AZ_09."), true }, { SLICE("-"), true },
	{ SLICE(""), false }, { { NULL, 0 }, false }, { SLICE("a b"), false },
	{ SLICE("a\0"), false }, /* no character of others */
	{ SLICE("\xc3\xa4"), false },
	{ SLICE("@`[{/:"), false }, /* beside the ranges */
};

START_TEST(is_word)
{
	ck_assert(slice_is_word(words[_i].in, "._-") == words[_i].word);
}
END_TEST

static const struct {
	struct slice in;
	int byte; /* -1: none */
} percents[] = {
	{ SLICE("%2f"), '/' },
	{ SLICE("%2Frest"), '/' },
	{ SLICE("%00"), 0 },
	{ SLICE("%Ff"), 0xff },
	{ SLICE("%2"), -1 },
	{ SLICE("%"), -1 },
	{ SLICE(""), -1 },
	{ SLICE("x2f"), -1 },
	{ SLICE("%g0"), -1 },
	{ SLICE("%0G"), -1 },
	{ SLICE("% 1"), -1 },
};

START_TEST(is_percent)
{
	char byte = 'u';

	ck_assert(
	    slice_percent(percents[_i].in, &byte) == (percents[_i].byte != -1));
	ck_assert_int_eq((unsigned char)byte,
	    percents[_i].byte == -1 ? 'u' : percents[_i].byte);
}
END_TEST

START_TEST(is_copied)
{
	char *copy = slice_dup(SLICE("abc"));

	ck_assert_str_eq(copy, "abc");
	free(copy);
	copy = slice_dup(slice_make(NULL, 0));
	ck_assert_str_eq(copy, "");
	free(copy);
	errno = 0;
	ck_assert_ptr_null(slice_dup(SLICE("a\0b")));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static const struct {
	struct slice in;
	uint64_t max;
	uint64_t v;
	int err;
} numbers[] = {
	{ SLICE("0"), 0, 0, 0 }, { SLICE("1"), 0, 0, ERANGE },
	{ SLICE("00042"), 42, 42, 0 }, { SLICE("65535"), 65535, 65535, 0 },
	{ SLICE("65536"), 65535, 0, ERANGE }, { SLICE("9"), 5, 0, ERANGE },
	{ SLICE("18446744073709551615"), UINT64_MAX, UINT64_MAX, 0 },
	{ SLICE("18446744073709551616"), UINT64_MAX, 0, ERANGE },
	{ SLICE("99999999999999999999999"), UINT64_MAX, 0, ERANGE },
	{ SLICE("99999999999999999999999x"), UINT64_MAX, 0, EINVAL },
	{ SLICE(""), 9, 0, EINVAL }, { { NULL, 0 }, 9, 0, EINVAL },
	{ SLICE("-1"), UINT64_MAX, 0, EINVAL },
	{ SLICE("+1"), UINT64_MAX, 0, EINVAL },
	{ SLICE(" 1"), UINT64_MAX, 0, EINVAL },
	{ SLICE("1 "), UINT64_MAX, 0, EINVAL },
	{ SLICE("1\0"), UINT64_MAX, 0, EINVAL },
	{ SLICE("0x1"), UINT64_MAX, 0, EINVAL },
	{ SLICE("/"), UINT64_MAX, 0, EINVAL }, /* the byte before '0' */
	{ SLICE(":"), UINT64_MAX, 0, EINVAL }, /* the byte behind '9' */
};

START_TEST(is_number)
{
	uint64_t v = 7;

	errno = 0;
	ck_assert_int_eq(slice_u64(numbers[_i].in, numbers[_i].max, &v),
	    numbers[_i].err == 0 ? 0 : -1);
	ck_assert_int_eq(errno, numbers[_i].err);
	ck_assert_uint_eq(v, numbers[_i].err == 0 ? numbers[_i].v : 7);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("slice");

	tcase_add_loop_test(tc, compares, 0, COUNT(equals));
	tcase_add_test(tc, finds);
	tcase_add_loop_test(tc, is_cut, 0, COUNT(cuts));
	tcase_add_loop_test(tc, is_word, 0, COUNT(words));
	tcase_add_loop_test(tc, is_percent, 0, COUNT(percents));
	tcase_add_test(tc, is_copied);
	tcase_add_loop_test(tc, is_number, 0, COUNT(numbers));
	return check_run("slice", tc);
}
