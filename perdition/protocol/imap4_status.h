/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_status - status responses and capability lists of an IMAP4 server
 * (RFC 9051 section 7.1, RFC 5530), and what a refusal means for the client.
 */
#ifndef PERDITION_PROTOCOL_IMAP4_STATUS_H
#define PERDITION_PROTOCOL_IMAP4_STATUS_H

#include "perdition/protocol/protocol.h"

enum imap4_status_type {
	IMAP4_STATUS_NONE, /* not a status response */
	IMAP4_STATUS_OK,
	IMAP4_STATUS_NO,
	IMAP4_STATUS_BAD,
	IMAP4_STATUS_PREAUTH,
	IMAP4_STATUS_BYE,
};

struct imap4_status { /* views of the line */
	enum imap4_status_type type;
	struct slice code; /* of [CODE args]; empty: none */
	struct slice code_args;
	struct slice text;
};

/* line: behind the tag or "* ", without line end. */
void imap4_status_parse(struct slice line, struct imap4_status *);

/*
 * Fill result with a refusal: its class, the code if it is one of those that
 * clients may be told, and the text.
 */
void imap4_status_refuse(
    const struct imap4_status *, struct server_result *result);

struct imap4_capability {
	bool known;
	bool starttls, login_disabled, auth_plain, sasl_ir, literal_plus;
};

/*
 * Replaces all of cap and result->capability, in which those stand that a
 * client may be told (imap4_capability_ok()), as far as they fit.
 */
void imap4_capability_parse(struct imap4_capability *cap, struct slice list,
    struct server_result *result);

#endif
