/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_verify - whether the other side's certificate is accepted, and what the
 * options that loosen it let pass.
 */
#ifndef PERDITION_TLS_VERIFY_H
#define PERDITION_TLS_VERIFY_H

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition/config.h"
#include "perdition/tls/tls_bundle.h"

/*
 * A store with the certificates and lists of those two types in a bundle;
 * revocation is checked for the whole chain when there is at least one list.
 * NULL with err.
 */
X509_STORE *tls_verify_store(
    struct slice bundle, enum tls_piece ca, enum tls_piece crl, struct err *);

/*
 * Sets how real-servers (on their context) and clients (on a connection: its
 * listener decides) are verified.  The callback finds the configuration through
 * tls_of().
 *
 * Each option that loosens lets just its own error pass, which is logged each
 * time (LOG_NOTICE, event "certificate-accepted" with option, reason,
 * subject); all other errors refuse, through tls_refuse(), with reason, depth
 * and subject.
 */
void tls_verify_server(const struct config *, SSL_CTX *ctx);
void tls_verify_client(const struct config *, SSL *ssl, enum client_cert_mode);

/*
 * The name that the certificate must be for: a host name or an IP address
 * (RFC 6125, RFC 7817 section 3: DNS-ID, with a wildcard as the whole leftmost
 * label; CN-ID only when there is no DNS-ID, and never for an address).
 * 0, or -1 with err.
 */
int tls_verify_name(SSL *, const char *host, struct err *);

#endif
