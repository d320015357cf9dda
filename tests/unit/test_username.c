/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user is called in each state.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "perdition/username.h"

#include "common/banned.h"

#define LOOKUP NAME_SERVERNAME_LOOKUP
#define REMOTE NAME_REMOTE_LOGIN

static char at[] = "@", two[] = "::", empty[] = "", site[] = "Site.example";

static const struct {
	unsigned int strip, add, lower;
	char *delimiter, *explicit_domain;
	const char *domain;
	struct slice in, out;
} rewrite_cases[] = {
	{ 0, 0, 0, at, NULL, "", SLICE("Bob@Ex"), SLICE("Bob@Ex") },
	{ LOOKUP, 0, 0, at, NULL, "", SLICE("Bob@Ex"), SLICE("Bob") },
	{ REMOTE, 0, 0, at, NULL, "", SLICE("Bob@Ex"), SLICE("Bob@Ex") },
	{ LOOKUP, 0, 0, at, NULL, "", SLICE("a@b@c"), SLICE("a@b") },
	{ LOOKUP, 0, 0, two, NULL, "", SLICE("a::b:c"), SLICE("a") },
	{ LOOKUP, 0, 0, at, NULL, "", SLICE("@"), SLICE("") },
	{ LOOKUP, 0, 0, empty, NULL, "", SLICE("a@b"), SLICE("a@b") },
	{ 0, LOOKUP, 0, at, NULL, "ex.org", SLICE("bob"), SLICE("bob@ex.org") },
	{ 0, LOOKUP, 0, at, NULL, "ex.org", SLICE("bob@x"), SLICE("bob@x") },
	{ 0, LOOKUP, 0, at, NULL, "", SLICE("bob"), SLICE("bob") },
	{ 0, REMOTE, 0, at, NULL, "ex.org", SLICE("bob"), SLICE("bob") },
	{ 0, LOOKUP, 0, at, site, "ex.org", SLICE("bob"),
	    SLICE("bob@Site.example") },
	{ 0, LOOKUP, 0, at, site, "", SLICE("bob"), SLICE("bob@Site.example") },
	{ LOOKUP, LOOKUP, LOOKUP, at, site, "", SLICE("Bob@old"),
	    SLICE("bob@site.example") },
	{ 0, 0, LOOKUP, at, NULL, "", SLICE("\xc3\x84Z@Q\0X"),
	    SLICE("\xc3\x84z@q\0x") },
	{ 0, 0, LOOKUP | REMOTE, at, NULL, "", SLICE(""), SLICE("") },
};

START_TEST(rewrite)
{
	struct config config = {
		.strip_domain = rewrite_cases[_i].strip,
		.add_domain = rewrite_cases[_i].add,
		.lower_case = rewrite_cases[_i].lower,
		.domain_delimiter = rewrite_cases[_i].delimiter,
		.explicit_domain = rewrite_cases[_i].explicit_domain,
	};
	struct slice want = rewrite_cases[_i].out;
	char out[64];
	long n;

	n = username_rewrite(&config, LOOKUP, rewrite_cases[_i].in,
	    rewrite_cases[_i].domain, out, sizeof(out));
	ck_assert_int_eq(n, (long)want.n);
	ck_assert(slice_eq(slice_make(out, (size_t)n), want));

	/* It fits to the byte, or not at all. */
	n = username_rewrite(&config, LOOKUP, rewrite_cases[_i].in,
	    rewrite_cases[_i].domain, out, want.n);
	ck_assert_int_eq(n, (long)want.n);
	if (want.n == 0)
		return;
	errno = 0;
	n = username_rewrite(&config, LOOKUP, rewrite_cases[_i].in,
	    rewrite_cases[_i].domain, out, want.n - 1);
	ck_assert_int_eq(n, -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

static const struct {
	struct slice in;
	const char *delimiter;
	bool found;
	struct slice local, domain;
} split_cases[] = {
	{ SLICE("a@b"), "@", true, SLICE("a"), SLICE("b") },
	{ SLICE("a@b@c"), "@", true, SLICE("a@b"), SLICE("c") },
	{ SLICE("a"), "@", false, SLICE("a"), SLICE("") },
	{ SLICE(""), "@", false, SLICE(""), SLICE("") },
	{ SLICE("@"), "@", true, SLICE(""), SLICE("") },
	{ SLICE("a--b-c"), "--", true, SLICE("a"), SLICE("b-c") },
	{ SLICE("a---b"), "--", true, SLICE("a-"), SLICE("b") },
	{ SLICE("a@b"), "", false, SLICE("a@b"), SLICE("") },
	{ SLICE("a\0@b"), "@", true, SLICE("a\0"), SLICE("b") },
};

START_TEST(split)
{
	struct slice local, domain;

	ck_assert_int_eq(username_split(split_cases[_i].in,
			     split_cases[_i].delimiter, &local, &domain),
	    split_cases[_i].found);
	ck_assert(slice_eq(local, split_cases[_i].local));
	ck_assert(slice_eq(domain, split_cases[_i].domain));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("username");
	TCase *t = tcase_create("username");
	SRunner *r;
	int failed;

	tcase_add_loop_test(
	    t, rewrite, 0, sizeof(rewrite_cases) / sizeof(rewrite_cases[0]));
	tcase_add_loop_test(
	    t, split, 0, sizeof(split_cases) / sizeof(split_cases[0]));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
