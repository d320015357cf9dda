/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls - one connection's TLS over a non-blocking socket, for either side.
 *
 * Made by tls_listen_accept() or tls_outgoing_connect().  The socket is
 * borrowed; no call blocks.  Knows no session and no protocol.
 */
#ifndef PERDITION_TLS_H
#define PERDITION_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition/config.h"

struct tls;

/* What all connections of one kind share; outlives them. */
struct tls_side {
	const struct config *config;
	const char *alpn; /* the protocol's name (RFC 7301) */
	void *owner;      /* the tls_listen or tls_outgoing */
};

/*
 * For tls_listen.c and tls_outgoing.c.  Takes ssl, also on failure; fd and
 * side are borrowed.  peer: which real-server, as tls_sessions knows it; 0 for
 * clients.  Callbacks find the struct with tls_of().  NULL with errno.
 */
struct tls *tls_create(
    SSL *ssl, int fd, const struct tls_side *side, uint64_t peer);
struct tls *tls_of(const SSL *);
const struct tls_side *tls_side(const struct tls *);
uint64_t tls_peer(const struct tls *);
/* Why the other side was refused, from a callback: what tls_handshake() says
 * in the end.  The first call counts; why is copied. */
void tls_refuse(struct tls *, const char *why);

/* Sends close_notify when the handshake was done and nothing has failed, if
 * the socket takes it at once; wipes and frees.  Accepts a pointer to NULL. */
void tls_destroy(struct tls **);

/*
 * One step of the handshake.  1 done; 0 go on when the socket is what
 * tls_waits_to_write() says; -1 failed with err: one line, in words for an
 * operator ("certificate has expired (10): CN = mail1").  errno is of no use.
 */
int tls_handshake(struct tls *, struct err *err);
/* What the last call that could not go on waits for: true the socket to be
 * writable, false to be readable. */
bool tls_waits_to_write(const struct tls *);

/*
 * Fills p as far as what has come reaches.  Bytes; 0 at the peer's end
 * (close_notify, or the end of the connection without it); or -1 with errno:
 * EAGAIN none there, EPROTO broken TLS, or the socket's.
 */
ssize_t tls_read(struct tls *, char *p, size_t n);

/*
 * Whether there may be bytes to read that the socket will not announce, since
 * TLS has taken them from it already.
 */
bool tls_pending(const struct tls *);

/*
 * Bytes taken, maybe fewer, maybe 0; or -1 with errno (never EAGAIN).  What was
 * not taken must be offered again, from its first byte on, before anything
 * else and at least as long: TLS may have encrypted it already.
 *
 * now_ms: of the loop.  A burst (no write for a second) begins with a record
 * that fits into one packet, so that the peer can use it at once; each next
 * one may be as long as all before it together, up to 16 KiB.
 */
ssize_t tls_write(struct tls *, struct slice, uint64_t now_ms);

/* Nothing more will be written: sends close_notify, if the socket takes it. */
void tls_shutdown(struct tls *);

/* Of a finished handshake, for the log: "TLSv1.3",
 * "TLS_AES_256_GCM_SHA384". */
const char *tls_version(const struct tls *);
const char *tls_cipher(const struct tls *);
bool tls_resumed(const struct tls *);
/* The name that the client asked for (SNI), or that was asked of the server;
 * "" for none. */
const char *tls_server_name(const struct tls *);

/*
 * The user that the client's verified certificate names, by what
 * (commonName, emailAddress: an NID).  Length without NUL, 0 when there is no
 * certificate or no such field or more than one, or it does not fit or holds
 * a NUL.
 */
size_t tls_peer_user(const struct tls *, int nid, char *out, size_t cap);

#endif
