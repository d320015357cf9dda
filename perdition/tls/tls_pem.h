/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_pem - certificates, keys and lists out of files, for the master.
 *
 * Errors say what is wrong with the file; the caller says which option named
 * it.
 */
#ifndef PERDITION_TLS_PEM_H
#define PERDITION_TLS_PEM_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/secret.h"
#include "common/slice.h"

#define TLS_PEM_FILE_MAX (16 * 1024 * 1024) /* bytes */

/* A file's content.  Wiped by tls_pem_file_clear(). */
struct tls_pem_file {
	char *p;
	size_t n;
	bool open_to_others; /* readable for those outside of its group */
};

/* 0, or -1 with err, whose code is errno's (ENOENT: it is not there). */
int tls_pem_file_read(const char *path, struct tls_pem_file *, struct err *);
void tls_pem_file_clear(struct tls_pem_file *);

/*
 * All certificates, TRUSTED CERTIFICATE too; other things are passed over.
 * An empty stack where there are none; NULL with err where one is damaged.
 */
STACK_OF(X509) * tls_pem_certs(const struct tls_pem_file *, struct err *);
/* The same of revocation lists. */
STACK_OF(X509_CRL) * tls_pem_crls(const struct tls_pem_file *, struct err *);

/* Whether there is a private key, encrypted or not. */
bool tls_pem_has_key(const struct tls_pem_file *);
/* The first one.  passphrase: NULL for none; never asked for.  NULL with
 * err. */
EVP_PKEY *tls_pem_key(
    const struct tls_pem_file *, const struct secret *passphrase, struct err *);

#endif
