/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer_server - one protocol of answer.h, served on one Unix socket.
 *
 * A connection may ask as often as it likes, also before it has read the
 * replies, and be idle as long as it likes: MTAs keep theirs.  One that sends
 * half a request or does not read its replies is closed after a while.  When
 * all places are taken, the one that has been idle longest makes room.  Nothing
 * waits for a connection, and each one's memory is bounded.
 */
#ifndef PERDITION_PBS_ANSWER_SERVER_H
#define PERDITION_PBS_ANSWER_SERVER_H

#include <stddef.h>
#include <uv.h>

#include "common/err.h"
#include "perdition-pbs/answer.h"
#include "perdition-pbs/listener.h"

struct answer_server;

struct answer_use {
	const struct answer_protocol *protocol;
	struct answer_source source; /* copied, what it borrows is not */
	size_t max;                  /* connections at once */
	unsigned int patience_ms;    /* with half requests and unread replies */
};

/*
 * Serves fd of listener_open() (taken, even on failure).  path: removed at the
 * end, if possible.  NULL with err.
 */
struct answer_server *answer_server_create(uv_loop_t *, int fd,
    const char *path, const struct listener_peers *, const struct answer_use *,
    struct err *);

/* Of new connections, and of replies from now on. */
void answer_server_change(struct answer_server *, const struct listener_peers *,
    const struct answer_source *);
void answer_server_destroy(
    struct answer_server **); /* the loop must turn once more */

#endif
