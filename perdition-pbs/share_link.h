/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_link - one connection to a Redis server: commands out, replies in
 * their order.
 *
 * hiredis formats and parses; the connection is ours, since hiredis resolves
 * names while all else waits, and TLS came only with its version 1.0.  Never
 * blocks: a name is looked up by a thread, and a server that does not answer
 * is given up.  Knows no command.
 */
#ifndef PERDITION_PBS_SHARE_LINK_H
#define PERDITION_PBS_SHARE_LINK_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/slice.h"
#include "perdition-pbs/share_tls.h"

#define SHARE_LINK_PENDING 64 /* commands that wait for their replies */
#define SHARE_LINK_ARGS 16    /* words of a command */
#define SHARE_LINK_CONNECT_MS 2000

struct share_link;

/* The link may be closed from within.  r is of hiredis, and freed behind. */
typedef void share_reply(void *arg, const redisReply *r);

struct share_link_config {
	uv_loop_t *loop;
	const char *host;      /* a name, an address, or a Unix socket's path */
	unsigned int port;     /* 0: Unix */
	struct share_tls *tls; /* NULL: in clear; borrowed */
	unsigned int answer_ms; /* that a reply may take */
	/* Once, when it has failed; why: in words.  The link is to be closed.
	 */
	void (*failed)(void *arg, const char *why);
	void *arg; /* of failed and of replies */
};

/* Everything is copied but tls.  NULL with errno ENOMEM. */
struct share_link *share_link_open(const struct share_link_config *);

/* No callback comes any more.  Freed when the loop has turned. */
void share_link_close(struct share_link **);

/*
 * Sends a command, once connected.  fn gets its reply.  0, or -1 when there is
 * no room (SHARE_LINK_PENDING) or the link has failed.
 */
int share_link_send(
    struct share_link *, share_reply *fn, const struct slice *words, size_t n);

/* Sends now what waits, not when the turn is over; may call failed. */
void share_link_push(struct share_link *);

#endif
