/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_logmatch - what is in a log must not open a relay for anyone whom
 * perdition did not let in.
 *
 * The input is a user name from a failed login, written by perdition's own
 * code behind a syslog head; and it is a line of its own.  Property: a failed
 * login matches never, a good one only for its own client.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/auth_event.h"
#include "common/fuzz.h"
#include "perdition-pbs/logmatch.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct logmatch_login login;
	static char name[] = "perdition", *names[] = { name };
	struct logmatch_config c = {
		.patterns = names, .patterns_n = 1, .file = "", .regex = ""
	};
	struct err err;
	struct logmatch *m = logmatch_create(&c, &err);

	if (m == NULL)
		abort();
	check_login(m, data, size, false);
	check_login(m, data, size, true);
	if (size > 0)
		logmatch_line(
		    m, slice_make((const char *)data, size), NOW, &login);
	logmatch_destroy(&m);
	return 0;
}
