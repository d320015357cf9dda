/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener - a Unix socket, and who may connect to it.
 *
 * Who connects is known from SO_PEERCRED, not from the mode of the socket.
 * Connections are counted, so that there are never more than asked for, and
 * whoever is refused costs neither the loop nor the log much.  Knows nothing
 * of what is said on them.
 */
#ifndef PERDITION_PBS_LISTENER_H
#define PERDITION_PBS_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "common/err.h"

struct listener;

/*
 * Makes and listens on the socket.  A file left by a daemon that was killed
 * is replaced; one where somebody answers is not.  uid, gid: whose it is to
 * be, or -1.  -1 with err set to an errno value (EADDRINUSE).
 */
int listener_open(
    const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err);

struct listener_peers {
	const uid_t *uids; /* may connect; borrowed */
	size_t n;
	uid_t self; /* may, like root, connect and is privileged */
};

struct listener_use {
	size_t max;         /* connections at once; further ones wait */
	const char *event;  /* logged of who is refused */
	const char *reason; /* and why */
	/* Takes fd, which does not block, even with false: nothing came of
	 * it.  With true a place is taken until listener_release(). */
	bool (*accepted)(void *arg, int fd, uid_t uid, bool privileged);
	/* All places are taken and one more waits: may end a connection.
	 * NULL: let it wait. */
	void (*make_room)(void *arg);
	void *arg;
};

/* Serves fd (taken, even on failure).  path: removed at the end, if possible.
 * NULL with err. */
struct listener *listener_create(uv_loop_t *, int fd, const char *path,
    const struct listener_peers *, const struct listener_use *, struct err *);
void listener_set_peers(struct listener *, const struct listener_peers *);
size_t listener_count(const struct listener *); /* places taken */
void listener_release(struct listener *);       /* one connection has ended */
/* Accepts who waits now, some of them, as the loop would in its next turn. */
void listener_accept(struct listener *);
void listener_destroy(struct listener **); /* the loop must turn once more */

#endif
