/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logmatch - whether a line of a log tells of a login, and whose.
 *
 * The line is taken as a whole and from its start: time stamp, perhaps a
 * host, perdition's ident, then perdition's own line to its last byte.
 * Nothing is ever searched for inside, where a user name could put it.
 */
#ifndef PERDITION_PBS_LOGMATCH_H
#define PERDITION_PBS_LOGMATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/auth_event.h"
#include "common/err.h"
#include "common/slice.h"

/* The longest line that can matter: stamp, host, ident and event. */
#define LOGMATCH_LINE_MAX (AUTH_LINE_MAX + 512)

struct logmatch;

/*
 * regex: "" for perdition's own lines; else a POSIX extended pattern of the
 * site, with the address (perhaps with a port) in its first group and the
 * user in its second.  NULL with err set to what is wrong with it.
 */
struct logmatch *logmatch_create(const char *regex, struct err *);
void logmatch_destroy(struct logmatch **);

struct logmatch_login {
	enum auth_kind kind; /* AUTH_LOGIN (relogs look the same), or, from
				perdition's own lines, AUTH_CLOSE */
	struct addr client;
	int64_t when; /* as stamped; now, for a pattern on a line without */
	size_t user_len;
	char user[AUTH_USER_MAX];
};

/*
 * 1 with login filled for a login that worked, or for the end of a session
 * that one began; 0 for any other line, -1 with
 * errno EBADMSG for one of perdition's that is malformed.
 * line: without newline; a NUL in it makes it no line.
 */
int logmatch_line(const struct logmatch *, struct slice line, int64_t now,
    struct logmatch_login *login);

#endif
