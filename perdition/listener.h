/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener - the listening sockets of a configuration, held by the master.
 *
 * Each listener has one SO_REUSEPORT socket for each worker.  Because the
 * master keeps them, what waits in one is not lost when its worker dies, and
 * a reload passes it on to the next worker.
 */
#ifndef PERDITION_LISTENER_H
#define PERDITION_LISTENER_H

#include <stddef.h>

#include "common/err.h"
#include "perdition/config.h"

struct listener_set;

/*
 * old: may be NULL; sockets for the same address are shared with it instead
 * of bound anew, so that nothing that waits in them is lost.  Sockets of old
 * that have no place any more live until old is closed.
 * NULL with err: one line that names the address; code is of sysexits(3), and
 * no socket is left open that was not open before.
 */
struct listener_set *listener_set_open(const struct config *,
    unsigned int workers, const struct listener_set *old, struct err *);
void listener_set_close(struct listener_set **);

/* A worker's sockets, one a listener, in the configuration's order; borrowed.
 * count is set to their number. */
const int *listener_set_fds(
    const struct listener_set *, unsigned int worker, size_t *count);

/* As bound: with the port that the system chose where 0 was asked for. */
const struct addr *listener_set_addr(const struct listener_set *, size_t i);

#endif
