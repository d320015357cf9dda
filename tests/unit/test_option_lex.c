/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The syntax of configuration files, without options.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "common/option.h"
#include "../lib/check_run.h"

#include "common/banned.h"

/* One logical line. */
static const struct {
	const char *in, *key, *value;
	unsigned int line, column, value_line, value_column;
} lines[] = {
	{ "timeout 30", "timeout", "30", 1, 1, 1, 9 },
	{ "timeout 30\n", "timeout", "30", 1, 1, 1, 9 },
	{ "timeout\t \t30\r\n", "timeout", "30", 1, 1, 1, 11 },
	{ "  \t timeout 30  \t", "timeout", "30", 1, 5, 1, 13 },
	{ "\n\n # x\n  \r\n\\\n\ndebug", "debug", "", 7, 1, 0, 0 },
	{ "debug   ", "debug", "", 1, 1, 0, 0 },
	{ "debug # on", "debug", "", 1, 1, 0, 0 },
	{ "debug#on", "debug", "", 1, 1, 0, 0 },
	{ "ok_line \"\"", "ok_line", "", 1, 1, 1, 9 },
	{ "ok_line '' # x", "ok_line", "", 1, 1, 1, 9 },

	/* '#' starts a comment unless escaped or quoted. */
	{ "k a#b", "k", "a", 1, 1, 1, 3 },
	{ "k a # b \\", "k", "a", 1, 1, 1, 3 },
	{ "k a\\#b", "k", "a#b", 1, 1, 1, 3 },
	{ "k 'a#b' \"#c\" # d", "k", "a#b #c", 1, 1, 1, 3 },
	{ "\\#k v", "#k", "v", 1, 1, 1, 5 },

	/* A backslash joins lines, and makes other characters literal. */
	{ "k a\\\nb", "k", "ab", 1, 1, 1, 3 },
	{ "k a\\\r\nb", "k", "ab", 1, 1, 1, 3 },
	{ "k a \\\n  b", "k", "a   b", 1, 1, 1, 3 },
	{ "k \\\n \\\n v", "k", "v", 1, 1, 3, 2 },
	{ "ti\\\nme v", "time", "v", 1, 1, 2, 4 },
	{ "k\\\n", "k", "", 1, 1, 0, 0 },
	{ "k a\\", "k", "a", 1, 1, 1, 3 },
	{ "k a\\\\", "k", "a\\", 1, 1, 1, 3 },
	{ "k a\\\\\nx y", "k", "a\\", 1, 1, 1, 3 },
	{ "k \\n\\t\\x41", "k", "ntx41", 1, 1, 1, 3 },
	{ "k \\'a\\\"", "k", "'a\"", 1, 1, 1, 3 },
	{ "k \\ a\\ ", "k", " a ", 1, 1, 1, 3 },
	{ "k a\\ \\\t b ", "k", "a \t b", 1, 1, 1, 3 },
	{ "k a\\\r", "k", "a\r", 1, 1, 1, 3 },

	/* Single quotes: all is literal. */
	{ "k 'a\\b\"c#d\ne \\\nf'", "k", "a\\b\"c#d\ne \\\nf", 1, 1, 1, 3 },
	{ "k a' 'b", "k", "a b", 1, 1, 1, 3 },
	{ "k ' a '", "k", " a ", 1, 1, 1, 3 },
	{ "k ' a ' ", "k", " a ", 1, 1, 1, 3 },
	{ "k 'it'\\''s'", "k", "it's", 1, 1, 1, 3 },

	/* Double quotes: all but the single quote is. */
	{ "k \"a\\b#c\nd \\\ne\"", "k", "a\\b#c\nd \\\ne", 1, 1, 1, 3 },
	{ "k \"a\\\"b", "k", "a\\b", 1, 1, 1, 3 },
	{ "k \"a'\"'b\"", "k", "a\"b", 1, 1, 1, 3 },

	/* White space in keys must be quoted. */
	{ "'a b' c", "a b", "c", 1, 1, 1, 7 },
	{ "a\" \"b c", "a b", "c", 1, 1, 1, 7 },
	{ "a\\ b c", "a b", "c", 1, 1, 1, 6 },
	{ "'' v", "", "v", 1, 1, 1, 4 },
	{ "\"\"", "", "", 1, 1, 0, 0 },

	/* In values it need not be, and is kept as it is. */
	{ "pop_capability A  B\tC", "pop_capability", "A  B\tC", 1, 1, 1, 16 },
	{ "k \xc3\xa9\xff", "k", "\xc3\xa9\xff", 1, 1, 1, 3 },
};

START_TEST(one_line)
{
	struct slice text = slice_str(lines[_i].in);
	struct option_line out;
	unsigned int line = 1;
	struct err err;

	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 1);
	ck_assert_str_eq(out.key, lines[_i].key);
	ck_assert_str_eq(out.value, lines[_i].value);
	ck_assert_uint_eq(out.key_len, strlen(out.key));
	ck_assert_uint_eq(out.value_len, strlen(out.value));
	ck_assert_uint_eq(out.line, lines[_i].line);
	ck_assert_uint_eq(out.column, lines[_i].column);
	ck_assert_uint_eq(out.value_line, lines[_i].value_line);
	ck_assert_uint_eq(out.value_column, lines[_i].value_column);
	option_line_clear(&out);
	ck_assert_ptr_null(out.key);
	ck_assert_ptr_null(out.value);
	option_line_clear(&out);
}
END_TEST

static const char *const nothing[] = { "", "\n", "# a", "# a\\\n", "  \t\r\n",
	"\\", "\\\n", " \\\n # x\n" };

START_TEST(no_line)
{
	struct slice text = slice_str(nothing[_i]);
	struct option_line out;
	unsigned int line = 1;
	struct err err;

	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 0);
	ck_assert_uint_eq(text.n, 0);
	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 0);
}
END_TEST

START_TEST(null_text)
{
	struct slice text = { NULL, 0 };
	struct option_line out;
	unsigned int line = 1;
	struct err err;

	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 0);
}
END_TEST

/* Lines are counted through joins, quotes and comments. */
START_TEST(many_lines)
{
	static const char in[] = "a 1\n"
				 "# c \\\n"
				 "b 2\\\n"
				 "2\n"
				 "\n"
				 "c '3\n"
				 "3'\n"
				 "d";
	static const struct {
		const char *key, *value;
		unsigned int line;
	} want[] = { { "a", "1", 1 }, { "b", "22", 3 }, { "c", "3\n3", 6 },
		{ "d", "", 8 } };
	struct slice text = SLICE(in);
	struct option_line out;
	unsigned int line = 1;
	struct err err;
	size_t i;

	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 1);
		ck_assert_str_eq(out.key, want[i].key);
		ck_assert_str_eq(out.value, want[i].value);
		ck_assert_uint_eq(out.line, want[i].line);
		option_line_clear(&out);
	}
	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 0);
}
END_TEST

static const struct {
	struct slice in;
	unsigned int line;
	const char *msg;
} bad[] = {
	{ SLICE("k 'v"), 1, "a single quote that is never closed" },
	{ SLICE("\nk it's\nx y\n"), 2, "a single quote that is never closed" },
	{ SLICE("k a\\\n \"v\n"), 2, "a double quote that is never closed" },
	{ SLICE("\nk \"\nv\n"), 2, "a double quote that is never closed" },
	{ SLICE("k \"v'"), 1, "a single quote that is never closed" },
	{ SLICE("k \"v'\"'"), 1, "a double quote that is never closed" },
	{ SLICE("'k v"), 1, "a single quote that is never closed" },
	{ SLICE("k 'a\nb'\nc 'd"), 3, "a single quote that is never closed" },
	{ SLICE("k 'a\nb 'c 'd\n"), 2,
	    "a single quote that is never closed (the text began on line 1)" },
	{ SLICE("k v\0w\n"), 1, "a NUL byte" },
	{ SLICE("k\n'\0"), 2, "a NUL byte" },
	{ SLICE("k\nl \\\0"), 2, "a NUL byte" },
	{ SLICE("\0"), 1, "a NUL byte" },
};

START_TEST(bad_line)
{
	struct slice text = bad[_i].in;
	struct option_line out;
	unsigned int line = 1;
	struct err err;
	int got;

	while ((got = option_line_next(&text, &line, &out, &err)) == 1)
		option_line_clear(&out);
	ck_assert_int_eq(got, -1);
	ck_assert_int_eq(err.code, EINVAL);
	ck_assert_str_eq(err.msg, bad[_i].msg);
	ck_assert_uint_eq(line, bad[_i].line);
	ck_assert_uint_eq(text.n, 0);
	ck_assert_ptr_null(out.key);
	ck_assert_ptr_null(out.value);
	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 0);
}
END_TEST

/* A comment may hold anything, a NUL and quotes too. */
START_TEST(comments_hold_anything)
{
	struct slice text = SLICE("# don't \0 \"\nk v # it's \"\nl\n");
	struct option_line out;
	unsigned int line = 1;
	struct err err;

	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 1);
	ck_assert_str_eq(out.value, "v");
	option_line_clear(&out);
	ck_assert_int_eq(option_line_next(&text, &line, &out, &err), 1);
	ck_assert_str_eq(out.key, "l");
	option_line_clear(&out);
}
END_TEST

/* A megabyte of anything costs time in proportion to its length. */
START_TEST(long_input)
{
	static const char *const pieces[] = { "'", "''", "\"", "\\\n", "\\",
		"a", " ", "\n", "#", "a\n", "'\"" };
	const size_t size = 1024 * 1024;
	char *mem = malloc(size);
	size_t i, k, len;

	ck_assert_ptr_nonnull(mem);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct slice text = slice_make(mem, size);
		struct option_line out;
		unsigned int line = 1;
		struct err err;

		len = strlen(pieces[i]);
		for (k = 0; k < size; k++)
			mem[k] = pieces[i][k % len];
		while (option_line_next(&text, &line, &out, &err) == 1)
			option_line_clear(&out);
		ck_assert_uint_eq(text.n, 0);
	}
	free(mem);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("lex");

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, one_line, 0, COUNT(lines));
	tcase_add_loop_test(tc, no_line, 0, COUNT(nothing));
	tcase_add_test(tc, null_text);
	tcase_add_test(tc, many_lines);
	tcase_add_loop_test(tc, bad_line, 0, COUNT(bad));
	tcase_add_test(tc, comments_hold_anything);
	tcase_add_test(tc, long_input);
	return check_run("option_lex", tc);
}
