/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * play - dialogues with the pure parsers of perdition/protocol, as tables.
 *
 * Each case is played line by line, byte by byte and with all that can be
 * sent at once; what comes out must be the same.
 */
#ifndef TESTS_UNIT_PLAY_H
#define TESTS_UNIT_PLAY_H

#include "perdition/protocol/protocol.h"

enum play_mode { PLAY_LINES, PLAY_BYTES, PLAY_AT_ONCE, PLAY_MODES };

struct client_case {
	const char *name;
	struct protocol_settings settings;
	bool tls;        /* from the first byte */
	struct slice in; /* what the client sends */
	/*
	 * How each login ends, one letter a login: a accepted, c wrong
	 * credentials, t temporary, p privacy, d disabled, l loop.
	 */
	const char *answers;
	/*
	 * What was found, separated by spaces: A, B, Q, X, T (STARTTLS), and
	 * L(user,authz,password) and R(user,authz) with "-" for no authz, "+8"
	 * behind it for UTF8 and "+N" for N hops.
	 */
	const char *requests;
	struct slice in_tls;         /* sent behind T, inside TLS */
	const char *out;             /* what the client is told */
	struct server_result result; /* handed over with every answer */
};

/* The rest of the strings of a result as literals. */
#define PLAY_RESULT(c, t, p)                                                   \
	{                                                                      \
		.code_len = sizeof(c) - 1, .text_len = sizeof(t) - 1,          \
		.capability_len = sizeof(p) - 1, .code = c, .text = t,         \
		.capability = p                                                \
	}

void play_client(const struct protocol *, const struct client_case *);

struct server_case {
	const char *name;
	const char *user, *authz, *password;
	bool utf8, need_capability, tls, want_tls, need_tls;
	unsigned int hops;
	uint32_t nonce;
	const char *in;     /* what the server sends */
	const char *in_tls; /* the same inside TLS */
	const char *out;    /* what it is told */
	/*
	 * How it ended: "ok [capability] text", "credentials [code] text",
	 * "temporary [code] text", "unusable text", or "more".  "tls " in front
	 * when STARTTLS came first.
	 */
	const char *end;
	const char *left;  /* of in, not consumed */
	bool at_once_only; /* depends on what arrives together */
};

void play_server(const struct protocol *, const struct server_case *);

#endif
