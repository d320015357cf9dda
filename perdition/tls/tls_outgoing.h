/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_outgoing - TLS towards real-servers: one context for a worker, and the
 * sessions that can be resumed.
 */
#ifndef PERDITION_TLS_OUTGOING_H
#define PERDITION_TLS_OUTGOING_H

#include "common/addr.h"
#include "common/err.h"
#include "common/slice.h"
#include "perdition/config.h"
#include "perdition/tls/tls.h"

struct tls_outgoing;

/*
 * trust: the bundle; config, both borrowed and outlive it.  Nothing of
 * trust is looked at before the first connection, so that a site without TLS
 * pays nothing.  NULL with errno.
 */
struct tls_outgoing *tls_outgoing_create(
    const struct config *, struct slice trust);
void tls_outgoing_destroy(struct tls_outgoing **);

/* Makes the context, which the first connection does otherwise.  0, or -1 with
 * err. */
int tls_outgoing_prepare(struct tls_outgoing *, struct err *);

/*
 * The client's side of a connection to host, which is how the popmap names the
 * real-server: a host name, also sent as SNI, or an IP address.  Its
 * certificate must be for it (RFC 6125, RFC 7817), unless ssl_no_cn_verify.
 * Resumes the last session with the same host and address, if there is one.
 * alpn as in struct protocol.  NULL with err.
 */
struct tls *tls_outgoing_connect(struct tls_outgoing *, const char *host,
    const struct addr *, const char *alpn, int fd, struct err *);

#endif
