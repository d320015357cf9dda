/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logmatch - whether a line of a log tells of a login, and whose.
 *
 * The line is taken as a whole and from its start: time stamp, perhaps a
 * host, the ident of a server whose pattern is in use, then that server's own
 * line to its last byte.  Nothing is ever searched for inside, where a user
 * name could put it.
 */
#ifndef PERDITION_PBS_LOGMATCH_H
#define PERDITION_PBS_LOGMATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/auth_event.h"
#include "common/err.h"
#include "common/slice.h"

/* The longest line that can matter: stamp, host, ident and event. */
#define LOGMATCH_LINE_MAX (AUTH_LINE_MAX + 512)

/*
 * And what another server than perdition may write in it, behind stamp, host
 * and ident.  Loggers cut what is long, anywhere (RFC 3164 section 4.1: 1024
 * bytes in all; Courier's: 511 bytes, and the rest becomes another line), also
 * behind that part of a user name that was made to look like a login.  A line
 * that is shorter was not cut.
 */
#define LOGMATCH_FOREIGN_MAX 480 /* bytes */

struct logmatch;

struct logmatch_config {
	char *const *patterns; /* names of built-in patterns */
	size_t patterns_n;
	const char *file; /* of patterns, all of which are used; "": none */
	/* A POSIX extended pattern of the site, with the address (perhaps
	 * with a port) in its first group and the user in its second; it is
	 * tried last.  "": none */
	const char *regex;
	bool ends; /* the ends of sessions are of interest to logmatch_seek() */
};

/* NULL with err set to what is wrong. */
struct logmatch *logmatch_create(const struct logmatch_config *, struct err *);
void logmatch_destroy(struct logmatch **);

/* Takes over the sessions that have begun from before, which is about to be
 * destroyed: their logins may be still to come. */
void logmatch_go_on(struct logmatch *, struct logmatch *before);

struct logmatch_login {
	const char *pattern; /* its name, or "regex"; lives with the logmatch */
	enum auth_kind kind; /* AUTH_LOGIN (relogs look the same), or, from
				perdition's own lines, AUTH_CLOSE */
	struct addr client;
	int64_t when; /* as stamped; now, for regex on a line without */
	size_t user_len;
	char user[AUTH_USER_MAX];
};

/*
 * 1 with login filled for a login that worked, or for the end of a session
 * that one began; 0 for any other line, -1 with errno EBADMSG for one that is
 * malformed: of perdition's, or with an address that is none.
 * line: without newline; a NUL in it makes it no line.
 */
int logmatch_line(struct logmatch *, struct slice line, int64_t now,
    struct logmatch_login *login);

/*
 * As tail_seek in tail_file.h: of the lines that it leaves out logmatch_line()
 * would say 0, or that a session has ended (or that such a line is malformed),
 * unless that is of interest.
 */
const char *logmatch_seek(struct logmatch *, struct slice text, bool first);

/*
 * The same as logmatch_line(), and tells an administrator in why what the line
 * is: for a line that does not match how far the pattern came that came
 * farthest.
 */
#define LOGMATCH_WHY_MAX 384 /* bytes; printable, what is quoted is cut */
int logmatch_explain(struct logmatch *, struct slice line, int64_t now,
    struct logmatch_login *login, char why[LOGMATCH_WHY_MAX]);

#endif
