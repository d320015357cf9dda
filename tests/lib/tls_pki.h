/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_pki - certificates made while a test runs.
 */
#ifndef TESTS_LIB_TLS_PKI_H
#define TESTS_LIB_TLS_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "perdition/tls/tls_bundle.h"

struct pki_pair {
	X509 *cert;
	EVP_PKEY *key; /* EC P-256 */
};

/* An authority, signed by itself. */
struct pki_pair pki_authority(const char *name);
/* dns: its one name.  from, until: seconds from now. */
struct pki_pair pki_issue(
    const struct pki_pair *authority, const char *dns, long from, long until);
/* san: as in openssl's configuration, "DNS:a,IP:::1"; NULL: none. */
struct pki_pair pki_issue_names(const struct pki_pair *authority,
    const char *cn, const char *san, long from, long until);
void pki_clear(struct pki_pair *);

/* The pair as one of the default ones of a bundle "keys". */
void pki_bundle_pair(struct tls_bundle *, const struct pki_pair *);
void pki_bundle_cert(
    struct tls_bundle *, enum tls_piece, const struct pki_pair *);

#endif
