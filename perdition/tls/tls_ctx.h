/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_ctx - what is alike in the SSL_CTX of either side: versions, ciphers,
 * modes; and OpenSSL's errors in words.
 */
#ifndef PERDITION_TLS_CTX_H
#define PERDITION_TLS_CTX_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "common/err.h"

/*
 * Before any other call to OpenSSL, in each process that uses it, and before
 * it gives up its rights: OpenSSL reads its own configuration here.  0, or -1
 * with err.
 */
int tls_init(struct err *);

struct tls_ctx_settings {
	bool server;          /* we are the server of these connections */
	const char *ciphers;  /* OpenSSL's list, with TLS 1.3's suites (TLS_...)
				 among them; "" for the default */
	int min, max;         /* SSL3_VERSION ... TLS1_3_VERSION, 0 for any */
	const char *min_name; /* names of the options, for messages */
	const char *ciphers_name;
};

/*
 * Partial and moving writes, released buffers, no renegotiation, no
 * compression, no session cache.  A minimum below TLS 1.2 lowers the security
 * level to 0 unless ciphers sets one (@SECLEVEL), since OpenSSL would refuse
 * those versions otherwise.  NULL with err.
 */
SSL_CTX *tls_ctx_create(const struct tls_ctx_settings *, struct err *);

/* Default of ssl_listen_ciphers: forward secrecy and AEAD only
 * (RFC 9325 section 4.2). */
extern const char tls_ctx_listen_ciphers[];

/*
 * err gets "what: why", why from OpenSSL's error queue, which is emptied.
 * Returns -1.
 */
int tls_error(struct err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
