/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is written from the table: help, dump, sample file and manual page.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/option.h"
#include "../lib/check_run.h"
#include "option_sample.h"

#include "common/banned.h"

static char *
dump(const void *config, bool secrets)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(
	    option_write_dump(&sample_table, config, secrets, f), 0);
	fclose(f);
	ck_assert_uint_eq(strlen(text), n);
	return text;
}

static char *
written(int (*write)(const struct option_table *, FILE *))
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(write(&sample_table, f), 0);
	fclose(f);
	return text;
}

/* --- dump ---------------------------------------------------------------- */

START_TEST(dump_defaults)
{
	struct reading r;
	char *text;

	reading_init(&r);
	ck_assert_int_eq(option_apply_defaults(r.state, &r.problems), 0);
	text = dump(&r.config, true);
	ck_assert_str_eq(text, "debug false\n"
			       "listen_port 110\n"
			       "listen imap4://*\n"
			       "timeout 1800\n"
			       "log_passwd never\n"
			       "strip_domain \"\"\n"
			       "ok_line You are so in\n"
			       "password secret word\n");
	free(text);
	text = dump(&r.config, false);
	ck_assert_ptr_null(strstr(text, "secret"));
	ck_assert_ptr_null(strstr(text, "password"));
	free(text);
	reading_clear(&r);
}
END_TEST

static void
assert_same(const struct sample *a, const struct sample *b)
{
	size_t i;

	ck_assert(a->debug == b->debug);
	ck_assert_uint_eq(a->port, b->port);
	ck_assert_uint_eq(a->timeout, b->timeout);
	ck_assert_uint_eq(a->mode, b->mode);
	ck_assert_uint_eq(a->states, b->states);
	ck_assert_pstr_eq(a->banner, b->banner);
	ck_assert_pstr_eq(a->file, b->file);
	ck_assert_pstr_eq(a->password, b->password);
	ck_assert_uint_eq(a->listen.n, b->listen.n);
	for (i = 0; i < a->listen.n; i++)
		ck_assert_str_eq(a->listen.v[i], b->listen.v[i]);
}

static void
assert_round_trip(const struct sample *config)
{
	char *text = dump(config, true);
	struct reading r;

	reading_init(&r);
	ck_assert_msg(
	    read_text(&r, text) == 0, "%s\n%s", r.problems.v[0], text);
	ck_assert_int_eq(option_apply_defaults(r.state, &r.problems), 0);
	assert_same(config, &r.config);
	reading_clear(&r);
	free(text);
}

static const char *const texts[] = { "", " ", "a", " a", "a ", "a b  c", "'",
	"''", "\"", "\\", "\\\\", "\\\n", "\n", "\r", "a\r\nb", "#", "a#b",
	"# a", "it's", "\"it's\"", "a\\", "a\\\\", "\t", "\ta", "a\t", "a\tb",
	"\x01\x1b\x7f", "\xc3\xa9\xff\x80", "'\\''", "\\'", "\v\f", "true",
	"debug\nlisten_port 7" };

START_TEST(dump_odd_texts)
{
	struct reading r;
	struct err err;

	reading_init(&r);
	ck_assert_int_eq(option_apply_defaults(r.state, &r.problems), 0);
	option_string.parse(sample_defs, &r.config.banner, texts[_i], &err);
	option_string.parse(sample_defs, &r.config.file, texts[_i], &err);
	option_strings.parse(sample_defs, &r.config.listen, texts[_i], &err);
	assert_round_trip(&r.config);
	option_strings.clear(sample_defs, &r.config.listen);
	assert_round_trip(&r.config);
	reading_clear(&r);
}
END_TEST

static uint64_t random_state = 88172645463325252u; /* xorshift64* */

static unsigned int
random_below(unsigned int n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (unsigned int)(random_state * 2685821657736338717u >> 32) % n;
}

static void
random_text(char *out, size_t cap)
{
	static const char special[] = "'\"\\# \t\n\r\\'\"";
	size_t n = random_below(random_below(8) == 0 ? (unsigned int)cap : 12);
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = random_below(2) == 0
			     ? special[random_below(sizeof(special) - 1)]
			     : (char)(1 + random_below(255));
	out[n] = '\0';
}

START_TEST(dump_any_value)
{
	char text[3000];
	struct err err;
	int round;

	for (round = 0; round < 2000; round++) {
		struct sample c = { 0 };
		unsigned int k = random_below(4);

		c.debug = random_below(2) == 0;
		c.port = 1 + random_below(65535);
		c.timeout = random_below(UINT32_MAX);
		c.mode = random_below(2) * 3;
		c.states = random_below(8);
		random_text(text, sizeof(text));
		option_string.parse(sample_defs, &c.banner, text, &err);
		random_text(text, sizeof(text));
		option_string.parse(sample_defs, &c.file, text, &err);
		random_text(text, sizeof(text));
		option_string.parse(sample_defs, &c.password, text, &err);
		while (k-- > 0) {
			random_text(text, sizeof(text));
			option_strings.parse(
			    sample_defs, &c.listen, text, &err);
		}
		assert_round_trip(&c);
		option_clear(&sample_table, &c);
	}
}
END_TEST

START_TEST(stream_fails)
{
	struct sample config = { 0 };
	FILE *f = fopen("/dev/full", "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(
	    option_write_dump(&sample_table, &config, true, f), -1);
	ck_assert_int_eq(errno, ENOSPC);
	fclose(f);
	f = fopen("/dev/full", "w");
	ck_assert_ptr_nonnull(f);
	setvbuf(f, NULL, _IONBF, 0);
	ck_assert_int_eq(option_write_help(&sample_table, f), -1);
	ck_assert_int_eq(option_write_man(&sample_table, f), -1);
	ck_assert_int_eq(option_write_sample(&sample_table, f), -1);
	fclose(f);
}
END_TEST

/* --- help ---------------------------------------------------------------- */

START_TEST(help)
{
	char *text = written(option_write_help);
	const char *line, *end;

	ck_assert_ptr_nonnull(strstr(text, "Usage: sample [OPTION]...\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "\n  -t, --timeout=SECONDS       Close a "));
	ck_assert_ptr_nonnull(strstr(text, "\nListening:\n"));
	ck_assert_ptr_nonnull(strstr(text, "From 1 to 65535. Default: 110\n"));
	ck_assert_ptr_nonnull(strstr(text, "One of never, always."));
	ck_assert_ptr_nonnull(strstr(text, "Default: \"You are so in\""));
	ck_assert_ptr_nonnull(strstr(text, "--greeting=STRING"));
	ck_assert_ptr_null(strstr(text, "noise"));
	/* A group has one heading, though its options stand apart. */
	line = strstr(text, "\nLogging:\n");
	ck_assert_ptr_nonnull(line);
	ck_assert_ptr_null(strstr(line + 1, "\nLogging:\n"));
	ck_assert_ptr_nonnull(strstr(line, "--log_passwd"));
	for (line = text; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		ck_assert_ptr_nonnull(end);
		ck_assert_int_lt(end - line, 80);
		ck_assert(end == line || end[-1] != ' ');
	}
	free(text);
}
END_TEST

/* --- sample file --------------------------------------------------------- */

START_TEST(sample_as_it_is)
{
	char *text = written(option_write_sample);
	struct reading r;

	reading_init(&r);
	ck_assert_int_eq(read_text(&r, text), 0);
	ck_assert_ptr_null(option_set_where(r.state, "debug"));
	ck_assert_ptr_null(option_set_where(r.state, "ok_line"));
	ck_assert_ptr_null(strstr(text, "help"));
	ck_assert_ptr_null(strstr(text, " \n"));
	ck_assert_ptr_null(strstr(text, "greeting"));
	ck_assert_ptr_null(strstr(text, "noise"));
	reading_clear(&r);
	free(text);
}
END_TEST

/* With the "#" before each name removed it says what the defaults say. */
START_TEST(sample_uncommented)
{
	char *text = written(option_write_sample), *p;
	struct reading r, want;

	for (p = text; p != NULL; p = strchr(p + 1, '\n')) {
		if (p[0] == '\n' && p[1] == '#' && p[2] != ' ')
			p[1] = ' ';
	}
	reading_init(&r);
	reading_init(&want);
	ck_assert_msg(read_text(&r, text) == 0, "%s", r.problems.v[0]);
	ck_assert_ptr_nonnull(option_set_where(r.state, "debug"));
	ck_assert_ptr_nonnull(option_set_where(r.state, "ok_line"));
	ck_assert_ptr_nonnull(option_set_where(r.state, "strip_domain"));
	ck_assert_int_eq(option_apply_defaults(want.state, &want.problems), 0);
	assert_same(&want.config, &r.config);
	reading_clear(&r);
	reading_clear(&want);
	free(text);
}
END_TEST

/* --- manual page --------------------------------------------------------- */

START_TEST(man_source)
{
	char *text = written(option_write_man);

	ck_assert(strncmp(text, ".SH OPTIONS\n", 12) == 0);
	ck_assert_ptr_nonnull(strstr(text,
	    "\n.TP\n\\fB\\-l\\fR, "
	    "\\fB\\-\\-listen_port\\fR=\\fIPORT\\fR\nListen here.\n"
	    "From 1 to 65535.\nDefault: 110\n"));
	ck_assert_ptr_nonnull(strstr(text, "back\\(rsslash"));
	ck_assert_ptr_nonnull(strstr(text, "\\&.dots"));
	ck_assert_ptr_nonnull(strstr(text, "real-server"));
	ck_assert_ptr_nonnull(strstr(text, "\\-\\-debug does"));
	ck_assert_ptr_null(strstr(text, "\n'"));
	ck_assert_ptr_null(strstr(text, "\n\n"));
	ck_assert_ptr_null(strstr(text, "noise"));
	free(text);
}
END_TEST

static bool
succeeds(const char *command)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The whole page through command, which is to say nothing. */
static void
assert_quiet(const char *command)
{
	FILE *f = fopen("test_option_write.8", "w");

	ck_assert_ptr_nonnull(f);
	fputs(".TH SAMPLE 8 2024-01-01 sample sample\n.SH NAME\n"
	      "sample \\- an example\n",
	    f);
	ck_assert_int_eq(option_write_man(&sample_table, f), 0);
	fclose(f);
	ck_assert_msg(succeeds(command), "%s", command);
	unlink("test_option_write.8");
}

START_TEST(man_is_clean)
{
	if (succeeds("mandoc -V >/dev/null 2>&1; test $? -ne 127"))
		assert_quiet("mandoc -Tlint -Wstyle test_option_write.8");
	if (succeeds("groff --version >/dev/null 2>&1"))
		assert_quiet("test -z \"$(groff -man -ww -z -rCHECKSTYLE=2 "
			     "test_option_write.8 2>&1)\"");
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("write");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, dump_defaults);
	tcase_add_loop_test(tc, dump_odd_texts, 0, COUNT(texts));
	tcase_add_test(tc, dump_any_value);
	tcase_add_test(tc, stream_fails);
	tcase_add_test(tc, help);
	tcase_add_test(tc, sample_as_it_is);
	tcase_add_test(tc, sample_uncommented);
	tcase_add_test(tc, man_source);
	tcase_add_test(tc, man_is_clean);
	return check_run("option_write", tc);
}
