/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Module nis: its options, and keys that are in no map, for which no server is
 * asked.
 */
#include "config.h"

#include <check.h>

#include "../lib/check_run.h"
#include "map_scratch.h"

#include "common/banned.h"

static const struct {
	const char *text, *said; /* NULL: good */
} options[] = {
	{ "", NULL },
	{ "users", NULL },
	{ "users domain=example", NULL },
	{ "domain=example.org map=mail.byname", NULL },
	{ "a b", "map: given twice" },
	{ "domain=a domain=b", "domain: given twice" },
	{ "domain=", "domain: not a name of 1 to" },
	{ "''", "map: not a name of 1 to" },
	{ "../x", "map: not a name of" },
	{ "domain=../x", "domain: not a name of" },
	{ "map=12345678901234567890123456789012345678901234567890123456789012"
	  "345",
	    "map: not a name of" },
	{ "server=h", "there is no option server" },
	{ "'a", "quote" },
};

START_TEST(option_cases)
{
	struct popmap_module *m = NULL;
	struct err err = { .msg = "" };
	int ret = popmap_module_open(&m, BUILT_MODULES "/popmap_nis.so",
	    options[_i].text, scratch, &err);

	if (options[_i].said == NULL) {
		ck_assert_msg(ret == 0, "%s", err.msg);
	} else {
		ck_assert_int_eq(ret, -1);
		ck_assert_msg(
		    strstr(err.msg, options[_i].said) != NULL, "%s", err.msg);
	}
	popmap_module_close(&m);
}
END_TEST

START_TEST(impossible_keys)
{
	static const char longest[1025] = { 'x' };
	struct popmap_module *m = scratch_open("nis", "domain=none");

	ck_assert_int_eq(scratch_lookup(m, SLICE("")), 0);
	ck_assert_int_eq(scratch_lookup(m, SLICE("a\0b")), 0);
	ck_assert_int_eq(
	    scratch_lookup(m, slice_make(longest, sizeof(longest))), 0);
	popmap_module_close(&m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_nis");

	tcase_add_checked_fixture(t, scratch_make, scratch_remove);
	tcase_add_loop_test(t, option_cases, 0, COUNT(options));
	tcase_add_test(t, impossible_keys);
	return check_run("popmap_nis", t);
}
