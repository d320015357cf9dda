/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon - perdition-pbs at work: sources, store and sinks in one loop.
 */
#ifndef PERDITION_PBS_DAEMON_H
#define PERDITION_PBS_DAEMON_H

#include "perdition-pbs/pbs_config.h"

/*
 * Runs until SIGTERM or SIGINT.  HUP: reads the configuration again (argc,
 * argv as at the start), takes over from a good one what can change while it
 * runs, and opens the logs again.  config is taken, and cleared.  Returns the
 * exit status; what went wrong has been said on standard error.
 */
int daemon_run(struct pbs_config *config, int argc, char *const argv[]);

#endif
