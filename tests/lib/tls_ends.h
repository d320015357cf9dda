/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_ends - a struct tls of a listener on a real socket, and a peer of plain
 * OpenSSL whose bytes the test moves: as many at a time as it likes.
 */
#ifndef TESTS_LIB_TLS_ENDS_H
#define TESTS_LIB_TLS_ENDS_H

#include <openssl/ssl.h>

#include "perdition/tls/tls_listen.h"
#include "tests/lib/tls_pki.h"

#define RAW_MAX (2 * 1024 * 1024)

struct tls_ends {
	struct pki_pair authority, pair;
	struct config config;
	struct listener_config listener;
	struct tls_listen *listen;
	int fd[2]; /* ours, the peer's; -1 once closed */
	struct tls *ours;
	SSL_CTX *ctx;
	SSL *peer;
	/* All that ours has sent since this was last set to 0. */
	size_t raw_n;
	unsigned char raw[RAW_MAX];
};

/* tickets: or NULL.  Nothing is connected yet.  until: of the certificate,
 * seconds from now. */
struct tls_ends *tls_ends_create(struct tls_tickets *tickets, long until);
void tls_ends_destroy(struct tls_ends **);

/* Another connection; session (or NULL): the peer's to be resumed. */
void tls_ends_connect(struct tls_ends *, SSL_SESSION *session);
void tls_ends_disconnect(struct tls_ends *);

/* Moves what the peer has to send, at most that many bytes, and all that ours
 * has sent.  Returns how many bytes moved. */
size_t tls_ends_move(struct tls_ends *, size_t most);

/* Both shake hands, step bytes at a time.  tls_handshake()'s last answer. */
int tls_ends_shake(struct tls_ends *, size_t step, struct err *);

#endif
