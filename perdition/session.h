/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session - one client from its greeting to its end.
 *
 * One state, one handler a state; a handler gets an event and returns the next
 * state.  Knows no protocol's words (perdition/protocol/) and not how a user's
 * server is found (the lookup processes).
 */
#ifndef PERDITION_SESSION_H
#define PERDITION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "perdition/bridge.h"
#include "perdition/config.h"
#include "perdition/logq.h"
#include "perdition/lookup_client.h"
#include "perdition/loop.h"
#include "perdition/shared.h"

struct session;
struct tls_listen;
struct tls_outgoing;
struct slab_pool;
struct spares;

/* What all sessions of one worker share; owned by the worker. */
struct session_env {
	const struct config *config;
	struct loop *loop;
	struct shared *shared;
	unsigned int slot; /* the worker's, in shared */
	struct logq *log;
	struct lookup_client *lookup;
	struct tls_listen *tls_listen; /* NULL: no listener has TLS */
	struct tls_outgoing *tls_outgoing;
	/*
	 * Begins a TCP connection.  Returns a non-blocking, close-on-exec
	 * socket, or -1 with errno.
	 */
	int (*connect)(struct session_env *, const struct addr *);
	void (*ended)(struct session_env *); /* after each session's end */

	/* The sessions' own: */
	struct bridge_tools tools;
	struct slab_pool *sessions; /* their memory */
	struct spares *spares;
	struct session *first; /* all living sessions */
	size_t count;
	struct session *announce; /* next to be announced, or NULL */
	struct loop_timer announce_timer;
	uint64_t last_id;
};

/* 0, or -1 with errno.  The fields above "own" are set by the caller. */
int session_env_init(struct session_env *);
/* Before the loop ends, when every session has been told to... */
void session_env_stop(struct session_env *);
/* ...and after it: until then their handles hold them. */
void session_env_clear(struct session_env *);

/*
 * Greet a client, or turn it away when a limit is reached.  Takes fd.
 * listener: index in config.listeners.  local: where it connected to.
 */
void session_start(struct session_env *, size_t listener, int fd,
    const struct addr *client, const struct addr *local);

/* For lookup_client_create(). */
void session_answered(void *session, const struct lookup_answer *);

/* Write the Auth line of every living session again, some at a time. */
void session_announce_all(struct session_env *);

/* End all sessions now, with their Closing lines. */
void session_end_all(struct session_env *);

#endif
