/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The logs of other servers: what is a login there, and what an attacker may
 * write into one without becoming one.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/check_run.h"
#include "perdition-pbs/logmatch.h"
#include "perdition-pbs/pattern_table.h"

#include "common/banned.h"

#define NOW 1795363445 /* 2026-11-22T16:04:05Z */
#define HEAD "Nov 22 16:04:05 mx "
#define EVIL "203.0.113.66"

static struct logmatch *
of(const char *name)
{
	char *names[] = { strdup(name) };
	struct logmatch_config c = {
		.patterns = names, .patterns_n = 1, .file = "", .regex = ""
	};
	struct err err = { 0 };
	struct logmatch *m;

	setenv("TZ", "UTC", 1);
	tzset();
	m = logmatch_create(&c, &err);
	ck_assert_msg(m != NULL, "%s: %s", name, err.msg);
	free(names[0]);
	return m;
}

/* --- a login of each, in its parts: before the user, and behind ---------- */

static const struct {
	const char *pattern, *before, *after, *client;
} logins[] = {
	{ "dovecot", HEAD "dovecot: imap-login: Login: user=<",
	    ">, method=PLAIN, rip=192.0.2.7, lip=198.51.100.1, mpid=1234, "
	    "TLS, session=<sF+SszFtrD5Q8TzB>",
	    "192.0.2.7" },
	{ "dovecot", HEAD "dovecot[12]: pop3-login: Login: user=<",
	    ">, method=CRAM-MD5, rip=2001:db8::7, lip=2001:db8::1, mpid=1234, "
	    "secured",
	    "2001:db8::7" },
	{ "dovecot", HEAD "dovecot: managesieve-login: Logged in: user=<",
	    ">, rip=192.0.2.7, lip=198.51.100.1", "192.0.2.7" },
	{ "dovecot", "Nov 22 16:04:05 imap-login: Info: Login: user=<",
	    ">, method=PLAIN, rip=192.0.2.7, lip=198.51.100.1, mpid=1234, "
	    "session=<sF+SszFtrD5Q8TzB>",
	    "192.0.2.7" },
	{ "dovecot", "2026-11-22 16:04:05 imap-login: Info: Logged in: user=<",
	    ">, method=XOAUTH2, rip=192.0.2.7, lip=198.51.100.1, TLS, "
	    "session=<E8uwQBNG4pTBiMOk>",
	    "192.0.2.7" },
	{ "courier", HEAD "imapd: LOGIN, user=",
	    ", ip=[::ffff:192.0.2.7], port=[51234], protocol=IMAP",
	    "192.0.2.7" },
	{ "courier", HEAD "imapd-ssl: LOGIN, user=",
	    ", ip=[2001:db8::7], protocol=IMAP", "2001:db8::7" },
	{ "courier", HEAD "pop3d: LOGOUT, user=",
	    ", ip=[::ffff:192.0.2.7], port=[51234], top=0, retr=0, rcvd=6, "
	    "sent=30, time=0",
	    "192.0.2.7" },
	{ "courier", HEAD "pop3d-ssl: DISCONNECTED, user=",
	    ", ip=[::ffff:192.0.2.7], port=[51234], top=0, retr=0, rcvd=6, "
	    "sent=30, time=0, stls=1",
	    "192.0.2.7" },
	{ "cyrus", HEAD "imap[12]: login: client.example.org [192.0.2.7] ",
	    " plaintext User logged in", "192.0.2.7" },
	{ "cyrus", HEAD "cyrus/imaps[12]: login: [192.0.2.7] ",
	    " plaintext+TLS User logged in SESSIONID=<cyrus-12-1795363445-1>",
	    "192.0.2.7" },
	{ "cyrus", HEAD "pop3[12]: login: h.example.org [2001:db8::7] ",
	    " PLAIN User logged in SESSIONID=<mx-12-1795363445-1-99>",
	    "2001:db8::7" },
};

/* before + user + after as a line of n bytes, NUL behind; to be freed. */
static char *
line_of(size_t i, struct slice user, size_t *n)
{
	size_t before = strlen(logins[i].before),
	       after = strlen(logins[i].after);
	char *p = malloc(before + user.n + after + 1);

	ck_assert_ptr_nonnull(p);
	memcpy(p, logins[i].before, before);
	memcpy(p + before, user.p, user.n);
	memcpy(p + before + user.n, logins[i].after, after + 1);
	*n = before + user.n + after;
	return p;
}

static int
match(size_t i, struct slice user, struct logmatch_login *login)
{
	struct logmatch *m = of(logins[i].pattern);
	size_t n;
	char *line = line_of(i, user, &n);
	int ret = logmatch_line(m, slice_make(line, n), NOW, login);

	ck_assert(ret != 1 || strcmp(login->pattern, logins[i].pattern) == 0);
	free(line);
	logmatch_destroy(&m);
	return ret;
}

START_TEST(matching)
{
	static struct logmatch_login login;
	char text[ADDR_TEXT_MAX];

	ck_assert_int_eq(match((size_t)_i, SLICE("bob"), &login), 1);
	addr_write_ip(&login.client, text);
	ck_assert_str_eq(text, logins[_i].client);
	ck_assert(
	    slice_eq(slice_make(login.user, login.user_len), SLICE("bob")));
	ck_assert_int_eq(login.when, NOW);
}
END_TEST

/* From the first byte to the last. */
START_TEST(whole)
{
	static struct logmatch_login login;
	struct logmatch *m = of(logins[_i].pattern);
	size_t n;
	char *line = line_of((size_t)_i, SLICE("bob"), &n);
	char *longer = malloc(n + 2);

	for (size_t cut = 1; cut < n; cut++)
		ck_assert_int_ne(
		    logmatch_line(
			m, slice_make(line + cut, n - cut), NOW, &login),
		    1);
	for (int c = 0; c < 256; c++) {
		memcpy(longer, line, n);
		longer[n] = (char)c;
		/* Digits and the like are the last field's. */
		if (strchr(" ,<>[]()\"'#\r\t\x01\x7f\xff", c) != NULL)
			ck_assert_int_ne(
			    logmatch_line(
				m, slice_make(longer, n + 1), NOW, &login),
			    1);
		longer[0] = (char)c;
		memcpy(longer + 1, line, n);
		ck_assert_int_ne(
		    logmatch_line(m, slice_make(longer, n + 1), NOW, &login),
		    1);
	}
	free(longer);
	free(line);
	logmatch_destroy(&m);
}
END_TEST

/* --- names that try to be more than a name ------------------------------- */

static const struct slice names[] = {
	SLICE("x>, method=PLAIN, rip=" EVIL ", lip=" EVIL ", mpid=1"),
	SLICE("x>, rip=" EVIL ", lip=" EVIL ", session=<a"),
	SLICE("x, rip=" EVIL ", lip=" EVIL),
	SLICE("rip=" EVIL),
	SLICE("x> rip=" EVIL),
	SLICE("x, ip=[" EVIL "], port=[1], protocol=IMAP"),
	SLICE("x, ip=[" EVIL "]"),
	SLICE("x plaintext User logged in SESSIONID=<x>"),
	SLICE("x [" EVIL "] bob plaintext User logged in"),
	SLICE("x host=evil [" EVIL "]"),
	SLICE("x\" at (evil) " EVIL),
	SLICE("x:" EVIL),
	SLICE("x@y:" EVIL),
	SLICE("x\", upstream: " EVIL ":1, [" EVIL ":1->" EVIL ":2]"),
	SLICE("x, client: " EVIL ", server: " EVIL ", login: \"x"),
	SLICE("x," EVIL ":1,bob,1,1,1,login,x,R=OK,"),
	SLICE("Login: user=<bob>, method=PLAIN, rip=" EVIL ", lip=" EVIL),
	SLICE("LOGIN, user=bob, ip=[" EVIL "], port=[1], protocol=IMAP"),
	SLICE("method=PLAIN"),
	SLICE("\" status=\"ok"),
	SLICE("'"),
	SLICE("\""),
	SLICE("a\"b"),
	SLICE("<"),
	SLICE(">"),
	SLICE("[" EVIL "]"),
	SLICE("]"),
	SLICE("{user}"),
	SLICE("%s%n"),
	SLICE("x\\\", \\"),
	SLICE("x#012Nov 22 16:04:05 mx imapd: LOGIN, user=bob, ip=[" EVIL
	      "], protocol=IMAP"),
	SLICE("x#015#012"),
	SLICE("x\n" HEAD "imapd: LOGIN, user=bob, ip=[" EVIL "], protocol=I"),
	SLICE("x\r\n" HEAD "dovecot: imap-login: Login: user=<bob>, rip=" EVIL
	      ", lip=" EVIL "\r\n"),
	SLICE("x\0y"),
	SLICE("\x01"),
	SLICE("x\x1b[2Jy"),
	SLICE("\x7f"),
	SLICE("\xff\xfe\x80"),
	SLICE("b\xc3\xb6"
	      "b"),
	SLICE(""),
	SLICE(" "),
	SLICE("bob "),
	SLICE(" bob"),
	SLICE("message repeated 2 times: [ x]"),
};

/*
 * Whatever the name: it is no login, or one of the address that the server
 * wrote, and the name is that very one.
 */
START_TEST(hostile_name)
{
	static struct logmatch_login login;
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		if (match(i, names[_i], &login) != 1)
			continue;
		addr_write_ip(&login.client, text);
		ck_assert_str_eq(text, logins[i].client);
		ck_assert(slice_eq(
		    slice_make(login.user, login.user_len), names[_i]));
		ck_assert_ptr_null(memchr(login.user, '\n', login.user_len));
	}
}
END_TEST

/* A line that is too long is none, be it of a megabyte. */
START_TEST(long_name)
{
	static struct logmatch_login login;
	static char name[1024 * 1024];

	memset(name, 'x', sizeof(name));
	ck_assert_int_eq(match((size_t)_i, slice_make(name, 200), &login), 1);
	for (size_t n = LOGMATCH_FOREIGN_MAX; n <= sizeof(name); n *= 2)
		ck_assert_int_eq(
		    match((size_t)_i, slice_make(name, n), &login), 0);
}
END_TEST

/* --- lines that are none ------------------------------------------------- */

static const struct {
	const char *pattern, *line;
	int ret;
} others[] = {
	{ "dovecot",
	    HEAD "dovecot: imap-login: Disconnected: Connection closed (auth "
		 "failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, "
		 "rip=" EVIL ", lip=198.51.100.1, session=<x>",
	    0 },
	{ "dovecot",
	    HEAD "dovecot: imap-login: Login aborted: Logged out (auth "
		 "failed, 1 attempts in 2 secs) (auth_failed): user=<bob>, "
		 "method=PLAIN, rip=" EVIL ", lip=198.51.100.1, session=<x>",
	    0 },
	{ "dovecot",
	    HEAD "dovecot: submission-login: Login: user=<bob>, "
		 "method=PLAIN, rip=" EVIL ", lip=198.51.100.1",
	    0 },
	{ "dovecot",
	    HEAD "dovecot: imap-login: Login: user=<bob>, method=PLAIN, "
		 "rip=203.0.113.666, lip=198.51.100.1",
	    -1 },
	{ "dovecot",
	    HEAD "dovecot: imap-login: Login: user=<bob>, method=PLAIN, "
		 "rip=, lip=198.51.100.1",
	    0 },
	{ "dovecot",
	    HEAD "dovecot: imap-login: Login: user=<bob>, method=PLAIN, "
		 "rip=192.0.2.7, lip=198.51.100.1, TLS, rip=192.0.2.8",
	    0 },
	{ "dovecot",
	    HEAD "dovecott: imap-login: Login: user=<bob>, rip=" EVIL
		 ", lip=198.51.100.1",
	    0 },
	{ "dovecot",
	    HEAD "sshd[1]: dovecot: imap-login: Login: user=<bob>, rip=" EVIL
		 ", lip=198.51.100.1",
	    0 },
	{ "dovecot",
	    "Nov 22 18:04:05 mx dovecot: imap-login: Login: user=<bob>, "
	    "rip=192.0.2.7, lip=198.51.100.1", /* of last year */
	    1 },
	{ "dovecot",
	    "2026-11-22T18:04:05Z mx dovecot: imap-login: Login: user=<bob>, "
	    "rip=192.0.2.7, lip=198.51.100.1", /* to come */
	    0 },
	{ "courier",
	    HEAD "imapd: LOGIN FAILED, user=bob, ip=[" EVIL "], port=[1]", 0 },
	{ "courier",
	    HEAD "imapd: LOGIN FAILED, method=PLAIN, ip=[" EVIL "], port=[1]",
	    0 },
	/* As the end of a long name in a login that failed is written. */
	{ "courier", HEAD "pop3d: LOGIN, user=bob, ip=[" EVIL "], port=[1]",
	    0 },
	{ "courier",
	    HEAD "imapd: LOGIN, user=bob, ip=[" EVIL "], port=[1], "
		 "protocol=IMAP, ip=[::ffff:192.0.2.7], port=[2]",
	    0 },
	{ "courier",
	    HEAD "imapd: LOGOUT, ip=[" EVIL "], port=[1], rcvd=39, sent=368",
	    0 },
	{ "cyrus",
	    HEAD "imap[1]: badlogin: h [" EVIL "] plaintext bob "
		 "SASL(-13): authentication failure: checkpass failed",
	    0 },
	{ "cyrus",
	    HEAD "imap[1]: login: h [" EVIL "] bob plaintext User logged in "
		 "SESSIONID=<x> more",
	    0 },
};

START_TEST(other_line)
{
	static struct logmatch_login login;
	struct logmatch *m = of(others[_i].pattern);
	char why[LOGMATCH_WHY_MAX];
	struct slice line = slice_str(others[_i].line);

	ck_assert_int_eq(logmatch_line(m, line, NOW, &login), others[_i].ret);
	ck_assert_int_eq(
	    logmatch_explain(m, line, NOW, &login, why), others[_i].ret);
	ck_assert_str_ne(why, "");
	logmatch_destroy(&m);
}
END_TEST

/* Nor is a line of one server's one of another's. */
START_TEST(foreign)
{
	static struct logmatch_login login;
	size_t n;
	char *line = line_of((size_t)_i, SLICE("bob"), &n);

	for (const struct pattern_def *d = pattern_table; d->name != NULL;
	     d++) {
		struct logmatch *m = of(d->name);

		ck_assert_int_eq(
		    logmatch_line(m, slice_make(line, n), NOW, &login),
		    strcmp(d->name, logins[_i].pattern) == 0 ? 1 : 0);
		logmatch_destroy(&m);
	}
	free(line);
}
END_TEST

int
main(void)
{
	const int logins_n = sizeof(logins) / sizeof(logins[0]);
	TCase *t = tcase_create("patterns");

	tcase_add_loop_test(t, matching, 0, logins_n);
	tcase_add_loop_test(t, whole, 0, logins_n);
	tcase_add_loop_test(
	    t, hostile_name, 0, (int)(sizeof(names) / sizeof(names[0])));
	tcase_add_loop_test(t, long_name, 0, logins_n);
	tcase_add_loop_test(
	    t, other_line, 0, (int)(sizeof(others) / sizeof(others[0])));
	tcase_add_loop_test(t, foreign, 0, logins_n);
	return check_run("patterns", t);
}
