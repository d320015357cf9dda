/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_verify - OpenSSL judges, a table says what may pass all the same.
 */
#include "config.h"

#include "perdition/tls/tls_verify.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "perdition/tls/tls.h"
#include "perdition/tls/tls_ctx.h"

#include "common/banned.h"

#define FIELD(f) offsetof(struct config, f)

/* What each option lets pass, and nothing else. */
static const struct {
	int error;
	const char *option;
	size_t field; /* bool */
} loosened[] = {
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "ssl_cert_accept_self_signed",
	    FIELD(ssl_cert_accept_self_signed) },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "ssl_ca_accept_self_signed",
	    FIELD(ssl_ca_accept_self_signed) },
	{ X509_V_ERR_CERT_HAS_EXPIRED, "ssl_cert_accept_expired",
	    FIELD(ssl_cert_accept_expired) },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "ssl_cert_accept_not_yet_valid",
	    FIELD(ssl_cert_accept_not_yet_valid) },
	{ X509_V_ERR_HOSTNAME_MISMATCH, "ssl_no_cn_verify",
	    FIELD(ssl_no_cn_verify) },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, "ssl_no_cn_verify",
	    FIELD(ssl_no_cn_verify) },
};

/* --- the store ---------------------------------------------------------- */

static int
add_ca(X509_STORE *store, struct slice der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)der.n);
	int ret = cert == NULL ? 0 : X509_STORE_add_cert(store, cert);

	X509_free(cert);
	return ret == 1 ? 0 : -1;
}

static int
add_crl(X509_STORE *store, struct slice der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);
	int ret = crl == NULL ? 0 : X509_STORE_add_crl(store, crl);

	X509_CRL_free(crl);
	return ret == 1 ? 0 : -1;
}

X509_STORE *
tls_verify_store(
    struct slice bundle, enum tls_piece ca, enum tls_piece crl, struct err *err)
{
	/* A trusted certificate ends a chain whoever signed it, so that a
	 * server's own can be named. */
	unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
	X509_STORE *store = X509_STORE_new();
	enum tls_piece type;
	struct slice piece;
	int more, ret = 0;

	ERR_clear_error();
	if (store == NULL) {
		tls_error(err, ENOMEM, "certificate store");
		return NULL;
	}
	while ((more = tls_bundle_next(&bundle, &type, &piece)) == 1) {
		if (type == ca)
			ret = add_ca(store, piece);
		else if (type == crl)
			ret = add_crl(store, piece);
		if (type == crl)
			flags |=
			    X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
		if (ret == -1)
			break;
	}
	if (more == 0 && X509_STORE_set_flags(store, flags) == 1)
		return store;
	tls_error(err, EINVAL, "trusted certificates");
	X509_STORE_free(store);
	return NULL;
}

/* --- the callback ------------------------------------------------------- */

static const char *
lets_pass(const struct config *c, bool client, int error)
{
	size_t i;

	if (c->ssl_no_cert_verify)
		return "ssl_no_cert_verify";
	if (client && c->ssl_no_client_cert_verify)
		return "ssl_no_client_cert_verify";
	for (i = 0; i < sizeof(loosened) / sizeof(loosened[0]); i++) {
		const char *field = (const char *)c + loosened[i].field;

		if (loosened[i].error == error && *(const bool *)field)
			return loosened[i].option;
	}
	return NULL;
}

static void
subject_of(X509 *cert, char *out, size_t cap)
{
	BIO *bio = cert == NULL ? NULL : BIO_new(BIO_s_mem());
	int n = -1;

	if (bio != NULL &&
	    X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
		XN_FLAG_ONELINE & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0)
		n = BIO_read(bio, out, (int)cap - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
}

/* What the real-server is called, or which of our names a client wants. */
static void
server_of(SSL *ssl, char *out, size_t cap)
{
	char *ip = NULL;

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
	/* A server that is known by its address is asked for no name. */
	ip = X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(ssl));
#endif
	snprintf(
	    out, cap, "%s", ip != NULL ? ip : tls_server_name(tls_of(ssl)));
	OPENSSL_free(ip);
}

static int
callback(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(
	    store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = tls_of(ssl);
	const struct config *c = tls_side(t)->config;
	int error = X509_STORE_CTX_get_error(store);
	const char *why = X509_verify_cert_error_string(error), *option;
	char subject[160], server[256], text[400];

	if (ok == 1)
		return 1;
	subject_of(
	    X509_STORE_CTX_get_current_cert(store), subject, sizeof(subject));
	option = lets_pass(c, SSL_is_server(ssl) == 1, error);
	if (option != NULL) {
		server_of(ssl, server, sizeof(server));
		log_event(LOG_NOTICE, "certificate-accepted",
		    LOG_STR("option", option), LOG_STR("why", why),
		    LOG_STR("subject", subject), LOG_STR("server", server));
		/* The error stays the result: tls_peer_user() trusts nothing
		 * that was only let pass. */
		return 1;
	}
	snprintf(text, sizeof(text),
	    "certificate refused: %s (%d) at depth %d: %s", why, error,
	    X509_STORE_CTX_get_error_depth(store), subject);
	tls_refuse(t, text);
	return 0;
}

/* --- settings ----------------------------------------------------------- */

void
tls_verify_server(const struct config *c, SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, callback);
	SSL_CTX_set_verify_depth(ctx, (int)c->ssl_cert_verify_depth);
}

void
tls_verify_client(const struct config *c, SSL *ssl, enum client_cert_mode mode)
{
	int how = SSL_VERIFY_PEER;

	if (mode == CLIENT_CERT_NONE)
		return;
	if (mode == CLIENT_CERT_REQUIRED)
		how |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_set_verify(ssl, how, callback);
	SSL_set_verify_depth(ssl, (int)c->ssl_cert_verify_depth);
}

static int
set_ip(X509_VERIFY_PARAM *param, const struct addr *a)
{
	if (IN6_IS_ADDR_V4MAPPED(&a->ip))
		return X509_VERIFY_PARAM_set1_ip(param, &a->ip.s6_addr[12], 4);
	return X509_VERIFY_PARAM_set1_ip(
	    param, a->ip.s6_addr, sizeof(a->ip.s6_addr));
}

int
tls_verify_name(SSL *ssl, const char *host, struct err *err)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct addr a;

	X509_VERIFY_PARAM_set_hostflags(
	    param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (addr_parse_ip(slice_str(host), &a) == 0) {
		if (set_ip(param, &a) == 1)
			return 0;
	} else if (X509_VERIFY_PARAM_set1_host(param, host, 0) == 1) {
		return 0;
	}
	return tls_error(err, EINVAL, "%s: not a name to verify", host);
}
