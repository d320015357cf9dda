/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_client - the dialogue with an IMAP4 client before its login (RFC 9051,
 * RFC 3501), as far as it is a matter of bytes.
 *
 * One command at a time, found whole by imap4_frame.  Nothing of a command
 * outlives it but its tag, and the tag only until its answer.
 */
#include "config.h"

#include <stdlib.h>

#include "perdition/protocol/imap4_client.h"
#include "perdition/protocol/line.h"

#include "common/banned.h"

struct protocol_client *
imap4_client_create(const struct protocol_settings *settings)
{
	struct protocol_client *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->settings = settings;
	return c;
}

void
imap4_client_destroy(struct protocol_client **cp)
{
	if (*cp == NULL)
		return;
	secret_wipe(*cp, sizeof(**cp));
	free(*cp);
	*cp = NULL;
}

static enum request
abort_session(struct protocol_client *c, struct buf *out, const char *bye)
{
	if (bye != NULL)
		buf_put_str(out, bye);
	c->state = CLIENT_OVER;
	return REQUEST_ABORT;
}

void
imap4_client_tls_started(struct protocol_client *c)
{
	const struct protocol_settings *settings = c->settings;

	secret_wipe(c, sizeof(*c));
	c->settings = settings;
	c->tls = true;
}

static void
next_command(struct protocol_client *c)
{
	c->state = CLIENT_COMMAND;
	c->frame = (struct imap4_frame){ 0 };
}

static enum request
discard(
    struct protocol_client *c, struct slice in, size_t *used, struct buf *out)
{
	switch (imap4_frame_discard_next(&c->frame, in, used)) {
	case IMAP4_FRAME_COMMAND:
		next_command(c);
		return imap4_bad(c, out, c->discard_why);
	case IMAP4_FRAME_HOPELESS:
		return abort_session(c, out, "* BYE Literal too large\r\n");
	default:
		return REQUEST_MORE;
	}
}

static void
start_discard(struct protocol_client *c, uint32_t literal, const char *why)
{
	c->state = CLIENT_DISCARD;
	c->discard_why = why;
	imap4_frame_discard(&c->frame, literal);
}

/* What was complete of the command is dropped with this, the rest follows. */
static enum request
too_long(
    struct protocol_client *c, struct slice in, size_t *used, struct buf *out)
{
	imap4_note_tag(c, in);
	*used = c->frame.line;
	start_discard(c, 0, "[TOOBIG] Command too long");
	return *used > 0 ? REQUEST_MORE : discard(c, in, used, out);
}

/* The literal at the end of head was not admitted. */
static enum request
refuse_literal(struct protocol_client *c, struct slice head, uint32_t n,
    bool sync, const char *why, struct credentials *creds, struct buf *out)
{
	if (!sync && n > IMAP4_FRAME_DISCARD_MAX)
		return abort_session(c, out, "* BYE Literal too large\r\n");
	if (!sync) {
		start_discard(c, n, why);
		return REQUEST_MORE;
	}
	next_command(c); /* the client waits, so the command ends here */
	return why == NULL ? imap4_refuse_early(c, head, creds, out)
			   : imap4_bad(c, out, why);
}

static enum request
command_bytes(struct protocol_client *c, struct slice in, size_t *used,
    struct credentials *creds, struct buf *out)
{
	const char *why;
	uint32_t literal;

	for (;;) {
		enum imap4_framing framing =
		    imap4_frame_next(&c->frame, in, used, &literal);
		bool sync = framing == IMAP4_FRAME_SYNC;
		struct slice head = slice_make(in.p, *used);

		if (framing == IMAP4_FRAME_MORE)
			return REQUEST_MORE;
		if (line_is_http(framing == IMAP4_FRAME_TOO_LONG ? in : head,
			!c->spoken))
			return abort_session(c, out, NULL);
		if (framing == IMAP4_FRAME_HOPELESS)
			return abort_session(
			    c, out, "* BYE Literal too large\r\n");
		c->spoken = true;
		if (framing == IMAP4_FRAME_TOO_LONG)
			return too_long(c, in, used, out);
		if (framing == IMAP4_FRAME_COMMAND) {
			next_command(c);
			return imap4_run_command(c, head, creds, out);
		}
		if (!imap4_admit_literal(c, head, literal, sync, &why))
			return refuse_literal(
			    c, head, literal, sync, why, creds, out);
		if (sync)
			buf_put_str(out, "+ Go ahead\r\n");
		imap4_frame_take(&c->frame, head.n, literal);
		*used = 0;
	}
}

static enum request
sasl_bytes(struct protocol_client *c, struct slice in, size_t *used,
    struct credentials *creds, struct buf *out)
{
	int found =
	    line_find(in, 0, &c->frame.scanned, PROTOCOL_INPUT_MAX, used);

	if (found == 0)
		return REQUEST_MORE;
	c->frame.scanned = 0;
	if (found == 1)
		return imap4_sasl_line(
		    c, line_body(slice_make(in.p, *used)), creds, out);
	sasl_clear(&c->sasl);
	c->state = CLIENT_SASL_DISCARD;
	*used = in.n;
	return REQUEST_MORE;
}

static enum request
sasl_discard(
    struct protocol_client *c, struct slice in, size_t *used, struct buf *out)
{
	size_t scanned = 0;

	if (line_find(in, 0, &scanned, in.n + 1, used) != 1) {
		*used = in.n;
		return REQUEST_MORE;
	}
	next_command(c);
	return imap4_bad(c, out, "AUTHENTICATE got too long a response");
}

/* One step; REQUEST_MORE with *used above 0 asks for another. */
static enum request
client_step(struct protocol_client *c, struct slice in, size_t *used,
    struct credentials *creds, struct buf *out)
{
	*used = 0;
	switch (c->state) {
	case CLIENT_COMMAND:
		return command_bytes(c, in, used, creds, out);
	case CLIENT_DISCARD:
		return discard(c, in, used, out);
	case CLIENT_SASL:
		return sasl_bytes(c, in, used, creds, out);
	case CLIENT_SASL_DISCARD:
		return sasl_discard(c, in, used, out);
	case CLIENT_OVER:
		break;
	}
	return REQUEST_ABORT;
}

enum request
imap4_client_parse(struct protocol_client *c, struct slice in, size_t *consumed,
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
	/* What follows STARTTLS in clear must never be executed. */
	if (request == REQUEST_STARTTLS || request == REQUEST_ABORT)
		*consumed = in.n;
	return request;
}
