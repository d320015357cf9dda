/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last lines of the main() of every unit test.
 */
#ifndef TESTS_LIB_CHECK_RUN_H
#define TESTS_LIB_CHECK_RUN_H

#include <check.h>
#include <stdlib.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

/* Runs the one test case of a program; its exit status. */
static inline int
check_run(const char *name, TCase *tc)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
