/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding, loading and distrusting popmap modules.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "map_scratch.h"

#include "common/banned.h"

static const struct {
	const char *library;
	const char *path; /* NULL: refused */
} names[] = {
	{ "regex", "/m/popmap_regex.so" },
	{ "my-own_1", "/m/popmap_my-own_1.so" },
	{ "/usr/lib/libperditiondb_gdbm.so.0", "/m/popmap_gdbm.so" },
	{ "/usr/lib/libperditiondb_gdbm.so.0.0.0", "/m/popmap_gdbm.so" },
	{ "libperditiondb_bdb.so", "/m/popmap_bdb.so" },
	{ "/x/libperditiondb_posix_regex.so.0", "/m/popmap_regex.so" },
	{ "/dev/null", "/dev/null" },
	{ "/no/such/module.so", NULL },
	{ "module.so", NULL },
	{ "", NULL },
	{ "..", NULL },
	{ "/x/libperditiondb_.so.0", NULL },
	{ "/x/libperditiondb_a%.so.0", NULL },
	{ "/x/libperditiondb_gdbm", NULL },
};

START_TEST(find)
{
	struct err err = { .msg = "" };
	char *path = popmap_module_find(names[_i].library, "/m", &err);

	if (names[_i].path == NULL) {
		ck_assert_ptr_null(path);
		ck_assert_uint_gt(strlen(err.msg), 0);
		return;
	}
	ck_assert_msg(path != NULL, "%s", err.msg);
	ck_assert_str_eq(path, names[_i].path);
	free(path);
}
END_TEST

START_TEST(long_name)
{
	char name[200];
	struct err err;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_ptr_null(popmap_module_find(name, "/m", &err));
}
END_TEST

static const struct {
	const char *path, *options;
	const char *part; /* of the message */
} refused[] = {
	{ TEST_MODULES "/popmap_missing.so", "", "No such file" },
	{ TEST_MODULES "/popmap_nothing.so", "", "no symbol popmap_module" },
	{ TEST_MODULES "/popmap_strange.so", "", "popmap interface 3, not 2" },
	{ TEST_MODULES "/popmap_script.so", "bad", "bad options, /sys" },
	{ "/dev/null", "", "cannot be loaded" },
	{ TEST_MODULES "/popmap_old_get.so", "bad", "dbserver_init" },
};

START_TEST(refuse)
{
	struct popmap_module *m;
	struct err err = { .msg = "" };

	ck_assert_int_eq(popmap_module_open(&m, refused[_i].path,
			     refused[_i].options, "/sys", &err),
	    -1);
	ck_assert_ptr_null(m);
	ck_assert_msg(strstr(err.msg, refused[_i].part) != NULL, "%s", err.msg);
}
END_TEST

static const struct {
	const char *key;
	int ret;
	const char *said;
} answers[] = {
	{ "x", 1, "host.example" },
	{ "none", 0, "" },
	{ "fail", -1, "popmap script: told to" },
	{ "speechless", -1, "popmap script: " },
	{ "empty", -1, "popmap script: malformed answer" },
	{ "many", -1, "popmap script: malformed answer" },
	{ "long", -1, "popmap script: malformed answer" },
	{ "odd", -1, "popmap script: " },
	{ "three", 1, "al@192.0.2.1|192.0.2.2:99|al@[2001:db8::3]:99" },
};

START_TEST(distrust)
{
	struct popmap_module *m;
	struct err err;

	ck_assert_int_eq(
	    popmap_module_open(&m, TEST_MODULES "/popmap_script.so",
		"host.example", "/sys", &err),
	    0);
	ck_assert_int_eq(
	    scratch_lookup(m, slice_str(answers[_i].key)), answers[_i].ret);
	ck_assert_str_eq(scratch_said, answers[_i].said);
	popmap_module_close(&m);
	popmap_module_close(&m);
}
END_TEST

static const struct {
	const char *key;
	int ret;
	const char *get, *get2; /* what is said by a library with each */
} old_answers[] = {
	{ "x", 1, "192.0.2.1:143", "192.0.2.1" },
	{ "user", 1, "alice@192.0.2.1:143", "alice@192.0.2.1" },
	{ "six", 1, "192.0.2.1:143", "[2001:db8::1]:143" },
	{ "none", 0, "", "" },
	{ "access", -1, "cannot be accessed", "cannot be accessed" },
	{ "other", -1, "result -3", "result -3" },
	{ "empty", -1, "malformed answer", "malformed answer" },
	{ "long", -1, "malformed answer", "malformed answer" },
};

START_TEST(made_for_2_2)
{
	struct err err;

	for (int i = 0; i < 2; i++) {
		struct popmap_module *m;
		const char *want =
		    i == 0 ? old_answers[_i].get : old_answers[_i].get2;
		int ret = popmap_module_open(&m,
		    i == 0 ? TEST_MODULES "/popmap_old_get.so"
			   : TEST_MODULES "/popmap_old_get2.so",
		    "192.0.2.1", "/sys", &err);

		ck_assert_msg(ret == 0, "%s", err.msg);
		ck_assert_int_eq(
		    scratch_lookup(m, slice_str(old_answers[_i].key)),
		    old_answers[_i].ret);
		if (old_answers[_i].ret == -1)
			ck_assert_ptr_nonnull(strstr(scratch_said, want));
		else
			ck_assert_str_eq(scratch_said, want);
		ck_assert_int_eq(scratch_lookup(m, SLICE("x\0")), 0);
		popmap_module_close(&m);
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_module");

	tcase_add_loop_test(t, find, 0, COUNT(names));
	tcase_add_test(t, long_name);
	tcase_add_loop_test(t, refuse, 0, COUNT(refused));
	tcase_add_loop_test(t, distrust, 0, COUNT(answers));
	tcase_add_loop_test(t, made_for_2_2, 0, COUNT(old_answers));
	return check_run("popmap_module", t);
}
