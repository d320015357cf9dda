/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup_role - the lookup process: asks popmap and resolver for workers.
 *
 * It may block in either; that is what it is for.  Several of them read the
 * same channels, so whichever is free takes the next question.
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
