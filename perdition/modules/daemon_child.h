/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_child - a programme of the site's, with one end of a socket pair as
 * its standard input and output.
 *
 * It gets none of our other descriptors and none of our signal settings, leads
 * a process group of its own, and dies with us however we end.
 */
#ifndef PERDITION_MODULES_DAEMON_CHILD_H
#define PERDITION_MODULES_DAEMON_CHILD_H

#include <sys/types.h>

#include "perdition/popmap.h"

/* argv[0]: an absolute path.  0 with *pid and *fd set, or -1 with err. */
int daemon_child_start(
    char *const argv[], pid_t *pid, int *fd, struct popmap_error *);

/*
 * Ends it with all of its group and waits for it.  grace_ms: from SIGTERM to
 * SIGKILL.  *pid 0: nothing to do; it is 0 afterwards.
 */
void daemon_child_stop(pid_t *pid, unsigned int grace_ms);

#endif
