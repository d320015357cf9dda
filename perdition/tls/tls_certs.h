/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_certs - our own certificates: which of them a client is shown.
 *
 * The default ones, at most one for each kind of key, and any number that are
 * chosen by the name that the client asks for (SNI, RFC 6066 section 3), looked
 * up in a table that is made once: no client can make it grow.
 */
#ifndef PERDITION_TLS_CERTS_H
#define PERDITION_TLS_CERTS_H

#include <openssl/ssl.h>

#include "common/err.h"
#include "common/slice.h"

struct tls_certs;

/*
 * keys: the whole bundle; not needed afterwards.  NULL with err.
 */
struct tls_certs *tls_certs_create(struct slice keys, struct err *);
void tls_certs_destroy(struct tls_certs **);

/*
 * Makes ctx show them: the default ones to who asks for no name or for one
 * that is not there; by name exactly, then by wildcard (one left-most label,
 * RFC 6125 section 6.4.3); with the OCSP response of the one that was chosen,
 * while it is valid.  certs is borrowed and outlives ctx.  0, or -1 with err.
 */
int tls_certs_install(struct tls_certs *, SSL_CTX *ctx, struct err *);

#endif
