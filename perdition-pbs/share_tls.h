/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_tls - TLS towards Redis: what to trust, and which name to expect.
 */
#ifndef PERDITION_PBS_SHARE_TLS_H
#define PERDITION_PBS_SHARE_TLS_H

#include <openssl/ssl.h>

#include "common/err.h"

struct share_tls_config {                 /* each may be "" */
	const char *ca_cert_file;         /* "": the system's store */
	const char *cert_file, *key_file; /* of this client */
	const char *name; /* expected in the certificate; "": the host asked */
};

struct share_tls;

/* Reads the files, now.  NULL with err. */
struct share_tls *share_tls_create(
    const struct share_tls_config *, struct err *);
void share_tls_destroy(struct share_tls **);

/* For one connection on fd (borrowed) to host; NULL when out of memory. */
SSL *share_tls_start(struct share_tls *, int fd, const char *host);

/* Why the last call on ssl that returned ret failed, in words. */
void share_tls_why(SSL *ssl, int ret, char *out, size_t cap);

#endif
