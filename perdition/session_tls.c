/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session_tls - the handshakes of a session: with the client, and with the
 * real-server.
 *
 * Neither side goes on in clear when one fails: the client's connection ends,
 * the real-server is followed by the next candidate.
 */
#include "config.h"

#include "perdition/session_state.h"

#include <errno.h>

#include "common/log.h"
#include "perdition/tls/tls.h"
#include "perdition/tls/tls_listen.h"
#include "perdition/tls/tls_outgoing.h"

#include "common/banned.h"

static void
log_done(const struct session *s, const char *side, const struct tls *tls)
{
	if (!log_wants(LOG_DEBUG))
		return;
	log_event(LOG_DEBUG, "tls", LOG_U64("sid", s->id),
	    LOG_STR("side", side), LOG_STR("version", tls_version(tls)),
	    LOG_STR("cipher", tls_cipher(tls)),
	    LOG_STR("resumed", tls_resumed(tls) ? "yes" : "no"),
	    LOG_STR("name", tls_server_name(tls)));
}

/* --- the client --------------------------------------------------------- */

static enum session_state
client_failed(struct session *s, const char *why)
{
	log_event(LOG_INFO, "tls-failed", LOG_U64("sid", s->id),
	    LOG_ADDR("client", &s->client_addr), LOG_STR("why", why));
	return SESSION_CLOSED;
}

static enum session_state
client_step(struct session *s)
{
	struct err err;

	switch (conn_handshake(&s->client, &err)) {
	case 0:
		return SESSION_TLS;
	case 1:
		log_done(s, "client", s->client.tls);
		return dialogue_secured(s);
	default:
		return client_failed(s, err.msg);
	}
}

enum session_state
session_tls_accept(struct session *s)
{
	struct tls *tls =
	    tls_listen_accept(s->env->tls_listen, s->listener, s->client.fd);

	if (tls == NULL)
		return client_failed(s, strerror(errno));
	conn_start_tls(&s->client, tls);
	dialogue_timer(
	    s, (uint64_t)s->env->config->ssl_handshake_timeout * 1000);
	conn_want(&s->client, LOOP_READ);
	return SESSION_TLS;
}

enum session_state
session_tls_event(struct session *s, const struct event *ev)
{
	if (ev->type == EVENT_TIMER)
		return client_failed(s, "no handshake in time");
	if (ev->type != EVENT_CLIENT)
		return SESSION_TLS;
	return s->client.tls == NULL ? dialogue_starttls(s) : client_step(s);
}

bool
session_tls_user_ok(const struct session *s)
{
	unsigned int field = s->env->config->ssl_client_cert_user;
	const struct credentials *creds = &s->login->creds;
	char name[AUTH_USER_MAX];
	size_t n = 0;

	if (field == 0)
		return true;
	if (s->client.tls != NULL)
		n = tls_peer_user(
		    s->client.tls, (int)field, name, sizeof(name));
	if (n > 0 && slice_eq(slice_make(name, n),
			 slice_make(creds->user, creds->user_len)))
		return true;
	log_event(LOG_NOTICE, "certificate-user",
	    LOG_ADDR("client", &s->client_addr),
	    LOG_SLICE("user", slice_make(creds->user, creds->user_len)),
	    LOG_SLICE("certificate", slice_make(name, n)));
	return false;
}

enum auth_tls
session_tls_client(const struct session *s)
{
	if (s->client.tls == NULL)
		return AUTH_PLAINTEXT;
	return s->listener->tls == TLS_IMPLICIT ? AUTH_SSL : AUTH_STARTTLS;
}

enum auth_tls
session_tls_server(const struct session *s)
{
	const struct login *l = s->login;

	if (s->identity != NULL)
		return (enum auth_tls)s->identity->server_tls;
	if (s->server.tls == NULL || l->next == 0)
		return AUTH_PLAINTEXT;
	return l->candidate[l->next - 1].tls == TLS_IMPLICIT ? AUTH_SSL
							     : AUTH_STARTTLS;
}

/* --- the real-server ---------------------------------------------------- */

static enum session_state
server_step(struct session *s)
{
	struct err err;

	switch (conn_handshake(&s->server, &err)) {
	case 0:
		return SESSION_SERVER_TLS;
	case 1:
		log_done(s, "server", s->server.tls);
		return backend_secured(s);
	default:
		return backend_lost(s, "no TLS", slice_str(err.msg));
	}
}

enum session_state
session_tls_connect(struct session *s)
{
	const struct login *l = s->login;
	const struct candidate *c = &l->candidate[l->next - 1];
	struct err err;
	struct tls *tls = tls_outgoing_connect(s->env->tls_outgoing, c->host,
	    &c->addr, s->listener->protocol->alpn, s->server.fd, &err);

	if (tls == NULL)
		return backend_lost(s, "no TLS", slice_str(err.msg));
	conn_start_tls(&s->server, tls);
	session_timer(
	    s, (uint64_t)s->env->config->ssl_handshake_timeout * 1000);
	return server_step(s);
}

enum session_state
session_tls_server_event(struct session *s, const struct event *ev)
{
	switch (ev->type) {
	case EVENT_CLIENT:
		return dialogue_paused(s, ev);
	case EVENT_TIMER:
		return backend_lost(s, "no TLS",
		    SLICE("no handshake within "
			  "ssl_handshake_timeout"));
	case EVENT_SERVER:
		return server_step(s);
	case EVENT_ANSWER:
	case EVENT_NEXT:
		break;
	}
	return SESSION_SERVER_TLS;
}
