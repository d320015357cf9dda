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
#include <unistd.h>

#include "../lib/check_run.h"
#include "perdition-pbs/logmatch.h"
#include "perdition-pbs/pattern_table.h"
#include "perdition-pbs/patterns.h"

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
	{ "courier", HEAD "imapd-ssl: LOGIN, user=",
	    ", ip=[2001:db8::7], port=[45792], protocol=IMAP, starttls=1",
	    "2001:db8::7" },
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
	{ "uw", HEAD "imapd[12]: Login user=", " host=web1 [192.0.2.7]",
	    "192.0.2.7" },
	{ "uw", HEAD "imapd[12]: Authenticated user=",
	    " host=h.example.org [2001:db8::7] mech=CRAM-MD5", "2001:db8::7" },
	{ "uw", HEAD "ipop3d[12]: Auth user=", " host=[192.0.2.7] nmsgs=5/5",
	    "192.0.2.7" },
	{ "qpopper", HEAD "in.qpopper[12]: (v4.0.9) POP login by user \"",
	    "\" at (h.example.org) 192.0.2.7 [pop_log.c:244]", "192.0.2.7" },
	{ "qpopper", HEAD "popper[12]: (v3.0.2) POP login by user \"",
	    "\" at (192.0.2.7) 192.0.2.7", "192.0.2.7" },
	{ "vpopmail", HEAD "vpopmail[12]: vchkpw-pop3: (PLAIN) login success ",
	    ":192.0.2.7", "192.0.2.7" },
	{ "vpopmail", HEAD "vpopmail[12]: vchkpw-imaps: login success ",
	    ":192.0.2.7", "192.0.2.7" },
	{ "nginx",
	    HEAD "nginx: 2026/11/22 16:04:05 [info] 12#12: *3 client logged "
		 "in, client: 192.0.2.7, server: 0.0.0.0:143, login: \"",
	    "\", upstream: 198.51.100.1:143", "192.0.2.7" },
	{ "nginx",
	    HEAD "nginx: 2026/11/22 16:04:05 [info] 12#0: *3 client logged "
		 "in, client: 2001:db8::7, server: [::]:110, login: \"",
	    "\", upstream: [::1]:110, [2001:db8::7-[::1]:110] <=> "
	    "[127.0.0.1:999-127.0.0.1:110]",
	    "2001:db8::7" },
	{ "exchange",
	    HEAD "MSExchangeIMAP4: 2026-11-22T16:04:05.678Z,0000000000000002,"
		 "2,10.0.0.1:993,192.0.2.7:50002,",
	    ",205,48,24,login,bob@contoso.test *****,\"R=OK;Msg=\"\"Proxy:"
	    "EXCH01.contoso.test:1993:SSL;ProxySuccess\"\"\",",
	    "192.0.2.7" },
	{ "exchange",
	    HEAD "MSExchangePOP3[4]: 2026-11-22T16:04:05.678Z,"
		 "0000000000000002,2,[2001:db8::1]:995,[2001:db8::7]:50002,",
	    ",205,48,24,pass,*****,R=ok,", "2001:db8::7" },
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
		/* Digits and the like are the last field's, and anything
		 * is Exchange's, which is a comment. */
		if (strcmp(logins[_i].pattern, "exchange") != 0 &&
		    strchr(" ,<>[]()\"'#\r\t\x01\x7f\xff", c) != NULL)
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

/* --- Dovecot as a proxy, which writes the name twice --------------------- */

#define BEHIND "198.51.100.1:143): Started proxying to <h> (0.1 secs): user=<"
#define BEHIND24                                                               \
	"198.51.100.1:143): Started proxying to remote host (0.1 secs): "      \
	"user=<"
#define REST ">, method=PLAIN, rip=" EVIL ", lip=" EVIL ", session=<a>"

#define LONG                                                                   \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxx"

#define CUT                                                                    \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxx..."

static const struct slice proxied[] = {
	SLICE("x," BEHIND "bob" REST),
	SLICE("x," BEHIND "bob>, method=PLAIN, rip=" EVIL ", lip=" EVIL
	      ", session=<a"),
	SLICE("x," BEHIND "y"),
	SLICE("x," BEHIND),
	SLICE("x,198.51.100.1:143): Started proxying to <h"),
	SLICE("x,198.51.100.1:143): Started proxying to <h> (0.1 secs): "),
	SLICE("x): Started proxying to <h> (0.1 secs): user=<bob" REST),
	SLICE("x," BEHIND24 "bob" REST),
	SLICE("x," BEHIND24 "x" REST),
	SLICE("x," BEHIND24 "x>, method=PLAIN, rip=" EVIL ", lip=" EVIL
	      ", session=<a"),
	SLICE("x," BEHIND24 "x>, rip=" EVIL ", lip=" EVIL),
	SLICE("x," BEHIND24 "x"),
	SLICE("x,h[198.51.100.1]:143): Started proxying to remote host "
	      "(0.1 secs): user=<x"),
	SLICE("x,198.51.100.1:143): Started proxying to remote host (master "),
	SLICE("x,198.51.100.1:143): Started proxying to remote host from "),
	SLICE("x,h["),
	SLICE("x,h[198.51.100.1"),
	SLICE("x,"),
	SLICE("x,y"),
	/* What the second one is when it is cut, in front of a comma. */
	SLICE(CUT ",198.51.100.1:143"),
	SLICE(CUT "," BEHIND24 CUT REST),
	SLICE(CUT "," BEHIND24 CUT ">, rip=" EVIL ", lip=" EVIL),
	SLICE(CUT "," BEHIND24 CUT),
	SLICE("bob>, method=PLAIN, rip=" EVIL ", lip=" EVIL),
	SLICE("x\n" HEAD "dovecot: imap-login: proxy(x," BEHIND "bob" REST),
	/* The second is cut behind 80 bytes. */
	SLICE(LONG "," BEHIND "y"),
	SLICE(LONG "," BEHIND LONG),
	SLICE(LONG "," BEHIND LONG REST),
	SLICE(LONG "," BEHIND "bob" REST),
};

/* How a server is named, and what is written of one that let the user in. */
static const struct {
	const char *server, *what;
} started[] = {
	{ "198.51.100.1:143", "Started proxying to <mx1> (0.007 secs)" },
	{ "2001:db8::1:143", "Started proxying to <2001:db8::1> (0.007 secs)" },
	{ "198.51.100.1:143",
	    "Started proxying to <198.51.100.1> (<mx1>) from 198.51.100.2 "
	    "(master boss) (0.007 secs)" },
	{ "198.51.100.1:143",
	    "Started proxying to remote host (10.007 secs, 2 reconnects)" },
	{ "[2001:db8::1]:143", "Started proxying to remote host (0.007 secs)" },
	{ "mx-1.example.com[198.51.100.1]:143",
	    "Started proxying to remote host (0.007 secs)" },
	{ "mx1[2001:db8::1]:143",
	    "Started proxying to remote host from 2001:db8::2 (master "
	    "boss@example.com) (0.007 secs, 1 reconnects)" },
};

/* What Dovecot writes of name, when what has happened. */
static int
match_proxied(const char *server, const char *what, struct slice name,
    struct logmatch_login *login)
{
	struct logmatch *m = of("dovecot");
	char line[4096];
	bool cut = name.n > 80;
	int ret, n = snprintf(line, sizeof(line),
		     HEAD "dovecot: imap-login: proxy(%.*s,%s): "
			  "%s: user=<%.*s%s>, method=PLAIN, rip=192.0.2.7, "
			  "lip=198.51.100.2, session=<b>",
		     (int)name.n, name.p, server, what, cut ? 77 : (int)name.n,
		     name.p, cut ? "..." : "");

	ck_assert_int_lt(n, (int)sizeof(line));
	ret = logmatch_line(m, slice_make(line, (size_t)n), NOW, login);
	logmatch_destroy(&m);
	return ret;
}

static const char *const failed[] = {
	"Login failed: [AUTH] No.",
	"Login failed (master boss): [AUTH] No.",
	"Disconnected by client",
	"Disconnected by client (0s idle, in=247, out=137)",
	"Started proxying to remote host as user eve (0.007 secs)",
};

static void
check_proxied(struct slice name)
{
	static struct logmatch_login login;
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < sizeof(failed) / sizeof(failed[0]); i++)
		for (size_t k = 0; k < sizeof(started) / sizeof(started[0]);
		     k++)
			ck_assert_int_ne(match_proxied(started[k].server,
					     failed[i], name, &login),
			    1);
	for (size_t i = 0; i < sizeof(started) / sizeof(started[0]); i++) {
		if (match_proxied(
			started[i].server, started[i].what, name, &login) != 1)
			continue;
		addr_write_ip(&login.client, text);
		ck_assert_str_eq(text, "192.0.2.7");
		ck_assert(
		    slice_eq(slice_make(login.user, login.user_len), name));
	}
}

START_TEST(hostile_proxied)
{
	static struct logmatch_login login;

	for (size_t i = 0; i < sizeof(started) / sizeof(started[0]); i++)
		ck_assert_int_eq(match_proxied(started[i].server,
				     started[i].what, SLICE("bob"), &login),
		    1);
	for (size_t i = 0; i < sizeof(proxied) / sizeof(proxied[0]); i++)
		check_proxied(proxied[i]);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (memchr(names[i].p, '\0', names[i].n) == NULL)
			check_proxied(names[i]);
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
	{ "uw",
	    HEAD "imapd[1]: Login failed user=bob auth=bob host=h [" EVIL "]",
	    0 },
	{ "uw", HEAD "imapd[1]: Logout user=bob host=h [" EVIL "]", 0 },
	{ "uw", HEAD "imapd[1]: Login disabled user=bob host=h [" EVIL "]", 0 },
	{ "uw", HEAD "imapd[1]: Login user=bob host=h", 0 },
	{ "uw",
	    HEAD "ipop3d[1]: Login failed user=bob auth=bob host=[" EVIL
		 "] nmsgs=0/0",
	    0 },
	/* The name stands in front where the login failed. */
	{ "qpopper",
	    HEAD "popper[1]: (v4.0.9) POP login by user \"bob\" at (evil) " EVIL
		 " at h.example.org (192.0.2.7): -ERR [AUTH] Password supplied "
		 "for \"bob\" is incorrect. [pop_pass.c:1295]",
	    0 },
	{ "qpopper",
	    HEAD "popper[1]: message repeated 2 times: [ (v4) POP login by "
		 "user \"x\" at (h) " EVIL " at h (192.0.2.7): -ERR x "
		 "[pop_pass.c:1295]",
	    0 },
	{ "vpopmail",
	    HEAD "vpopmail[1]: vchkpw-pop3: password fail (pass: 'test') "
		 "bob@x:" EVIL,
	    0 },
	{ "vpopmail",
	    HEAD "vpopmail[1]: vchkpw-pop3: vpopmail user not found "
		 "(PLAIN) login success bob@x:" EVIL,
	    0 },
	{ "vpopmail",
	    HEAD "vpopmail[1]: vchkpw-smtp: (PLAIN) login success bob@x:" EVIL,
	    0 },
	{ "vpopmail",
	    HEAD "vpopmail[1]: vchkpw-webmail: (PLAIN) login success "
		 "bob@x:" EVIL,
	    0 },
	{ "vpopmail",
	    HEAD "vpopmail[1]: vchkpw-pop3: (PLAIN) login success "
		 "x:2001:db8:0:0:0:0:192.0.2.7",
	    0 },
	{ "nginx",
	    HEAD "nginx: 2026/11/22 16:04:05 [info] 1#1: *3 client login "
		 "failed: \"Invalid login or password\" while in http auth "
		 "state, client: " EVIL ", server: 0.0.0.0:143, login: \"bob\"",
	    0 },
	/* Its own file: anybody may have written this line. */
	{ "nginx",
	    "2026/11/22 16:04:05 [info] 1#1: *1 client logged in, client: " EVIL
	    ":1, server: 127.0.0.1:143, login: \"bob\", upstream: "
	    "127.0.0.1:1",
	    0 },
	{ "exchange",
	    HEAD
	    "MSExchangeIMAP4: 2026-11-22T16:04:05.678Z,2,2,10.0.0.1:993," EVIL
	    ":50001,,1,17,21,login,bob *****,\"R=\"\"a2 NO LOGIN "
	    "failed.\"\"\",",
	    0 },
	{ "exchange",
	    HEAD
	    "MSExchangeIMAP4: 2026-11-22T16:04:05.678Z,2,2,10.0.0.1:993," EVIL
	    ":50001,bob,1,17,21,logout,,R=OK,",
	    0 },
	{ "exchange",
	    HEAD "MSExchangeIMAP4BE: 2026-11-22T16:04:05.678Z,2,2,"
		 "10.0.0.1:993," EVIL ":50001,bob,1,17,21,authenticate,PLAIN,"
		 "R=OK,",
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

/* --- sessions: the address in one line, the login in another ------------- */

#define P "Nov 22 16:04:0"

static const struct {
	const char *lines[4]; /* the last of them counts */
	int ret;
	const char *client;
} sessions[] = {
	{ { P "1 mx popa3d[72]: Session from 192.0.2.7",
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    1, "192.0.2.7" },
	/* Each process has its own. */
	{ { P "1 mx popa3d[72]: Session from 192.0.2.7",
	      P "1 mx popa3d[73]: Session from " EVIL,
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    1, "192.0.2.7" },
	{ { P "1 mx popa3d[72]: Session from " EVIL,
	      P "2 mx popa3d[72]: Session from 192.0.2.7",
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    1, "192.0.2.7" },
	{ { P "1 mx popa3d[73]: Session from " EVIL,
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
	{ { P "1 mx2 popa3d[72]: Session from " EVIL,
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
	{ { P "1 mx popa3d: Session from " EVIL,
	      P "2 mx popa3d: Authentication passed for bob" },
	    0, NULL },
	{ { P "1 mx popa3d[7]: Session from " EVIL,
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
	/* One login. */
	{ { P "1 mx popa3d[72]: Session from " EVIL,
	      P "1 mx popa3d[72]: Authentication passed for bob",
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
	{ { P "1 mx popa3d[72]: Session from " EVIL,
	      P "1 mx popa3d[72]: Authentication failed for bob",
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
	{ { P "1 mx popa3d[72]: Session from " EVIL,
	      P "1 mx popa3d[72]: Authentication failed for UNKNOWN USER" },
	    0, NULL },
	/* Too long ago; or later than the login. */
	{ { "Nov 22 15:54:01 mx popa3d[72]: Session from " EVIL,
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
	{ { P "3 mx popa3d[72]: Session from " EVIL,
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
	{ { P "1 mx popa3d[72]: Session from 203.0.113.666" }, -1, NULL },
	{ { P "1 mx popa3d[72]: Session from " EVIL " x",
	      P "2 mx popa3d[72]: Authentication passed for bob" },
	    0, NULL },
};

START_TEST(session)
{
	static struct logmatch_login login;
	struct logmatch *m = of("popa3d");
	char text[ADDR_TEXT_MAX];
	int ret = 0;

	for (size_t i = 0; i < 4 && sessions[_i].lines[i] != NULL; i++)
		ret = logmatch_line(
		    m, slice_str(sessions[_i].lines[i]), NOW, &login);
	ck_assert_int_eq(ret, sessions[_i].ret);
	if (ret == 1) {
		addr_write_ip(&login.client, text);
		ck_assert_str_eq(text, sessions[_i].client);
		ck_assert(slice_eq(
		    slice_make(login.user, login.user_len), SLICE("bob")));
	}
	logmatch_destroy(&m);
}
END_TEST

/* More at a time than are kept: some are lost, none is mixed up. */
START_TEST(many_sessions)
{
	static struct logmatch_login login;
	struct logmatch *m = of("popa3d");
	char line[200], text[ADDR_TEXT_MAX], want[40];
	size_t got = 0;

	for (int i = 0; i < 20000; i++) {
		int n = snprintf(line, sizeof(line),
		    HEAD "popa3d[%d]: Session from 10.0.%d.%d", i, i / 200,
		    i % 200);

		ck_assert_int_eq(
		    logmatch_line(m, slice_make(line, (size_t)n), NOW, &login),
		    0);
	}
	for (int i = 0; i < 20000; i++) {
		int n = snprintf(line, sizeof(line),
		    HEAD "popa3d[%d]: Authentication passed for u", i);

		if (logmatch_line(
			m, slice_make(line, (size_t)n), NOW, &login) != 1)
			continue;
		snprintf(want, sizeof(want), "10.0.%d.%d", i / 200, i % 200);
		addr_write_ip(&login.client, text);
		ck_assert_str_eq(text, want);
		got++;
	}
	ck_assert_uint_gt(got, 2000);
	logmatch_destroy(&m);
}
END_TEST

/* --- patterns of a file -------------------------------------------------- */

#define LOGIN "login {syslog}in {user} from {client}\n"

static const struct {
	const char *text;
	const char *wrong; /* in the message; NULL: nothing is */
} files[] = {
	{ "# mine\n\npattern x\nident xd x-* \ty\n" LOGIN, NULL },
	{ "pattern x\r\nident xd\r\n" LOGIN "\r\n", NULL },
	{ "pattern x\nident xd\n" LOGIN "pattern y\nident yd\n" LOGIN, NULL },
	{ "pattern x\nlogin {stamp} in {user} from {client}", NULL },
	{ "pattern x\nident xd\nbegin {syslog}from {client}\n"
	  "login {syslog}in {user}\nend {syslog}no {text}",
	    NULL },
	{ "pattern x\nident xd\nlogin {syslog}{{a{=b|c}{client}", NULL },
	{ "", "defines no pattern" },
	{ LOGIN, ":1: expected \"pattern NAME\"" },
	{ "pattern x\nident xd\n", "has no line" },
	{ "pattern x\n" LOGIN, "no ident" },
	{ "pattern x\n" LOGIN "pattern y\nident yd\n" LOGIN, "no ident" },
	{ "pattern x\nident xd\n" LOGIN "pattern x\n", ":4: there is a" },
	{ "pattern perdition\nident xd\n" LOGIN, NULL }, /* not in use */
	{ "pattern a/b\n", "a name consists" },
	{ "pattern \n", "a name consists" },
	{ "pattern x\nident a[\n", "an ident consists" },
	{ "pattern x\nident *\n", "an ident consists" },
	{ "pattern x\nlogins {syslog}\n", "expected pattern, ident" },
	{ "pattern x\nident xd\nlogin in {user} from {client}",
	    "does not begin with" },
	{ "pattern x\nident xd\nlogin {syslog}in {user}", "needs a begin" },
	{ "pattern x\nident xd\nbegin {syslog}from {client}\n" LOGIN,
	    "the reverse" },
	{ "pattern x\nident xd\nbegin {syslog}from\n", "tells no {client}" },
	{ "pattern x\nident xd\nbegin {stamp} from {client}\n",
	    "only {syslog}" },
	{ "pattern x\nident xd\nlogin {stamp} in {user}", "only {syslog}" },
	{ "pattern x\nident xd\nlogin {syslog}{client}{client}", "twice" },
	{ "pattern x\nident xd\nlogin {syslog}{client}{client4}", "twice" },
	{ "pattern x\nident xd\nlogin {syslog}{user} {user}", "twice" },
	{ "pattern x\nident xd\nlogin {syslog}{same} {user} {client}",
	    "stands not behind {user}" },
	{ "pattern x\nident xd\nlogin {syslog}a{?b {client}?}",
	    "may not be left out" },
	{ "pattern x\nident xd\nlogin {syslog}{?{word}?} {client}",
	    "begins with literal" },
	{ "pattern x\nident xd\nlogin {syslog}{??}{client}",
	    "begins with literal" },
	{ "pattern x\nident xd\nlogin {syslog}{?a{?b?}?}{client}",
	    "in another" },
	{ "pattern x\nident xd\nlogin {syslog}{client}{?a", "not closed" },
	{ "pattern x\nident xd\nlogin {syslog}{client", "not closed" },
	{ "pattern x\nident xd\nlogin {syslog}{clients}", "no such field" },
	{ "pattern x\nident xd\nlogin {syslog}{}", "no such field" },
	{ "pattern x\nident xd\nlogin {stamp}{syslog}{client}",
	    "not in front" },
	{ "pattern x\nident xd\nlogin {syslog}{=ab|a}{client}",
	    "how another begins" },
	{ "pattern x\nident xd\nlogin {syslog}{=|a}{client}",
	    "how another begins" },
	{ "pattern x\nident xd\nlogin {syslog}{user}{client}",
	    "needs literal text" },
	{ "pattern x\nident xd\nlogin {syslog}{client} {user}{? x?}",
	    "needs literal text" },
	{ "pattern x\nident xd\nlogin {syslog}a\tb{client}",
	    "control character" },
};

static struct logmatch *
of_file(const char *text, size_t n, struct err *err)
{
	char path[] = "patterns.XXXXXX";
	struct logmatch_config c = { .file = path, .regex = "" };
	int fd = mkstemp(path);
	struct logmatch *m;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
	setenv("TZ", "UTC", 1);
	tzset();
	m = logmatch_create(&c, err);
	unlink(path);
	return m;
}

START_TEST(file)
{
	struct err err = { 0 };
	struct logmatch *m =
	    of_file(files[_i].text, strlen(files[_i].text), &err);

	if (files[_i].wrong == NULL) {
		ck_assert_msg(m != NULL, "%s", err.msg);
	} else {
		ck_assert_ptr_null(m);
		ck_assert_msg(
		    strstr(err.msg, files[_i].wrong) != NULL, "%s", err.msg);
	}
	logmatch_destroy(&m);
}
END_TEST

START_TEST(file_unreadable)
{
	struct logmatch_config c = { .file = "/nowhere/x", .regex = "" };
	static char big[PATTERNS_FILE_MAX + 1];
	struct err err;

	ck_assert_ptr_null(logmatch_create(&c, &err));
	ck_assert_int_eq(err.code, ENOENT);
	c.file = "/";
	ck_assert_ptr_null(logmatch_create(&c, &err));
	memset(big, '\n', sizeof(big));
	ck_assert_ptr_null(of_file(big, sizeof(big), &err));
	ck_assert_int_eq(err.code, EFBIG);
	ck_assert_ptr_null(of_file("pattern x\0y", 11, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "NUL"));
}
END_TEST

/* What the language of shapes means, field by field. */
static const struct {
	const char *shape, *text;
	int ret;
	const char *user, *client;
} shapes[] = {
	{ "in {user} from {client}", "in bob from 192.0.2.7", 1, "bob",
	    "192.0.2.7" },
	{ "in {user} from {client}", "in bob from 192.0.2.7:99", 1, "bob",
	    "192.0.2.7" },
	{ "in {user} from {client}", "in bob from [2001:db8::7]:99", 1, "bob",
	    "2001:db8::7" },
	{ "in {user} from {client}", "in  from 192.0.2.7", 0, NULL, NULL },
	{ "in {user} from {client}", "in a b from 192.0.2.7", 0, NULL, NULL },
	{ "in {user} from {client}", "in bob from 192.0.2.07", -1, NULL, NULL },
	{ "in {user} from {client}", "in bob from 192.0.2.7 ", 0, NULL, NULL },
	{ "{client} {user}", "192.0.2.7 a b c", 1, "a b c", "192.0.2.7" },
	{ "{client} {user}", "192.0.2.7 ", 0, NULL, NULL },
	{ "{user} {same} {client}", "b b 192.0.2.7", 1, "b", "192.0.2.7" },
	{ "{user} {same} {client}", "b c 192.0.2.7", 0, NULL, NULL },
	{ "{user} {same} {client}", "b bb 192.0.2.7", 0, NULL, NULL },
	{ "{user} {same} {client}", "bb b 192.0.2.7", 0, NULL, NULL },
	{ "{client} {user} {same}", "192.0.2.7 b b", 1, "b", "192.0.2.7" },
	{ "{client}", "192.0.2.7", 1, "", "192.0.2.7" },
	{ "{client4}!", "192.0.2.7!", 1, "", "192.0.2.7" },
	{ "{client4}!", "::1!", 0, NULL, NULL },
	{ "{client4}!", "192.0.2.7:9!", 0, NULL, NULL },
	{ "{client} {text};x", "192.0.2.7 ;x", 1, "", "192.0.2.7" },
	{ "{client} {text};x", "192.0.2.7 a b;x", 1, "", "192.0.2.7" },
	{ "{client} {text};x", "192.0.2.7 a;b;x", 0, NULL, NULL },
	{ "{client} {number}/{word}/{host}", "192.0.2.7 12/a+b=@c./h-1:_.x", 0,
	    NULL, NULL }, /* a word takes the slash */
	{ "{client} {number},{word},{host}", "192.0.2.7 12,a+b=@/c.,h-1:_.x", 1,
	    "", "192.0.2.7" },
	{ "{client} {number}", "192.0.2.7 ", 0, NULL, NULL },
	{ "{client} {number}", "192.0.2.7 1x", 0, NULL, NULL },
	{ "{client} {address}", "192.0.2.7 [::1]:1", 1, "", "192.0.2.7" },
	{ "{client} {address}", "192.0.2.7 [::1", 0, NULL, NULL },
	{ "{client} {address}", "192.0.2.7 ::1x", 0, NULL, NULL },
	{ "{client} {stamp}", "192.0.2.7 2026/11/22 16:04:05", 1, "",
	    "192.0.2.7" },
	{ "{client} {stamp}", "192.0.2.7 2026/11/22", 0, NULL, NULL },
	{ "{=a|bc}{client}", "bc192.0.2.7", 1, "", "192.0.2.7" },
	{ "{=a|bc}{client}", "b192.0.2.7", 0, NULL, NULL },
	{ "{=a|bc}{client}", "192.0.2.7", 0, NULL, NULL },
	{ "{client}{?, x={number}?}{?, y?}", "192.0.2.7", 1, "", "192.0.2.7" },
	{ "{client}{?, x={number}?}{?, y?}", "192.0.2.7, x=1, y", 1, "",
	    "192.0.2.7" },
	{ "{client}{?, x={number}?}{?, y?}", "192.0.2.7, y", 1, "",
	    "192.0.2.7" },
	{ "{client}{?, x={number}?}{?, y?}", "192.0.2.7, y, x=1", 0, NULL,
	    NULL },
	{ "{client}{?, x={number}?}{?, y?}", "192.0.2.7, x=z", 0, NULL, NULL },
	{ "{client}{?ab?}b", "192.0.2.7abb", 0, NULL, NULL }, /* of the run */
	{ "<{client}>{?ab?}ac", "<192.0.2.7>ac", 1, "", "192.0.2.7" },
	{ "<{client}>{?ab?}ac", "<192.0.2.7>abac", 1, "", "192.0.2.7" },
	{ "{{{client}}", "{192.0.2.7}", 1, "", "192.0.2.7" },
	{ "?}{client}", "?}192.0.2.7", 1, "", "192.0.2.7" },
};

START_TEST(shape)
{
	static struct logmatch_login login;
	char text[400];
	struct err err = { 0 };
	struct logmatch *m;
	int n = snprintf(text, sizeof(text),
	    "pattern x\nident xd\nlogin {syslog}%s\n", shapes[_i].shape);

	m = of_file(text, (size_t)n, &err);
	ck_assert_msg(m != NULL, "%s", err.msg);
	n = snprintf(text, sizeof(text), HEAD "xd[1]: %s", shapes[_i].text);
	ck_assert_int_eq(
	    logmatch_line(m, slice_make(text, (size_t)n), NOW, &login),
	    shapes[_i].ret);
	if (shapes[_i].ret == 1) {
		ck_assert(slice_eq(slice_make(login.user, login.user_len),
		    slice_str(shapes[_i].user)));
		addr_write_ip(&login.client, text);
		ck_assert_str_eq(text, shapes[_i].client);
	}
	logmatch_destroy(&m);
}
END_TEST

#define OWN                                                                    \
	"Auth: 203.0.113.77:999->198.51.100.1:143 client-secure=plaintext "    \
	"authorisation_id=NONE authentication_id=\"bob\" server=\"a:143\" "    \
	"protocol=IMAP4 server-secure=plaintext status=\"ok\""

/* Of perdition's own lines the head is looked at, too: one that has none does
 * not get that of the line before it. */
START_TEST(own_without_head)
{
	static const char *const texts[] = { "pattern own\n"
					     "ident perdition\n"
					     "login {syslog}{perdition}\n"
					     "login {stamp} {perdition}\n",
		"pattern own\nlogin {stamp} {perdition}\n" };
	static const char good[] = HEAD "perdition[12]: " OWN;
	static const char *const bad[] = { "2026-11-22T16:04:00Z " OWN,
		"2026-11-22T16:04:00Z mx perdition[12] " OWN,
		"2026-11-22T16:04:00Z mx perdition[12]" OWN };
	static struct logmatch_login login;
	struct err err = { 0 };

	for (size_t i = 0; i < 2; i++) {
		struct logmatch *m = of_file(texts[i], strlen(texts[i]), &err);

		ck_assert_msg(m != NULL, "%s", err.msg);
		for (size_t k = 0; k < 3; k++) {
			ck_assert_int_eq(
			    logmatch_line(m, SLICE(good), NOW, &login),
			    i == 0 ? 1 : 0);
			ck_assert_int_eq(
			    logmatch_line(m, slice_str(bad[k]), NOW, &login),
			    0);
		}
		logmatch_destroy(&m);
	}
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
	tcase_add_test(t, hostile_proxied);
	tcase_add_loop_test(t, long_name, 0, logins_n);
	tcase_add_loop_test(
	    t, other_line, 0, (int)(sizeof(others) / sizeof(others[0])));
	tcase_add_loop_test(t, foreign, 0, logins_n);
	tcase_add_loop_test(
	    t, session, 0, (int)(sizeof(sessions) / sizeof(sessions[0])));
	tcase_add_test(t, many_sessions);
	tcase_add_loop_test(
	    t, file, 0, (int)(sizeof(files) / sizeof(files[0])));
	tcase_add_test(t, file_unreadable);
	tcase_add_test(t, own_without_head);
	tcase_add_loop_test(
	    t, shape, 0, (int)(sizeof(shapes) / sizeof(shapes[0])));
	return check_run("patterns", t);
}
