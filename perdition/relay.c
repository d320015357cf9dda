/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay - the session after its login: bytes both ways until either side ends.
 *
 * What the login needed is gone by then; a session that idles here is what
 * most sessions of a mail proxy are, so it holds next to nothing.  Its one
 * timer is not touched by traffic: when it fires it looks whether anything has
 * happened.
 */
#include "config.h"

#include "perdition/session_state.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#include "common/banned.h"

#define LINGER_MS 60000 /* for the server to end after the client has */

static struct identity *
identity_create(struct session *s)
{
	const struct login *l = s->login;
	char server[AUTH_SERVER_MAX], *p;
	size_t server_len = session_server_text(s, server);
	size_t n = sizeof(struct identity) + l->creds.user_len +
		   l->creds.authz_len + server_len;
	struct identity *id =
	    n <= sizeof(s->room) ? &s->room.identity : malloc(n);

	if (id == NULL)
		return NULL;
	id->user_len = (uint16_t)l->creds.user_len;
	id->authz_len = (uint16_t)l->creds.authz_len;
	id->server_len = (uint16_t)server_len;
	id->has_authz = l->creds.has_authz;
	id->server_tls = (uint8_t)session_tls_server(s);
	p = id->bytes;
	memcpy(p, l->creds.user, l->creds.user_len);
	p += l->creds.user_len;
	memcpy(p, l->creds.authz, l->creds.authz_len);
	p += l->creds.authz_len;
	memcpy(p, server, server_len);
	return id;
}

/* How long nothing may pass, in ms; 0: for ever. */
static uint64_t
idle_limit(const struct session *s)
{
	if (s->bridge.up.ended)
		return LINGER_MS;
	return (uint64_t)s->env->config->timeout * 1000;
}

static void
timer_set(struct session *s)
{
	uint64_t now = loop_now(s->env->loop), due = UINT64_MAX;
	uint64_t limit = idle_limit(s);

	if (limit != 0)
		due = s->last_active + limit;
	if (s->env->config->connect_relog != 0 && s->relog_due < due)
		due = s->relog_due;
	if (due == UINT64_MAX)
		loop_timer_stop(&s->timer);
	else
		session_timer(s, due > now ? due - now : 0);
}

static enum session_state
timer_event(struct session *s)
{
	uint64_t now = loop_now(s->env->loop), limit = idle_limit(s);

	if (limit != 0 && now - s->last_active >= limit) {
		log_event(LOG_INFO, "idle", LOG_U64("sid", s->id),
		    LOG_ADDR("client", &s->client_addr));
		return SESSION_CLOSED;
	}
	if (s->env->config->connect_relog != 0 && now >= s->relog_due) {
		session_log_auth(s, AUTH_RELOG);
		s->relog_due =
		    now + (uint64_t)s->env->config->connect_relog * 1000;
	}
	timer_set(s);
	return SESSION_RELAY;
}

enum session_state
relay_start(struct session *s)
{
	struct login *l = s->login;
	const struct slice none = slice_make(NULL, 0);
	enum bridge_state b;

	if (l->out == NULL)
		l->out = spares_buf(s->env->spares);
	s->identity = identity_create(s);
	if (s->identity == NULL || l->out == NULL)
		return SESSION_CLOSED;
	s->listener->protocol->client_accept(l->client, &l->result, l->out);
	if (s->env->config->connection_logging)
		session_log_dialogue(s, "perdition", buf_data(l->out), false);
	/* What came behind the login, on either side, is not ours to read. */
	if (bridge_first(&s->bridge.down, buf_data(l->out),
		buf_data(l->server_in)) == -1 ||
	    bridge_first(&s->bridge.up, l->in == NULL ? none : buf_data(l->in),
		none) == -1)
		return SESSION_CLOSED;
	session_log_auth(s, AUTH_LOGIN);
	session_login_free(s);
	s->last_active = loop_now(s->env->loop);
	s->relog_due =
	    s->last_active + (uint64_t)s->env->config->connect_relog * 1000;
	timer_set(s);
	b = bridge_start(&s->bridge, &s->client, &s->server);
	return b == BRIDGE_GOES_ON ? SESSION_RELAY : SESSION_CLOSED;
}

enum session_state
relay_event(struct session *s, const struct event *ev)
{
	bool client_ended = s->bridge.up.ended;
	enum bridge_state b;

	if (ev->type == EVENT_TIMER)
		return timer_event(s);
	if (ev->type != EVENT_CLIENT && ev->type != EVENT_SERVER)
		return SESSION_RELAY;
	s->last_active = loop_now(s->env->loop);
	b = bridge_ready(&s->bridge, &s->client, &s->server,
	    ev->type == EVENT_CLIENT, ev->ready, &s->env->tools);
	if (b != BRIDGE_GOES_ON)
		return SESSION_CLOSED;
	if (s->bridge.up.ended && !client_ended)
		timer_set(s);
	return SESSION_RELAY;
}
