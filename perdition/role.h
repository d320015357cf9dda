/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * role - how each process of perdition but the master begins.
 *
 * It is executed afresh as "perdition --role NAME ...", finds its descriptors
 * at the numbers of request.h, reads its configuration, gives up what it does
 * not need, and runs.
 */
#ifndef PERDITION_ROLE_H
#define PERDITION_ROLE_H

#include <stdbool.h>

#include "common/err.h"
#include "perdition/config.h"

enum role {
	ROLE_WORKER, /* --slot N */
	ROLE_LOOKUP, /* --slots N: how many channels it has */
	ROLE_LOG,
	ROLE_INETD, /* a worker in slot 0 with one session on descriptor 0 */
	ROLE_COUNT
};

const char *role_name(enum role); /* "worker" */

/*
 * What main() does when its first argument is --role.  Returns the exit
 * status.  The run functions of the roles (worker.h, lookup_role.h,
 * log_role.h) are called with privileges dropped and, for workers, in the
 * sandbox; they return 0 when they were told to end, or -1 with err, which is
 * sent to the master as CONTROL_FAILED when it is before role_ready(), and
 * logged after it.
 *
 * The log level is set; a run function opens its own logq on ROLE_FD_LOG,
 * installs it, and closes it before it returns.
 *
 * Signals that are sent to a whole process group are ignored in roles: the
 * master decides, and its death shows as the end of ROLE_FD_CONTROL.
 */
int role_main(int argc, char *argv[]);

/* Start-up is done: CONTROL_READY to the master.  Once, by each run function,
 * right before it first waits for work. */
void role_ready(void);

/* What the options quiet and debug ask for; the master's level, too. */
void role_log_level(const struct config *);

/* The status of sysexits(3) that fits the errno value in err->code. */
int role_exit_status(const struct err *);

/* The steps, for tests.  Each is skipped where the process may not do it. */
int role_drop(enum role, const struct config *, struct err *);
int role_sandbox(struct err *); /* the worker's filter of system calls */

#endif
