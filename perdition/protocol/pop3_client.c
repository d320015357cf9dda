/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pop3_client - the dialogue with a POP3 client before its login (RFC 1939,
 * 2449, 5034, 6856).
 */
#include "config.h"

#include <stdlib.h>

#include "perdition/protocol/line.h"
#include "perdition/protocol/pop3_client.h"

#include "common/banned.h"

struct protocol_client *
pop3_client_create(const struct protocol_settings *settings)
{
	struct protocol_client *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->settings = settings;
	return c;
}

void
pop3_client_destroy(struct protocol_client **cp)
{
	if (*cp == NULL)
		return;
	secret_wipe(*cp, sizeof(**cp));
	free(*cp);
	*cp = NULL;
}

void
pop3_client_tls_started(struct protocol_client *c)
{
	const struct protocol_settings *settings = c->settings;

	secret_wipe(c, sizeof(*c));
	c->settings = settings;
	c->tls = true;
}

static void
forget_user(struct protocol_client *c)
{
	secret_wipe(c->user, sizeof(c->user));
	c->user_len = 0;
}

static enum request
ok(struct buf *out, const char *text)
{
	buf_put_str(out, "+OK ");
	buf_put_str(out, text);
	buf_put_str(out, "\r\n");
	return REQUEST_ANSWERED;
}

static enum request
bad(struct buf *out, const char *text)
{
	buf_put_str(out, "-ERR ");
	buf_put_str(out, text);
	buf_put_str(out, "\r\n");
	return REQUEST_BAD;
}

/* --- commands --------------------------------------------------------- */

/* arg: behind the single space after the command's name, spaces kept;
 * has_arg tells "PASS " from "PASS". */
struct command_line {
	struct slice arg;
	bool has_arg;
};

typedef enum request command_fn(struct protocol_client *c,
    struct command_line line, struct credentials *creds, struct buf *out);

/* A login that the settings forbid. */
static enum request
refuse_login(
    struct protocol_client *c, struct credentials *creds, struct buf *out)
{
	secret_clear(&creds->password);
	pop3_client_refuse(c,
	    c->settings->login_disabled ? REFUSE_LOGIN_DISABLED
					: REFUSE_PRIVACY,
	    NULL, out);
	return REQUEST_REFUSED;
}

static enum request
login_complete(
    struct protocol_client *c, struct credentials *creds, struct buf *out)
{
	forget_user(c);
	if (!pop3_login_allowed(c))
		return refuse_login(c, creds, out);
	creds->utf8 = c->utf8;
	creds->hops = 0;
	return REQUEST_LOGIN;
}

static enum request
command_capa(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (line.has_arg)
		return bad(out, "CAPA takes no argument");
	pop3_put_capability(c, out);
	return REQUEST_ANSWERED;
}

static enum request
command_noop(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	(void)c;
	(void)creds;
	if (line.has_arg)
		return bad(out, "NOOP takes no argument");
	return ok(out, "Nothing done");
}

static enum request
command_quit(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (line.has_arg)
		return bad(out, "QUIT takes no argument");
	ok(out, "Bye");
	c->state = CLIENT_OVER;
	return REQUEST_QUIT;
}

static enum request
command_stls(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (line.has_arg)
		return bad(out, "STLS takes no argument");
	if (!pop3_stls_offered(c))
		return bad(
		    out, c->tls ? "TLS runs already" : "STLS is not offered");
	ok(out, "Begin TLS negotiation");
	return REQUEST_STARTTLS;
}

static enum request
command_utf8(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (line.has_arg)
		return bad(out, "UTF8 takes no argument");
	c->utf8 = true;
	return ok(out, "UTF8 it is");
}

static enum request
command_user(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	forget_user(c);
	if (line.arg.n == 0 || line.arg.n > sizeof(c->user) ||
	    !line_arg_ok(line.arg))
		return bad(out, "USER takes a name");
	if (!pop3_login_allowed(c)) { /* before the password is sent */
		memcpy(creds->user, line.arg.p, line.arg.n);
		creds->user_len = line.arg.n;
		return refuse_login(c, creds, out);
	}
	memcpy(c->user, line.arg.p, line.arg.n);
	c->user_len = line.arg.n;
	return ok(out, "Now the password");
}

static enum request
command_pass(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	if (c->user_len == 0)
		return bad(out, "USER comes first");
	if (line.arg.n == 0 || !line_arg_ok(line.arg) ||
	    secret_set(&creds->password, line.arg) == -1) {
		forget_user(c);
		return bad(out, "PASS takes a password");
	}
	memcpy(creds->user, c->user, c->user_len);
	creds->user_len = c->user_len;
	creds->has_authz = false;
	creds->authz_len = 0;
	return login_complete(c, creds, out);
}

static enum request
sasl_step(struct protocol_client *c, enum sasl_status status,
    struct credentials *creds, struct buf *out)
{
	c->state = CLIENT_COMMAND;
	switch (status) {
	case SASL_CONTINUE:
		c->state = CLIENT_SASL;
		buf_put_str(out, "+ ");
		buf_put(out, sasl_challenge(&c->sasl));
		buf_put_str(out, "\r\n");
		return REQUEST_MORE;
	case SASL_DONE:
		return login_complete(c, creds, out);
	case SASL_CANCELLED:
		return bad(out, "AUTH cancelled");
	case SASL_MALFORMED:
		break;
	}
	return bad(out, "AUTH got a malformed response");
}

/* AUTH alone: from before RFC 2449, still asked by old clients. */
static enum request
list_mechanisms(const struct protocol_client *c, struct buf *out)
{
	ok(out, "Mechanisms follow");
	if (pop3_login_allowed(c))
		buf_put_str(out, "PLAIN\r\nLOGIN\r\n");
	buf_put_str(out, ".\r\n");
	return REQUEST_ANSWERED;
}

static enum request
command_auth(struct protocol_client *c, struct command_line line,
    struct credentials *creds, struct buf *out)
{
	struct slice initial = line.arg, name;
	enum sasl_mechanism mechanism;
	enum sasl_status status = SASL_CONTINUE;

	if (!line.has_arg)
		return list_mechanisms(c, out);
	forget_user(c);
	slice_cut(&initial, ' ', &name);
	if (!sasl_find(name, &mechanism))
		return bad(out, "SASL mechanism unavailable");
	if (initial.n == 0 && !pop3_login_allowed(c))
		return refuse_login(c, creds, out); /* before it is sent */
	sasl_init(&c->sasl, mechanism);
	if (initial.n > 0)
		status = sasl_initial_response(&c->sasl, initial, creds);
	if (status == SASL_CONTINUE && !pop3_login_allowed(c)) {
		sasl_clear(&c->sasl);
		return refuse_login(c, creds, out);
	}
	return sasl_step(c, status, creds, out);
}

static enum request
run_command(struct protocol_client *c, struct slice body,
    struct credentials *creds, struct buf *out)
{
	static const struct {
		struct slice name;
		command_fn *run;
	} commands[] = {
		{ SLICE("CAPA"), command_capa },
		{ SLICE("USER"), command_user },
		{ SLICE("PASS"), command_pass },
		{ SLICE("AUTH"), command_auth },
		{ SLICE("NOOP"), command_noop },
		{ SLICE("QUIT"), command_quit },
		{ SLICE("UTF8"), command_utf8 },
		{ SLICE("STLS"), command_stls },
	};
	struct command_line line = { .arg = body };
	struct slice name;

	if (!line_arg_ok(body))
		return bad(out, "A line holds no NUL and no bare CR");
	line.has_arg = slice_cut(&line.arg, ' ', &name);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (slice_caseeq(name, commands[i].name))
			return commands[i].run(c, line, creds, out);
	return bad(out, "Unknown command, or one for after the login");
}

/* --- bytes ------------------------------------------------------------ */

static enum request
on_line(struct protocol_client *c, struct slice body, struct credentials *creds,
    struct buf *out)
{
	bool first = !c->spoken;

	if (c->state == CLIENT_SASL)
		return sasl_step(
		    c, sasl_response(&c->sasl, body, creds), creds, out);
	c->spoken = true;
	if (!line_is_http(body, first))
		return run_command(c, body, creds, out);
	c->state = CLIENT_OVER;
	return REQUEST_ABORT;
}

/* No line end in all that may be kept: the line is thrown away. */
static enum request
on_overflow(struct protocol_client *c, struct slice in)
{
	if (c->state == CLIENT_COMMAND && line_is_http(in, !c->spoken)) {
		c->state = CLIENT_OVER;
		return REQUEST_ABORT;
	}
	c->spoken = true;
	sasl_clear(&c->sasl);
	forget_user(c);
	c->state = CLIENT_DISCARD;
	return REQUEST_MORE;
}

/* One step; REQUEST_MORE with *used above 0 asks for another. */
static enum request
client_step(struct protocol_client *c, struct slice in, size_t *used,
    struct credentials *creds, struct buf *out)
{
	bool discard = c->state == CLIENT_DISCARD;
	int found;

	*used = 0;
	if (c->state == CLIENT_OVER)
		return REQUEST_ABORT;
	found = line_find(
	    in, 0, &c->scanned, discard ? in.n + 1 : PROTOCOL_INPUT_MAX, used);
	if (found == 0 && !discard)
		return REQUEST_MORE;
	c->scanned = 0;
	if (found != 1) {
		*used = in.n;
		return discard ? REQUEST_MORE : on_overflow(c, in);
	}
	if (!discard)
		return on_line(
		    c, line_body(slice_make(in.p, *used)), creds, out);
	c->state = CLIENT_COMMAND;
	return bad(out, "The line is too long");
}

enum request
pop3_client_parse(struct protocol_client *c, struct slice in, size_t *consumed,
    struct credentials *creds, struct buf *out)
{
	enum request request;
	size_t used;

	*consumed = 0;
	do {
		request = client_step(
		    c, slice_skip(in, *consumed), &used, creds, out);
		*consumed += used;
	} while (request == REQUEST_MORE && used > 0 && *consumed < in.n);
	/* What follows STLS in clear must never be executed. */
	if (request == REQUEST_STARTTLS || request == REQUEST_ABORT)
		*consumed = in.n;
	return request;
}
