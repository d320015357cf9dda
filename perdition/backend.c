/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend - from a user's name to a connection that is logged in: lookup,
 * candidates in their order, the login there.
 *
 * A candidate that cannot be reached is followed by the next within the same
 * login, and the client never learns.  A real-server that has been told a
 * password is the last: its answer, or its silence, decides.
 */
#include "config.h"

#include "perdition/session_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "perdition/username.h"

#include "common/banned.h"

#define NO_SERVER "Could not determine server"
#define NO_CONNECTION "Could not connect to server"
#define NO_NEGOTIATION "Connection Negotiation Failure"
#define NO_LOGIN "Re-Authentication Failure"

static enum session_state next_candidate(struct session *);

/* --- lookup ------------------------------------------------------------- */

enum session_state
backend_lookup(struct session *s)
{
	struct login *l = s->login;
	struct slice user = dialogue_user(l);
	struct lookup_question q = { .client = s->client_addr,
		.local = s->local_addr };

	q.client_tls = s->client.tls != NULL;
	q.listener = (uint16_t)(s->listener - s->env->config->listeners);
	if (user.n > sizeof(q.user))
		return dialogue_refuse(s, REFUSE_CREDENTIALS, NO_SERVER, NULL);
	memcpy(q.user, user.p, user.n);
	q.user_len = user.n;
	l->question = lookup_client_ask(s->env->lookup, &q, s);
	if (l->question == 0) {
		log_event(LOG_ERR, "lookup-failed",
		    LOG_STR("why", "too many lookups under way"));
		return dialogue_refuse(s, REFUSE_TEMPORARY, NO_SERVER, NULL);
	}
	session_timer(s, (uint64_t)s->env->config->map_timeout * 1000);
	return SESSION_LOOKUP;
}

/*
 * The order in which candidates are tried: default servers from the next in
 * turn on, the addresses of one host together; those that failed of late
 * last.  0, or -1 with errno ENOMEM.
 */
static int
order_candidates(struct session *s, const struct lookup_answer *a)
{
	struct login *l = s->login;
	struct session_env *env = s->env;
	uint64_t now = loop_now(env->loop);
	size_t first = 0, hosts = 0, n = 0;

	l->candidate = calloc(a->n, sizeof(*l->candidate));
	if (l->candidate == NULL)
		return -1;
	for (size_t i = 0; i < a->n; i++)
		hosts += i == 0 || !a->candidate[i].same;
	if (a->defaults && hosts > 1) {
		size_t turn = shared_turn(env->shared) % hosts;

		for (first = 0; turn > 0; first++)
			turn -=
			    first + 1 == a->n || !a->candidate[first + 1].same;
	}
	for (int bad = 0; bad <= 1; bad++)
		for (size_t i = 0; i < a->n; i++) {
			const struct lookup_candidate *c =
			    &a->candidate[(first + i) % a->n];

			if (shared_server_penalised(
				env->shared, &c->addr, now) != (bad == 1))
				continue;
			l->candidate[n].addr = c->addr;
			l->candidate[n].tls = c->tls;
			memcpy(l->candidate[n].host, c->host, sizeof(c->host));
			n++;
		}
	l->candidates = n;
	l->next = 0;
	return 0;
}

/* The name to log in with.  0, or -1: too long, or nothing is left of it. */
static int
make_name(struct session *s, const struct lookup_answer *a)
{
	struct login *l = s->login;
	struct slice user =
	    a->has_user ? slice_make(a->user, a->user_len) : dialogue_user(l);
	long n = username_rewrite(s->env->config, NAME_REMOTE_LOGIN, user,
	    a->domain, l->name, sizeof(l->name));

	if (n <= 0)
		return -1;
	l->name_len = (size_t)n;
	return 0;
}

static enum session_state
found(struct session *s, const struct lookup_answer *a)
{
	switch (a->status) {
	case LOOKUP_FOUND:
		break;
	case LOOKUP_NONE: /* worded as a bad password is: no user list */
	case LOOKUP_DENIED:
		return dialogue_refuse(s, REFUSE_CREDENTIALS, NO_SERVER, NULL);
	case LOOKUP_FAILED: /* or clients would forget the password */
		log_event(LOG_ERR, "lookup-failed",
		    LOG_SLICE("user", dialogue_user(s->login)),
		    LOG_STR("why", a->text));
		return dialogue_refuse(s, REFUSE_TEMPORARY, NO_SERVER, NULL);
	}
	if (make_name(s, a) == -1)
		return dialogue_refuse(s, REFUSE_CREDENTIALS, NO_SERVER, NULL);
	if (order_candidates(s, a) == -1)
		return dialogue_refuse(s, REFUSE_TEMPORARY, NO_SERVER, NULL);
	s->login->self = false;
	s->login->trouble = NO_CONNECTION;
	return next_candidate(s);
}

enum session_state
backend_lookup_event(struct session *s, const struct event *ev)
{
	switch (ev->type) {
	case EVENT_ANSWER:
		s->login->question = 0;
		return found(s, ev->answer);
	case EVENT_TIMER:
		log_event(LOG_ERR, "lookup-failed",
		    LOG_SLICE("user", dialogue_user(s->login)),
		    LOG_STR("why", "no answer within map_timeout"));
		return dialogue_refuse(s, REFUSE_TEMPORARY, NO_SERVER, NULL);
	case EVENT_CLIENT:
		return dialogue_paused(s, ev);
	case EVENT_SERVER:
	case EVENT_NEXT:
		break;
	}
	return SESSION_LOOKUP;
}

/* --- connect ------------------------------------------------------------ */

static bool
is_self(const struct session *s, const struct addr *a)
{
	return addr_same_ip(a, &s->local_addr) && a->port == s->local_addr.port;
}

static enum session_state
no_candidate(struct session *s)
{
	struct login *l = s->login;

	if (l->self)
		return dialogue_refuse(s, REFUSE_LOOP, NO_SERVER, NULL);
	return dialogue_refuse(s, REFUSE_TEMPORARY, l->trouble, NULL);
}

/* The one that was tried last did not serve. */
static void
candidate_failed(struct session *s, const char *why, struct slice detail)
{
	struct login *l = s->login;
	const struct candidate *c = &l->candidate[l->next - 1];

	shared_server_failed(s->env->shared, &c->addr, loop_now(s->env->loop));
	log_event(LOG_WARNING, "server-failed", LOG_STR("server", c->host),
	    LOG_ADDR("address", &c->addr), LOG_STR("why", why),
	    LOG_SLICE("detail", detail));
}

static enum session_state
next_candidate(struct session *s)
{
	struct login *l = s->login;

	if (l->server != NULL)
		s->listener->protocol->server_destroy(&l->server);
	spares_buf_return(s->env->spares, &l->server_in);
	spares_buf_return(s->env->spares, &l->server_out);
	session_server_close(s);
	loop_timer_stop(&s->timer);
	/* The loop still holds the last socket's handle: EVENT_NEXT follows. */
	if (s->handles & SESSION_HANDLE_SERVER)
		return SESSION_CONNECT;
	while (l->next < l->candidates) {
		const struct candidate *c = &l->candidate[l->next++];
		int fd;

		if (is_self(s, &c->addr)) {
			log_event(LOG_ERR, "loop",
			    LOG_STR("why", "real-server is this listener"),
			    LOG_ADDR("server", &c->addr));
			l->self = true;
			continue;
		}
		fd = s->env->connect(s->env, &c->addr);
		if (fd != -1 && session_server_open(s, fd) == 0) {
			/* In TLS from the first byte we speak first. */
			conn_want(&s->server,
			    c->tls == TLS_IMPLICIT ? LOOP_WRITE : LOOP_READ);
			session_timer(s,
			    (uint64_t)s->env->config->connect_timeout * 1000);
			return SESSION_CONNECT;
		}
		candidate_failed(
		    s, "cannot connect", slice_str(strerror(errno)));
	}
	return no_candidate(s);
}

/* Whether the three-way handshake is done: then only the greeting is late. */
static bool
is_connected(const struct session *s)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	return getpeername(s->server.fd, (struct sockaddr *)&ss, &n) == 0;
}

static enum session_state
connected(struct session *s)
{
	struct login *l = s->login;
	const struct protocol *p = s->listener->protocol;
	enum tls_mode tls = l->candidate[l->next - 1].tls;
	struct slice id = { (const char *)&s->id, sizeof(s->id) };
	struct server_login who = {
		.user = slice_make(l->name, l->name_len),
		.password = &l->creds.password,
		.utf8 = l->creds.utf8,
		.need_capability = p->client_wants_capability(l->client),
		.hops = l->creds.hops,
		.nonce =
		    (uint32_t)shared_hash(s->env->shared, SLICE("tag"), id),
		.tls = s->server.tls != NULL,
		.want_tls = tls == TLS_STARTTLS || tls == TLS_STARTTLS_OPTIONAL,
		.need_tls = tls == TLS_STARTTLS,
	};

	if (l->creds.has_authz) {
		who.authz = who.user;
		who.user = slice_make(l->creds.user, l->creds.user_len);
	}
	session_timer(s, (uint64_t)s->env->config->server_timeout * 1000);
	l->server = p->server_create(&who);
	l->server_in = spares_buf(s->env->spares);
	l->server_out = spares_buf(s->env->spares);
	if (l->server == NULL && errno == EINVAL) {
		/* The client's own words were checked when they came: it is the
		 * map that gave a name which would be a command. */
		log_event(LOG_ERR, "bad-name",
		    LOG_SLICE("user", dialogue_user(l)),
		    LOG_SLICE("name", slice_make(l->name, l->name_len)));
		return dialogue_refuse(s, REFUSE_TEMPORARY, NO_LOGIN, NULL);
	}
	if (l->server == NULL || l->server_in == NULL || l->server_out == NULL)
		return dialogue_refuse(
		    s, REFUSE_TEMPORARY, NO_NEGOTIATION, NULL);
	return SESSION_SERVER;
}

enum session_state
backend_connect_event(struct session *s, const struct event *ev)
{
	struct event again = { .type = EVENT_SERVER, .ready = LOOP_READ };
	enum session_state next;
	int e = 0;
	socklen_t n = sizeof(e);

	switch (ev->type) {
	case EVENT_CLIENT:
		return dialogue_paused(s, ev);
	case EVENT_NEXT:
		return next_candidate(s);
	case EVENT_ANSWER:
		return SESSION_CONNECT;
	case EVENT_TIMER:
		if (s->login->candidate[s->login->next - 1].tls !=
			TLS_IMPLICIT &&
		    is_connected(s))
			return connected(s);
		candidate_failed(s, "no connection within connect_timeout",
		    slice_make(NULL, 0));
		return next_candidate(s);
	case EVENT_SERVER:
		break;
	}
	if (s->server.fd == -1)
		return SESSION_CONNECT;
	if (ev->ready & LOOP_ERROR) {
		(void)getsockopt(s->server.fd, SOL_SOCKET, SO_ERROR, &e, &n);
		candidate_failed(s, "cannot connect", slice_str(strerror(e)));
		return next_candidate(s);
	}
	if (s->login->candidate[s->login->next - 1].tls == TLS_IMPLICIT)
		return session_tls_connect(s);
	/* Its greeting is there. */
	next = connected(s);
	return next == SESSION_SERVER ? backend_server_event(s, &again) : next;
}

/* --- login at the real-server ------------------------------------------- */

enum session_state
backend_lost(struct session *s, const char *why, struct slice detail)
{
	candidate_failed(s, why, detail);
	s->login->trouble = NO_NEGOTIATION;
	if (s->login->server != NULL &&
	    s->listener->protocol->server_told(s->login->server))
		return dialogue_refuse(
		    s, REFUSE_TEMPORARY, NO_NEGOTIATION, NULL);
	return next_candidate(s);
}

/* 0 with all sent or waiting; -1: gone. */
static int
server_flush(struct session *s)
{
	struct buf *out = s->login->server_out;
	ssize_t w;

	if (buf_len(out) > 0) {
		w = conn_write(&s->server, buf_data(out));
		if (w == -1)
			return -1;
		buf_consume(out, (size_t)w);
	}
	conn_want(&s->server, LOOP_READ | (buf_len(out) > 0 ? LOOP_WRITE : 0));
	return 0;
}

static enum session_state
server_done(struct session *s, const struct server_result *r)
{
	struct login *l = s->login;

	/* Not before it has judged: one that takes connections and then hangs
	 * up would never gather a penalty. */
	shared_server_worked(s->env->shared, &l->candidate[l->next - 1].addr);
	if (r->ok)
		return relay_start(s);
	return dialogue_refuse(s, r->refusal, NO_LOGIN, r);
}

/* All that the real-server has said. */
static enum session_state
server_run(struct session *s)
{
	struct login *l = s->login;
	const struct protocol *p = s->listener->protocol;

	for (;;) {
		struct slice in = buf_data(l->server_in);
		size_t used = 0, said = buf_len(l->server_out);
		enum server_step step = p->server_parse(
		    l->server, in, &used, &l->result, l->server_out);

		if (s->env->config->connection_logging) {
			session_log_dialogue(
			    s, "server", slice_make(in.p, used), false);
			session_log_dialogue(s, "to-server",
			    slice_skip(buf_data(l->server_out), said), true);
		}
		buf_consume(l->server_in, used);
		/* Each answer has its own time; a server that says much and
		 * not what was asked gets no more. */
		if (buf_len(l->server_out) > said)
			session_timer(
			    s, (uint64_t)s->env->config->server_timeout * 1000);
		switch (step) {
		case SERVER_MORE:
			if (used > 0 && buf_len(l->server_in) > 0)
				continue;
			if (server_flush(s) == -1)
				return backend_lost(s, "lost connection",
				    slice_str(strerror(errno)));
			return SESSION_SERVER;
		case SERVER_DONE:
			return server_done(s, &l->result);
		case SERVER_STARTTLS:
			/* The parser has made sure that nothing followed. */
			buf_clear(l->server_in);
			return session_tls_connect(s);
		case SERVER_UNUSABLE:
			break;
		}
		return backend_lost(s, "unusable",
		    slice_make(l->result.text, l->result.text_len));
	}
}

enum session_state
backend_secured(struct session *s)
{
	struct login *l = s->login;
	enum session_state next = SESSION_SERVER;

	session_timer(s, (uint64_t)s->env->config->server_timeout * 1000);
	if (l->server == NULL)
		next = connected(s);
	else
		s->listener->protocol->server_tls_started(
		    l->server, l->server_out);
	if (next == SESSION_SERVER && server_flush(s) == -1)
		return backend_lost(
		    s, "lost connection", slice_str(strerror(errno)));
	return next;
}

enum session_state
backend_server_event(struct session *s, const struct event *ev)
{
	char *room;
	size_t n;
	ssize_t r;

	switch (ev->type) {
	case EVENT_CLIENT:
		return dialogue_paused(s, ev);
	case EVENT_TIMER:
		return backend_lost(
		    s, "no answer within server_timeout", slice_make(NULL, 0));
	case EVENT_ANSWER:
	case EVENT_NEXT:
		return SESSION_SERVER;
	case EVENT_SERVER:
		break;
	}
	if ((ev->ready & LOOP_WRITE) && server_flush(s) == -1)
		return backend_lost(
		    s, "lost connection", slice_str(strerror(errno)));
	if (!(ev->ready & (LOOP_READ | LOOP_ERROR)))
		return SESSION_SERVER;
	n = buf_reserve(s->login->server_in, &room);
	r = conn_read(&s->server, room, n);
	if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return SESSION_SERVER;
	if (r <= 0)
		return backend_lost(s, "lost connection",
		    slice_str(r == 0 ? "closed" : strerror(errno)));
	buf_commit(s->login->server_in, (size_t)r);
	return server_run(s);
}
