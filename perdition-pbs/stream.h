/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream - the Unix socket: events from perdition, requests from our tools.
 *
 * One line is one record; one that is no record ends its connection.  Knows
 * what a line may be, not what follows from it.
 */
#ifndef PERDITION_PBS_STREAM_H
#define PERDITION_PBS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "common/auth_event.h"
#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/listener.h"

#define STREAM_LINE_MAX AUTH_LINE_MAX
#define STREAM_REPLY_MAX 512
#define STREAM_CONNECTIONS 64 /* at once; further ones wait */

struct stream;

struct stream_handler {
	void (*event)(void *arg, const struct auth_event *);
	/* line begins with control.h's word; the reply, with its newline, into
	 * out.  Returns its length. */
	size_t (*control)(
	    void *arg, struct slice line, char out[STREAM_REPLY_MAX]);
	void *arg;
};

/*
 * Serves fd of listener_open() (taken, even on failure).  path: removed at the
 * end, if possible.  peers may send events, privileged ones requests too.
 * NULL with err.
 */
struct stream *stream_create(uv_loop_t *, int fd, const char *path,
    const struct listener_peers *peers, const struct stream_handler *,
    struct err *);
void stream_set_peers(struct stream *, const struct listener_peers *);
/* Deals with what was sent up to now, by those too who have just connected,
 * without waiting for more. */
void stream_drain(struct stream *);
void stream_destroy(struct stream **); /* the loop must turn once more */

#endif
