/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon - into the background, the pid file, and word to the service
 * manager.
 */
#ifndef PERDITION_DAEMON_H
#define PERDITION_DAEMON_H

#include "common/err.h"

/*
 * Forks.  In the child: 0, *report is a descriptor for daemon_report().  In
 * the parent: waits for the report and exits with it; does not return.
 * -1 with err.
 */
int daemon_fork(int *report, struct err *err);

/* How the start ended, 0 or an exit status; with 0, standard input, output
 * and error are let go of.  *report becomes -1; does nothing when it is. */
void daemon_report(int *report, int status);

/* path "": nothing.  The file's directory is made when only that is missing.
 * 0, or -1 with err. */
int daemon_pid_write(const char *path, struct err *err);
/* Only when it still holds our own pid. */
void daemon_pid_remove(const char *path);

/* sd_notify(3), where there is a service manager that listens. */
void daemon_notify_ready(void);
void daemon_notify_reloading(void);
void daemon_notify_stopping(void);

#endif
