/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_command - the commands that an IMAP4 client may say before its login.
 */
#include "config.h"

#include "perdition/protocol/imap4_client.h"
#include "perdition/protocol/line.h"

#include "common/banned.h"

/* s: behind the command's name, its line end included. */
typedef enum request command_fn(struct protocol_client *c, struct slice s,
    struct credentials *creds, struct buf *out);

static enum request
command_capability(struct protocol_client *c, struct slice s,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (!imap4_at_end(s))
		return imap4_bad(c, out, "CAPABILITY takes no argument");
	c->asked_capability = true;
	buf_put_str(out, "* ");
	imap4_put_capability(c, out);
	buf_put_str(out, "\r\n");
	imap4_reply(c, out, "OK", "CAPABILITY completed");
	return REQUEST_ANSWERED;
}

static enum request
command_noop(struct protocol_client *c, struct slice s,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (!imap4_at_end(s))
		return imap4_bad(c, out, "NOOP takes no argument");
	imap4_reply(c, out, "OK", "NOOP completed");
	return REQUEST_ANSWERED;
}

static enum request
command_logout(struct protocol_client *c, struct slice s,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (!imap4_at_end(s))
		return imap4_bad(c, out, "LOGOUT takes no argument");
	buf_put_str(out, "* BYE Logging out\r\n");
	imap4_reply(c, out, "OK", "LOGOUT completed");
	c->state = CLIENT_OVER;
	return REQUEST_QUIT;
}

static enum request
command_id(struct protocol_client *c, struct slice s, struct credentials *creds,
    struct buf *out)
{
	(void)creds;
	if (!imap4_space(&s) || !imap4_id_params(&s) || !imap4_at_end(s))
		return imap4_bad(c, out, "ID takes NIL or a list of pairs");
	/* No version: that would help only who looks for old ones. */
	buf_put_str(out, "* ID (\"name\" \"perdition\")\r\n");
	imap4_reply(c, out, "OK", "ID completed");
	return REQUEST_ANSWERED;
}

static enum request
command_starttls(struct protocol_client *c, struct slice s,
    struct credentials *creds, struct buf *out)
{
	(void)creds;
	if (!imap4_at_end(s))
		return imap4_bad(c, out, "STARTTLS takes no argument");
	if (!imap4_starttls_offered(c))
		return imap4_bad(c, out,
		    c->tls ? "TLS runs already" : "STARTTLS is not offered");
	imap4_reply(c, out, "OK", "Begin TLS negotiation now");
	return REQUEST_STARTTLS;
}

/* A login that the settings forbid. */
static enum request
refuse_login(
    struct protocol_client *c, struct credentials *creds, struct buf *out)
{
	secret_clear(&creds->password);
	imap4_client_refuse(c,
	    c->settings->login_disabled ? REFUSE_LOGIN_DISABLED
					: REFUSE_PRIVACY,
	    NULL, out);
	return REQUEST_REFUSED;
}

static enum request
login_complete(
    struct protocol_client *c, struct credentials *creds, struct buf *out)
{
	if (!imap4_login_allowed(c))
		return refuse_login(c, creds, out);
	creds->utf8 = false;
	creds->hops = imap4_tag_hops(imap4_client_tag(c));
	return REQUEST_LOGIN;
}

static enum request
command_login(struct protocol_client *c, struct slice s,
    struct credentials *creds, struct buf *out)
{
	struct secret *password = &creds->password;

	if (!imap4_space(&s) ||
	    !imap4_astring(
		&s, creds->user, sizeof(creds->user), &creds->user_len) ||
	    !imap4_space(&s) ||
	    !imap4_astring(
		&s, password->bytes, sizeof(password->bytes), &password->n) ||
	    !imap4_at_end(s) || creds->user_len == 0 ||
	    !line_arg_ok(slice_make(creds->user, creds->user_len)) ||
	    !line_arg_ok(secret_get(password))) {
		credentials_clear(creds);
		return imap4_bad(
		    c, out, "LOGIN takes a user name and a password");
	}
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
		return imap4_bad(c, out, "AUTHENTICATE cancelled");
	case SASL_MALFORMED:
		break;
	}
	return imap4_bad(c, out, "AUTHENTICATE got a malformed response");
}

static enum request
command_authenticate(struct protocol_client *c, struct slice s,
    struct credentials *creds, struct buf *out)
{
	struct slice name, initial = { NULL, 0 };
	enum sasl_mechanism mechanism;
	enum sasl_status status = SASL_CONTINUE;

	if (!imap4_space(&s) || !imap4_atom(&s, &name) ||
	    (imap4_space(&s) && !imap4_atom(&s, &initial)) || !imap4_at_end(s))
		return imap4_bad(c, out, "AUTHENTICATE takes a mechanism");
	if (!sasl_find(name, &mechanism)) {
		imap4_reply(
		    c, out, "NO", "[CANNOT] SASL mechanism unavailable");
		return REQUEST_BAD;
	}
	if (initial.n == 0 && !imap4_login_allowed(c))
		return refuse_login(
		    c, creds, out); /* before a password is sent */
	sasl_init(&c->sasl, mechanism);
	if (initial.n > 0)
		status = sasl_initial_response(&c->sasl, initial, creds);
	if (status == SASL_CONTINUE && !imap4_login_allowed(c)) {
		sasl_clear(&c->sasl);
		return refuse_login(c, creds, out);
	}
	return sasl_step(c, status, creds, out);
}

static const struct command {
	struct slice name;
	bool literals; /* may have some before a login */
	command_fn *run;
} commands[] = {
	{ SLICE("CAPABILITY"), false, command_capability },
	{ SLICE("NOOP"), false, command_noop },
	{ SLICE("LOGOUT"), false, command_logout },
	{ SLICE("ID"), true, command_id },
	{ SLICE("STARTTLS"), false, command_starttls },
	{ SLICE("LOGIN"), true, command_login },
	{ SLICE("AUTHENTICATE"), false, command_authenticate },
};

/*
 * Cut tag and name from the front of *s and remember the tag.  NULL with
 * *why set when there is no such command.
 */
static const struct command *
find_command(struct protocol_client *c, struct slice *s, const char **why)
{
	struct slice tag, name;

	c->tag_len = 0;
	if (!imap4_tag(s, &tag)) {
		*why = "A command begins with a tag";
		return NULL;
	}
	memcpy(c->tag, tag.p, tag.n);
	c->tag_len = tag.n;
	if (!imap4_space(s) || !imap4_atom(s, &name)) {
		*why = "A command has a name behind its tag";
		return NULL;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (slice_caseeq(name, commands[i].name))
			return &commands[i];
	*why = "Unknown command, or one for after the login";
	return NULL;
}

enum request
imap4_run_command(struct protocol_client *c, struct slice whole,
    struct credentials *creds, struct buf *out)
{
	const struct command *command;
	const char *why;

	command = find_command(c, &whole, &why);
	if (command == NULL)
		return imap4_bad(c, out, why);
	return command->run(c, whole, creds, out);
}

bool
imap4_admit_literal(struct protocol_client *c, struct slice head, uint32_t n,
    bool sync, const char **why)
{
	struct slice s = head;
	const struct command *command = find_command(c, &s, why);

	if (command == NULL)
		return false;
	if (!command->literals) {
		*why = "This command has no literals";
		return false;
	}
	if (!imap4_frame_fits(&c->frame, head.n, n)) {
		*why = "[TOOBIG] Literal too large";
		return false;
	}
	*why = NULL;
	return !sync || command->run != command_login || imap4_login_allowed(c);
}

/* The name as far as it has come, for the log. */
enum request
imap4_refuse_early(struct protocol_client *c, struct slice head,
    struct credentials *creds, struct buf *out)
{
	const char *why;

	find_command(c, &head, &why);
	if (!imap4_space(&head) ||
	    !imap4_astring(
		&head, creds->user, sizeof(creds->user), &creds->user_len) ||
	    !line_arg_ok(slice_make(creds->user, creds->user_len)))
		credentials_clear(creds);
	return refuse_login(c, creds, out);
}

enum request
imap4_sasl_line(struct protocol_client *c, struct slice line,
    struct credentials *creds, struct buf *out)
{
	return sasl_step(c, sasl_response(&c->sasl, line, creds), creds, out);
}

void
imap4_note_tag(struct protocol_client *c, struct slice head)
{
	const char *why;

	find_command(c, &head, &why);
}
