/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream - the Unix socket: events from perdition, requests from our tools.
 *
 * Who connects is known from SO_PEERCRED, not from the mode of the socket.
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

struct stream_peers {
	const uid_t *events; /* may send events; borrowed */
	size_t events_n;
	uid_t self; /* may, like root, send anything */
};

/*
 * Makes and listens on the socket.  A file left by a daemon that was killed
 * is replaced; one where somebody answers is not.  -1 with err set to an
 * errno value (EADDRINUSE).
 */
int stream_listen(const char *path, mode_t mode, uid_t, gid_t, struct err *);

/*
 * Serves fd (taken, even on failure).  path: removed at the end, if possible.
 * NULL with err.
 */
struct stream *stream_create(uv_loop_t *, int fd, const char *path,
    const struct stream_peers *, const struct stream_handler *, struct err *);
void stream_set_peers(struct stream *, const struct stream_peers *);
void stream_destroy(struct stream **); /* the loop must turn once more */

#endif
