/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session_log - the lines of a session that others parse: Connect, Auth,
 * Closing; and, for debugging, its dialogue.
 */
#include "config.h"

#include "perdition/session_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

#include "common/banned.h"

#define DIALOGUE_MAX 200 /* bytes of a line that are shown */

static void
line(const struct session *s, int level, const char *text, int n)
{
	if (n <= 0)
		return;
	logq_set_ident(s->env->log, s->listener->protocol->name);
	logq_line(s->env->log, level, slice_make(text, (size_t)n));
}

static void
ends(const struct session *s, char client[ADDR_TEXT_MAX],
    char local[ADDR_TEXT_MAX])
{
	addr_write_port(&s->client_addr, client);
	addr_write_port(&s->local_addr, local);
}

void
session_log_connect(const struct session *s)
{
	char client[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX];
	char text[2 * ADDR_TEXT_MAX + 32];

	if (s->env->config->quiet)
		return;
	ends(s, client, local);
	line(s, LOG_INFO, text,
	    snprintf(text, sizeof(text), "Connect: %s->%s", client, local));
}

size_t
session_server_text(const struct session *s, char out[AUTH_SERVER_MAX])
{
	const struct login *l = s->login;
	const struct candidate *c;
	bool v6;
	int n;

	if (l->next == 0 || l->next > l->candidates)
		return 0;
	c = &l->candidate[l->next - 1];
	v6 = strchr(c->host, ':') != NULL;
	n = snprintf(out, AUTH_SERVER_MAX, "%s%s%s:%" PRIu16, v6 ? "[" : "",
	    c->host, v6 ? "]" : "", c->addr.port);
	return n < 0 || n >= AUTH_SERVER_MAX ? 0 : (size_t)n;
}

static void
event_start(const struct session *s, struct auth_event *ev)
{
	/* Not the whole: its arrays are large, and their lengths say what
	 * counts. */
	memset(ev, 0, offsetof(struct auth_event, user));
	ev->time = loop_wall(s->env->loop);
	ev->session = s->id;
	snprintf(ev->protocol, sizeof(ev->protocol), "%s",
	    s->listener->protocol->label);
	ev->client = s->client_addr;
	ev->local = s->local_addr;
	ev->client_tls = session_tls_client(s);
	ev->server_tls = session_tls_server(s);
	ev->received = ev->sent = 0;
}

static void
event_names(struct auth_event *ev, struct slice user, bool has_authz,
    struct slice authz)
{
	memcpy(ev->user, user.p, user.n);
	ev->user_len = user.n;
	ev->has_authz = has_authz;
	memcpy(ev->authz, authz.p, authz.n);
	ev->authz_len = authz.n;
}

void
session_log_failed(const struct session *s, const char *reason)
{
	const struct login *l = s->login;
	struct auth_event ev;

	event_start(s, &ev);
	ev.kind = AUTH_LOGIN;
	event_names(&ev, slice_make(l->creds.user, l->creds.user_len),
	    l->creds.has_authz, slice_make(l->creds.authz, l->creds.authz_len));
	ev.server_len = session_server_text(s, ev.server);
	ev.reason_len = strlen(reason);
	memcpy(ev.reason, reason, ev.reason_len);
	logq_auth(s->env->log, &ev, s->listener->protocol->name);
}

static void
event_identity(const struct session *s, struct auth_event *ev)
{
	const struct identity *id = s->identity;
	const char *p = id->bytes;

	event_names(ev, slice_make(p, id->user_len), id->has_authz,
	    slice_make(p + id->user_len, id->authz_len));
	memcpy(ev->server, p + id->user_len + id->authz_len, id->server_len);
	ev->server_len = id->server_len;
	ev->ok = true;
	ev->reason_len = 0;
}

void
session_log_auth(const struct session *s, enum auth_kind kind)
{
	struct auth_event ev;

	event_start(s, &ev);
	event_identity(s, &ev);
	ev.kind = kind;
	logq_auth(s->env->log, &ev, s->listener->protocol->name);
}

void
session_log_close(const struct session *s)
{
	char client[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX];
	char text[2 * ADDR_TEXT_MAX + 128];
	struct auth_event ev;

	if (s->identity != NULL) {
		event_start(s, &ev);
		event_identity(s, &ev);
		ev.kind = AUTH_CLOSE;
		ev.received = s->bridge.received;
		ev.sent = s->bridge.sent;
		logq_auth(s->env->log, &ev, s->listener->protocol->name);
		return;
	}
	if (s->env->config->quiet)
		return;
	ends(s, client, local);
	line(s, LOG_INFO, text,
	    snprintf(text, sizeof(text),
		"Closing NULL session: %s->%s authorisation_id=NONE "
		"authentication_id=NONE received=0 sent=0",
		client, local));
}

/*
 * The words that begin commands of POP3 and IMAP4 before the login.  All that
 * is not one of them may be part of a secret: a line of a SASL exchange looks
 * like any word.
 */
static bool
is_verb(struct slice w)
{
	static const char *const verbs[] = { "AUTH", "AUTHENTICATE", "CAPA",
		"CAPABILITY", "ID", "LOGIN", "LOGOUT", "NOOP", "PASS", "QUIT",
		"STARTTLS", "STLS", "USER", "UTF8" };

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (slice_caseeq(w, slice_str(verbs[i])))
			return true;
	return false;
}

static struct slice
verb_of(struct slice text)
{
	struct slice rest = text, word;

	for (int i = 0; i < 2; i++) { /* POP3: first; IMAP4: behind the tag */
		slice_cut(&rest, ' ', &word);
		while (word.n > 0 && (word.p[word.n - 1] == '\n' ||
					 word.p[word.n - 1] == '\r'))
			word.n--;
		if (is_verb(word))
			return word;
	}
	return SLICE("(not shown)");
}

/*
 * A line of a reply: what begins one of POP3 or an untagged one of IMAP4, or
 * all behind the tag, which the client chose and which may be its password in
 * the wrong place.  A server may repeat a password in its complaint.
 */
static struct slice
reply_of(const struct session *s, struct slice text)
{
	static const char *const begins[] = { "*", "+", "+OK", "-ERR" };
	struct slice rest = text, word;

	if (s->login != NULL && s->login->creds.password.n > 0 &&
	    slice_rfind(text, secret_get(&s->login->creds.password)) != -1)
		return SLICE("(not shown)");
	slice_cut(&rest, ' ', &word);
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (slice_eq(word, slice_str(begins[i])))
			return text;
	return rest;
}

static void
log_dialogue_line(const struct session *s, const char *from, struct slice text)
{
	if (text.n > 0 && text.p[text.n - 1] == '\r')
		text.n--;
	if (text.n > DIALOGUE_MAX)
		text.n = DIALOGUE_MAX;
	log_event(LOG_DEBUG, "dialogue", LOG_U64("sid", s->id),
	    LOG_STR("from", from), LOG_SLICE("text", text));
}

void
session_log_dialogue(const struct session *s, const char *from,
    struct slice text, bool words_only)
{
	struct slice line;

	if (text.n == 0 || !log_wants(LOG_DEBUG))
		return;
	if (words_only) {
		log_dialogue_line(s, from, verb_of(text));
		return;
	}
	while (text.n > 0) {
		slice_cut(&text, '\n', &line);
		log_dialogue_line(s, from, reply_of(s, line));
	}
}
