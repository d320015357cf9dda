/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The regex module: the file's form, what matches, what it gives, and what a
 * user's name may not do to it.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/check_run.h"
#include "map_scratch.h"

#include "common/banned.h"

static const struct {
	const char *file;
	struct slice key;
	int ret;
	const char *said; /* the servers, or a part of the message */
} cases[] = {
	{ "^bob$ h1\n", SLICE("bob"), 1, "h1" },
	{ "^bob$: h1\n", SLICE("bob"), 1, "h1" },
	{ "^bob$:h1 h2\n", SLICE("bob"), 0, "" },
	{ "bob h1", SLICE("xbobx"), 1, "h1" },
	{ "bob h1", SLICE("bo"), 0, "" },
	{ "", SLICE("bob"), 0, "" },
	{ "# c\n\n  # d\nb h1 # e\n", SLICE("b"), 1, "h1" },
	{ "b h1\nb h2\n", SLICE("b"), 1, "h1" },
	{ "^[a-m] h1\n^[n-z] h2\n", SLICE("paul"), 1, "h2" },
	{ "^a|b$ h1\n", SLICE("xb"), 1, "h1" },
	{ "^(.*)$ \\\n  $1@h1\n", SLICE("bob"), 1, "bob@h1" },
	{ "^(.)(.*)$ h$1:143\n", SLICE("bob"), 1, "hb:143" },
	{ "x(.)y h$1\n", SLICE("aaxbyaa"), 1, "hb" },
	{ "^(a)?b$ h$1x\n", SLICE("b"), 1, "hx" },
	{ "^a h1:143,h2, [::1]:143\n", SLICE("a"), 1, "h1:143|h2|[::1]:143" },
	{ "'^a b$' h1\n", SLICE("a b"), 1, "h1" },
	{ "^a\\\\.b$ h1\n", SLICE("a.b"), 1, "h1" },
	{ "^a\\\\.b$ h1\n", SLICE("axb"), 0, "" },
	{ "'^a\\.b$' h1\n", SLICE("a.b"), 1, "h1" },
	{ "^$ h1\n", SLICE(""), 1, "h1" },
	{ "^a$ h1\n", SLICE("a\0"), 0, "" },
	{ "^a[^x]b$ h1\n", SLICE("a\0b"), 1, "h1" },
	{ "^A$ h1\n", SLICE("a"), 0, "" },
	{ "^([^@]+)@(.+)$ $1@mail.$2\n", SLICE("bob@ex.org"), 1,
	    "bob@mail.ex.org" },
	{ "(.)(.)(.)(.)(.)(.)(.)(.)(.) h$9$1", SLICE("123456789"), 1, "h91" },
	{ "a h$\n", SLICE("a"), 1, "h$" },
	{ "a h$a\n", SLICE("a"), 1, "h$a" },

	/* A name cannot choose a server that the rule does not mean. */
	{ "^[^@]+@(.+)$ mail.$1\n", SLICE("a@b@evil.example"), 0, "" },
	{ "^(.+)$ $1\n", SLICE("a@evil.example"), 0, "" },
	{ "^(.+)$ $1@h1\n", SLICE("a@evil.example,"), 1, "a@evil.example,@h1" },
	{ "^(.+)$ h-$1\n", SLICE("a,evil.example"), 0, "" },
	{ "^(.+)$ h-$1\n", SLICE("a:99"), 0, "" },
	{ "^(.+)$ h-$1\n", SLICE("a b"), 0, "" },
	{ "^(.+)$ h-$1\n", SLICE("a\r\nb"), 0, "" },
	{ "^(.+)$ x@$1.h,$1@h2\n", SLICE("ab"), 1, "x@ab.h|ab@h2" },
	{ "^(.+)$ x@$1.h,$1@h2\n", SLICE("a@b"), 0, "" },
};

static void
teardown(void)
{
	scratch_remove();
}

START_TEST(match)
{
	struct popmap_module *m;

	scratch_write("popmap.re", slice_str(cases[_i].file));
	m = scratch_open("regex", "");
	ck_assert_msg(scratch_lookup(m, cases[_i].key) == cases[_i].ret, "%s",
	    scratch_said);
	ck_assert_str_eq(scratch_said, cases[_i].said);
	popmap_module_close(&m);
	ck_assert_ptr_null(m);
}
END_TEST

static const struct {
	struct slice file;
	const char *part; /* of the message */
} bad[] = {
	{ SLICE("a h1\n\n(b h1\n"), "/x.re:3: \"(b\": " },
	{ SLICE("a h1\nb\n"), "/x.re:2: no server" },
	{ SLICE("a h1\nb \\\n h1,,h2\n"), "/x.re:2: no server" },
	{ SLICE(": h1\n"), "/x.re:1: no regular expression" },
	{ SLICE("a $1\n"), "/x.re:1: $1: the expression has 0 groups" },
	{ SLICE("(a) $2\n"), "/x.re:1: $2: the expression has 1 group" },
	{ SLICE("a $0\n"), "/x.re:1: $0" },
	{ SLICE("'(a)\\1' h\n"), "/x.re:1: back reference" },
	{ SLICE("'[]\\1](a)\\1' h\n"), "/x.re:1: back reference" },
	{ SLICE("a h1\n'b h1\n"), "/x.re:2: " },
	{ SLICE("a h1\nb\0c h\n"), "/x.re:2: " },
	{ SLICE("a{2,1} h\n"), "/x.re:1: " },
};

START_TEST(bad_files)
{
	struct popmap_module *m;
	struct err err = { .msg = "" };

	scratch_write("x.re", bad[_i].file);
	ck_assert_int_eq(
	    popmap_module_open(&m, BUILT_MODULES "/popmap_regex.so",
		scratch_path("x.re"), scratch, &err),
	    -1);
	ck_assert_ptr_null(m);
	ck_assert_msg(strstr(err.msg, bad[_i].part) != NULL, "%s", err.msg);
}
END_TEST

static const struct {
	const char *file;
} good[] = {
	{ "'[\\1](a)' h$1\n" },
	{ "'[^]\\1]' h\n" },
	{ "'[[:digit:]\\1]' h\n" },
	{ "'\\\\1' h\n" },
};

START_TEST(no_back_reference)
{
	struct popmap_module *m;

	scratch_write("popmap.re", slice_str(good[_i].file));
	m = scratch_open("regex", "");
	popmap_module_close(&m);
}
END_TEST

START_TEST(files)
{
	struct popmap_module *m;
	struct err err;

	ck_assert_int_eq(
	    popmap_module_open(
		&m, BUILT_MODULES "/popmap_regex.so", "", scratch, &err),
	    -1);
	ck_assert_ptr_nonnull(
	    strstr(err.msg, "popmap.re: No such file or directory"));
	ck_assert_int_eq(
	    popmap_module_open(
		&m, BUILT_MODULES "/popmap_regex.so", scratch, "/", &err),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "not a regular file"));
}
END_TEST

/* The classic expressions that keep a backtracking matcher busy for ever. */
START_TEST(cost)
{
	static const char file[] = "'^(a+)+$' h1\n"
				   "'(a|aa)+$' h2\n"
				   "'(.*)(.*)(.*)(.*)(.*)x' h3\n"
				   "'^(([a-z])+.)+[A-Z]([a-z])+$' h4\n"
				   "'(a*)*b' h5\n";
	struct popmap_module *m;
	char key[POPMAP_USER_MAX + 1];
	clock_t begin;

	scratch_write("popmap.re", SLICE(file));
	m = scratch_open("regex", "");
	memset(key, 'a', sizeof(key));
	key[POPMAP_USER_MAX - 1] = '!';
	begin = clock();
	ck_assert_int_eq(
	    scratch_lookup(m, slice_make(key, POPMAP_USER_MAX)), 0);
	ck_assert_int_lt(clock() - begin, CLOCKS_PER_SEC);
	ck_assert_int_eq(scratch_lookup(m, slice_make(key, sizeof(key))), -1);
	ck_assert_ptr_nonnull(strstr(scratch_said, "longer than 512"));
	popmap_module_close(&m);
}
END_TEST

START_TEST(result_too_long)
{
	struct popmap_module *m;
	char key[500];

	scratch_write("popmap.re", SLICE("(.*) $1$1@h1\n"));
	m = scratch_open("regex", "");
	memset(key, 'a', sizeof(key));
	ck_assert_int_eq(scratch_lookup(m, slice_make(key, 300)), 1);
	ck_assert_int_eq(scratch_lookup(m, slice_make(key, 500)), 0);
	popmap_module_close(&m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_regex");

	tcase_add_checked_fixture(t, scratch_make, teardown);
	tcase_add_loop_test(t, match, 0, COUNT(cases));
	tcase_add_loop_test(t, bad_files, 0, COUNT(bad));
	tcase_add_loop_test(t, no_back_reference, 0, COUNT(good));
	tcase_add_test(t, files);
	tcase_add_test(t, cost);
	tcase_add_test(t, result_too_long);
	return check_run("popmap_regex", t);
}
