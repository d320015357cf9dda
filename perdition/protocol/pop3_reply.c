/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pop3_reply - what a POP3 client is told: greeting, capabilities, and how its
 * login ended.
 */
#include "config.h"

#include "perdition/protocol/line.h"
#include "perdition/protocol/pop3_client.h"

#include "common/banned.h"

/* The default of option pop_capability, as it always was. */
#define OLD_CAPABILITY "UIDL.USER"

/*
 * RFC 2449 section 5: what is announced before the login holds after it.  UIDL
 * and USER every server has; the others are about the dialogue before the
 * login, which is ours.  PIPELINING, TOP and UTF8 are the real-servers'
 * business: a site whose servers all have them says so.
 */
#define BUILTIN_CAPABILITY                                                     \
	OLD_CAPABILITY ".SASL PLAIN LOGIN.RESP-CODES.AUTH-RESP-CODE"

bool
pop3_login_allowed(const struct protocol_client *c)
{
	return !c->settings->login_disabled &&
	       (c->tls || !c->settings->need_tls);
}

bool
pop3_stls_offered(const struct protocol_client *c)
{
	return c->settings->starttls && !c->tls;
}

/* Cut the next capability, ended by "." or two spaces. */
static struct slice
cut_capability(struct slice *list)
{
	struct slice head = *list;
	size_t n = 0;

	while (n < list->n && list->p[n] != '.' &&
	       !slice_starts(slice_skip(*list, n), SLICE("  ")))
		n++;
	head.n = n;
	while (n < list->n && (list->p[n] == '.' || list->p[n] == ' '))
		n++;
	*list = slice_skip(*list, n);
	while (head.n > 0 && head.p[head.n - 1] == ' ')
		head.n--;
	return head;
}

static bool
may_announce(const struct protocol_client *c, struct slice capability)
{
	struct slice rest = capability, word;

	for (size_t i = 0; i < capability.n; i++)
		if (capability.p[i] < 0x20 || capability.p[i] > 0x7e)
			return false;
	if (!line_word(&rest, &word) || slice_caseeq(word, SLICE("STLS")))
		return false; /* STLS is added where it is true */
	return pop3_login_allowed(c) || !(slice_caseeq(word, SLICE("USER")) ||
					    slice_caseeq(word, SLICE("SASL")));
}

void
pop3_put_capability(const struct protocol_client *c, struct buf *out)
{
	struct slice list = slice_str(c->settings->capability);
	size_t room = PROTOCOL_CAPABILITY_MAX;

	if (list.n == 0 || slice_caseeq(list, SLICE(OLD_CAPABILITY)) ||
	    slice_caseeq(list, SLICE("UIDL  USER")))
		list = SLICE(BUILTIN_CAPABILITY);
	buf_put_str(out, "+OK Capability list follows\r\n");
	while (list.n > 0) {
		struct slice one = cut_capability(&list);

		if (!may_announce(c, one) || one.n + 2 > room)
			continue;
		room -= one.n + 2;
		buf_put(out, one);
		buf_put_str(out, "\r\n");
	}
	if (pop3_stls_offered(c))
		buf_put_str(out, "STLS\r\n");
	buf_put_str(out, ".\r\n");
}

void
pop3_client_greet(struct protocol_client *c, struct slice host, struct buf *out)
{
	(void)c;
	/* No <stamp>: that would offer APOP. */
	buf_put_str(out, "+OK ");
	for (size_t i = 0; i < host.n && i < PROTOCOL_TEXT_MAX; i++)
		if (host.p[i] != '<' && host.p[i] != '>')
			line_put_text(out, slice_make(host.p + i, 1));
	buf_put_str(out, host.n > 0 ? " POP3 ready\r\n" : "POP3 ready\r\n");
}

void
pop3_client_refuse(struct protocol_client *c, enum refusal refusal,
    const struct server_result *result, struct buf *out)
{
	static const struct {
		const char *code; /* RFC 3206; NULL: none fits */
		const char *text;
	} refusals[REFUSE_COUNT] = {
		[REFUSE_CREDENTIALS] = { "AUTH",
		    "Wrong user name or password" },
		[REFUSE_TEMPORARY] = { "SYS/TEMP",
		    "The mail server cannot be reached now, try again later" },
		[REFUSE_PRIVACY] = { NULL, "Logging in needs TLS" },
		[REFUSE_LOGIN_DISABLED] = { "SYS/PERM",
		    "Logging in is disabled here" },
		[REFUSE_LOOP] = { "SYS/PERM",
		    "The way to the mail server leads in a circle" },
	};
	const char *code = refusals[refusal].code;

	if (refusal != REFUSE_CREDENTIALS && refusal != REFUSE_TEMPORARY)
		result = NULL;
	buf_put_str(out, "-ERR ");
	if (result != NULL && result->code_len > 0)
		code = NULL;
	if (code != NULL || (result != NULL && result->code_len > 0)) {
		buf_put_str(out, "[");
		if (code != NULL)
			buf_put_str(out, code);
		else
			buf_put(
			    out, slice_make(result->code, result->code_len));
		buf_put_str(out, "] ");
	}
	if (c->settings->server_resp_line && result != NULL &&
	    result->text_len > 0)
		line_put_text(out, slice_make(result->text, result->text_len));
	else
		buf_put_str(out, refusals[refusal].text);
	buf_put_str(out, "\r\n");
}

void
pop3_client_accept(struct protocol_client *c,
    const struct server_result *result, struct buf *out)
{
	buf_put_str(out, "+OK ");
	if (c->settings->server_resp_line && result != NULL &&
	    result->text_len > 0)
		line_put_text(out, slice_make(result->text, result->text_len));
	else
		line_put_text(out, slice_str(c->settings->ok_line));
	buf_put_str(out, "\r\n");
	c->state = CLIENT_OVER;
}

void
pop3_client_farewell(
    struct protocol_client *c, enum farewell farewell, struct buf *out)
{
	static const char *const texts[FAREWELL_COUNT] = {
		[FAREWELL_IDLE] = "-ERR Idle for too long\r\n",
		[FAREWELL_SHUTDOWN] =
		    "-ERR [SYS/TEMP] The service is going down\r\n",
		[FAREWELL_TOO_MANY] =
		    "-ERR [SYS/TEMP] Too many connections\r\n",
		[FAREWELL_ERRORS] = "-ERR Too many errors\r\n",
	};

	buf_put_str(out, texts[farewell]);
	c->state = CLIENT_OVER;
}

bool
pop3_client_wants_capability(const struct protocol_client *c)
{
	(void)c; /* CAPA is asked anew after the login */
	return false;
}
