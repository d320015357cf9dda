/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_listen - TLS towards clients: one context for all listeners of a worker.
 */
#ifndef PERDITION_TLS_LISTEN_H
#define PERDITION_TLS_LISTEN_H

#include "common/err.h"
#include "common/slice.h"
#include "perdition/config.h"
#include "perdition/tls/tls.h"
#include "perdition/tls/tls_tickets.h"

struct tls_listen;

/*
 * keys: the bundle; not needed afterwards.  config and tickets (NULL: none
 * are given out) are borrowed and outlive it.  NULL with err.
 */
struct tls_listen *tls_listen_create(const struct config *, struct slice keys,
    struct tls_tickets *tickets, struct err *);
void tls_listen_destroy(struct tls_listen **);

/*
 * The server's side of a connection on fd, to be followed by
 * tls_handshake().  A client that offers protocols (ALPN) must offer
 * the listener's; whether it is asked for a certificate is the listener's too.
 * NULL with errno.
 */
struct tls *tls_listen_accept(
    struct tls_listen *, const struct listener_config *, int fd);

#endif
