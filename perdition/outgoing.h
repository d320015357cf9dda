/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outgoing - connections to real-servers: from which of our addresses.
 */
#ifndef PERDITION_OUTGOING_H
#define PERDITION_OUTGOING_H

#include <stddef.h>

#include "common/addr.h"
#include "perdition/config.h"

/*
 * A socket that connects to a real-server; whether it will is told when it can
 * be written to.  With outgoing_bind_address from the addresses of the same
 * family in turn, and where one has no port left (EADDRNOTAVAIL), from the
 * next.  turn: the caller's, any number at first.  -1 with errno.
 */
int outgoing_connect(const struct config *, size_t *turn, const struct addr *);

/* Logs which of outgoing_bind_address this host does not have: it may get them
 * later. */
void outgoing_check(const struct config *);

#endif
