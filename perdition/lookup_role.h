/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup_role - the lookup process: asks popmap and resolver for workers.
 *
 * It never blocks: maps that ask others, and the resolver, have processes of
 * their own (ask_pool.h), and a question waits here until they have answered.
 * Nor does it wait for a worker: of one that does not take its answers no more
 * questions are read until it does.
 * Where there are several lookup processes they read the same channels, so
 * whichever is free takes the next question.
 */
#ifndef PERDITION_LOOKUP_ROLE_H
#define PERDITION_LOOKUP_ROLE_H

#include "common/err.h"
#include "perdition/config.h"

/*
 * Run until CONTROL_STOP, CONTROL_DRAIN or the end of the control channel.
 * Sends CONTROL_READY once the map is open.  slots: how many workers' channels
 * there are, from ROLE_FD_FIRST on.
 * 0, or -1 with err set when it could not start: the caller tells the master.
 */
int lookup_role_run(const struct config *, unsigned int slots, struct err *);

#endif
