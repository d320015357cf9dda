/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pop3_client - what the files of the POP3 client's dialogue share:
 * pop3_client.c (bytes and commands), pop3_reply.c (answers).  Nobody else
 * includes this.
 */
#ifndef PERDITION_PROTOCOL_POP3_CLIENT_H
#define PERDITION_PROTOCOL_POP3_CLIENT_H

#include "perdition/protocol/pop3.h"
#include "perdition/protocol/sasl.h"

enum client_state {
	CLIENT_COMMAND, /* a command is expected, or part of it is there */
	CLIENT_SASL,    /* the answer to a challenge is expected */
	CLIENT_DISCARD, /* the rest of an over-long line is thrown away */
	CLIENT_OVER,    /* nothing more is read */
};

struct protocol_client {
	const struct protocol_settings *settings;
	enum client_state state;
	bool tls;
	bool spoken; /* a line was read, so HTTP would be later */
	bool utf8;   /* UTF8 was said */
	size_t scanned;
	struct sasl sasl;
	size_t user_len; /* USER was said, PASS is due; 0: it was not */
	char user[AUTH_USER_MAX];
};

bool pop3_login_allowed(const struct protocol_client *);
bool pop3_stls_offered(const struct protocol_client *);

/* The whole answer to CAPA. */
void pop3_put_capability(const struct protocol_client *, struct buf *out);

#endif
