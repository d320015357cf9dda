/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * master - starts the other roles, watches them, and reads no byte that came
 * from the network.
 */
#ifndef PERDITION_MASTER_H
#define PERDITION_MASTER_H

#include "common/err.h"
#include "perdition/config.h"

/*
 * Until it is told to end.  c: as config_load() made it from argc and argv,
 * which are read again at each HUP; it is taken over, and cleared.
 * Goes to the background unless the configuration says otherwise; then the
 * caller's process returns as soon as the start has succeeded or failed, with
 * the status that says which.  What is wrong is told on standard error.
 * Returns the exit status.
 */
int master_run(struct config *c, int argc, char *const argv[]);

/* One session on descriptor 0, without a master.  Does not return when all is
 * well; else clears c and returns the exit status, with err. */
int inetd_run(struct config *c, const char *arg0, struct err *err);

#endif
