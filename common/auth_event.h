/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auth_event - what perdition tells about a login, and perdition-pbs acts on.
 *
 * An open mail relay is one forged event away, so both forms, the log line
 * and the record on the Unix socket, are written and parsed here, under one
 * test: parse(write(e)) = e for any bytes in any field.  A parser matches a
 * line whole and from its start; it never searches inside.
 */
#ifndef COMMON_AUTH_EVENT_H
#define COMMON_AUTH_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/slice.h"

#define AUTH_USER_MAX 512   /* bytes; RFC 4616 asks for 255 */
#define AUTH_SERVER_MAX 280 /* host name (255) or [IPv6], ":", port */
#define AUTH_REASON_MAX 128
#define AUTH_LINE_MAX 8192 /* holds any line or record, all bytes escaped */

enum auth_kind {
	AUTH_LOGIN, /* a login ended, well or not */
	AUTH_RELOG, /* a living session, again (connect_relog, re-announced) */
	AUTH_CLOSE, /* an authenticated session ended */
};

enum auth_tls { AUTH_PLAINTEXT, AUTH_STARTTLS, AUTH_SSL };

struct auth_event {
	enum auth_kind kind;
	int64_t time; /* of this event, whatever its kind; seconds since the
			 epoch; not in the line form */
	uint64_t
	    session; /* unique on this host while it runs; not in the line */
	char protocol[16];  /* upper case as option protocol: IMAP4, POP3 ... */
	struct addr client; /* who may relay from now on; with port */
	struct addr local;  /* where it connected to; with port */
	enum auth_tls client_tls, server_tls;
	bool ok; /* status="ok" */
	bool has_authz;
	uint64_t received, sent; /* AUTH_CLOSE: bytes from, to the client */
	size_t user_len, authz_len, server_len, reason_len;
	char user[AUTH_USER_MAX];     /* as the client sent it: any bytes */
	char authz[AUTH_USER_MAX];    /* any bytes */
	char server[AUTH_SERVER_MAX]; /* "HOST:PORT"; empty when none was found
				       */
	char reason[AUTH_REASON_MAX]; /* when not ok */
};

/*
 * Log form, without time stamp and ident (kind AUTH_LOGIN and AUTH_RELOG
 * are written alike, "Auth: ...", AUTH_CLOSE as "Closing session: ..."):
 *   Auth: SRC:PORT->DST:PORT client-secure=S authorisation_id=A
 *   authentication_id="U" server="HOST:PORT" protocol=P server-secure=S
 *   status="ok"
 * in one line with single spaces; or status="failed: REASON".  A is NONE
 * or quoted; quoted values are as log_quote() writes them, not cut.
 *   Closing session: SRC:PORT->DST:PORT authorisation_id=A
 *   authentication_id="U" received=N sent=N
 * Length written (no NUL is added), or -1 with errno ENOSPC, or EINVAL (a
 * length or enum out of range; protocol not [A-Z0-9]{1,15}).
 */
ssize_t auth_event_write_line(const struct auth_event *, char *out, size_t cap);

/*
 * line: from "Auth:" on, without its newline.  1 with ev filled (kind
 * AUTH_LOGIN or AUTH_CLOSE; what the form does not carry is 0, so that ok is
 * false in AUTH_CLOSE; texts are not set beyond their lengths), 0 for a line
 * that does not begin as one of ours, -1 for a malformed one (EBADMSG):
 * anything that auth_event_write_line() does not write, and what has a port 0,
 * which no TCP peer has.  ev is zeroed unless 1 is returned.
 */
int auth_event_parse_line(struct slice line, struct auth_event *ev);

/*
 * Stream form: one line of printable ASCII that ends in "\n", which
 * cap and the length returned include; every field is there.  Begins with
 * "perdition-auth 1 ".  Errors as for auth_event_write_line().
 */
ssize_t auth_event_write_record(
    const struct auth_event *, char *out, size_t cap);

/* record: without its "\n".  1 with ev filled, or -1 (EBADMSG) with ev zeroed;
 * as strict as auth_event_parse_line(). */
int auth_event_parse_record(struct slice record, struct auth_event *ev);

#endif
