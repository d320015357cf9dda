/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_client - what the files of the IMAP4 client's dialogue share:
 * imap4_client.c (bytes), imap4_command.c (commands), imap4_reply.c (answers).
 * Nobody else includes this.
 */
#ifndef PERDITION_PROTOCOL_IMAP4_CLIENT_H
#define PERDITION_PROTOCOL_IMAP4_CLIENT_H

#include "perdition/protocol/imap4.h"
#include "perdition/protocol/imap4_frame.h"
#include "perdition/protocol/imap4_token.h"
#include "perdition/protocol/sasl.h"

enum client_state {
	CLIENT_COMMAND,      /* a command is expected, or part of it is there */
	CLIENT_DISCARD,      /* the rest of a refused command is thrown away */
	CLIENT_SASL,         /* the answer to a challenge is expected */
	CLIENT_SASL_DISCARD, /* the rest of an over-long one is thrown away */
	CLIENT_OVER,         /* nothing more is read */
};

struct protocol_client {
	const struct protocol_settings *settings;
	enum client_state state;
	bool tls;
	bool spoken;           /* a command was read, so HTTP would be later */
	bool asked_capability; /* wants the new list untagged */
	const char *discard_why; /* CLIENT_DISCARD: what BAD will say */
	struct imap4_frame frame;
	struct sasl sasl;
	size_t tag_len; /* 0: none was understood, "*" stands for it */
	char tag[IMAP4_TAG_MAX];
};

bool imap4_login_allowed(const struct protocol_client *);
bool imap4_starttls_offered(const struct protocol_client *);

struct slice imap4_client_tag(const struct protocol_client *);

/* tag SP status SP text CRLF; "*" where no tag was understood. */
void imap4_reply(struct protocol_client *, struct buf *out, const char *status,
    const char *text);

/* The same with BAD; always returns REQUEST_BAD. */
enum request imap4_bad(
    struct protocol_client *, struct buf *out, const char *text);

/* "CAPABILITY ..." for the state before the login, without line end. */
void imap4_put_capability(const struct protocol_client *, struct buf *out);

/*
 * whole: a command with its literals and its line end.  REQUEST_MORE: a
 * challenge is in out, the answer goes to imap4_sasl_line().
 */
enum request imap4_run_command(struct protocol_client *, struct slice whole,
    struct credentials *creds, struct buf *out);

/* line: without its line end. */
enum request imap4_sasl_line(struct protocol_client *, struct slice line,
    struct credentials *creds, struct buf *out);

/*
 * Whether the literal of n bytes announced at the end of head is taken.  When
 * it is not, *why tells; NULL for a login that is forbidden: its password is
 * not even asked for, see imap4_refuse_early().
 */
bool imap4_admit_literal(struct protocol_client *, struct slice head,
    uint32_t n, bool sync, const char **why);

/* Refuse the login that begins with head. */
enum request imap4_refuse_early(struct protocol_client *, struct slice head,
    struct credentials *creds, struct buf *out);

/* Remember the tag of the command that begins with head, for its answer. */
void imap4_note_tag(struct protocol_client *, struct slice head);

#endif
