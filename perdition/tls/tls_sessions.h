/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_sessions - the last session of each real-server, to be resumed.
 *
 * Bounded: the one that was not used for the longest time makes room.
 */
#ifndef PERDITION_TLS_SESSIONS_H
#define PERDITION_TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "common/addr.h"

#define TLS_SESSIONS_MAX 1024
#define TLS_SESSIONS_AGE 3600 /* s; then the server shows itself again */

struct tls_sessions;

struct tls_sessions *tls_sessions_create(void); /* NULL with errno */
void tls_sessions_destroy(struct tls_sessions **);

/* What stands for a real-server: a keyed hash, never 0. */
uint64_t tls_sessions_peer(const struct tls_sessions *, const char *host,
    const struct addr *, const char *alpn);

/* Takes session, also on failure (then it is just forgotten).  now: seconds
 * since the epoch, for what the certificate says of its time. */
void tls_sessions_put(
    struct tls_sessions *, uint64_t peer, SSL_SESSION *session, int64_t now);
/* Borrowed until the next call; NULL: none that is still good, neither the
 * session nor the certificate that it began with having expired. */
SSL_SESSION *tls_sessions_get(
    struct tls_sessions *, uint64_t peer, int64_t now);

#endif
