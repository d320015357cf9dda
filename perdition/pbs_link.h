/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_link - the log process's connection to perdition-pbs.
 *
 * Nobody waits for it.  While perdition-pbs is away or slow, records wait in
 * a bounded queue; of those that permit an address to relay only the newest
 * of each address is kept, the others are of no use to who comes later.
 */
#ifndef PERDITION_PBS_LINK_H
#define PERDITION_PBS_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/auth_event.h"
#include "common/slice.h"

#define PBS_LINK_QUEUE_MAX (4 * 1024 * 1024) /* bytes, with what it costs */

struct pbs_link;

/*
 * path: of the Unix stream socket; copied.  Connecting begins at once and is
 * tried again for ever.  connected: called on each new connection, before
 * anything is sent; may not call back into the link.  NULL with errno.
 */
struct pbs_link *pbs_link_create(
    uv_loop_t *, const char *path, void (*connected)(void *arg), void *arg);

/* Closes; what is queued is lost, so ask pbs_link_flush() first.  The loop
 * must run once more before it is closed. */
void pbs_link_destroy(struct pbs_link **);

/* ev and record say the same; record: without newline, copied. */
void pbs_link_send(
    struct pbs_link *, const struct auth_event *ev, struct slice record);

/* Writes what the socket takes; true when nothing is left to be sent now (or
 * ever: nobody is connected). */
bool pbs_link_flush(struct pbs_link *);

/* Whether something waits to be sent, now or after the next connection. */
bool pbs_link_pending(const struct pbs_link *);

bool pbs_link_connected(const struct pbs_link *);
uint64_t pbs_link_dropped(const struct pbs_link *); /* for want of room */

#endif
