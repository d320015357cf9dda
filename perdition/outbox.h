/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outbox - packets for one who may be slow to take them, so that nobody else
 * waits for him.
 *
 * What the channel does not take at once is kept, in order, up to a bound;
 * what is beyond it is lost.  Knows nothing of what packets say.
 */
#ifndef PERDITION_OUTBOX_H
#define PERDITION_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"

struct outbox_packet;

/* Zeroed: empty. */
struct outbox {
	struct outbox_packet *head, *tail;
	size_t bytes; /* in it, with what keeping them takes */
};

/*
 * One packet to the channel fd (msg.h), or into o.  most: bytes that o may
 * hold.  0; or -1 with errno and the packet is lost: ENOBUFS beyond most,
 * ENOMEM, or what msg_send() says of a channel that takes no more at all.
 */
int outbox_send(struct outbox *, int fd, struct slice packet, size_t most);

/* What the channel takes now.  0 (also when some is left), or -1 with errno:
 * it will never take any, and o is empty. */
int outbox_flush(struct outbox *, int fd);

bool outbox_is_empty(const struct outbox *);
void outbox_clear(struct outbox *);

#endif
