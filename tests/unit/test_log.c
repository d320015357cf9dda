/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines: no value, whatever its bytes, can look like anything else.
 */
#include "config.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>

#include "tests/lib/check_run.h"
#include "common/banned.h"

static char logged[16384];
static size_t logged_len;
static int logged_level, logged_count;

static void
capture(void *arg, int level, struct slice line)
{
	ck_assert_ptr_eq(arg, &logged_count);
	ck_assert_uint_lt(line.n, sizeof(logged));
	memcpy(logged, line.p, line.n);
	logged[line.n] = '\0';
	logged_len = line.n;
	logged_level = level;
	logged_count++;
}

static void
setup(void)
{
	log_set_sink(capture, &logged_count);
	log_set_level(LOG_INFO);
	logged_count = 0;
}

static const struct {
	struct slice value;
	const char *text;
} values[] = {
	{ SLICE("eve"), "k=eve" },
	{ SLICE("AZaz09._:@/+-"), "k=AZaz09._:@/+-" },
	{ SLICE(""), "k=\"\"" },
	{ { NULL, 0 }, "k=\"\"" },
	{ SLICE("a b"), "k=\"a b\"" },
	{ SLICE("x\" status=\"ok"), "k=\"x\\\" status=\\\"ok\"" },
	{ SLICE("a\\"), "k=\"a\\\\\"" },
	{ SLICE("a=b"), "k=\"a=b\"" },
	{ SLICE("a\r\nAuth: x"), "k=\"a\\x0d\\x0aAuth: x\"" },
	{ SLICE("a\0b"), "k=\"a\\x00b\"" },
	{ SLICE("\x1b[2J\x7f"), "k=\"\\x1b[2J\\x7f\"" },
	{ SLICE("\xc3\xa4"), "k=\"\\xc3\\xa4\"" },
	{ SLICE("~"), "k=\"~\"" },
	{ SLICE("%s%n"), "k=\"%s%n\"" },
};

START_TEST(writes_value)
{
	char want[128];

	log_event(LOG_NOTICE, "x", LOG_SLICE("k", values[_i].value));
	snprintf(want, sizeof(want), "event=x %s", values[_i].text);
	ck_assert_str_eq(logged, want);
	ck_assert_int_eq(logged_level, LOG_NOTICE);
}
END_TEST

START_TEST(writes_types)
{
	struct addr a, b, c;

	ck_assert_int_eq(addr_parse(SLICE("192.0.2.7:99"), true, &a), 0);
	ck_assert_int_eq(addr_parse(SLICE("[2001:db8::1]:99"), true, &b), 0);
	ck_assert_int_eq(addr_parse(SLICE("2001:db8::1"), false, &c), 0);
	log_event(LOG_INFO, "auth", LOG_U64("max", UINT64_MAX),
	    LOG_I64("min", INT64_MIN), LOG_STR("none", NULL), LOG_STR("s", "t"),
	    LOG_ADDR("a", &a), LOG_ADDR("b", &b), LOG_ADDR("c", &c));
	ck_assert_str_eq(logged,
	    "event=auth max=18446744073709551615 min=-9223372036854775808 "
	    "none=\"\" s=t a=192.0.2.7:99 b=\"[2001:db8::1]:99\" "
	    "c=2001:db8::1");
	log_event(LOG_INFO, "alone");
	ck_assert_str_eq(logged, "event=alone");
}
END_TEST

START_TEST(cuts_values)
{
	char value[300];
	size_t n;

	memset(value, 'a', sizeof(value));
	log_event(LOG_INFO, "x", LOG_SLICE("k", slice_make(value, 256)));
	ck_assert_uint_eq(logged_len, strlen("event=x k=") + 256);
	log_event(LOG_INFO, "x", LOG_SLICE("k", slice_make(value, 257)));
	ck_assert_int_eq(memcmp(logged, "event=x k~=aaa", 14), 0);
	ck_assert_uint_eq(logged_len, strlen("event=x k~=") + 256);

	/* Cut before the escaping, so that no escape is cut. */
	memset(value, '\0', sizeof(value));
	log_event(LOG_INFO, "x", LOG_SLICE("k", slice_make(value, 300)));
	n = strlen("event=x k~=\"\"") + 4 * 256;
	ck_assert_uint_eq(logged_len, n);
	ck_assert_str_eq(logged + n - 5, "\\x00\"");
}
END_TEST

START_TEST(cuts_lines_between_fields)
{
	static const char nuls[256];
	struct slice v = { nuls, sizeof(nuls) };

	log_event(LOG_INFO, "x", LOG_SLICE("a", v), LOG_SLICE("b", v),
	    LOG_SLICE("c", v), LOG_SLICE("d", v), LOG_U64("e", 1));
	ck_assert_uint_le(logged_len, LOG_LINE_MAX);
	ck_assert_str_eq(logged + logged_len - 11, "\\x00\" cut=1");
}
END_TEST

START_TEST(levels)
{
	log_event(LOG_DEBUG, "x");
	log_line(LOG_DEBUG, SLICE("x"));
	ck_assert_int_eq(logged_count, 0);
	ck_assert(log_wants(LOG_INFO) && !log_wants(LOG_DEBUG));
	log_set_level(LOG_DEBUG);
	ck_assert(log_wants(LOG_DEBUG));
	log_event(LOG_DEBUG, "x");
	log_line(LOG_DEBUG, SLICE("x"));
	ck_assert_int_eq(logged_count, 2);
	log_set_level(LOG_ERR);
	log_event(LOG_WARNING, "x");
	ck_assert_int_eq(logged_count, 2);
}
END_TEST

START_TEST(passes_whole_lines)
{
	static char line[8192];

	memset(line, 'x', sizeof(line));
	log_line(LOG_NOTICE, slice_make(line, sizeof(line)));
	ck_assert_uint_eq(logged_len, sizeof(line));
	ck_assert_int_eq(logged_level, LOG_NOTICE);
	/* Our own mistake does not make a second line either. */
	log_line(LOG_NOTICE, SLICE("a\nb"));
	ck_assert_str_eq(logged, "event=bad-line line=\"a\\x0ab\"");
}
END_TEST

static const struct {
	struct slice in;
	long n;
	size_t used;
	int err;
} unquotes[] = {
	{ SLICE("\"\""), 0, 2, 0 },
	{ SLICE("\"ab\" \"c\""), 2, 4, 0 },
	{ SLICE("\"\\\"\\\\\\x0a\\xff\""), 4, 14, 0 },
	{ SLICE("\"12345678\""), 8, 10, 0 },
	{ SLICE("\"123456789\""), -1, 0, ENOSPC },
	{ SLICE(""), -1, 0, EBADMSG },
	{ SLICE("ab\""), -1, 0, EBADMSG },
	{ SLICE("\""), -1, 0, EBADMSG },
	{ SLICE("\"ab"), -1, 0, EBADMSG },
	{ SLICE("\"ab\\"), -1, 0, EBADMSG },
	{ SLICE("\"ab\\\""), -1, 0, EBADMSG },
	{ SLICE("\"\\x0\""), -1, 0, EBADMSG },
	{ SLICE("\"\\x0"), -1, 0, EBADMSG },
	{ SLICE("\"\\x0g\""), -1, 0, EBADMSG },
	{ SLICE("\"\\xFF\""), -1, 0, EBADMSG }, /* one spelling only */
	{ SLICE("\"\\X0a\""), -1, 0, EBADMSG },
	{ SLICE("\"\\x41\""), -1, 0, EBADMSG },
	{ SLICE("\"\\x22\""), -1, 0, EBADMSG },
	{ SLICE("\"\\x5c\""), -1, 0, EBADMSG },
	{ SLICE("\"\\n\""), -1, 0, EBADMSG },
	{ SLICE("\"a\nb\""), -1, 0, EBADMSG },
	{ SLICE("\"a\0b\""), -1, 0, EBADMSG },
	{ SLICE("\"\xe4\""), -1, 0, EBADMSG },
	{ SLICE("\"\x7f\""), -1, 0, EBADMSG },
};

START_TEST(unquotes_one_spelling)
{
	char out[8];
	size_t used = 0;

	errno = 0;
	ck_assert_int_eq(log_unquote(unquotes[_i].in, &used, out, sizeof(out)),
	    unquotes[_i].n);
	ck_assert_int_eq(errno, unquotes[_i].err);
	ck_assert_uint_eq(used, unquotes[_i].used);
}
END_TEST

START_TEST(quote_is_a_bijection)
{
	char value[64], text[4 * sizeof(value) + 2], back[sizeof(value)];

	srandom(1);
	for (int i = 0; i < 100000; i++) {
		size_t n = (size_t)random() % (sizeof(value) + 1), used;
		long len;

		for (size_t j = 0; j < n; j++)
			value[j] = (char)random();
		len = log_quote(slice_make(value, n), text, sizeof(text));
		ck_assert_int_ge(len, 2);
		ck_assert_int_eq(log_unquote(slice_make(text, (size_t)len),
				     &used, back, sizeof(back)),
		    (long)n);
		ck_assert_uint_eq(used, (size_t)len);
		ck_assert_int_eq(memcmp(value, back, n), 0);
		/* One byte less is refused, and nothing is written there. */
		text[len - 1] = '!';
		ck_assert_int_eq(
		    log_quote(slice_make(value, n), text, (size_t)len - 1), -1);
		ck_assert_int_eq(text[len - 1], '!');
	}
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, writes_value, 0, COUNT(values));
	tcase_add_test(tc, writes_types);
	tcase_add_test(tc, cuts_values);
	tcase_add_test(tc, cuts_lines_between_fields);
	tcase_add_test(tc, levels);
	tcase_add_test(tc, passes_whole_lines);
	tcase_add_loop_test(tc, unquotes_one_spelling, 0, COUNT(unquotes));
	tcase_add_test(tc, quote_is_a_bijection);
	return check_run("log", tc);
}
