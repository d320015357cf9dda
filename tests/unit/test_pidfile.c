/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file with the number of the process, and the directory that it is in.
 */
#include "config.h"

#include "common/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/directory.h"
#include "tests/lib/check_run.h"

#define NOBODY ((uid_t)-1)
#define NOGROUP ((gid_t)-1)

#define TEMPLATE "/tmp/test_pidfile.XXXXXX"

static char dir[sizeof(TEMPLATE)];
static char path[64], other[64], deep[64];

static void
setup(void)
{
	memcpy(dir, TEMPLATE, sizeof(dir));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pid", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	snprintf(deep, sizeof(deep), "%s/a/b", dir);
}

static void
teardown(void)
{
	char above[64];

	unlink(path);
	unlink(other);
	rmdir(deep);
	snprintf(above, sizeof(above), "%s/a", dir);
	rmdir(above);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static const char *
content(const char *name)
{
	static char text[64];
	FILE *f = fopen(name, "re");
	size_t n;

	if (f == NULL)
		return NULL;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void
refused(int code)
{
	struct err err;

	ck_assert_int_eq(pidfile_write(path, NOBODY, NOGROUP, &err), -1);
	ck_assert_int_eq(err.code, code);
	ck_assert_ptr_eq(strstr(err.msg, path), err.msg);
}

START_TEST(written_and_removed)
{
	char mine[32];
	struct err err;
	struct stat st;

	snprintf(mine, sizeof(mine), "%ld\n", (long)getpid());
	put(path, "99999999999 of an earlier life");
	ck_assert_int_eq(pidfile_write(path, NOBODY, NOGROUP, &err), 0);
	ck_assert_str_eq(content(path), mine);
	pidfile_remove(path);
	ck_assert_ptr_null(content(path));
	ck_assert_int_eq(pidfile_write(path, getuid(), getgid(), &err), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0022, 0);
	ck_assert_uint_eq(st.st_uid, getuid());
}
END_TEST

/* A second process took the file over: it is that one's now. */
START_TEST(of_another_process)
{
	put(path, "1\n");
	pidfile_remove(path);
	ck_assert_str_eq(content(path), "1\n");
	pidfile_remove(other); /* is not there */
}
END_TEST

START_TEST(no_file)
{
	struct err err;

	ck_assert_int_eq(pidfile_write("", NOBODY, NOGROUP, &err), 0);
	pidfile_remove("");
	ck_assert_int_eq(pidfile_write("/dev/null", getuid(), 0, &err), 0);
	pidfile_remove("/dev/null");
	ck_assert_int_eq(access("/dev/null", F_OK), 0);
}
END_TEST

/* What a user could lay there to have root overwrite, or wait for, a file. */
START_TEST(another_file)
{
	put(other, "precious");
	ck_assert_int_eq(symlink(other, path), 0);
	refused(ELOOP);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(link(other, path), 0);
	refused(EEXIST);
	ck_assert_str_eq(content(other), "precious");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refused(ENXIO);
	pidfile_remove(path);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(directories)
{
	char file[80];
	struct err err;
	struct stat st;

	snprintf(file, sizeof(file), "%s/pid", deep);
	for (int i = 0; i < 2; i++) /* the second finds it */
		ck_assert_int_eq(
		    directory_make_of(file, NOBODY, NOGROUP, &err), 0);
	ck_assert_int_eq(stat(deep, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	put(other, "");
	ck_assert_int_eq(
	    directory_make(other, 0700, NOBODY, NOGROUP, &err), -1);
	ck_assert_int_eq(err.code, ENOTDIR);
	ck_assert_int_eq(directory_make_of("pid", NOBODY, NOGROUP, &err), 0);
	ck_assert_int_eq(directory_make_of("/pid", NOBODY, NOGROUP, &err), 0);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("pidfile");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, written_and_removed);
	tcase_add_test(tc, of_another_process);
	tcase_add_test(tc, no_file);
	tcase_add_test(tc, another_file);
	tcase_add_test(tc, directories);
	return check_run("pidfile", tc);
}
