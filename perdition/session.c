/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session - a session's life and the one place that changes its state.
 */
#include "config.h"

#include "perdition/session.h"
#include "perdition/session_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#include "common/banned.h"

#define ANNOUNCE_STEP 256 /* sessions in one turn of the loop */
#define SESSION_OF(p, member)                                                  \
	((struct session *)(void *)((char *)(p)-offsetof(                      \
	    struct session, member)))

static void session_dispatch(struct session *, const struct event *);

static enum session_state
closed_event(struct session *s, const struct event *ev)
{
	(void)s;
	(void)ev;
	return SESSION_CLOSED;
}

static const struct {
	const char *name; /* as logged */
	enum session_state (*handle)(struct session *, const struct event *);
} states[SESSION_STATE_COUNT] = {
	[SESSION_TLS] = { "tls", session_tls_event },
	[SESSION_COMMAND] = { "command", dialogue_event },
	[SESSION_LOOKUP] = { "lookup", backend_lookup_event },
	[SESSION_CONNECT] = { "connect", backend_connect_event },
	[SESSION_SERVER_TLS] = { "server-tls", session_tls_server_event },
	[SESSION_SERVER] = { "server", backend_server_event },
	[SESSION_REFUSED] = { "refused", dialogue_refused_event },
	[SESSION_RELAY] = { "relay", relay_event },
	[SESSION_FAREWELL] = { "farewell", dialogue_farewell_event },
	[SESSION_CLOSED] = { "closed", closed_event },
};

/* --- life --------------------------------------------------------------- */

int
session_env_init(struct session_env *env)
{
	int opened = bridge_tools_open(&env->tools);

	env->sessions = slab_pool_create(sizeof(struct session));
	env->spares =
	    spares_create(env->loop, PROTOCOL_INPUT_MAX, sizeof(struct login));
	if (opened == -1 || env->sessions == NULL || env->spares == NULL) {
		session_env_stop(env);
		session_env_clear(env);
		return -1;
	}
	env->announce_timer.fire = NULL;
	return 0;
}

void
session_env_stop(struct session_env *env)
{
	spares_destroy(&env->spares);
	if (env->announce_timer.fire != NULL)
		loop_timer_close(&env->announce_timer, NULL);
	env->announce_timer.fire = NULL;
}

void
session_env_clear(struct session_env *env)
{
	slab_pool_destroy(&env->sessions);
	bridge_tools_close(&env->tools);
}

void
session_attempt_clear(struct session *s)
{
	struct login *l = s->login;
	const struct protocol *p = s->listener->protocol;

	if (l->active)
		shared_count_add(
		    s->env->shared, s->env->slot, l->user_hash, -1);
	l->active = false;
	lookup_client_forget(s->env->lookup, l->question);
	l->question = 0;
	credentials_clear(&l->creds);
	if (l->server != NULL)
		p->server_destroy(&l->server);
	spares_buf_return(s->env->spares, &l->server_in);
	spares_buf_return(s->env->spares, &l->server_out);
	free(l->candidate);
	l->candidate = NULL;
	l->candidates = l->next = 0;
	l->name_len = 0;
	l->trouble = NULL;
}

void
session_login_free(struct session *s)
{
	struct login *l = s->login;

	if (l == NULL)
		return;
	session_attempt_clear(s);
	if (l->client != NULL)
		s->listener->protocol->client_destroy(&l->client);
	spares_buf_return(s->env->spares, &l->in);
	spares_buf_return(s->env->spares, &l->out);
	spares_block_return(s->env->spares, s->login);
	s->login = NULL;
}

static void
handle_gone(struct session *s, unsigned int handle)
{
	s->handles &= ~handle;
	if (s->state == SESSION_CLOSED) {
		if (s->handles == 0)
			slab_free(s->env->sessions, s);
		return;
	}
	if (handle == SESSION_HANDLE_SERVER && s->state == SESSION_CONNECT)
		session_dispatch(s, &(struct event){ .type = EVENT_NEXT });
}

static void
client_gone(struct loop_io *io)
{
	handle_gone(SESSION_OF(io, client.io), SESSION_HANDLE_CLIENT);
}

static void
server_gone(struct loop_io *io)
{
	handle_gone(SESSION_OF(io, server.io), SESSION_HANDLE_SERVER);
}

static void
timer_gone(struct loop_timer *t)
{
	handle_gone(SESSION_OF(t, timer), SESSION_HANDLE_TIMER);
}

void
session_server_close(struct session *s)
{
	conn_close(&s->server, server_gone);
}

static void
unlink_session(struct session *s)
{
	struct session_env *env = s->env;

	if (env->announce == s)
		env->announce = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		env->first = s->next;
	env->count--;
	shared_sessions_add(env->shared, env->slot, -1);
	if (s->address_hash != 0)
		shared_count_add(env->shared, env->slot, s->address_hash, -1);
}

/* Everything but the memory, which the loop still uses until it lets go. */
static void
session_end(struct session *s)
{
	struct session_env *env = s->env;

	session_log_close(s);
	session_login_free(s);
	bridge_clear(&s->bridge);
	if (s->identity != &s->room.identity)
		free(s->identity);
	s->identity = NULL;
	unlink_session(s);
	session_server_close(s);
	conn_close(&s->client, client_gone);
	loop_timer_close(&s->timer, timer_gone);
	spares_freed(env->spares);
	env->ended(env);
}

static void
session_dispatch(struct session *s, const struct event *ev)
{
	enum session_state next;

	if (s->state == SESSION_CLOSED)
		return;
	logq_set_ident(s->env->log, s->listener->protocol->name);
	next = states[s->state].handle(s, ev);
	if (next == s->state)
		return;
	if (log_wants(LOG_DEBUG))
		log_event(LOG_DEBUG, "state", LOG_U64("sid", s->id),
		    LOG_STR("from", states[s->state].name),
		    LOG_STR("to", states[next].name));
	s->state = next;
	if (next == SESSION_CLOSED)
		session_end(s);
}

/* --- what the loop calls ------------------------------------------------ */

static void
client_ready(struct loop_io *io, unsigned int ready)
{
	session_dispatch(SESSION_OF(io, client.io),
	    &(struct event){ .type = EVENT_CLIENT,
		.ready =
		    conn_events(&SESSION_OF(io, client.io)->client, ready) });
}

static void
server_ready(struct loop_io *io, unsigned int ready)
{
	session_dispatch(SESSION_OF(io, server.io),
	    &(struct event){ .type = EVENT_SERVER,
		.ready =
		    conn_events(&SESSION_OF(io, server.io)->server, ready) });
}

static void
timer_fire(struct loop_timer *t)
{
	session_dispatch(
	    SESSION_OF(t, timer), &(struct event){ .type = EVENT_TIMER });
}

void
session_answered(void *session, const struct lookup_answer *answer)
{
	session_dispatch(
	    session, &(struct event){ .type = EVENT_ANSWER, .answer = answer });
}

int
session_server_open(struct session *s, int fd)
{
	if (conn_open(s->env->loop, &s->server, fd, server_ready) == -1)
		return -1;
	s->handles |= SESSION_HANDLE_SERVER;
	return 0;
}

void
session_timer(struct session *s, uint64_t ms)
{
	loop_timer_start(&s->timer, ms);
}

/* --- start -------------------------------------------------------------- */

static bool
over_limit(struct session *s)
{
	struct session_env *env = s->env;
	const struct config *c = env->config;
	const char *limit = NULL;

	if (c->connection_limit != 0 &&
	    shared_sessions(env->shared) > c->connection_limit)
		limit = "connection_limit";
	if (c->connection_limit_per_address != 0) {
		struct slice ip = { (const char *)&s->client_addr.ip,
			sizeof(s->client_addr.ip) };

		s->address_hash =
		    shared_hash(env->shared, SLICE("address"), ip);
		if (shared_count_add(env->shared, env->slot, s->address_hash,
			1) > c->connection_limit_per_address)
			limit = "connection_limit_per_address";
	}
	if (limit == NULL)
		return false;
	log_event(LOG_NOTICE, "too-many-connections", LOG_STR("limit", limit),
	    LOG_ADDR("client", &s->client_addr));
	return true;
}

static void
link_session(struct session *s)
{
	struct session_env *env = s->env;

	s->next = env->first;
	if (s->next != NULL)
		s->next->prev = s;
	env->first = s;
	env->count++;
	shared_sessions_add(env->shared, env->slot, 1);
}

static enum session_state
first_state(struct session *s)
{
	bool tls = s->listener->tls == TLS_IMPLICIT;

	if (over_limit(s)) /* no words of ours before the handshake */
		return tls ? SESSION_CLOSED
			   : dialogue_farewell(s, FAREWELL_TOO_MANY);
	return tls ? session_tls_accept(s) : dialogue_greet(s);
}

void
session_start(struct session_env *env, size_t listener, int fd,
    const struct addr *client, const struct addr *local)
{
	struct session *s = slab_alloc(env->sessions);

	if (s == NULL) {
		log_event(LOG_ERR, "out-of-memory", LOG_STR("what", "session"));
		close(fd);
		return;
	}
	s->env = env;
	s->listener = &env->config->listeners[listener];
	s->id = (uint64_t)env->slot << 48 | ++env->last_id;
	s->client_addr = *client;
	s->local_addr = *local;
	s->server.fd = -1;
	s->began = loop_now(env->loop);
	if (conn_open(env->loop, &s->client, fd, client_ready) == -1) {
		log_event(LOG_ERR, "out-of-memory", LOG_STR("what", "socket"));
		slab_free(env->sessions, s);
		return;
	}
	loop_timer_open(env->loop, &s->timer, timer_fire);
	s->handles = SESSION_HANDLE_CLIENT | SESSION_HANDLE_TIMER;
	link_session(s);
	session_log_connect(s);
	s->state = dialogue_open(s) == -1 ? SESSION_CLOSED : first_state(s);
	if (s->state == SESSION_CLOSED)
		session_end(s);
}

/* --- all of a worker ---------------------------------------------------- */

static void
announce_step(struct loop_timer *t)
{
	struct session_env *env =
	    (struct session_env *)(void *)((char *)t -
					   offsetof(struct session_env,
					       announce_timer));

	for (int i = 0; i < ANNOUNCE_STEP && env->announce != NULL; i++) {
		struct session *s = env->announce;

		env->announce = s->next;
		if (s->state == SESSION_RELAY)
			session_log_auth(s, AUTH_RELOG);
	}
	if (env->announce != NULL)
		loop_timer_start(t, 1);
}

void
session_announce_all(struct session_env *env)
{
	if (env->announce_timer.fire == NULL)
		loop_timer_open(env->loop, &env->announce_timer, announce_step);
	env->announce = env->first;
	loop_timer_start(&env->announce_timer, 0);
}

void
session_end_all(struct session_env *env)
{
	while (env->first != NULL) {
		struct session *s = env->first;

		/* In a relay a word of ours could end up inside a message. */
		if (s->state == SESSION_COMMAND)
			(void)dialogue_farewell(s, FAREWELL_SHUTDOWN);
		s->state = SESSION_CLOSED;
		session_end(s);
	}
}
