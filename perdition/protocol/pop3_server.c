/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pop3_server - logging in at a POP3 real-server (RFC 1939, 2449, 2595, 3206,
 * 5034, 6856).
 *
 * One command is sent, one answer is read; nothing is pipelined, since not
 * every server takes that.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "perdition/protocol/line.h"
#include "perdition/protocol/pop3.h"
#include "perdition/protocol/sasl.h"

#include "common/banned.h"

/* Lines that a server may send before it has let us in. */
#define LINES_MAX 1000

enum server_state {
	SERVER_GREETING,
	SERVER_CAPA,      /* asked to learn of STLS */
	SERVER_CAPA_LIST, /* reading it, up to "." */
	SERVER_STLS,
	SERVER_TLS, /* the handshake runs */
	SERVER_UTF8,
	SERVER_USER,
	SERVER_PASS,
	SERVER_AUTH, /* the message was not sent yet */
	SERVER_AUTH_SENT,
	SERVER_OVER,
};

struct protocol_server {
	struct server_login login; /* its slices are borrowed */
	enum server_state state;
	bool tls;
	bool told; /* the password was said */
	bool stls; /* in the list */
	unsigned int lines;
	size_t scanned;
	struct server_result result;
};

struct protocol_server *
pop3_server_create(const struct server_login *login)
{
	struct protocol_server *s;

	if (!server_login_ok(login)) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->login = *login;
	s->tls = login->tls;
	return s;
}

void
pop3_server_destroy(struct protocol_server **sp)
{
	if (*sp == NULL)
		return;
	secret_wipe(*sp, sizeof(**sp));
	free(*sp);
	*sp = NULL;
}

bool
pop3_server_told(const struct protocol_server *s)
{
	return s->told;
}

static void
set_text(struct protocol_server *s, struct slice text)
{
	s->result.text_len =
	    line_copy_text(s->result.text, sizeof(s->result.text), text);
}

static enum server_step
unusable(struct protocol_server *s, struct slice why)
{
	s->state = SERVER_OVER;
	s->result.refusal = REFUSE_TEMPORARY;
	set_text(s, why);
	return SERVER_UNUSABLE;
}

static enum server_step
done(struct protocol_server *s)
{
	s->state = SERVER_OVER;
	return SERVER_DONE;
}

static enum server_step
refused(struct protocol_server *s, struct slice text)
{
	static const struct {
		struct slice code; /* RFC 2449 section 8.1, RFC 3206 */
		enum refusal refusal;
	} codes[] = {
		{ SLICE("AUTH"), REFUSE_CREDENTIALS },
		{ SLICE("IN-USE"), REFUSE_TEMPORARY },
		{ SLICE("LOGIN-DELAY"), REFUSE_TEMPORARY },
		{ SLICE("SYS/TEMP"), REFUSE_TEMPORARY },
		{ SLICE("SYS/PERM"), REFUSE_TEMPORARY },
	};
	struct slice code = pop3_cut_code(&text);

	s->result.refusal = REFUSE_CREDENTIALS;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (!slice_caseeq(code, codes[i].code))
			continue;
		s->result.refusal = codes[i].refusal;
		memcpy(s->result.code, codes[i].code.p, codes[i].code.n);
		s->result.code_len = codes[i].code.n;
	}
	set_text(s, text);
	return done(s);
}

/* --- what we say ------------------------------------------------------ */

static enum server_step
put_command(struct protocol_server *s, struct buf *out, enum server_state state,
    const char *name, struct slice arg)
{
	buf_put_str(out, name);
	buf_put(out, arg);
	buf_put_str(out, "\r\n");
	s->state = state;
	return SERVER_MORE;
}

static enum server_step
put_plain(struct protocol_server *s, struct buf *out, const char *before)
{
	buf_put_str(out, before);
	sasl_put_plain(
	    out, s->login.authz, s->login.user, secret_get(s->login.password));
	buf_put_str(out, "\r\n");
	s->state = SERVER_AUTH_SENT;
	s->told = true;
	return SERVER_MORE;
}

static enum server_step
put_credentials(struct protocol_server *s, struct buf *out)
{
	const struct slice none = { NULL, 0 };
	size_t message =
	    s->login.authz.n + s->login.user.n + s->login.password->n + 2;

	if (s->login.authz.n == 0)
		return put_command(s, out, SERVER_USER, "USER ", s->login.user);
	/* RFC 5034 section 4: a longer line goes as a continuation. */
	if (sizeof("AUTH PLAIN \r\n") - 1 + (message + 2) / 3 * 4 <=
	    POP3_COMMAND_MAX)
		return put_plain(s, out, "AUTH PLAIN ");
	return put_command(s, out, SERVER_AUTH, "AUTH PLAIN", none);
}

static enum server_step
start_login(struct protocol_server *s, struct buf *out)
{
	const struct slice none = { NULL, 0 };

	if (s->login.utf8)
		return put_command(s, out, SERVER_UTF8, "UTF8", none);
	return put_credentials(s, out);
}

/* The capabilities are known, or there are none. */
static enum server_step
start_tls_or_login(struct protocol_server *s, struct buf *out)
{
	const struct slice none = { NULL, 0 };

	if (s->stls)
		return put_command(s, out, SERVER_STLS, "STLS", none);
	if (s->login.need_tls)
		return unusable(s, SLICE("The server does not offer STLS"));
	return start_login(s, out);
}

void
pop3_server_tls_started(struct protocol_server *s, struct buf *out)
{
	s->tls = true;
	s->stls = false;
	s->scanned = 0;
	start_login(s, out);
}

/* --- what the server says --------------------------------------------- */

static enum server_step
on_greeting(struct protocol_server *s, bool positive, struct slice text,
    struct buf *out)
{
	const struct slice none = { NULL, 0 };

	if (!positive)
		return unusable(s, text);
	if (!s->tls && (s->login.want_tls || s->login.need_tls))
		return put_command(s, out, SERVER_CAPA, "CAPA", none);
	return start_login(s, out);
}

static enum server_step
on_stls(struct protocol_server *s, bool positive, bool more, struct buf *out)
{
	if (positive) {
		/* It would be read as if it had come through TLS. */
		if (more)
			return unusable(
			    s, SLICE("The server, or somebody between, "
				     "sent more behind STLS"));
		s->state = SERVER_TLS;
		return SERVER_STARTTLS;
	}
	if (s->login.need_tls)
		return unusable(s, SLICE("The server refuses STLS"));
	return start_login(s, out);
}

static enum server_step
on_capa_line(struct protocol_server *s, struct slice line, struct buf *out)
{
	if (slice_eq(line, SLICE(".")))
		return start_tls_or_login(s, out);
	if (slice_caseeq(line, SLICE("STLS")))
		s->stls = true;
	return SERVER_MORE;
}

static enum server_step
on_login_end(struct protocol_server *s, bool positive, struct slice text)
{
	if (!positive)
		return refused(s, text);
	pop3_cut_code(&text);
	set_text(s, text);
	s->result.ok = true;
	return done(s);
}

/* A reply: text stands behind "+OK " or "-ERR ". */
static enum server_step
on_reply(struct protocol_server *s, bool positive, struct slice text, bool more,
    struct buf *out)
{
	switch (s->state) {
	case SERVER_GREETING:
		return on_greeting(s, positive, text, out);
	case SERVER_CAPA:
		if (!positive)
			return start_tls_or_login(s, out);
		s->state = SERVER_CAPA_LIST;
		return SERVER_MORE;
	case SERVER_STLS:
		return on_stls(s, positive, more, out);
	case SERVER_UTF8:
		/* A server without it sends what it always sends, which a
		 * client that takes UTF-8 can read. */
		return put_credentials(s, out);
	case SERVER_USER:
		if (!positive)
			return refused(s, text);
		s->told = true;
		return put_command(s, out, SERVER_PASS, "PASS ",
		    secret_get(s->login.password));
	case SERVER_AUTH:
		if (!positive)
			return refused(s, text);
		return unusable(
		    s, SLICE("The server answers before it was asked"));
	default:
		return on_login_end(s, positive, text);
	}
}

/* Cut "+OK" or "-ERR" from the front of *line; false when it is neither. */
static bool
cut_status(struct slice *line, bool *positive)
{
	static const struct slice words[] = { SLICE("-ERR"), SLICE("+OK") };
	struct slice word;

	slice_cut(line, ' ', &word);
	for (size_t i = 0; i < 2; i++)
		if (slice_caseeq(word, words[i])) {
			*positive = i == 1;
			return true;
		}
	return false;
}

/* line: without its end.  more: bytes follow it. */
static enum server_step
on_line(
    struct protocol_server *s, struct slice line, bool more, struct buf *out)
{
	bool positive;

	if (++s->lines > LINES_MAX)
		return unusable(s, SLICE("The server talks without end"));
	if (s->state == SERVER_CAPA_LIST)
		return on_capa_line(s, line, out);
	if (s->state == SERVER_AUTH &&
	    (slice_eq(line, SLICE("+")) || slice_starts(line, SLICE("+ "))))
		return put_plain(s, out, "");
	if (!cut_status(&line, &positive))
		return unusable(s, SLICE("The server does not speak POP3"));
	return on_reply(s, positive, line, more, out);
}

enum server_step
pop3_server_parse(struct protocol_server *s, struct slice in, size_t *consumed,
    struct server_result *result, struct buf *out)
{
	enum server_step step = SERVER_MORE;
	size_t end;
	int found;

	*consumed = 0;
	if (s->state == SERVER_TLS || s->state == SERVER_OVER)
		return SERVER_MORE; /* not ours to read */
	found = line_find(in, 0, &s->scanned, PROTOCOL_INPUT_MAX, &end);
	if (found == -1) {
		step = unusable(s, SLICE("The server sent too long a line"));
		*consumed = in.n;
	} else if (found == 1) {
		s->scanned = 0;
		*consumed = end;
		step = on_line(
		    s, line_body(slice_make(in.p, end)), in.n > end, out);
	}
	if (step == SERVER_DONE || step == SERVER_UNUSABLE)
		*result = s->result;
	return step;
}
