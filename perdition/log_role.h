/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log_role - the process that writes the log and speaks to perdition-pbs.
 *
 * What the other roles say reaches it through the log channel (request.h).
 * It is the only one that holds the log file, so a slow disk, a dead syslog or
 * a stopped perdition-pbs are nobody else's trouble.
 */
#ifndef PERDITION_LOG_ROLE_H
#define PERDITION_LOG_ROLE_H

#include "common/err.h"
#include "perdition/config.h"

struct log_role;

/*
 * Opens the log; called before privileges are dropped.  A log file that root
 * had to create is given to the configured user, so that it can be opened
 * again after rotation.  The config is borrowed until log_role_close().
 * NULL with err set.
 */
struct log_role *log_role_open(const struct config *, struct err *);

/*
 * Until CONTROL_STOP, or until all who write to the log channel are gone.
 * What is in the channel then is still written, for a second at most where the
 * log or perdition-pbs is slow.  With CONTROL_DRAIN another log process has
 * taken over: it reads no more, and ends as soon as all that it has is written
 * and perdition-pbs has been told what waits for it, or when the time is over.
 * 0, or -1 with err.
 */
int log_role_run(struct log_role *, struct err *);

void log_role_close(struct log_role **);

#endif
