/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker - the role that talks to the network: accepts clients and runs their
 * sessions in one loop.
 *
 * Opens no file, resolves no name, loads nothing: all that it needs it finds
 * at the descriptors of perdition/request.h.
 */
#ifndef PERDITION_WORKER_H
#define PERDITION_WORKER_H

#include "common/err.h"
#include "perdition/config.h"

/*
 * Run until told to end (CONTROL_STOP), drained (CONTROL_DRAIN), or left alone
 * by the master.  Sends CONTROL_READY once it accepts.  0, or -1 with err set
 * when it could not start.
 */
int worker_role_run(const struct config *, unsigned int slot, struct err *);

/*
 * inetd: one session, on fd, of listener 0; no listening sockets, no control
 * channel.  Returns when the session has ended.  0, or -1 with err set.
 */
int worker_role_run_inetd(const struct config *, int fd, struct err *);

#endif
