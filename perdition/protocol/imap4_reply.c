/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_reply - what an IMAP4 client is told: greeting, capabilities, and how
 * its login ended.
 */
#include "config.h"

#include "perdition/protocol/imap4_client.h"
#include "perdition/protocol/line.h"

#include "common/banned.h"

/*
 * Only what this parser understands itself; what the real-server can do is
 * told after the login.
 */
#define BUILTIN_CAPABILITY "IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN"

bool
imap4_login_allowed(const struct protocol_client *c)
{
	return !c->settings->login_disabled &&
	       (c->tls || !c->settings->need_tls);
}

bool
imap4_starttls_offered(const struct protocol_client *c)
{
	return c->settings->starttls && !c->tls;
}

struct slice
imap4_client_tag(const struct protocol_client *c)
{
	return c->tag_len > 0 ? slice_make(c->tag, c->tag_len) : SLICE("*");
}

/* tag SP status SP text CRLF */
void
imap4_reply(struct protocol_client *c, struct buf *out, const char *status,
    const char *text)
{
	buf_put(out, imap4_client_tag(c));
	buf_put_str(out, " ");
	buf_put_str(out, status);
	buf_put_str(out, " ");
	buf_put_str(out, text);
	buf_put_str(out, "\r\n");
}

enum request
imap4_bad(struct protocol_client *c, struct buf *out, const char *text)
{
	imap4_reply(c, out, "BAD", text);
	return REQUEST_BAD;
}

/* Whether a word of the site's own list may be announced now. */
static bool
may_announce(const struct protocol_client *c, struct slice word)
{
	if (!imap4_capability_ok(word) ||
	    slice_caseeq(word, SLICE("STARTTLS")) ||
	    slice_caseeq(word, SLICE("LOGINDISABLED")))
		return false; /* those two are added where they are true */
	if (word.n < 5 || !slice_caseeq(slice_make(word.p, 5), SLICE("AUTH=")))
		return true;
	return imap4_login_allowed(c) &&
	       (slice_caseeq(word, SLICE("AUTH=PLAIN")) ||
		   slice_caseeq(word, SLICE("AUTH=LOGIN")));
}

/* "CAPABILITY ..." for the state before the login. */
void
imap4_put_capability(const struct protocol_client *c, struct buf *out)
{
	struct slice text = slice_str(c->settings->capability), word;
	size_t room = PROTOCOL_CAPABILITY_MAX;

	if (text.n == 0)
		text = SLICE(BUILTIN_CAPABILITY);
	buf_put_str(out, "CAPABILITY");
	while (line_word(&text, &word)) {
		if (!may_announce(c, word) || word.n >= room)
			continue;
		room -= word.n + 1;
		buf_put_str(out, " ");
		buf_put(out, word);
	}
	if (imap4_starttls_offered(c))
		buf_put_str(out, " STARTTLS");
	if (!imap4_login_allowed(c))
		buf_put_str(out, " LOGINDISABLED");
}

void
imap4_client_greet(
    struct protocol_client *c, struct slice host, struct buf *out)
{
	buf_put_str(out, "* OK [");
	imap4_put_capability(c, out);
	buf_put_str(out, "] ");
	line_put_text(out, host);
	buf_put_str(out, host.n > 0 ? " IMAP4 ready\r\n" : "IMAP4 ready\r\n");
}

/* The known code of a real-server, or ours. */
static void
put_code(struct buf *out, const struct server_result *result, const char *code)
{
	buf_put_str(out, " [");
	if (result != NULL && result->code_len > 0)
		buf_put(out, slice_make(result->code, result->code_len));
	else
		buf_put_str(out, code);
	buf_put_str(out, "] ");
}

/* The real-server's own text where the site wants that. */
static void
put_text(const struct protocol_client *c, struct buf *out,
    const struct server_result *result, const char *text)
{
	if (c->settings->server_resp_line && result != NULL &&
	    result->text_len > 0)
		line_put_text(out, slice_make(result->text, result->text_len));
	else
		line_put_text(out, slice_str(text));
	buf_put_str(out, "\r\n");
}

void
imap4_client_refuse(struct protocol_client *c, enum refusal refusal,
    const struct server_result *result, struct buf *out)
{
	static const struct {
		const char *code; /* RFC 5530 */
		const char *text;
	} refusals[REFUSE_COUNT] = {
		[REFUSE_CREDENTIALS] = { "AUTHENTICATIONFAILED",
		    "Wrong user name or password" },
		[REFUSE_TEMPORARY] = { "UNAVAILABLE",
		    "The mail server cannot be reached now, try again later" },
		[REFUSE_PRIVACY] = { "PRIVACYREQUIRED",
		    "Logging in needs TLS" },
		[REFUSE_LOGIN_DISABLED] = { "UNAVAILABLE",
		    "Logging in is disabled here" },
		[REFUSE_LOOP] = { "UNAVAILABLE",
		    "The way to the mail server leads in a circle" },
	};

	/* A real-server's word counts only for its own two kinds of refusal. */
	if (refusal != REFUSE_CREDENTIALS && refusal != REFUSE_TEMPORARY)
		result = NULL;
	buf_put(out, imap4_client_tag(c));
	buf_put_str(out, " NO");
	put_code(out, result, refusals[refusal].code);
	put_text(c, out, result, refusals[refusal].text);
}

void
imap4_client_accept(struct protocol_client *c,
    const struct server_result *result, struct buf *out)
{
	struct slice capability = { NULL, 0 };

	if (result != NULL)
		capability =
		    slice_make(result->capability, result->capability_len);
	if (capability.n > 0 && c->asked_capability) {
		buf_put_str(out, "* CAPABILITY ");
		buf_put(out, capability);
		buf_put_str(out, "\r\n");
	}
	buf_put(out, imap4_client_tag(c));
	buf_put_str(out, " OK ");
	if (capability.n > 0 && !c->asked_capability) {
		buf_put_str(out, "[CAPABILITY ");
		buf_put(out, capability);
		buf_put_str(out, "] ");
	}
	put_text(c, out, result, c->settings->ok_line);
	c->state = CLIENT_OVER;
}

void
imap4_client_farewell(
    struct protocol_client *c, enum farewell farewell, struct buf *out)
{
	static const char *const texts[FAREWELL_COUNT] = {
		[FAREWELL_IDLE] = "* BYE Idle for too long\r\n",
		[FAREWELL_SHUTDOWN] =
		    "* BYE [UNAVAILABLE] The service is going down\r\n",
		[FAREWELL_TOO_MANY] =
		    "* BYE [UNAVAILABLE] Too many connections\r\n",
		[FAREWELL_ERRORS] = "* BYE Too many errors\r\n",
	};

	buf_put_str(out, texts[farewell]);
	c->state = CLIENT_OVER;
}

bool
imap4_client_wants_capability(const struct protocol_client *c)
{
	(void)c; /* it is always told, see imap4_client_accept() */
	return true;
}
