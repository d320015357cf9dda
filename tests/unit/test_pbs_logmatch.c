/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logins in log lines, and what must not be taken for one.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "../lib/check_run.h"
#include "perdition-pbs/logmatch.h"
#include "perdition-pbs/logseek.h"
#include "perdition-pbs/logtime.h"

#include "common/banned.h"

#define ISO "2026-11-22T17:04:05.678901+01:00 "
#define ISO_TIME 1795363445 /* of that */
#define AUTH(user, status)                                                     \
	"Auth: 203.0.113.77:999->198.51.100.1:143 client-secure=plaintext "    \
	"authorisation_id=NONE authentication_id=" user                        \
	" server=\"a:143\" protocol=IMAP4 server-secure=plaintext "            \
	"status=" status
#define GOOD AUTH("\"bob\"", "\"ok\"")
#define FAILED AUTH("\"bob\"", "\"failed: Re-Authentication Failure\"")

/* --- time stamps; the zone is New York's --------------------------------- */

static const struct {
	const char *line;
	int64_t now;
	size_t n;
	int64_t when;
} stamps[] = {
	{ "2026-11-22T17:04:05.678901+01:00 h", ISO_TIME, 32, ISO_TIME },
	{ "2026-11-22T17:04:05+01:00 h", ISO_TIME, 25, ISO_TIME },
	{ "2026-11-22T16:04:05Z h", ISO_TIME, 20, ISO_TIME },
	{ "2026-11-22T11:04:05.6-05:00", ISO_TIME, 27, ISO_TIME },
	{ "2026-11-22T17:04:05", ISO_TIME, 0, 0 },
	{ "2026-11-22T17:04:05.+01:00", ISO_TIME, 0, 0 },
	/* Local time. */
	{ "2026-11-22 11:04:05+01:00", ISO_TIME, 19, ISO_TIME },
	{ "2026/11/22 11:04:05 [info]", ISO_TIME, 19, ISO_TIME },
	{ "2025-11-22 11:04:05", ISO_TIME, 19, ISO_TIME - 365 * 86400 },
	{ "2026/11-22 11:04:05", ISO_TIME, 0, 0 },
	{ "2026/11/22 13:04:05", ISO_TIME, 0, 0 },
	{ "2026/02/29 13:04:05", ISO_TIME, 0, 0 },
	/* multilog's: ten seconds more than since the epoch. */
	{ "@4000000037c219bf2ef02e94 x", ISO_TIME, 25, 935467445 },
	{ "@4000000037c219bf2ef02e9", ISO_TIME, 0, 0 },
	{ "@4000000037c219bf2ef02e9G", ISO_TIME, 0, 0 },
	{ "@4000000137c219bf2ef02e94", ISO_TIME, 0, 0 },
	{ "@3fffffff37c219bf2ef02e94", ISO_TIME, 0, 0 },
	{ "2026-13-22T17:04:05Z", ISO_TIME, 0, 0 },
	{ "2026-11-22T24:04:05Z", ISO_TIME, 0, 0 },
	{ "2026-11-22T17:04:05+15:00", ISO_TIME, 0, 0 },
	/* An hour ahead at most. */
	{ "2026-11-22T17:04:05Z", ISO_TIME, 20, ISO_TIME + 3600 },
	{ "2026-11-22T17:04:06Z", ISO_TIME, 0, 0 },
	{ "2027-11-22T16:04:05Z", ISO_TIME, 0, 0 },
	{ "Nov 22 11:04:05 h", ISO_TIME, 15, ISO_TIME },
	{ "Nov  2 11:04:05 h", ISO_TIME, 15, ISO_TIME - 20 * 86400 },
	{ "Nov 02 11:04:05 h", ISO_TIME, 15, ISO_TIME - 20 * 86400 },
	{ "nov 22 11:04:05 h", ISO_TIME, 0, 0 },
	{ "Nov 22 11:04:5 h", ISO_TIME, 0, 0 },
	{ "Nov 32 11:04:05 h", ISO_TIME, 0, 0 },
	{ "Nov 22 1", ISO_TIME, 0, 0 },
	{ "", ISO_TIME, 0, 0 },
	/* Two hours ahead of now is last year's. */
	{ "Nov 22 13:04:05 h", ISO_TIME, 15, ISO_TIME + 7200 - 365 * 86400 },
	/* New Year: 2027-01-01 00:00:10 here; a line from 10 s before. */
	{ "Dec 31 23:59:59 h", 1798779610, 15, 1798779599 },
	/* And a host whose clock is 5 s ahead, on the last of the year. */
	{ "Jan  1 00:00:00 h", 1798779595, 15, 1798779600 },
	/* February 29 seen in 2029 is of 2028. */
	{ "Feb 29 12:00:00 h", 1867363200, 15, 1835456400 },
	{ "Feb 30 12:00:00 h", ISO_TIME, 0, 0 },
	/* 2026-11-01: 01:30 comes twice; the one that is nearer is meant. */
	{ "Nov  1 01:30:00 h", 1793511060, 15, 1793511000 },
	{ "Nov  1 01:30:00 h", 1793514660, 15, 1793514600 },
};

START_TEST(stamping)
{
	static struct logtime_memo memo; /* stays, as in the daemon */
	struct logtime_stamp stamp;
	int64_t when = 0;
	size_t n = 0;

	setenv("TZ", "America/New_York", 1);
	tzset();
	for (int i = 0; i < 2; i++) { /* computed, then remembered */
		n = 0;
		if (logtime_find(slice_str(stamps[_i].line), &stamp) &&
		    logtime_read(&stamp, stamps[_i].now, &memo, &when))
			n = stamp.text.n;
		ck_assert_uint_eq(n, stamps[_i].n);
		if (n > 0)
			ck_assert_int_eq(when, stamps[_i].when);
	}
}
END_TEST

/* Within one minute the year changes; the memo must not blur that. */
START_TEST(boundary)
{
	struct logtime_memo memo = { .minute_n = 0 };
	struct logtime_stamp stamp;
	int64_t when;

	setenv("TZ", "UTC", 1);
	tzset();
	for (int i = 0; i < 3; i++) {
		ck_assert(logtime_find(SLICE("Nov 22 17:04:05"), &stamp));
		ck_assert(logtime_read(&stamp, ISO_TIME, &memo, &when));
		ck_assert_int_eq(when, ISO_TIME + 3600);
		ck_assert(logtime_find(SLICE("Nov 22 17:04:06"), &stamp));
		ck_assert(logtime_read(&stamp, ISO_TIME, &memo, &when));
		ck_assert_int_eq(when, ISO_TIME + 3601 - 365 * 86400);
	}
}
END_TEST

/* --- lines --------------------------------------------------------------- */

#define CLOSE                                                                  \
	"Closing session: 203.0.113.77:999->198.51.100.1:143 "                 \
	"authorisation_id=NONE "

static struct logmatch *
of_perdition(void)
{
	static char name[] = "perdition", *names[] = { name };
	struct logmatch_config c = {
		.patterns = names, .patterns_n = 1, .file = "", .regex = ""
	};
	struct err err;
	struct logmatch *m = logmatch_create(&c, &err);

	ck_assert_ptr_nonnull(m);
	return m;
}

static struct logmatch *
of_regex(const char *regex, struct err *err)
{
	struct logmatch_config c = { .file = "", .regex = regex };

	return logmatch_create(&c, err);
}

#define BARE_NUL "\"b\0b\""

static const struct {
	struct slice line;
	int ret;
} lines[] = {
	{ SLICE(ISO "mx perdition.imap4[12]: " GOOD), 1 },
	{ SLICE(ISO "mx perdition[12]: " GOOD), 1 },
	{ SLICE(ISO "perdition.pop3[12]: " GOOD), 1 }, /* its own file */
	{ SLICE(ISO "mx.example.org perdition.managesieve[1]: " GOOD), 1 },
	{ SLICE(ISO "2001:db8::7 perdition.imap4[12]: " GOOD), 1 },
	{ SLICE("Nov 22 11:04:05 mx perdition.imap4[12]: " GOOD), 1 },
	{ SLICE("Nov  2 11:04:05 mx perdition.imap4[12]: " GOOD), 1 },
	{ SLICE(ISO "mx perdition.imap4[12]: message repeated 2 times: [ " GOOD
		    "]"),
	    1 },
	/* Logins that failed. */
	{ SLICE(ISO "mx perdition.imap4[12]: " FAILED), 0 },
	{ SLICE(ISO "mx perdition.imap4[12]: message repeated 2 times: "
		    "[ " FAILED "]"),
	    0 },
	/* Not perdition's. */
	{ SLICE(ISO "mx perditionx[12]: " GOOD), 0 },
	{ SLICE(ISO "mx perdition.[12]: " GOOD), 0 },
	{ SLICE(ISO "mx perdition.imap4: " GOOD), 0 },
	{ SLICE(ISO "mx perdition.imap4[]: " GOOD), 0 },
	{ SLICE(ISO "mx perdition.imap4[1x]: " GOOD), 0 },
	{ SLICE(ISO "mx perdition.im ap4[12]: " GOOD), 0 },
	{ SLICE(ISO "mx sshd[12]: perdition.imap4[12]: " GOOD), 0 },
	{ SLICE(ISO "mx my perdition.imap4[12]: " GOOD), 0 },
	{ SLICE(ISO "alice: perdition.imap4[12]: " GOOD), 0 },
	{ SLICE(ISO "m[x perdition.imap4[12]: " GOOD), 0 },
	{ SLICE(ISO " perdition.imap4[12]: " GOOD), 0 },
	/* No stamp, or something before it. */
	{ SLICE("mx perdition.imap4[12]: " GOOD), 0 },
	{ SLICE("x" ISO "mx perdition.imap4[12]: " GOOD), 0 },
	{ SLICE(GOOD), 0 },
	{ SLICE(ISO "mx perdition.imap4[12]:" GOOD), 0 },
	{ SLICE(ISO "mx perdition.imap4[12]:  " GOOD), 0 },
	/* Malformed, or with something more. */
	{ SLICE(ISO "mx perdition.imap4[12]: " GOOD " "), -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: " GOOD "\r"), -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: x " GOOD), 0 },
	{ SLICE(ISO "mx perdition.imap4[12]: " AUTH("\"b\"ob\"", "\"ok\"")),
	    -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: " AUTH("bob", "\"ok\"")), -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: " AUTH("\"bob\"", "ok")), -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: " AUTH("\"bob\"", "\"OK\"")), -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: " AUTH(
	      "\"bob\"", "\"ok\" status=\"ok\"")),
	    -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: " AUTH(BARE_NUL, "\"ok\"")), 0 },
	{ SLICE(ISO "mx perdition.imap4[12]: message repeated x times: [ " GOOD
		    "]"),
	    0 },
	{ SLICE(ISO "mx perdition.imap4[12]: message repeated 2 times: [ "),
	    0 },
	{ SLICE(ISO "mx perdition.imap4[12]: message repeated 2 times: [ ]"),
	    0 },
	/* The end of a session that a login began, and of one without. */
	{ SLICE(ISO "mx perdition.imap4[12]: " CLOSE "authentication_id="
		    "\"bob\" received=1 sent=2"),
	    1 },
	{ SLICE(ISO "mx perdition.imap4[12]: " CLOSE "authentication_id="
		    "NONE received=0 sent=0"),
	    -1 },
	{ SLICE(ISO "mx perdition.imap4[12]: Closing NULL session: "
		    "203.0.113.77:999->198.51.100.1:143 authorisation_id=NONE "
		    "authentication_id=NONE received=0 sent=0"),
	    0 },
	{ SLICE(ISO "mx perdition.imap4[12]: Connect: "
		    "203.0.113.77:999->198.51.100.1:143"),
	    0 },
	{ SLICE(""), 0 },
	{ SLICE(ISO), 0 },
};

START_TEST(matching)
{
	struct logmatch *m = of_perdition();
	static struct logmatch_login login;
	char text[ADDR_TEXT_MAX];

	setenv("TZ", "America/New_York", 1);
	tzset();
	ck_assert_int_eq(
	    logmatch_line(m, lines[_i].line, ISO_TIME, &login), lines[_i].ret);
	if (lines[_i].ret == 1) {
		addr_write_ip(&login.client, text);
		ck_assert_str_eq(text, "203.0.113.77");
		ck_assert(slice_eq(
		    slice_make(login.user, login.user_len), SLICE("bob")));
		ck_assert_int_le(login.when, ISO_TIME);
		ck_assert_int_eq(login.kind == AUTH_CLOSE,
		    memmem(lines[_i].line.p, lines[_i].line.n, "Closing", 7) !=
			NULL);
	}
	logmatch_destroy(&m);
	ck_assert_ptr_null(m);
}
END_TEST

/* The line without its fraction of a second, if it has one. */
static struct slice
whole_second(struct slice line, char out[1024])
{
	const char *fraction = memmem(line.p, line.n, ".678901", 7);
	size_t before = fraction == NULL ? 0 : (size_t)(fraction - line.p);

	ck_assert_uint_le(line.n, 1024);
	if (fraction == NULL)
		return line;
	memcpy(out, line.p, before);
	memcpy(out + before, fraction + 7, line.n - before - 7);
	return slice_make(out, line.n - 7);
}

/* Whatever line came before: its beginning is remembered, which must not be
 * taken for that of another. */
START_TEST(after_another)
{
	struct logmatch *m = of_perdition();
	struct logmatch_login login;
	char one[1024], other[1024];

	setenv("TZ", "America/New_York", 1);
	tzset();
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct slice next = whole_second(lines[i].line, other);

		logmatch_line(
		    m, whole_second(lines[_i].line, one), ISO_TIME, &login);
		ck_assert_int_eq(
		    logmatch_line(m, next, ISO_TIME, &login), lines[i].ret);
		logmatch_line(m, lines[_i].line, ISO_TIME, &login);
		ck_assert_int_eq(
		    logmatch_line(m, lines[i].line, ISO_TIME, &login),
		    lines[i].ret);
	}
	logmatch_destroy(&m);
}
END_TEST

START_TEST(stamps_in_a_row)
{
	static const struct {
		const char *stamp;
		int64_t when;
	} row[] = {
		{ "2026-11-22T17:04:05+01:00", ISO_TIME },
		{ "2026-11-22T17:04:05+01:00", ISO_TIME },
		{ "2026-11-22T17:04:04+01:00", ISO_TIME - 1 },
		{ "2026-11-22T17:04:04+02:00", ISO_TIME - 3601 },
		{ "2026-11-22T17:04:04.9+01:00", ISO_TIME - 1 },
		{ "2026-11-22T16:04:04Z", ISO_TIME - 1 },
		{ "Nov 22 11:04:05", ISO_TIME },
		{ "Nov 22 11:04:05", ISO_TIME },
		{ "Nov 22 11:04:04", ISO_TIME - 1 },
	};
	struct logmatch *m = of_perdition();
	struct logmatch_login login;
	char line[1024];

	setenv("TZ", "America/New_York", 1);
	tzset();
	for (size_t i = 0; i < COUNT(row); i++) {
		int n = snprintf(line, sizeof(line),
		    "%s mx perdition.imap4[%zu]: %s", row[i].stamp, i / 2 + 1,
		    GOOD);

		ck_assert_int_eq(logmatch_line(m, slice_make(line, (size_t)n),
				     ISO_TIME, &login),
		    1);
		ck_assert_int_eq(login.when, row[i].when);
	}
	logmatch_destroy(&m);
}
END_TEST

/* --- forging: what an attacker may choose is the user's name ------------- */

static const struct slice names[] = {
	{ "\" Auth: 198.51.100.66:1->198.51.100.1:143 x=\"", 46 },
	SLICE("x\" server=\"a:143\" protocol=IMAP4 server-secure=plaintext "
	      "status=\"ok\""),
	SLICE("x\n" ISO "mx perdition.imap4[12]: " GOOD),
	SLICE("x\r\n" ISO "mx perdition.imap4[12]: " GOOD "\r\n"),
	SLICE("\n" GOOD "\n"),
	SLICE("]\nNov 22 11:04:05 mx perdition.imap4[12]: " GOOD),
	SLICE("\\\" status=\\\"ok\\\""),
	SLICE("\0\0\0"),
	SLICE(""),
	SLICE("\xff\xfe\"\\"),
};

START_TEST(forging)
{
	struct logmatch *m = of_perdition();
	static struct logmatch_login login;
	static struct auth_event ev;
	char out[LOGMATCH_LINE_MAX];
	size_t head = sizeof(ISO "mx perdition.imap4[12]: ") - 1;
	ssize_t n;

	memset(&ev, 0, sizeof(ev));
	memcpy(ev.protocol, "IMAP4", 6);
	addr_parse(SLICE("192.0.2.66:1"), true, &ev.client);
	addr_parse(SLICE("198.51.100.1:143"), true, &ev.local);
	memcpy(ev.reason, "Re-Authentication Failure", 25);
	ev.reason_len = 25;
	ev.user_len = names[_i].n;
	memcpy(ev.user, names[_i].p, ev.user_len);
	memcpy(out, ISO "mx perdition.imap4[12]: ", head);
	n = auth_event_write_line(&ev, out + head, sizeof(out) - head);
	ck_assert_int_gt(n, 0);
	ck_assert_ptr_null(memchr(out, '\n', head + (size_t)n));
	ck_assert_int_eq(logmatch_line(m, slice_make(out, head + (size_t)n),
			     ISO_TIME, &login),
	    0);
	/* Nor from any place inside, as if a line began there. */
	for (size_t i = 1; i < head + (size_t)n; i++)
		ck_assert_int_ne(
		    logmatch_line(m, slice_make(out + i, head + (size_t)n - i),
			ISO_TIME, &login),
		    1);
	logmatch_destroy(&m);
}
END_TEST

/* --- a pattern of the site's --------------------------------------------- */

static const struct {
	const char *regex, *line;
	int ret;
	const char *user;
} patterns[] = {
	{ "^[^ ]+ pop: login ([0-9.]+) user (.*)$",
	    "x pop: login 203.0.113.77 user bob", 1, "bob" },
	{ "^[^ ]+ pop: login ([0-9.:]+)$", "x pop: login 203.0.113.77:99", 1,
	    "" },
	{ "login ([^ ]+)", "login here", -1, NULL },
	{ "login ([0-9.]+)", GOOD, 0, NULL },
	{ "^(x)?y", "y", 0, NULL },
};

START_TEST(site_pattern)
{
	struct err err;
	struct logmatch *m = of_regex(patterns[_i].regex, &err);
	static struct logmatch_login login;

	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(
	    logmatch_line(m, slice_str(patterns[_i].line), ISO_TIME, &login),
	    patterns[_i].ret);
	if (patterns[_i].ret == 1) {
		ck_assert(slice_eq(slice_make(login.user, login.user_len),
		    slice_str(patterns[_i].user)));
		ck_assert_int_eq(login.when, ISO_TIME);
	}
	logmatch_destroy(&m);
}
END_TEST

/* --- finding lines ------------------------------------------------------- */

/* Each that tells something is found among others, and next. */
START_TEST(seeking)
{
	static const char other[] = "Nov 22 11:04:05 mx other[1]: Auth\n";
	static struct logmatch_login login;
	char text[2 * sizeof(other) + 1024];
	struct logmatch *m = of_perdition();
	struct slice line = lines[_i].line, rest;
	size_t n = sizeof(other) - 1;
	const char *at;
	bool ends;

	if (line.n > 1000) {
		logmatch_destroy(&m);
		return;
	}
	memcpy(text, other, n);
	if (line.n > 0)
		memcpy(text + n, line.p, line.n);
	memcpy(text + n + line.n, other, n);
	rest = slice_make(text, 2 * n + line.n);
	at = logmatch_seek(m, rest, true);
	ends = line.n > 0 && memmem(line.p, line.n, CLOSE, 16) != NULL;
	if (lines[_i].ret != 0 && !ends)
		ck_assert_ptr_nonnull(at);
	if (at != NULL) {
		ck_assert(at >= text + n && at < text + n + line.n);
		rest = slice_skip(rest, n + line.n);
		ck_assert_ptr_null(logmatch_seek(m, rest, false));
	}
	ck_assert_int_eq(
	    logmatch_line(m, line, ISO_TIME, &login), lines[_i].ret);
	logmatch_destroy(&m);
}
END_TEST

/* What stands first of several texts, each time, is what a search for each
 * would find. */
START_TEST(seeking_several)
{
	static const char text[] = "one Two\none\nthreeTwTwo\nxthree one\nTw";
	static const char *const texts[] = { "one", "Two", "three" };
	struct slice rest = SLICE(text);
	struct logseek s = { .n = 0 };
	bool first = true;

	for (size_t i = 0; i < COUNT(texts); i++)
		logseek_add(&s, slice_str(texts[i]));
	logseek_add(&s, SLICE("one"));
	ck_assert_uint_eq(s.n, COUNT(texts));
	for (; rest.n > 0; first = false) {
		const char *least = NULL;

		for (size_t i = 0; i < COUNT(texts); i++) {
			const char *at = strstr(rest.p, texts[i]);

			if (at != NULL && (least == NULL || at < least))
				least = at;
		}
		ck_assert_ptr_eq(logseek_next(&s, rest, first), least);
		rest = slice_skip(rest, 1);
	}
	logseek_add(&s, SLICE("x")); /* so short that it tells nothing */
	ck_assert_ptr_eq(logseek_next(&s, SLICE(text), true), text);
}
END_TEST

/* The end of a session is found by who asks for it, and a regular expression
 * may match any line. */
START_TEST(seeking_ends)
{
	static const char text[] = ISO "mx perdition[1]: " CLOSE "\n";
	static char own[] = "perdition", *patterns_used[] = { own };
	struct logmatch_config c = { .patterns = patterns_used,
		.patterns_n = 1,
		.file = "",
		.regex = "" };
	struct err err;
	struct logmatch *m;

	for (int i = 0; i < 3; i++) {
		c.ends = i == 1;
		c.regex = i == 2 ? "^(x)$" : "";
		m = logmatch_create(&c, &err);
		ck_assert_ptr_nonnull(m);
		ck_assert_int_eq(
		    logmatch_seek(m, SLICE(text), true) != NULL, i > 0);
		logmatch_destroy(&m);
	}
}
END_TEST

START_TEST(bad_pattern)
{
	struct err err;

	ck_assert_ptr_null(of_regex("(", &err));
	ck_assert_str_ne(err.msg, "");
	ck_assert_ptr_null(of_regex("login", &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "group"));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("logmatch");

	tcase_add_loop_test(t, stamping, 0, COUNT(stamps));
	tcase_add_test(t, boundary);
	tcase_add_loop_test(t, matching, 0, COUNT(lines));
	tcase_add_loop_test(t, after_another, 0, COUNT(lines));
	tcase_add_test(t, stamps_in_a_row);
	tcase_add_loop_test(t, forging, 0, COUNT(names));
	tcase_add_loop_test(t, site_pattern, 0, COUNT(patterns));
	tcase_add_loop_test(t, seeking, 0, COUNT(lines));
	tcase_add_test(t, seeking_several);
	tcase_add_test(t, seeking_ends);
	tcase_add_test(t, bad_pattern);
	return check_run("logmatch", t);
}
