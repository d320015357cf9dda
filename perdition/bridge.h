/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge - bytes both ways between a client and its real-server.
 *
 * Holds nothing while nothing waits: bytes go through one buffer, or for bulk
 * in clear through one pipe, that all sessions of a worker share, and only what
 * a slow reader did not take is kept, at most BRIDGE_PIECE a direction; until
 * that is gone, nothing more is read for it.
 */
#ifndef PERDITION_BRIDGE_H
#define PERDITION_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition/conn.h"

#define BRIDGE_PIECE 65536 /* bytes read at once */

/* What all bridges of a worker move bytes with. */
struct bridge_tools {
	char *scratch; /* BRIDGE_PIECE bytes, undefined between two calls */
	bool has_pipe;
	int pipe[2]; /* empty between two calls */
};

struct bridge_flow {
	char *kept; /* NULL: nothing waits */
	uint32_t off, n;
	bool ended;    /* its source has sent all */
	bool told_end; /* and its sink knows */
	bool bulk;     /* there was much the last time: more may come */
};

struct bridge {
	struct bridge_flow up, down; /* to the server, to the client */
	uint64_t received, sent;     /* bytes from, to the client */
};

enum bridge_state {
	BRIDGE_GOES_ON,
	BRIDGE_ENDED,  /* both have ended, or the server has and all is sent */
	BRIDGE_BROKEN, /* a socket failed; errno tells */
};

/* 0, or -1 with errno ENOMEM.  Without a pipe all is copied. */
int bridge_tools_open(struct bridge_tools *);
void bridge_tools_close(struct bridge_tools *);

/*
 * Bytes that are to go before all others (pipelined behind the login, or the
 * reply to it): copied.  0, or -1 with errno ENOMEM.
 */
int bridge_first(struct bridge_flow *, struct slice first, struct slice second);

/* Start: writes what bridge_first() left, sets what both conns wait for. */
enum bridge_state bridge_start(
    struct bridge *, struct conn *client, struct conn *server);

/* One of the two is ready. */
enum bridge_state bridge_ready(struct bridge *, struct conn *client,
    struct conn *server, bool from_client, unsigned int events,
    struct bridge_tools *);

void bridge_clear(struct bridge *);

#endif
