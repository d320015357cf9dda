/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Passwords from files: the first line, whole, or a reason why not.
 */
#include "config.h"

#include "common/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check_run.h"

#define LINE_64                                                                \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LINE_256 LINE_64 LINE_64 LINE_64 LINE_64
#define KIB LINE_256 LINE_256 LINE_256 LINE_256

static const struct {
	struct slice content, line;
	int code;
	const char *said;
} cases[] = {
	{ SLICE("secret\n"), SLICE("secret"), 0, NULL },
	{ SLICE(" sec ret \r\nmore\n"), SLICE(" sec ret "), 0, NULL },
	{ SLICE("s\xff"), SLICE("s\xff"), 0, NULL },
	{ SLICE("a\rb\r\n"), SLICE("a\rb"), 0, NULL },
	{ SLICE("a\n\0"), SLICE("a"), 0, NULL },
	{ SLICE(KIB "\r\n"), SLICE(KIB), 0, NULL },
	{ SLICE(KIB), SLICE(KIB), 0, NULL },
	{ SLICE(KIB "x"), SLICE(""), EMSGSIZE, "more than 1024 bytes" },
	{ SLICE(KIB KIB "\n"), SLICE(""), EMSGSIZE, "more than 1024 bytes" },
	{ SLICE(""), SLICE(""), ENODATA, "nothing in the first line" },
	{ SLICE("\r\nx"), SLICE(""), ENODATA, "nothing in the first line" },
	{ SLICE("hunter2\0\n"), SLICE(""), EINVAL, "a NUL byte" },
};

static char path[] = "/tmp/test_secret_file.XXXXXX";

static void
setup(void)
{
	int fd = mkstemp(path);

	ck_assert_int_ne(fd, -1);
	close(fd);
}

static void
teardown(void)
{
	unlink(path);
}

START_TEST(first_line)
{
	FILE *f = fopen(path, "we");
	struct secret secret = { .n = 3, .bytes = "old" };
	struct err err = { .msg = "" };
	int ret;

	ck_assert_ptr_nonnull(f);
	fwrite(cases[_i].content.p, 1, cases[_i].content.n, f);
	ck_assert_int_eq(fclose(f), 0);
	ret = secret_read_file(path, &secret, &err);
	ck_assert_int_eq(ret, cases[_i].said == NULL ? 0 : -1);
	ck_assert(slice_eq(secret_get(&secret), cases[_i].line));
	if (ret == -1) {
		ck_assert_int_eq(err.code, cases[_i].code);
		ck_assert_ptr_nonnull(strstr(err.msg, cases[_i].said));
		ck_assert_ptr_nonnull(strstr(err.msg, path));
		ck_assert_ptr_null(strstr(err.msg, "hunter2"));
	}
}
END_TEST

START_TEST(what_is_no_file)
{
	static const struct {
		const char *path, *said;
		int code;
	} none[] = {
		{ "/no/such", "/no/such: No such file", ENOENT },
		{ "/", "/: not a regular file", EINVAL },
		{ "/dev/zero", "/dev/zero: not a regular file", EINVAL },
	};
	struct secret secret = { .n = 3, .bytes = "old" };
	struct err err;

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ck_assert_int_eq(
		    secret_read_file(none[i].path, &secret, &err), -1);
		ck_assert_uint_eq(secret.n, 0);
		ck_assert_int_eq(err.code, none[i].code);
		ck_assert_ptr_nonnull(strstr(err.msg, none[i].said));
	}
}
END_TEST

/* What follows the line is for somebody else. */
START_TEST(from_a_pipe)
{
	struct secret secret = { .n = 0 };
	struct err err;
	char rest[8];
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "one\ntwo", 7), 7);
	ck_assert_int_eq(secret_read_fd(fds[0], &secret, &err), 0);
	ck_assert(slice_eq(secret_get(&secret), SLICE("one")));
	ck_assert_int_eq(read(fds[0], rest, sizeof(rest)), 3);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(secret_read_fd(-1, &secret, &err), -1);
	ck_assert_int_eq(err.code, EBADF);
	ck_assert_uint_eq(secret.n, 0);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("secret_file");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, first_line, 0, COUNT(cases));
	tcase_add_test(tc, what_is_no_file);
	tcase_add_test(tc, from_a_pipe);
	return check_run("secret_file", tc);
}
