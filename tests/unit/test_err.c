/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages for humans: one line, bounded, and built from one another.
 */
#include "config.h"

#include "common/err.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/check_run.h"
#include "common/banned.h"

START_TEST(is_set)
{
	struct err err;

	errno = EINTR;
	ck_assert_int_eq(err_set(&err, ENOENT, "%s: %d", "popmap", 7), -1);
	ck_assert_int_eq(errno, EINTR);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.msg, "popmap: 7");
	ck_assert_int_eq(err_prefix(&err, "%s line %d", "x.conf", 3), -1);
	ck_assert_str_eq(err.msg, "x.conf line 3: popmap: 7");
	ck_assert_int_eq(err.code, ENOENT);
	/* Its own message is a fair argument. */
	err_set(&err, EIO, "again: %s", err.msg);
	ck_assert_str_eq(err.msg, "again: x.conf line 3: popmap: 7");
	err_prefix(&err, "%.5s", err.msg);
	ck_assert_str_eq(err.msg, "again: again: x.conf line 3: popmap: 7");
}
END_TEST

START_TEST(is_one_line)
{
	struct err err;

	err_set(&err, EIO, "one\ntwo\r\nthree\n");
	ck_assert_str_eq(err.msg, "one two  three");
	err_prefix(&err, "a\x1b[2Jb\n");
	ck_assert_str_eq(err.msg, "a [2Jb: one two  three");
	err_set(&err, EIO, "\n");
	ck_assert_str_eq(err.msg, "");
}
END_TEST

START_TEST(is_cut)
{
	char text[600];
	struct err err;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, EIO, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	ck_assert_str_eq(err.msg + sizeof(err.msg) - 4, "...");
	err_prefix(&err, "prefix");
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	ck_assert_int_eq(strncmp(err.msg, "prefix: xxx", 11), 0);
	ck_assert_str_eq(err.msg + sizeof(err.msg) - 4, "...");
	err_prefix(&err, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);

	/* Just fits: nothing is cut. */
	err_set(&err, EIO, "%.*s", (int)sizeof(err.msg) - 1, text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	ck_assert_str_eq(err.msg + sizeof(err.msg) - 4, "xxx");
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("err");

	tcase_add_test(tc, is_set);
	tcase_add_test(tc, is_one_line);
	tcase_add_test(tc, is_cut);
	return check_run("err", tc);
}
