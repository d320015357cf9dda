/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_tls - TLS towards Redis; see the header.
 */
#include "config.h"

#include "perdition-pbs/share_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"

#include "common/banned.h"

struct share_tls {
	SSL_CTX *ctx;
	char *name;
};

static int
fail(struct err *err, const char *file)
{
	unsigned long e = ERR_peek_error();
	const char *why = ERR_reason_error_string(e);

	if (ERR_SYSTEM_ERROR(e))
		why = strerror(ERR_GET_REASON(e));
	err_set(err, EINVAL, "%s: %s", file, why == NULL ? "unusable" : why);
	ERR_clear_error();
	return -1;
}

static int
load(struct share_tls *t, const struct share_tls_config *c, struct err *err)
{
	const char *key = c->key_file[0] == '\0' ? c->cert_file : c->key_file;

	if (c->ca_cert_file[0] != '\0'
		? SSL_CTX_load_verify_locations(
		      t->ctx, c->ca_cert_file, NULL) != 1
		: SSL_CTX_set_default_verify_paths(t->ctx) != 1)
		return fail(err, c->ca_cert_file[0] != '\0'
				     ? c->ca_cert_file
				     : "the system's certificates");
	if (c->cert_file[0] == '\0')
		return 0;
	if (SSL_CTX_use_certificate_chain_file(t->ctx, c->cert_file) != 1)
		return fail(err, c->cert_file);
	if (SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(t->ctx) != 1)
		return fail(err, key);
	return 0;
}

struct share_tls *
share_tls_create(const struct share_tls_config *c, struct err *err)
{
	struct share_tls *t = calloc(1, sizeof(*t));

	if (t != NULL) {
		t->name = strdup(c->name);
		t->ctx = SSL_CTX_new(TLS_client_method());
	}
	if (t == NULL || t->name == NULL || t->ctx == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		share_tls_destroy(&t);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (load(t, c, err) == -1)
		share_tls_destroy(&t);
	return t;
}

void
share_tls_destroy(struct share_tls **tp)
{
	if (*tp == NULL)
		return;
	SSL_CTX_free((*tp)->ctx);
	free((*tp)->name);
	free(*tp);
	*tp = NULL;
}

/* An address is looked for among the certificate's addresses, never its
 * names (RFC 6125 section 1.7.2), and is no SNI (RFC 6066 section 3). */
static int
expect_name(SSL *ssl, const char *name)
{
	struct addr a;

	if (addr_parse_ip(slice_str(name), &a) == 0)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set1_host(ssl, name) != 1)
		return 0;
	return (int)SSL_set_tlsext_host_name(ssl, name);
}

SSL *
share_tls_start(struct share_tls *t, int fd, const char *host)
{
	const char *name = t->name[0] == '\0' ? host : t->name;
	SSL *ssl = SSL_new(t->ctx);

	if (ssl != NULL &&
	    (SSL_set_fd(ssl, fd) != 1 || expect_name(ssl, name) != 1)) {
		SSL_free(ssl);
		ssl = NULL;
	}
	if (ssl != NULL)
		SSL_set_connect_state(ssl);
	return ssl;
}

void
share_tls_why(SSL *ssl, int ret, char *out, size_t cap)
{
	int saved = errno, kind = SSL_get_error(ssl, ret);
	long verified = SSL_get_verify_result(ssl);
	const char *why = ERR_reason_error_string(ERR_peek_error());

	if (verified != X509_V_OK)
		snprintf(out, cap, "TLS: certificate: %s",
		    X509_verify_cert_error_string(verified));
	else if (why != NULL)
		snprintf(out, cap, "TLS: %s", why);
	else if (kind == SSL_ERROR_SYSCALL && saved != 0)
		snprintf(out, cap, "TLS: %s", strerror(saved));
	else
		snprintf(out, cap, "TLS: connection closed");
	ERR_clear_error();
}
