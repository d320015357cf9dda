/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_pki - see tls_pki.h.
 */
#include "config.h"

#include "tests/lib/tls_pki.h"

#include <check.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/banned.h"

static EVP_PKEY *
make_key(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY *key = NULL;

	ck_assert_int_eq(EVP_PKEY_keygen_init(ctx), 1);
	ck_assert_int_eq(
	    EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1),
	    1);
	ck_assert_int_eq(EVP_PKEY_keygen(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void
extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

static X509 *
make_cert(EVP_PKEY *key, const char *cn, const char *san, X509_NAME *issuer,
    EVP_PKEY *signer, long from, long until)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), from);
	X509_gmtime_adj(X509_getm_notAfter(cert), until);
	X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(cert, issuer == NULL ? subject : issuer);
	X509_set_pubkey(cert, key);
	if (issuer == NULL) {
		char ca[] = "critical,CA:TRUE";

		extend(cert, NID_basic_constraints, ca);
	} else if (san != NULL) {
		extend(cert, NID_subject_alt_name, san);
	}
	ck_assert_int_gt(
	    X509_sign(cert, signer == NULL ? key : signer, EVP_sha256()), 0);
	return cert;
}

struct pki_pair
pki_authority(const char *name)
{
	struct pki_pair p = { .key = make_key() };

	p.cert = make_cert(p.key, name, NULL, NULL, NULL, -3600, 86400);
	return p;
}

struct pki_pair
pki_issue(
    const struct pki_pair *authority, const char *dns, long from, long until)
{
	char san[300];

	snprintf(san, sizeof(san), "DNS:%s", dns);
	return pki_issue_names(authority, dns, san, from, until);
}

struct pki_pair
pki_issue_names(const struct pki_pair *authority, const char *cn,
    const char *san, long from, long until)
{
	struct pki_pair p = { .key = make_key() };

	p.cert =
	    make_cert(p.key, cn, san, X509_get_subject_name(authority->cert),
		authority->key, from, until);
	return p;
}

void
pki_clear(struct pki_pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
	*p = (struct pki_pair){ NULL, NULL };
}

void
pki_bundle_cert(
    struct tls_bundle *b, enum tls_piece type, const struct pki_pair *p)
{
	unsigned char *der = NULL;
	int n = i2d_X509(p->cert, &der);

	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(
	    tls_bundle_add(b, type, slice_make((char *)der, (size_t)n)), 0);
	OPENSSL_free(der);
}

void
pki_bundle_pair(struct tls_bundle *b, const struct pki_pair *p)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(p->key);
	unsigned char *der = NULL;
	int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);

	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(tls_bundle_add(b, TLS_PIECE_PAIR, SLICE("test")), 0);
	pki_bundle_cert(b, TLS_PIECE_CERT, p);
	ck_assert_int_eq(tls_bundle_add(b, TLS_PIECE_KEY,
			     slice_make((char *)der, (size_t)n)),
	    0);
	OPENSSL_free(der);
	PKCS8_PRIV_KEY_INFO_free(info);
}
