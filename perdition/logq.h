/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logq - the sending side of the log channel (see request.h: LOG_BATCH).
 *
 * Lines and authentication events are gathered and sent once per turn of the
 * loop.  Never blocks: what the log process has not taken yet waits in a
 * bounded queue; when that is full, new lines are lost, and their number is
 * logged as soon as there is room.
 */
#ifndef PERDITION_LOGQ_H
#define PERDITION_LOGQ_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/auth_event.h"
#include "common/slice.h"

#define LOGQ_MAX (256 * 1024) /* bytes that may wait */

struct logq;

/* fd: the channel's writing end, borrowed.  NULL with errno ENOMEM. */
struct logq *logq_open(int fd);

/*
 * Sends what it can, waiting up to a second for the log process, and frees.
 * When it is the log sink, the sink is set back to standard error.  When it
 * was attached, the loop must run once more before it is closed.
 */
void logq_close(struct logq **);

/* Make it the sink of log_event() and log_line(). */
void logq_install(struct logq *);

/*
 * What lines from now on are about: "imap4", or "" for the program itself.
 * A literal, or a protocol's name: it is kept as a pointer.
 */
void logq_set_ident(struct logq *, const char *ident);

void logq_line(struct logq *, int level, struct slice line);

/*
 * Goes to the log as the line that auth_event_write_line() makes, and to
 * perdition-pbs as a record; ident as in logq_set_ident().
 */
void logq_auth(struct logq *, const struct auth_event *, const char *ident);

/* Send at the end of each turn of the loop, and when the channel has room
 * again.  Does not keep the loop alive.  0, or -1 with errno. */
int logq_attach(struct logq *, uv_loop_t *);

/* For who has no loop.  True when all is sent; else call again later. */
bool logq_flush(struct logq *);

uint64_t logq_lost(const struct logq *); /* lines, since opened */

#endif
