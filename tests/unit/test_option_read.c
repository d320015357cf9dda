/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options from files: values, defaults, and every error with its place.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/option.h"
#include "../lib/check_run.h"
#include "option_sample.h"

#include "common/banned.h"

START_TEST(every_kind)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, "debug\n"
				       "listen-port 143\n"
				       "listen a\n"
				       "L b c\n"
				       "t 5m\n"
				       "log_passwd ALWAYS\n"
				       "strip-domain lookup, remote\n"
				       "ok_line  Hello   you # comment\n"
				       "pid_file \"\"\n"),
	    0);
	assert_no_problems(&r);
	ck_assert(r.config.debug);
	ck_assert_uint_eq(r.config.port, 143);
	ck_assert_uint_eq(r.config.listen.n, 2);
	ck_assert_str_eq(r.config.listen.v[0], "a");
	ck_assert_str_eq(r.config.listen.v[1], "b c");
	ck_assert_uint_eq(r.config.timeout, 300);
	ck_assert_uint_eq(r.config.mode, 3);
	ck_assert_uint_eq(r.config.states, 5);
	ck_assert_str_eq(r.config.banner, "Hello   you");
	ck_assert_str_eq(r.config.file, "");
	ck_assert_ptr_null(r.config.password);
	reading_clear(&r);
}
END_TEST

START_TEST(defaults)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, "t 0\nlisten x\n"), 0);
	ck_assert_int_eq(option_apply_defaults(r.state, &r.problems), 0);
	assert_no_problems(&r);
	ck_assert(!r.config.debug);
	ck_assert_uint_eq(r.config.port, 110);
	ck_assert_uint_eq(r.config.timeout, 0);
	ck_assert_uint_eq(r.config.listen.n, 1);
	ck_assert_str_eq(r.config.listen.v[0], "x");
	ck_assert_str_eq(r.config.banner, "You are so in");
	ck_assert_ptr_null(r.config.file);
	reading_clear(&r);
}
END_TEST

START_TEST(bad_default)
{
	static const struct option_def defs[] = {
		{ .name = "n", .type = &option_uint, .dflt = "x", .max = 9 },
		{ .name = NULL },
	};
	static const struct option_table table = { defs, "p",
		sizeof(unsigned int) };
	struct option_problems problems = { 0 };
	unsigned int config;
	struct option_state *state = option_state_create(&table, &config);

	ck_assert_int_eq(option_apply_defaults(state, &problems), -1);
	ck_assert_uint_eq(problems.n, 1);
	ck_assert_str_eq(
	    problems.v[0], "default: n: \"x\": expected a number from 0 to 9");
	option_problems_clear(&problems);
	option_state_destroy(&state);
	option_state_destroy(&state);
}
END_TEST

/* An empty element empties a list, so that a default can be taken away. */
START_TEST(empty_list)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, "listen \"\"\n"), 0);
	ck_assert_int_eq(option_apply_defaults(r.state, &r.problems), 0);
	ck_assert_uint_eq(r.config.listen.n, 0);
	reading_clear(&r);
}
END_TEST

static const struct {
	const char *text;
	bool want;
} bools[] = {
	{ "debug", true },
	{ "debug true", true },
	{ "debug yes", true },
	{ "debug on", true },
	{ "debug 1", true },
	{ "debug On", true },
	{ "d", true },
	{ "debug false", false },
	{ "debug no", false },
	{ "debug off", false },
	{ "debug 0", false },
	{ "d 'off'", false },
};

START_TEST(bool_values)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, bools[_i].text), 0);
	ck_assert(r.config.debug == bools[_i].want);
	reading_clear(&r);
}
END_TEST

/* One problem each; with its file, line, column and text. */
static const struct {
	const char *text, *problem;
} errors[] = {
	{ "\n  timeuot 3\n",
	    "f:2:3: unknown option \"timeuot\"; did you mean \"timeout\"?" },
	{ "listen-prot 3",
	    "f:1:1: unknown option \"listen-prot\"; did you mean "
	    "\"listen_port\"?" },
	{ "Debug", "f:1:1: unknown option \"Debug\"; did you mean \"debug\"?" },
	{ "deb", "f:1:1: unknown option \"deb\"; did you mean \"debug\"?" },
	{ "xyzzy 1", "f:1:1: unknown option \"xyzzy\"" },
	{ "nois", "f:1:1: unknown option \"nois\"" },
	{ "z 1", "f:1:1: unknown option \"z\"" },
	{ "'' 1", "f:1:1: unknown option \"\"" },
	{ "--debug",
	    "f:1:1: unknown option \"--debug\"; did you mean \"debug\"?" },
	{ "timeout=3",
	    "f:1:1: unknown option \"timeout=3\"; is white space meant "
	    "instead of the \"=\"?" },
	{ "t=3",
	    "f:1:1: unknown option \"t=3\"; is white space meant instead of "
	    "the \"=\"?" },
	{ "'a\x1b[2J\"' 1", "f:1:1: unknown option \"a\\x1b[2J\\\"\"" },
	{ "timeout", "f:1:1: timeout: needs a value (SECONDS)" },
	{ "listen_port # 1", "f:1:1: listen_port: needs a value (PORT)" },
	{ "debug maybe",
	    "f:1:7: debug: \"maybe\": expected true, yes, on, 1, false, no, "
	    "off or 0" },
	{ "debug \"\"",
	    "f:1:7: debug: \"\": expected true, yes, on, 1, false, no, off or "
	    "0" },
	{ "listen_port 65536",
	    "f:1:13: listen_port: \"65536\": expected a number from 1 to "
	    "65535" },
	{ "listen_port \\\n  0",
	    "f:2:3: listen_port: \"0\": expected a number from 1 to 65535" },
	{ "log_passwd some",
	    "f:1:12: log_passwd: \"some\": expected one of never, always" },
	{ "S lookup,x",
	    "f:1:3: strip_domain: \"lookup,x\": expected nothing or, "
	    "separated by commas, some of lookup, local, remote, all" },
	{ "help", "f:1:1: help: only possible on the command line" },
	{ "debug\n#\ndebug off\n",
	    "f:3:7: debug: given more than once, first at f:1:1" },
	{ "ok_line a\nok_line a\n",
	    "f:2:9: ok_line: given more than once, first at f:1:9" },
	{ "ok_line a\ngreeting b\n",
	    "f:2:10: greeting: given more than once, first at f:1:9" },
	{ "ok_line 'a", "f:1:9: a single quote that is never closed" },
	{ "ok_line \"a'b'\n", "f:1:9: a double quote that is never closed" },
};

START_TEST(one_problem)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, errors[_i].text), -1);
	assert_problem(&r, 0, errors[_i].problem);
	ck_assert_uint_eq(r.problems.n, 1);
	reading_clear(&r);
}
END_TEST

START_TEST(all_problems)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, "debug maybe\n"
				       "listen_port 0\n"
				       "ok_line it's\n"
				       "frob 3\n"
				       "t 1x\n"
				       "pid_file /x\n"),
	    -1);
	ck_assert_uint_eq(r.problems.n, 5);
	assert_problem(&r, 2, "f:3:11: a single quote that is never closed");
	assert_problem(&r, 3, "f:4:1: unknown option \"frob\"");
	assert_problem(&r, 4,
	    "f:5:3: timeout: \"1x\": expected a number of seconds from 0 to "
	    "4294967295, or of minutes, hours or days as in 5m, 2h, 1d");
	ck_assert_str_eq(r.config.file, "/x");
	reading_clear(&r);
}
END_TEST

/* The quote that is missing is on line 2; line 4 has none too few. */
START_TEST(problems_behind_a_missing_quote)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, "debug\n"
				       "ok_line it's\n"
				       "frob 3\n"
				       "pid_file '/x'\n"),
	    -1);
	ck_assert_uint_eq(r.problems.n, 2);
	assert_problem(&r, 0,
	    "f:4:13: a single quote that is never closed (the text began on "
	    "line 2)");
	assert_problem(&r, 1, "f:3:1: unknown option \"frob\"");
	ck_assert_str_eq(r.config.file, "/x");
	reading_clear(&r);
}
END_TEST

START_TEST(problems_are_bounded)
{
	const size_t lines = 5000;
	char *text = malloc(2 * lines + 1);
	struct reading r;
	size_t i;

	ck_assert_ptr_nonnull(text);
	for (i = 0; i < lines; i++)
		memcpy(text + 2 * i, "z\n", 2);
	text[2 * lines] = '\0';
	reading_init(&r);
	ck_assert_int_eq(read_text(&r, text), -1);
	ck_assert_uint_eq(r.problems.n, OPTION_PROBLEMS_MAX + 1);
	assert_problem(&r, OPTION_PROBLEMS_MAX,
	    "f: too many errors, the rest was not read");
	reading_clear(&r);
	free(text);
}
END_TEST

/* What the type refuses of a secret is not shown. */
START_TEST(secrets_are_not_shown)
{
	static const struct option_def defs[] = {
		{ .name = "pin",
		    .type = &option_uint,
		    .flags = OPTION_SECRET,
		    .max = 9 },
		{ .name = NULL },
	};
	static const struct option_table table = { defs, "p",
		sizeof(unsigned int) };
	struct option_problems problems = { 0 };
	unsigned int config;
	struct option_state *state = option_state_create(&table, &config);

	ck_assert_int_eq(
	    option_read_text(state, SLICE("pin 12345"), "f", &problems), -1);
	ck_assert_str_eq(
	    problems.v[0], "f:1:5: pin: expected a number from 0 to 9");
	option_problems_clear(&problems);
	option_state_destroy(&state);
}
END_TEST

START_TEST(long_text_is_cut_in_problems)
{
	struct reading r;
	char text[4096];

	memset(text, '\x1f', sizeof(text) - 1);
	text[0] = '\'';
	text[sizeof(text) - 2] = '\'';
	text[sizeof(text) - 1] = '\0';
	reading_init(&r);
	ck_assert_int_eq(read_text(&r, text), -1);
	ck_assert_uint_lt(strlen(r.problems.v[0]), 300);
	reading_clear(&r);
}
END_TEST

START_TEST(where)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(
	    read_text(&r, "\ngreeting x\nlisten a\nlisten b\n"), 0);
	ck_assert_str_eq(option_set_where(r.state, "ok_line"), "f:2:10");
	ck_assert_str_eq(option_set_where(r.state, "ok-line"), "f:2:10");
	ck_assert_str_eq(option_set_where(r.state, "greeting"), "f:2:10");
	ck_assert_str_eq(option_set_where(r.state, "listen"), "f:3:8");
	ck_assert_str_eq(option_set_where_nth(r.state, "listen", 1), "f:4:8");
	ck_assert_ptr_null(option_set_where_nth(r.state, "listen", 2));
	ck_assert_ptr_null(option_set_where(r.state, "debug"));
	ck_assert_ptr_null(option_set_where(r.state, "nothing"));
	ck_assert_int_eq(option_apply_defaults(r.state, &r.problems), 0);
	ck_assert_ptr_null(option_set_where(r.state, "listen_port"));
	ck_assert_str_eq(r.config.banner, "x");
	reading_clear(&r);
}
END_TEST

/* Each reading may give an option once; the later one wins as a whole. */
START_TEST(later_file_wins)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, "t 1\nlisten a\nlisten b\n"), 0);
	ck_assert_int_eq(read_text(&r, "t 2\nlisten c\n"), 0);
	ck_assert_uint_eq(r.config.timeout, 2);
	ck_assert_uint_eq(r.config.listen.n, 1);
	ck_assert_str_eq(r.config.listen.v[0], "c");
	reading_clear(&r);
}
END_TEST

/* --- files --------------------------------------------------------------- */

static char path[64];

static void
write_file(const char *text, size_t n)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test_option_read.XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static void
count_lines(void *arg, int level, struct slice line)
{
	unsigned int *count = arg;

	ck_assert_int_eq(level, LOG_WARNING);
	ck_assert_uint_gt(line.n, 0);
	(*count)++;
}

START_TEST(file)
{
	static const char text[] = "greeting x\npid_file 'a\nb'\nz\n";
	unsigned int warnings = 0;
	struct reading r;
	char want[128];

	log_set_sink(count_lines, &warnings);
	write_file(text, sizeof(text) - 1);
	reading_init(&r);
	ck_assert_int_eq(option_read_file(r.state, path, &r.problems), -1);
	unlink(path);
	snprintf(want, sizeof(want), "%s:4:1: unknown option \"z\"", path);
	assert_problem(&r, 0, want);
	ck_assert_str_eq(r.config.banner, "x");
	ck_assert_str_eq(r.config.file, "a\nb");
	ck_assert_uint_eq(warnings, 2); /* deprecated; spans lines */
	reading_clear(&r);

	/* What a program dumped is not warned about again. */
	reading_init(&r);
	read_text(&r, text);
	ck_assert_uint_eq(warnings, 2);
	reading_clear(&r);
}
END_TEST

START_TEST(no_such_file)
{
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(
	    option_read_file(r.state, "/nonexistent/x", &r.problems), -1);
	assert_problem(&r, 0, "/nonexistent/x: No such file or directory");
	ck_assert_int_eq(option_read_file(r.state, "/", &r.problems), -1);
	assert_problem(&r, 1, "/: Is a directory");
	reading_clear(&r);
}
END_TEST

START_TEST(too_large_file)
{
	char *text = calloc(1, OPTION_FILE_MAX + 1);
	struct reading r;

	ck_assert_ptr_nonnull(text);
	memset(text, '\n', OPTION_FILE_MAX + 1);
	write_file(text, OPTION_FILE_MAX + 1);
	reading_init(&r);
	ck_assert_int_eq(option_read_file(r.state, path, &r.problems), -1);
	ck_assert_uint_eq(r.problems.n, 1);
	ck_assert_int_eq(truncate(path, OPTION_FILE_MAX), 0);
	ck_assert_int_eq(option_read_file(r.state, path, &r.problems), 0);
	unlink(path);
	reading_clear(&r);
	free(text);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("read");

	tcase_add_test(tc, every_kind);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, bad_default);
	tcase_add_test(tc, empty_list);
	tcase_add_loop_test(tc, bool_values, 0, COUNT(bools));
	tcase_add_loop_test(tc, one_problem, 0, COUNT(errors));
	tcase_add_test(tc, all_problems);
	tcase_add_test(tc, problems_behind_a_missing_quote);
	tcase_add_test(tc, problems_are_bounded);
	tcase_add_test(tc, secrets_are_not_shown);
	tcase_add_test(tc, long_text_is_cut_in_problems);
	tcase_add_test(tc, where);
	tcase_add_test(tc, later_file_wins);
	tcase_add_test(tc, file);
	tcase_add_test(tc, no_such_file);
	tcase_add_test(tc, too_large_file);
	return check_run("option_read", tc);
}
