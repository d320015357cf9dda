/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_line - the lines that module daemon and the site's programme say to
 * each other, as popmap(5) has them.
 *
 * question: ID KEY [NAME=VALUE ...]
 * answer:   ID OK SERVER[,SERVER...] [ttl=N] | ID NOTFOUND [ttl=N] |
 *           ID FAIL [TEXT]
 *
 * Pure.
 */
#ifndef PERDITION_MODULES_DAEMON_LINE_H
#define PERDITION_MODULES_DAEMON_LINE_H

#include <stdint.h>

#include "common/slice.h"
#include "perdition/popmap.h"

/* Bytes with the line end.  A question of perdition's longest names, every
 * byte of them encoded, takes less; so do 16 of the longest servers. */
#define DAEMON_QUESTION_MAX 16384
#define DAEMON_ANSWER_MAX 16384
#define DAEMON_TTL_MAX INT32_MAX

enum daemon_says { DAEMON_OK, DAEMON_NOTFOUND, DAEMON_FAIL };

struct daemon_reply {
	uint64_t id;
	enum daemon_says says;
	struct slice text; /* of FAIL, in the line */
};

/* A line with its end, without a NUL: its length, or -1 when cap is too
 * small. */
long daemon_line_question(
    uint64_t id, const struct popmap_query *, char *out, size_t cap);

/*
 * A line without its LF (a CR there is left out).  OK and NOTFOUND fill the
 * answer.  0, or -1 with err: not a line of this protocol.
 */
int daemon_line_answer(struct slice line, struct daemon_reply *,
    struct popmap_answer *, struct popmap_error *);

#endif
