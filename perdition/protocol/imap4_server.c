/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_server - logging in at an IMAP4 real-server (RFC 9051, RFC 3501).
 *
 * The server's words are read line by line.  Only lines with our own tag,
 * which nobody can guess, decide; all others are noted or skipped.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "perdition/protocol/imap4.h"
#include "perdition/protocol/imap4_status.h"
#include "perdition/protocol/line.h"
#include "perdition/protocol/sasl.h"

#include "common/banned.h"

/* Longest quoted string that we send; a longer one goes as a literal. */
#define QUOTED_MAX 512

/* Lines that a server may send before it has let us in. */
#define LINES_MAX 1000

enum server_state {
	SERVER_GREETING,
	SERVER_CAPABILITY, /* asked to learn of STARTTLS */
	SERVER_STARTTLS_ASKED,
	SERVER_TLS, /* the handshake runs */
	SERVER_LOGIN,
	SERVER_AUTHENTICATE,
	SERVER_CAPABILITY_AFTER, /* asked because the client will want it */
	SERVER_OVER,
};

struct protocol_server {
	struct server_login login; /* its slices are borrowed */
	enum server_state state;
	bool tls;
	bool told;             /* the password was said */
	unsigned int commands; /* sent; makes each tag another one */
	unsigned int lines;    /* read */
	unsigned int sent; /* LOGIN: arguments sent; AUTHENTICATE: 1 when so */
	size_t scanned;
	size_t tag_len;
	char tag[IMAP4_TAG_SIZE];
	struct imap4_capability capability; /* as last told */
	struct server_result result;
};

struct protocol_server *
imap4_server_create(const struct server_login *login)
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
imap4_server_destroy(struct protocol_server **sp)
{
	if (*sp == NULL)
		return;
	secret_wipe(*sp, sizeof(**sp));
	free(*sp);
	*sp = NULL;
}

bool
imap4_server_told(const struct protocol_server *s)
{
	return s->told;
}

static enum server_step
unusable(struct protocol_server *s, struct slice why)
{
	s->state = SERVER_OVER;
	s->result.ok = false;
	s->result.refusal = REFUSE_TEMPORARY;
	s->result.code_len = s->result.capability_len = 0;
	s->result.text_len =
	    line_copy_text(s->result.text, sizeof(s->result.text), why);
	return SERVER_UNUSABLE;
}

static enum server_step
done(struct protocol_server *s)
{
	s->state = SERVER_OVER;
	return SERVER_DONE;
}

/* --- what we say ------------------------------------------------------ */

static void
put_command(struct protocol_server *s, struct buf *out, const char *command)
{
	/* Another tag each time, so that an early answer fits none. */
	s->tag_len = imap4_write_tag(
	    s->tag, s->login.hops + 1, s->login.nonce + s->commands++);
	buf_put(out, slice_make(s->tag, s->tag_len));
	buf_put_str(out, " ");
	buf_put_str(out, command);
}

static bool
may_quote(struct slice arg)
{
	if (arg.n > QUOTED_MAX)
		return false;
	for (size_t i = 0; i < arg.n; i++)
		if (arg.p[i] < 0x20 || arg.p[i] > 0x7e)
			return false;
	return true;
}

static void
put_quoted(struct buf *out, struct slice arg)
{
	buf_put_str(out, "\"");
	for (size_t i = 0; i < arg.n; i++) {
		if (arg.p[i] == '"' || arg.p[i] == '\\')
			buf_put_str(out, "\\");
		buf_put(out, slice_make(arg.p + i, 1));
	}
	buf_put_str(out, "\"");
}

static struct slice
login_arg(const struct protocol_server *s, unsigned int i)
{
	return i == 0 ? s->login.user : secret_get(s->login.password);
}

/* The argument in turn was said. */
static void
arg_said(struct protocol_server *s)
{
	s->told = s->sent == 1;
	s->sent++;
}

/*
 * Say the arguments of LOGIN from s->sent on, up to a literal for which the
 * server's "+" must come first; that one counts as sent when it has come.
 */
static enum server_step
put_login_args(struct protocol_server *s, struct buf *out)
{
	while (s->sent < 2) {
		struct slice arg = login_arg(s, s->sent);

		buf_put_str(out, " ");
		if (may_quote(arg)) {
			put_quoted(out, arg);
		} else {
			buf_put_str(out, "{");
			buf_put_u64(out, arg.n);
			if (!s->capability.literal_plus) {
				buf_put_str(out, "}\r\n");
				return SERVER_MORE;
			}
			buf_put_str(out, "+}\r\n");
			buf_put(out, arg);
		}
		arg_said(s);
	}
	buf_put_str(out, "\r\n");
	return SERVER_MORE;
}

static int
put_plain(struct protocol_server *s, struct buf *out)
{
	s->sent = 1;
	s->told = true;
	if (sasl_put_plain(out, s->login.authz, s->login.user,
		secret_get(s->login.password)) == -1)
		return -1;
	return buf_put_str(out, "\r\n");
}

static enum server_step
put_authenticate(struct protocol_server *s, struct buf *out)
{
	s->state = SERVER_AUTHENTICATE;
	s->sent = 0;
	put_command(s, out, "AUTHENTICATE PLAIN");
	if (!s->capability.sasl_ir) {
		buf_put_str(out, "\r\n");
		return SERVER_MORE;
	}
	buf_put_str(out, " ");
	put_plain(s, out);
	return SERVER_MORE;
}

static enum server_step
start_login(struct protocol_server *s, struct buf *out)
{
	const struct imap4_capability *cap = &s->capability;
	bool authenticate = s->login.authz.n > 0 || cap->login_disabled;

	if (authenticate && cap->known && !cap->auth_plain)
		return unusable(
		    s, cap->login_disabled
			   ? SLICE("The server has logging in disabled")
			   : SLICE("The server lacks AUTH=PLAIN"));
	/* What holds after the login is told anew. */
	s->result.capability_len = 0;
	if (authenticate)
		return put_authenticate(s, out);
	s->state = SERVER_LOGIN;
	s->sent = 0;
	put_command(s, out, "LOGIN");
	return put_login_args(s, out);
}

/* Behind the greeting, and again when the capabilities have come. */
static enum server_step
start_tls_or_login(struct protocol_server *s, struct buf *out)
{
	if (s->tls || !(s->login.want_tls || s->login.need_tls))
		return start_login(s, out);
	if (!s->capability.known) {
		s->state = SERVER_CAPABILITY;
		put_command(s, out, "CAPABILITY\r\n");
		return SERVER_MORE;
	}
	if (s->capability.starttls) {
		s->state = SERVER_STARTTLS_ASKED;
		put_command(s, out, "STARTTLS\r\n");
		return SERVER_MORE;
	}
	if (s->login.need_tls)
		return unusable(s, SLICE("The server does not offer STARTTLS"));
	return start_login(s, out);
}

void
imap4_server_tls_started(struct protocol_server *s, struct buf *out)
{
	s->tls = true;
	s->scanned = 0;
	/* Those told in clear may be an attacker's. */
	s->capability = (struct imap4_capability){ .known = false };
	s->result.capability_len = 0;
	start_login(s, out);
}

/* --- what the server says --------------------------------------------- */

static void
note_capability(struct protocol_server *s, struct slice list)
{
	imap4_capability_parse(&s->capability, list, &s->result);
}

static enum server_step
on_greeting(struct protocol_server *s, struct slice line, struct buf *out)
{
	struct imap4_status status;

	if (!slice_starts(line, SLICE("* ")))
		return unusable(s, SLICE("The server does not speak IMAP4"));
	imap4_status_parse(slice_skip(line, 2), &status);
	switch (status.type) {
	case IMAP4_STATUS_OK:
		break;
	case IMAP4_STATUS_BYE:
		return unusable(s, status.text);
	case IMAP4_STATUS_PREAUTH:
		/* Whose session it is nobody knows; and no STARTTLS can follow
		 * (RFC 9051 section 7.1.4). */
		return unusable(
		    s, SLICE("The server lets everybody in (PREAUTH)"));
	default:
		return unusable(s, SLICE("The server does not speak IMAP4"));
	}
	if (slice_caseeq(status.code, SLICE("CAPABILITY")))
		note_capability(s, status.code_args);
	return start_tls_or_login(s, out);
}

static enum server_step
on_untagged(struct protocol_server *s, struct slice line)
{
	struct imap4_status status;
	struct slice rest = line, word;

	if (line_word(&rest, &word) &&
	    slice_caseeq(word, SLICE("CAPABILITY"))) {
		note_capability(s, rest);
		return SERVER_MORE;
	}
	imap4_status_parse(line, &status);
	if (status.type == IMAP4_STATUS_OK &&
	    slice_caseeq(status.code, SLICE("CAPABILITY")))
		note_capability(s, status.code_args);
	if (status.type != IMAP4_STATUS_BYE)
		return SERVER_MORE;
	if (s->state != SERVER_LOGIN && s->state != SERVER_AUTHENTICATE &&
	    s->state != SERVER_CAPABILITY_AFTER)
		return unusable(s, status.text);
	/* Before it has judged the password: it may be right. */
	imap4_status_refuse(&status, &s->result);
	s->result.refusal = REFUSE_TEMPORARY;
	return done(s);
}

static enum server_step
on_continue(struct protocol_server *s, struct buf *out)
{
	if (s->state == SERVER_LOGIN && s->sent < 2) {
		buf_put(out, login_arg(s, s->sent));
		arg_said(s);
		return put_login_args(s, out);
	}
	if (s->state == SERVER_AUTHENTICATE && s->sent == 0) {
		put_plain(s, out);
		return SERVER_MORE;
	}
	return unusable(s, SLICE("The server asks for more than was offered"));
}

static enum server_step
on_login_end(struct protocol_server *s, const struct imap4_status *status,
    struct buf *out)
{
	if (status->type != IMAP4_STATUS_OK) {
		imap4_status_refuse(status, &s->result);
		return done(s);
	}
	if (s->sent < (s->state == SERVER_LOGIN ? 2U : 1U))
		return unusable(
		    s, SLICE("The server answers before it was asked"));
	s->result.ok = true;
	s->result.text_len = line_copy_text(
	    s->result.text, sizeof(s->result.text), status->text);
	if (slice_caseeq(status->code, SLICE("CAPABILITY")))
		note_capability(s, status->code_args);
	if (s->result.capability_len > 0 || !s->login.need_capability)
		return done(s);
	s->state = SERVER_CAPABILITY_AFTER;
	put_command(s, out, "CAPABILITY\r\n");
	return SERVER_MORE;
}

static enum server_step
on_starttls_end(struct protocol_server *s, const struct imap4_status *status,
    bool more, struct buf *out)
{
	if (status->type == IMAP4_STATUS_OK) {
		/* It would be read as if it had come through TLS. */
		if (more)
			return unusable(
			    s, SLICE("The server, or somebody between, "
				     "sent more behind STARTTLS"));
		s->state = SERVER_TLS;
		return SERVER_STARTTLS;
	}
	if (s->login.need_tls)
		return unusable(s, SLICE("The server refuses STARTTLS"));
	return start_login(s, out);
}

static enum server_step
on_tagged(
    struct protocol_server *s, struct slice line, bool more, struct buf *out)
{
	struct imap4_status status;

	imap4_status_parse(line, &status);
	if (status.type != IMAP4_STATUS_OK && status.type != IMAP4_STATUS_NO &&
	    status.type != IMAP4_STATUS_BAD)
		return unusable(s, SLICE("The server does not speak IMAP4"));
	switch (s->state) {
	case SERVER_CAPABILITY:
		if (slice_caseeq(status.code, SLICE("CAPABILITY")))
			note_capability(s, status.code_args);
		s->capability.known = true; /* or we should ask for ever */
		return start_tls_or_login(s, out);
	case SERVER_STARTTLS_ASKED:
		return on_starttls_end(s, &status, more, out);
	case SERVER_LOGIN:
	case SERVER_AUTHENTICATE:
		return on_login_end(s, &status, out);
	default:
		return done(
		    s); /* CAPABILITY_AFTER: what came is in the result */
	}
}

/* line: without its end.  more: bytes follow it. */
static enum server_step
on_line(
    struct protocol_server *s, struct slice line, bool more, struct buf *out)
{
	struct slice tag = slice_make(s->tag, s->tag_len);

	if (++s->lines > LINES_MAX)
		return unusable(s, SLICE("The server talks without end"));
	if (s->state == SERVER_GREETING)
		return on_greeting(s, line, out);
	if (slice_starts(line, SLICE("* ")))
		return on_untagged(s, slice_skip(line, 2));
	if (slice_eq(line, SLICE("+")) || slice_starts(line, SLICE("+ ")))
		return on_continue(s, out);
	if (slice_starts(line, tag) && line.n > tag.n && line.p[tag.n] == ' ')
		return on_tagged(s, slice_skip(line, tag.n + 1), more, out);
	return SERVER_MORE; /* of another tag, or noise */
}

enum server_step
imap4_server_parse(struct protocol_server *s, struct slice in, size_t *consumed,
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
