/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options from a command line, and that it wins over the file.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/option.h"
#include "../lib/check_run.h"
#include "option_sample.h"

#include "common/banned.h"

#define ARGS_MAX 8

static int
read_argv(struct reading *r, const char *const args[ARGS_MAX], int *first)
{
	char *argv[ARGS_MAX + 2];
	int argc = 1, i, ret;

	argv[0] = strdup("sample");
	for (; argc <= ARGS_MAX && args[argc - 1] != NULL; argc++)
		argv[argc] = strdup(args[argc - 1]);
	argv[argc] = NULL;
	ret = option_read_argv(r->state, argc, argv, first, &r->problems);
	for (i = 0; i < argc; i++)
		free(argv[i]);
	return ret;
}

/* Every way to say timeout 30, debug, quietly nothing else. */
static const struct {
	const char *args[ARGS_MAX];
	int first;
} same[] = {
	{ { "--timeout=30", "--debug" }, 3 },
	{ { "--timeout", "30", "--debug" }, 4 },
	{ { "--debug", "--timeout", "30", "operand", "--x" }, 4 },
	{ { "--timeout", "30", "--debug", "--", "--x" }, 5 },
	{ { "--timeout", "30", "--debug", "-" }, 4 },
	{ { "--timeout", "30", "--debug", "" }, 4 },
	{ { "--time=30", "--deb" }, 3 },
	{ { "-t", "30", "-d" }, 4 },
	{ { "-t30", "-d" }, 3 },
	{ { "-dt30" }, 2 },
	{ { "-dt", "30" }, 3 },
	{ { "--debug=yes", "--timeout=30s" }, 3 },
	{ { "--noise", "-t", "30" }, 4 },
};

START_TEST(same_meaning)
{
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, same[_i].args, &first), 0);
	assert_no_problems(&r);
	ck_assert_int_eq(first, same[_i].first);
	ck_assert(r.config.debug);
	ck_assert_uint_eq(r.config.timeout, 30);
	ck_assert(!r.config.quiet);
	ck_assert_str_eq(option_set_where(r.state, "timeout"), "command line");
	reading_clear(&r);
}
END_TEST

/* '-' and '_' are the same; a value is the next word, whatever it is. */
START_TEST(values)
{
	static const char *const args[ARGS_MAX] = { "--listen-port", "7",
		"--ok-line", "--debug", "--strip_domain=", "-L=a", "--listen",
		"b=c" };
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, args, &first), 0);
	ck_assert_uint_eq(r.config.port, 7);
	ck_assert_str_eq(r.config.banner, "--debug");
	ck_assert(!r.config.debug);
	ck_assert_uint_eq(r.config.states, 0);
	ck_assert_uint_eq(r.config.listen.n, 2);
	ck_assert_str_eq(r.config.listen.v[0], "=a");
	ck_assert_str_eq(r.config.listen.v[1], "b=c");
	reading_clear(&r);
}
END_TEST

START_TEST(no_words)
{
	char *argv[] = { NULL };
	struct reading r;
	int first = 7;

	reading_init(&r);
	ck_assert_int_eq(
	    option_read_argv(r.state, 0, argv, &first, &r.problems), 0);
	ck_assert_int_eq(first, 0);
	reading_clear(&r);
}
END_TEST

static const struct {
	const char *args[ARGS_MAX];
	const char *problem;
} errors[] = {
	{ { "--timeuot=3" },
	    "command line: unknown option \"timeuot\"; did you mean "
	    "\"timeout\"?" },
	{ { "--lis=3" },
	    "command line: option \"lis\" is ambiguous: \"listen_port\" or "
	    "\"listen\"?" },
	{ { "--listen=3", "--listen_" },
	    "command line: listen_port: needs a value (PORT)" },
	{ { "--n" }, "command line: unknown option \"n\"" },
	{ { "--=3" }, "command line: unknown option \"\"" },
	{ { "-z" }, "command line: unknown option \"z\"" },
	{ { "-dz" }, "command line: unknown option \"z\"" },
	{ { "-dt" }, "command line: timeout: needs a value (SECONDS)" },
	{ { "--timeout" }, "command line: timeout: needs a value (SECONDS)" },
	{ { "--timeout=" },
	    "command line: timeout: \"\": expected a number of seconds from 0 "
	    "to 4294967295, or of minutes, hours or days as in 5m, 2h, 1d" },
	{ { "--debug=" },
	    "command line: debug: \"\": expected true, yes, on, 1, false, no, "
	    "off or 0" },
	{ { "-l", "1", "-l", "1" },
	    "command line: listen_port: given more than once, first at command "
	    "line" },
};

START_TEST(one_problem)
{
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, errors[_i].args, &first), -1);
	assert_problem(&r, 0, errors[_i].problem);
	ck_assert_uint_eq(r.problems.n, 1);
	reading_clear(&r);
}
END_TEST

START_TEST(all_problems)
{
	static const char *const args[ARGS_MAX] = { "-z", "--frob", "-l", "0",
		"-t", "5" };
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, args, &first), -1);
	ck_assert_uint_eq(r.problems.n, 3);
	ck_assert_uint_eq(r.config.timeout, 5);
	reading_clear(&r);
}
END_TEST

static const char *const winner[ARGS_MAX] = { "--timeout=1", "--listen=a",
	"--listen=b", "--debug=no" };
static const char loser[] = "timeout 2\nlisten c\ndebug\nlisten_port 9\n";

static void
assert_command_line_won(struct reading *r)
{
	ck_assert_int_eq(option_apply_defaults(r->state, &r->problems), 0);
	assert_no_problems(r);
	ck_assert_uint_eq(r->config.timeout, 1);
	ck_assert_uint_eq(r->config.listen.n, 2);
	ck_assert_str_eq(r->config.listen.v[0], "a");
	ck_assert_str_eq(r->config.listen.v[1], "b");
	ck_assert(!r->config.debug);
	ck_assert_uint_eq(r->config.port, 9);
	ck_assert_str_eq(option_set_where(r->state, "timeout"), "command line");
	ck_assert_str_eq(option_set_where(r->state, "listen_port"), "f:4:13");
}

START_TEST(wins_when_read_first)
{
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, winner, &first), 0);
	ck_assert_int_eq(read_text(&r, loser), 0);
	assert_command_line_won(&r);
	reading_clear(&r);
}
END_TEST

START_TEST(wins_when_read_last)
{
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, loser), 0);
	ck_assert_int_eq(read_argv(&r, winner, &first), 0);
	assert_command_line_won(&r);
	reading_clear(&r);
}
END_TEST

/* What the command line overrides is checked all the same. */
START_TEST(loser_is_checked)
{
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, winner, &first), 0);
	ck_assert_int_eq(read_text(&r, "timeout x\nlisten a\nlisten b\n"), -1);
	ck_assert_uint_eq(r.problems.n, 1);
	ck_assert_int_eq(read_text(&r, "timeout 5\ntimeout 6\n"), -1);
	ck_assert_uint_eq(r.problems.n, 2);
	assert_problem(
	    &r, 1, "f:2:9: timeout: given more than once, first at f:1:9");
	ck_assert_uint_eq(r.config.timeout, 1);
	reading_clear(&r);
}
END_TEST

START_TEST(command_options)
{
	static const char *const args[ARGS_MAX] = { "-h" };
	struct reading r;
	int first;

	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, args, &first), 0);
	ck_assert(r.config.quiet);
	reading_clear(&r);
}
END_TEST

static void
keep_line(void *arg, int level, struct slice line)
{
	struct slice *kept = arg;

	(void)level;
	ck_assert_ptr_null(kept->p);
	kept->p = slice_dup(line);
	kept->n = line.n;
}

START_TEST(deprecated_is_logged)
{
	static const char *const args[ARGS_MAX] = { "--greeting=x" };
	struct slice kept = { NULL, 0 };
	struct reading r;
	int first;

	log_set_sink(keep_line, &kept);
	reading_init(&r);
	ck_assert_int_eq(read_argv(&r, args, &first), 0);
	ck_assert_str_eq(r.config.banner, "x");
	reading_clear(&r);
	ck_assert_ptr_nonnull(kept.p);
	ck_assert_ptr_nonnull(strstr(kept.p, "option=greeting"));
	ck_assert_ptr_nonnull(strstr(kept.p, "use=ok_line"));
	free((void *)(uintptr_t)kept.p);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("argv");

	tcase_add_loop_test(tc, same_meaning, 0, COUNT(same));
	tcase_add_test(tc, values);
	tcase_add_test(tc, no_words);
	tcase_add_loop_test(tc, one_problem, 0, COUNT(errors));
	tcase_add_test(tc, all_problems);
	tcase_add_test(tc, wins_when_read_first);
	tcase_add_test(tc, wins_when_read_last);
	tcase_add_test(tc, loser_is_checked);
	tcase_add_test(tc, command_options);
	tcase_add_test(tc, deprecated_is_logged);
	return check_run("option_argv", tc);
}
