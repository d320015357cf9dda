/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going into the background: with which status the parent ends, and when.
 */
#include "config.h"

#include "common/background.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/lib/check_run.h"

static void
reports(int *report)
{
	background_report(report, 0);
	background_report(report, EX_SOFTWARE); /* said already */
}

static void
reports_failure(int *report)
{
	background_report(report, EX_CONFIG);
}

static void
ends(int *report)
{
	(void)report;
	_exit(EX_NOINPUT);
}

static void
is_killed(int *report)
{
	(void)report;
	raise(SIGKILL);
}

static const struct {
	void (*child)(int *report);
	int status;
} cases[] = {
	{ reports, 0 },
	{ reports_failure, EX_CONFIG },
	{ ends, EX_NOINPUT },
	{ is_killed, EX_SOFTWARE },
};

/* What the shell sees that has started the service. */
START_TEST(status_of_parent)
{
	pid_t pid = fork();
	int status, report = -1;
	struct err err;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (background_fork(&report, &err) == 0)
			cases[_i].child(&report);
		_exit(EX_USAGE);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), cases[_i].status);
}
END_TEST

/* Who stays in the foreground has nobody to tell. */
START_TEST(nobody_waits)
{
	int report = -1;

	background_report(&report, 0);
	ck_assert_int_eq(report, -1);
	ck_assert_int_ne(write(STDERR_FILENO, "", 0), -1);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("background");

	tcase_add_loop_test(tc, status_of_parent, 0, COUNT(cases));
	tcase_add_test(tc, nobody_waits);
	return check_run("background", tc);
}
