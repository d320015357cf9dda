/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logdest - where log lines end: syslog, a file, standard output or error.
 *
 * Never blocks the caller: what cannot be written at once waits in a bounded
 * queue (oldest kept, the number of lost lines is logged when there is room
 * again).  syslog(3) blocks while /dev/log is full, so this speaks RFC 3164
 * to the socket itself, connects again after syslog was restarted, and keeps
 * lines meanwhile.  The program must ignore SIGPIPE, for standard output may be
 * a pipe.
 */
#ifndef COMMON_LOGDEST_H
#define COMMON_LOGDEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/slice.h"

struct logdest;

/*
 * facility: as option log_facility: a syslog facility's name ("mail",
 * "local0" ...), an absolute path (a file, created 0640, appended to), "-"
 * standard output, "+" standard error.
 * socket: path of the syslog socket, NULL for /dev/log.
 * NULL with err set (the file cannot be opened; unknown facility).
 */
struct logdest *logdest_open(
    const char *facility, const char *socket, struct err *);
/*
 * Whoever runs as another user later must be able to open the file then: if
 * logdest_open() had to create it, it becomes uid's; else nothing happens.
 * 0, or -1 with errno.
 */
int logdest_give(struct logdest *, uid_t uid);
void logdest_close(struct logdest **); /* writes what it can, never waits */

/* Whether facility means standard output or error (implies foreground). */
bool logdest_is_stdio(const char *facility);

/*
 * ident: program name as in "perdition.imap4"; pid: the writer's.
 * now_us: wall clock, microseconds since the epoch.  The file form is
 *   2026-11-22T17:04:05.678901+01:00 perdition.imap4[123]: LINE
 * and syslog gets "<PRI>Mmm dd hh:mm:ss ident[pid]: LINE".
 * Lines of one turn of the loop are gathered; logdest_flush() writes them
 * (writev/sendmmsg) and returns false while some had to stay queued: then
 * call again soon (100 ms).
 */
void logdest_put(struct logdest *, int level, const char *ident, int pid,
    int64_t now_us, struct slice line);
bool logdest_flush(struct logdest *);

/* Open the file again (rotation), on HUP.  -1 with err: goes on with the old.
 */
int logdest_reopen(struct logdest *, struct err *);

uint64_t logdest_lost(const struct logdest *); /* lines, since opened */

#endif
