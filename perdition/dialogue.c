/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dialogue - the client before its login has succeeded: commands in, replies
 * out, refusals after their delay.
 *
 * Reading goes on only while there is something to do with what is read: a
 * client that does not take its replies, or that waits for its login, is not
 * read from.
 */
#include "config.h"

#include "perdition/session_state.h"

#include <errno.h>
#include <stdlib.h>

#include "common/log.h"

#include "common/banned.h"

#define BAD_COMMANDS_MAX 10 /* a connection; then it is closed */
#define FAILED_LOGINS_MAX 5 /* the same */
#define DELAY_DOUBLINGS 3   /* of failure_delay: 1, 2, 4, 8 times */
#define HOPS_MAX 8          /* perditions in a row, told by the tag */
/* Of one user under way on this host: beyond, it is proxies that point at
 * each other. */
#define USER_LOGINS_MAX 64
#define FAREWELL_MS 10000 /* for a client to take our last words */

int
dialogue_open(struct session *s)
{
	struct login *l = spares_block(s->env->spares);

	s->login = l;
	if (l != NULL)
		l->client = s->listener->protocol->client_create(
		    &s->listener->settings);
	if (l != NULL && l->client != NULL)
		return 0;
	log_event(LOG_ERR, "out-of-memory", LOG_STR("what", "login"));
	return -1;
}

/* The client's output buffer, made when first needed; NULL: no memory. */
static struct buf *
out_buf(struct session *s)
{
	if (s->login->out == NULL)
		s->login->out = spares_buf(s->env->spares);
	return s->login->out;
}

/*
 * Send what waits.  0 with the buffer given back if all went; -1: the client
 * is gone.
 */
static int
flush(struct session *s)
{
	struct login *l = s->login;
	ssize_t w;

	if (l->out == NULL)
		return 0;
	if (buf_len(l->out) > 0) {
		w = conn_write(&s->client, buf_data(l->out));
		if (w == -1)
			return -1;
		buf_consume(l->out, (size_t)w);
	}
	if (buf_len(l->out) == 0)
		spares_buf_return(s->env->spares, &l->out);
	return 0;
}

static void
want(struct session *s, unsigned int read)
{
	conn_want(&s->client, read | (s->login->out != NULL ? LOOP_WRITE : 0));
}

void
dialogue_timer(struct session *s, uint64_t ms)
{
	const struct config *c = s->env->config;
	uint64_t now = loop_now(s->env->loop), left;

	if (c->login_time != 0) {
		left = s->began + (uint64_t)c->login_time * 1000;
		left = left > now ? left - now : 0;
		if (ms == 0 || left < ms)
			ms = left;
	}
	if (ms == 0 && c->login_time == 0)
		loop_timer_stop(&s->timer);
	else
		session_timer(s, ms);
}

/* The idle time-out, but never past the time for the whole login. */
static void
command_timer(struct session *s)
{
	dialogue_timer(
	    s, (uint64_t)s->env->config->authenticate_timeout * 1000);
}

/* Close once all that waits is sent. */
static enum session_state
finish(struct session *s)
{
	if (flush(s) == -1 || s->login->out == NULL)
		return SESSION_CLOSED;
	session_timer(s, FAREWELL_MS);
	want(s, 0);
	return SESSION_FAREWELL;
}

enum session_state
dialogue_farewell(struct session *s, enum farewell why)
{
	struct buf *out = out_buf(s);

	if (out == NULL)
		return SESSION_CLOSED;
	s->listener->protocol->client_farewell(s->login->client, why, out);
	return finish(s);
}

enum session_state
dialogue_farewell_event(struct session *s, const struct event *ev)
{
	if (ev->type == EVENT_TIMER)
		return SESSION_CLOSED;
	if (ev->type != EVENT_CLIENT || (ev->ready & LOOP_ERROR))
		return ev->type == EVENT_CLIENT ? SESSION_CLOSED
						: SESSION_FAREWELL;
	if (flush(s) == -1 || s->login->out == NULL)
		return SESSION_CLOSED;
	return SESSION_FAREWELL;
}

enum session_state
dialogue_greet(struct session *s)
{
	const struct config *c = s->env->config;
	char host[ADDR_TEXT_MAX];
	struct slice name;
	struct buf *out = out_buf(s);

	if (out == NULL)
		return SESSION_CLOSED;
	/* A name of the local address would need a resolver: the address
	 * itself is as good for telling hosts apart. */
	addr_write_ip(&s->local_addr, host);
	name = slice_str(c->no_bind_banner ? c->host : host);
	s->listener->protocol->client_greet(s->login->client, name, out);
	if (flush(s) == -1)
		return SESSION_CLOSED;
	command_timer(s);
	want(s, LOOP_READ);
	return SESSION_COMMAND;
}

/* --- logins ------------------------------------------------------------- */

struct slice
dialogue_user(const struct login *l)
{
	if (l->creds.has_authz)
		return slice_make(l->creds.authz, l->creds.authz_len);
	return slice_make(l->creds.user, l->creds.user_len);
}

enum session_state
dialogue_paused(struct session *s, const struct event *ev)
{
	if (ev->ready & LOOP_ERROR)
		return SESSION_CLOSED;
	if ((ev->ready & LOOP_WRITE) && flush(s) == -1)
		return SESSION_CLOSED;
	want(s, 0);
	return s->state;
}

static enum session_state
begin_login(struct session *s)
{
	struct login *l = s->login;
	struct session_env *env = s->env;
	uint32_t under_way;

	l->active = true;
	l->user_hash =
	    shared_hash(env->shared, SLICE("login"), dialogue_user(l));
	under_way = shared_count_add(env->shared, env->slot, l->user_hash, 1);
	if (s->listener->settings.login_disabled)
		return dialogue_refuse(
		    s, REFUSE_LOGIN_DISABLED, "Login Disabled", NULL);
	if (s->listener->settings.need_tls && s->client.tls == NULL)
		return dialogue_refuse(
		    s, REFUSE_PRIVACY, "TLS not present", NULL);
	if (!session_tls_user_ok(s))
		return dialogue_refuse(
		    s, REFUSE_CREDENTIALS, "Re-Authentication Failure", NULL);
	if (l->creds.hops >= HOPS_MAX || under_way > USER_LOGINS_MAX) {
		log_event(LOG_ERR, "loop", LOG_ADDR("client", &s->client_addr),
		    LOG_SLICE("user", dialogue_user(l)),
		    LOG_U64("hops", l->creds.hops),
		    LOG_U64("logins", under_way));
		/* Many logins may also be a crowd behind a slow server. */
		return dialogue_refuse(s,
		    l->creds.hops >= HOPS_MAX ? REFUSE_LOOP : REFUSE_TEMPORARY,
		    "Could not determine server", NULL);
	}
	return backend_lookup(s);
}

enum session_state
dialogue_refuse(struct session *s, enum refusal why, const char *reason,
    const struct server_result *result)
{
	struct login *l = s->login;
	unsigned int doublings = l->failed;

	session_log_failed(s, reason);
	l->refusal = why;
	l->has_result = result != NULL;
	if (result != NULL)
		l->result = *result;
	session_server_close(s);
	session_attempt_clear(s);
	if (doublings > DELAY_DOUBLINGS)
		doublings = DELAY_DOUBLINGS;
	l->failed++;
	session_timer(
	    s, ((uint64_t)s->env->config->failure_delay * 1000) << doublings);
	return SESSION_REFUSED;
}

/* --- commands ----------------------------------------------------------- */

/* in: all that has come, the command first.  What stands behind it was put
 * there by somebody who hopes that it is executed inside TLS. */
static void
tell_injection(const struct session *s, struct slice in)
{
	ptrdiff_t end = slice_find(in, '\n');

	if (end != -1 && in.n > (size_t)end + 1)
		log_event(LOG_NOTICE, "starttls-injection",
		    LOG_U64("sid", s->id), LOG_ADDR("client", &s->client_addr),
		    LOG_U64("bytes", in.n - (size_t)end - 1));
}

/* One command.  SESSION_COMMAND: go on with the next, if *more. */
static enum session_state
one_command(struct session *s, bool *more)
{
	const struct protocol *p = s->listener->protocol;
	struct login *l = s->login;
	struct slice in = buf_data(l->in);
	size_t used = 0, replied = buf_len(l->out);
	enum request r =
	    p->client_parse(l->client, in, &used, &l->creds, l->out);

	if (s->env->config->connection_logging) {
		session_log_dialogue(s, "client", slice_make(in.p, used), true);
		session_log_dialogue(s, "perdition",
		    slice_skip(buf_data(l->out), replied), false);
	}
	if (r == REQUEST_STARTTLS)
		tell_injection(s, in);
	/* A parser that neither takes nor answers would hang the client. */
	if (r == REQUEST_MORE && used == 0 && buf_space(l->in) == 0)
		r = REQUEST_ABORT;
	buf_consume(l->in, used);
	*more = r != REQUEST_MORE;
	switch (r) {
	case REQUEST_MORE:
	case REQUEST_ANSWERED:
		return SESSION_COMMAND;
	case REQUEST_BAD:
		if (++l->bad < BAD_COMMANDS_MAX)
			return SESSION_COMMAND;
		return dialogue_farewell(s, FAREWELL_ERRORS);
	case REQUEST_LOGIN:
		return begin_login(s);
	case REQUEST_REFUSED:
		session_log_failed(s, s->listener->settings.login_disabled
					  ? "Login Disabled"
					  : "TLS not present");
		credentials_clear(&l->creds);
		if (++l->failed < FAILED_LOGINS_MAX)
			return SESSION_COMMAND;
		return dialogue_farewell(s, FAREWELL_ERRORS);
	case REQUEST_STARTTLS:
		return SESSION_TLS;
	case REQUEST_QUIT:
	case REQUEST_ABORT:
		break;
	}
	return finish(s);
}

enum session_state
dialogue_starttls(struct session *s)
{
	if (flush(s) == -1)
		return SESSION_CLOSED;
	if (s->login->out == NULL)
		return session_tls_accept(s);
	want(s, 0);
	return SESSION_TLS;
}

/* What came in clear behind the command is never executed, and what it taught
 * us is forgotten (RFC 9051 section 6.2.1, RFC 2595 section 4). */
static enum session_state
begin_starttls(struct session *s)
{
	struct login *l = s->login;

	spares_buf_return(s->env->spares, &l->in);
	command_timer(s);
	return dialogue_starttls(s);
}

enum session_state
dialogue_secured(struct session *s)
{
	s->listener->protocol->client_tls_started(s->login->client);
	if (s->listener->tls == TLS_IMPLICIT)
		return dialogue_greet(s);
	command_timer(s);
	want(s, LOOP_READ);
	return SESSION_COMMAND;
}

/* All commands that are there. */
static enum session_state
run(struct session *s)
{
	struct login *l = s->login;
	enum session_state next = SESSION_COMMAND;
	bool more = true;

	while (more && l->in != NULL && buf_len(l->in) > 0) {
		if (out_buf(s) == NULL)
			return SESSION_CLOSED;
		if (buf_space(l->out) < PROTOCOL_REPLY_MAX) {
			if (flush(s) == -1)
				return SESSION_CLOSED;
			if (l->out != NULL &&
			    buf_space(l->out) < PROTOCOL_REPLY_MAX) {
				command_timer(s);
				want(s, 0); /* it must take some first */
				return SESSION_COMMAND;
			}
			continue;
		}
		next = one_command(s, &more);
		if (next != SESSION_COMMAND)
			break;
	}
	if (next == SESSION_CLOSED || next == SESSION_FAREWELL)
		return next;
	if (next == SESSION_TLS)
		return begin_starttls(s);
	if (l->in != NULL && buf_len(l->in) == 0)
		spares_buf_return(s->env->spares, &l->in);
	if (flush(s) == -1)
		return SESSION_CLOSED;
	if (next == SESSION_COMMAND) {
		command_timer(s);
		want(s, LOOP_READ);
	} else if (l->out != NULL) {
		want(s, 0);
	}
	return next;
}

/* What has come.  1, 0 at the client's end (it may still read), or -1. */
static int
read_more(struct session *s)
{
	struct login *l = s->login;
	char *room;
	size_t n;
	ssize_t r;

	if (l->in == NULL)
		l->in = spares_buf(s->env->spares);
	if (l->in == NULL)
		return -1;
	n = buf_reserve(l->in, &room);
	if (n == 0)
		return 1;
	r = conn_read(&s->client, room, n);
	if (r == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 1 : -1;
	if (r == 0)
		return 0;
	buf_commit(l->in, (size_t)r);
	return 1;
}

enum session_state
dialogue_event(struct session *s, const struct event *ev)
{
	if (ev->type == EVENT_TIMER)
		return dialogue_farewell(s, FAREWELL_IDLE);
	if (ev->type != EVENT_CLIENT)
		return SESSION_COMMAND; /* a late word of a closed server */
	if ((ev->ready & LOOP_WRITE) && flush(s) == -1)
		return SESSION_CLOSED;
	if (ev->ready & (LOOP_READ | LOOP_ERROR))
		switch (read_more(s)) {
		case -1:
			return SESSION_CLOSED;
		case 0: /* all that it sent is answered by now */
			return finish(s);
		default:
			break;
		}
	return run(s);
}

enum session_state
dialogue_refused_event(struct session *s, const struct event *ev)
{
	struct login *l = s->login;
	struct buf *out;

	if (ev->type == EVENT_CLIENT)
		return dialogue_paused(s, ev);
	if (ev->type != EVENT_TIMER)
		return SESSION_REFUSED;
	out = out_buf(s);
	if (out == NULL)
		return SESSION_CLOSED;
	s->listener->protocol->client_refuse(
	    l->client, l->refusal, l->has_result ? &l->result : NULL, out);
	if (s->env->config->connection_logging)
		session_log_dialogue(s, "perdition", buf_data(out), false);
	if (l->failed >= FAILED_LOGINS_MAX)
		return dialogue_farewell(s, FAREWELL_ERRORS);
	return run(s);
}
