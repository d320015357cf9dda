/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_logmatch - what is in a log must not open a relay for anyone whom
 * perdition did not let in.
 *
 * The input is a user name from a failed login, written by perdition's own
 * code behind a syslog head; a user name in the lines of other servers; a
 * line of its own; and a file of patterns.  Property: a failed login matches
 * never, a good one only for its own client.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/auth_event.h"
#include "common/fuzz.h"
#include "perdition-pbs/logmatch.h"
#include "perdition-pbs/shape.h"

#include "common/banned.h"

#define NOW 1795367045 /* some time in 2026 */

static void
check_login(struct logmatch *m, const uint8_t *data, size_t size, bool ok)
{
	static const char head[] =
	    "2026-11-22T17:04:05.678901+01:00 mx perdition.imap4[12]: ";
	static struct auth_event ev;
	static struct logmatch_login login;
	char line[LOGMATCH_LINE_MAX];
	ssize_t n;

	memset(&ev, 0, sizeof(ev));
	memcpy(ev.protocol, "IMAP4", 6);
	if (addr_parse(SLICE("192.0.2.7:999"), true, &ev.client) == -1 ||
	    addr_parse(SLICE("198.51.100.1:143"), true, &ev.local) == -1)
		abort();
	ev.ok = ok;
	ev.user_len = size < AUTH_USER_MAX ? size : AUTH_USER_MAX;
	if (ev.user_len > 0)
		memcpy(ev.user, data, ev.user_len);
	memcpy(ev.server, "a:143", 5);
	ev.server_len = 5;
	memcpy(ev.reason, "Re-Authentication Failure", 25);
	ev.reason_len = ok ? 0 : 25;
	memcpy(line, head, sizeof(head) - 1);
	n = auth_event_write_line(
	    &ev, line + sizeof(head) - 1, sizeof(line) - sizeof(head));
	if (n == -1)
		abort();
	if (logmatch_line(m, slice_make(line, sizeof(head) - 1 + (size_t)n),
		NOW, &login) != (ok ? 1 : 0))
		abort();
	if (ok && (!addr_same_ip(&login.client, &ev.client) ||
		      login.user_len != ev.user_len ||
		      memcmp(login.user, ev.user, ev.user_len) != 0))
		abort();
}

/* What each server writes of a login, around the user's name. */
static const struct {
	const char *before, *after;
} foreign[] = {
	{ "dovecot: imap-login: Login: user=<",
	    ">, method=PLAIN, rip=192.0.2.7, lip=198.51.100.1, mpid=1, TLS, "
	    "session=<sF+SszFtrD5Q8TzB>" },
	{ "dovecot: imap-login: Login: user=<",
	    ">, rip=192.0.2.7, lip=198.51.100.1" },
	{ "imapd: LOGIN, user=",
	    ", ip=[::ffff:192.0.2.7], port=[1], protocol=IMAP" },
	{ "pop3d: LOGOUT, user=",
	    ", ip=[::ffff:192.0.2.7], port=[1], top=0, retr=0, rcvd=6, "
	    "sent=30, time=0" },
	{ "cyrus/imap[1]: login: h [192.0.2.7] ",
	    " plaintext User logged in SESSIONID=<x>" },
	{ "imapd[1]: Login user=", " host=h [192.0.2.7]" },
	{ "popper[1]: (v4.0.9) POP login by user \"",
	    "\" at (h) 192.0.2.7 [pop_log.c:244]" },
	{ "vpopmail[1]: vchkpw-pop3: (PLAIN) login success ", ":192.0.2.7" },
	{ "nginx: 2026/11/22 16:04:05 [info] 1#1: *3 client logged in, client: "
	  "192.0.2.7, server: 0.0.0.0:143, login: \"",
	    "\", upstream: 198.51.100.1:143" },
	{ "MSExchangeIMAP4: 2026-11-22T16:04:05Z,2,2,10.0.0.1:993,"
	  "192.0.2.7:5,",
	    ",205,48,24,login,x,R=OK," },
	/* Logins that failed. */
	{ "dovecot: imap-login: proxy(",
	    ",198.51.100.1:143): Login failed: x: user=<bob>, method=PLAIN, "
	    "rip=192.0.2.7, lip=198.51.100.1, session=<x>" },
	{ "dovecot: imap-login: proxy(x,198.51.100.1:143): Login failed: x: "
	  "user=<",
	    ">, rip=192.0.2.7, lip=198.51.100.1" },
	{ "imapd: LOGIN FAILED, user=", ", ip=[::ffff:192.0.2.7], port=[1]" },
	{ "cyrus/imap[1]: badlogin: h [192.0.2.7] plaintext (",
	    ") [SASL(-13): x]" },
	{ "popper[1]: ", " at h (192.0.2.7): -ERR [AUTH] x" },
	{ "vpopmail[1]: vchkpw-pop3: vpopmail user not found ", ":192.0.2.7" },
	{ "nginx: 2026/11/22 16:04:05 [info] 1#1: *3 client login failed: "
	  "\"x\" while in http auth state, client: 192.0.2.7, server: "
	  "0.0.0.0:143, login: \"",
	    "\"" },
};

#define FAILED 10 /* from this one of foreign on */

static struct logmatch *
of_all(void)
{
	static const char all[] =
	    "dovecot\0courier\0cyrus\0uw\0qpopper\0popa3d\0vpopmail\0nginx\0"
	    "exchange\0";
	static char text[sizeof(all)];
	char *names[16], *p = text;
	struct logmatch_config c = {
		.patterns = names, .file = "", .regex = ""
	};
	struct err err;

	memcpy(text, all, sizeof(all));
	for (; *p != '\0'; p += strlen(p) + 1)
		names[c.patterns_n++] = p;
	return logmatch_create(&c, &err);
}

/* A line that tells something is found among others. */
static void
check_seek(struct logmatch *m, struct slice line, int ret)
{
	if (ret != 0 && logmatch_seek(m, line, true) == NULL)
		abort();
}

static void
check_foreign(const uint8_t *data, size_t size)
{
	static struct logmatch *m; /* for all inputs */
	static struct logmatch_login login;
	char line[LOGMATCH_LINE_MAX], why[LOGMATCH_WHY_MAX];
	const char head[] = "Nov 22 17:04:05 mx ";
	struct addr client;

	if (m == NULL && (m = of_all()) == NULL)
		abort();
	if (addr_parse_ip(SLICE("192.0.2.7"), &client) == -1)
		abort();
	size = size > 4096 ? 4096 : size;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		size_t n = sizeof(head) - 1, b = strlen(foreign[i].before),
		       a = strlen(foreign[i].after);
		int ret;

		memcpy(line, head, n);
		memcpy(line + n, foreign[i].before, b);
		if (size > 0)
			memcpy(line + n + b, data, size);
		memcpy(line + n + b + size, foreign[i].after, a);
		n += b + size + a;
		ret =
		    logmatch_explain(m, slice_make(line, n), NOW, &login, why);
		check_seek(m, slice_make(line, n), ret);
		if (ret == 1 &&
		    (i >= FAILED || !addr_same_ip(&login.client, &client) ||
			login.user_len != size ||
			memcmp(login.user, data, size) != 0))
			abort();
		if (memchr(why, '\0', sizeof(why)) == NULL)
			abort();
	}
	if (size > 0)
		check_seek(m, slice_make((const char *)data, size),
		    logmatch_explain(m, slice_make((const char *)data, size),
			NOW, &login, why));
}

/* A shape is refused or not; then it is matched with itself, whatever. */
static void
check_shape(struct slice text)
{
	struct err err;
	struct shape *sh = shape_create(text, &err);
	struct shape_match match;

	if (sh != NULL)
		shape_match(sh, text, &match);
	shape_destroy(&sh);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct logmatch_login login;
	static char name[] = "perdition", *names[] = { name };
	struct logmatch_config c = {
		.patterns = names,
		.patterns_n = 1,
		.file = "",
		.regex = "",
		.ends = true,
	};
	struct err err;
	struct logmatch *m = logmatch_create(&c, &err);

	if (m == NULL)
		abort();
	check_login(m, data, size, false);
	check_login(m, data, size, true);
	if (size > 0)
		check_seek(m, slice_make((const char *)data, size),
		    logmatch_line(
			m, slice_make((const char *)data, size), NOW, &login));
	logmatch_destroy(&m);
	check_foreign(data, size);
	check_shape(slice_make((const char *)data, size));
	return 0;
}
