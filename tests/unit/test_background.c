/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going into the background: with which status the parent ends, and when.
 */
#include "config.h"

#include "common/background.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/lib/check_run.h"

#define STAYED 99 /* no status of sysexits(3) */

/* Whether standard error is still what it was. */
static bool
has_terminal(void)
{
	struct stat err, null;

	return fstat(STDERR_FILENO, &err) == 0 &&
	       stat("/dev/null", &null) == 0 && err.st_rdev != null.st_rdev;
}

static void
reports(int *report)
{
	background_report(report, 0);
	background_report(report, EX_SOFTWARE); /* said already */
}

/* By way of the exit status, which the parent has when it hears nothing. */
static void
lets_go(int *report)
{
	int nobody = open("/dev/null", O_WRONLY | O_CLOEXEC);

	background_report(&nobody, 0);
	(void)report;
	_exit(has_terminal() ? STAYED : 0);
}

static void
reports_failure(int *report)
{
	background_report(report, has_terminal() ? EX_CONFIG : STAYED);
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
	{ lets_go, 0 },
	{ reports_failure, EX_CONFIG },
	{ ends, EX_NOINPUT },
	{ is_killed, EX_SOFTWARE },
};

/* What the shell sees that has started the service. */
START_TEST(status_of_parent)
{
	pid_t pid = fork();
	int status, report = -1, terminal[2];
	struct err err;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		/* Whatever the tests themselves were started with. */
		ck_assert_int_ne(pipe2(terminal, O_CLOEXEC), -1);
		ck_assert_int_ne(dup2(terminal[1], STDERR_FILENO), -1);
		if (background_fork(&report, &err) == 0)
			cases[_i].child(&report);
		_exit(EX_USAGE);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), cases[_i].status);
}
END_TEST

/* Who stays in the foreground has nobody to tell, and keeps the terminal. */
START_TEST(nobody_waits)
{
	int report = -1, terminal[2];

	ck_assert_int_ne(pipe2(terminal, O_CLOEXEC), -1);
	ck_assert_int_ne(dup2(terminal[1], STDERR_FILENO), -1);
	background_report(&report, 0);
	ck_assert_int_eq(report, -1);
	ck_assert(has_terminal());
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
