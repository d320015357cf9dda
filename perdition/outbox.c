/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outbox - see outbox.h.
 */
#include "config.h"

#include "perdition/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg.h"

#include "common/banned.h"

struct outbox_packet {
	struct outbox_packet *next;
	size_t n;
	char bytes[];
};

bool
outbox_is_empty(const struct outbox *o)
{
	return o->head == NULL;
}

static size_t
size_of(size_t n)
{
	return sizeof(struct outbox_packet) + n;
}

static int
keep(struct outbox *o, struct slice packet, size_t most)
{
	size_t size = size_of(packet.n);
	struct outbox_packet *p;

	if (o->bytes > most || size > most - o->bytes) {
		errno = ENOBUFS;
		return -1;
	}
	p = malloc(size);
	if (p == NULL)
		return -1;
	p->next = NULL;
	p->n = packet.n;
	memcpy(p->bytes, packet.p, packet.n);
	if (o->head == NULL)
		o->head = p;
	else
		o->tail->next = p;
	o->tail = p;
	o->bytes += size;
	return 0;
}

static void
drop_first(struct outbox *o)
{
	struct outbox_packet *p = o->head;

	o->head = p->next;
	o->bytes -= size_of(p->n);
	free(p);
}

void
outbox_clear(struct outbox *o)
{
	while (o->head != NULL)
		drop_first(o);
}

int
outbox_send(struct outbox *o, int fd, struct slice packet, size_t most)
{
	if (o->head == NULL) { /* else it would overtake what waits */
		if (msg_send(fd, packet) == 0)
			return 0;
		if (errno != EAGAIN)
			return -1;
	}
	return keep(o, packet, most);
}

int
outbox_flush(struct outbox *o, int fd)
{
	while (o->head != NULL) {
		if (msg_send(fd, slice_make(o->head->bytes, o->head->n)) == 0) {
			drop_first(o);
		} else if (errno == EAGAIN) {
			return 0;
		} else {
			int error = errno;

			outbox_clear(o);
			errno = error;
			return -1;
		}
	}
	return 0;
}
