/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Formats of option query_key.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "perdition/query_key.h"

#include "common/banned.h"

static const struct {
	const char *format;
	struct slice user;
	const char *delimiter;
	struct slice key;
} cases[] = {
	{ "\\U", SLICE("a@b"), "@", SLICE("a@b") },
	{ "\\u", SLICE("a@b@c"), "@", SLICE("a@b") },
	{ "\\u", SLICE("a"), "@", SLICE("a") },
	{ "\\d", SLICE("a@b@c"), "@", SLICE("c") },
	{ "\\d", SLICE("a"), "@", SLICE("") },
	{ "\\D", SLICE("a"), "--", SLICE("--") },
	{ "\\u\\D\\d", SLICE("a%b"), "%", SLICE("a%b") },
	{ "\\i", SLICE("a"), "@", SLICE("192.0.2.7") },
	{ "\\p", SLICE("a"), "@", SLICE("4711") },
	{ "\\I:\\P", SLICE("a"), "@", SLICE("2001:db8::1:143") },
	{ "*\\d", SLICE("a@b"), "@", SLICE("*b") },
	{ "\\\\U", SLICE("a"), "@", SLICE("\\U") },
	{ "\\x", SLICE("a"), "@", SLICE("\\x") },
	{ "a\\", SLICE("a"), "@", SLICE("a\\") },
	{ "", SLICE("a"), "@", SLICE("") },
	{ "\\U", SLICE("a\0\\u"), "@", SLICE("a\0\\u") },
};

START_TEST(expand)
{
	struct addr client, local;
	struct query_key_values v = {
		.user = cases[_i].user,
		.delimiter = cases[_i].delimiter,
		.client = &client,
		.local = &local,
	};
	char out[QUERY_KEY_MAX];
	long n;

	ck_assert_int_eq(addr_parse(SLICE("192.0.2.7:4711"), true, &client), 0);
	ck_assert_int_eq(
	    addr_parse(SLICE("[2001:db8::1]:143"), true, &local), 0);
	n = query_key_expand(cases[_i].format, &v, out, sizeof(out));
	ck_assert_int_eq(n, (long)cases[_i].key.n);
	ck_assert(slice_eq(slice_make(out, (size_t)n), cases[_i].key));
	if (n == 0)
		return;
	errno = 0;
	n = query_key_expand(cases[_i].format, &v, out, (size_t)n - 1);
	ck_assert_int_eq(n, -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("query_key");
	TCase *t = tcase_create("query_key");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, expand, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
