/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_ctx - one way to make an SSL_CTX.
 */
#include "config.h"

#include "perdition/tls/tls_ctx.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"

#include "common/banned.h"

/* What is there where OpenSSL has it. */
#ifndef SSL_OP_IGNORE_UNEXPECTED_EOF /* 3.0 */
#define SSL_OP_IGNORE_UNEXPECTED_EOF 0
#endif
#ifndef SSL_OP_CLEANSE_PLAINTEXT /* 3.0 */
#define SSL_OP_CLEANSE_PLAINTEXT 0
#endif

/* One record and its header, so that it is read in one go. */
#define READ_BUFFER (SSL3_RT_MAX_ENCRYPTED_LENGTH + SSL3_RT_HEADER_LENGTH)

/* 128 bits first, in either version: as safe for what is sent, and with SHA-256
 * a resumed handshake takes a sixth less. */
const char tls_ctx_listen_ciphers[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
    "TLS_CHACHA20_POLY1305_SHA256:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384";

int
tls_init(struct err *err)
{
	if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS |
				 OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
				 OPENSSL_INIT_LOAD_CONFIG,
		NULL) == 1)
		return 0;
	return tls_error(err, EINVAL, "OpenSSL");
}

/* The last reason in the queue is the one furthest out; the first is where it
 * began, which says most. */
static void
reason(char *out, size_t cap)
{
	unsigned long e = ERR_get_error();
	const char *text = e == 0 ? NULL : ERR_reason_error_string(e);

	if (text != NULL)
		snprintf(out, cap, "%s", text);
	else if (e != 0)
		snprintf(out, cap, "error %lx", e);
	else
		snprintf(
		    out, cap, "%s", errno != 0 ? strerror(errno) : "failed");
	ERR_clear_error();
}

int
tls_error(struct err *err, int code, const char *fmt, ...)
{
	char what[256], why[256];
	va_list ap;

	reason(why, sizeof(why));
	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	return err_set(err, code, "%s: %s", what, why);
}

/* --- ciphers ------------------------------------------------------------ */

static bool
is_separator(char c)
{
	return c == ':' || c == ',' || c == ' ';
}

/* Appends word to a list that is long enough for all words there are. */
static void
append(char *list, struct slice word)
{
	size_t n = strlen(list);

	if (n > 0)
		list[n++] = ':';
	memcpy(list + n, word.p, word.n);
	list[n + word.n] = '\0';
}

/* OpenSSL wants the suites of TLS 1.3 apart from all others. */
static void
part_ciphers(const char *all, char *suites, char *list)
{
	const char *p = all;

	suites[0] = list[0] = '\0';
	while (*p != '\0') {
		struct slice word = { p, 0 };

		while (p[word.n] != '\0' && !is_separator(p[word.n]))
			word.n++;
		p += word.n + (p[word.n] != '\0');
		if (word.n > 0)
			append(
			    slice_starts(word, SLICE("TLS_")) ? suites : list,
			    word);
	}
}

static int
set_ciphers(SSL_CTX *ctx, const struct tls_ctx_settings *set, struct err *err)
{
	size_t cap = strlen(set->ciphers) + 2;
	char *suites = malloc(cap), *list = malloc(cap);
	int ret = -1;

	if (suites == NULL || list == NULL) {
		err_set(err, ENOMEM, "out of memory");
		goto out;
	}
	part_ciphers(set->ciphers, suites, list);
	if (suites[0] != '\0' && SSL_CTX_set_ciphersuites(ctx, suites) != 1) {
		tls_error(err, EINVAL, "%s: %s", set->ciphers_name, suites);
		goto out;
	}
	if (list[0] != '\0' && SSL_CTX_set_cipher_list(ctx, list) != 1) {
		tls_error(err, EINVAL, "%s: %s", set->ciphers_name, list);
		goto out;
	}
	ret = 0;
out:
	free(suites);
	free(list);
	return ret;
}

/* --- versions ----------------------------------------------------------- */

static int
set_versions(SSL_CTX *ctx, const struct tls_ctx_settings *set, struct err *err)
{
	/* OpenSSL's own configuration shall not bound what ours says. */
	if (SSL_CTX_set_min_proto_version(ctx, set->min) != 1)
		return tls_error(err, EINVAL,
		    "%s: a version that OpenSSL does not have", set->min_name);
	if (SSL_CTX_set_max_proto_version(ctx, set->max) != 1)
		return tls_error(err, EINVAL,
		    "highest version: one that OpenSSL does not have");
	/* Their signatures and hashes are below every other level. */
	if (set->min != 0 && set->min < TLS1_2_VERSION &&
	    strstr(set->ciphers, "@SECLEVEL") == NULL)
		SSL_CTX_set_security_level(ctx, 0);
	return 0;
}

SSL_CTX *
tls_ctx_create(const struct tls_ctx_settings *set, struct err *err)
{
	SSL_CTX *ctx;

	ERR_clear_error();
	ctx = SSL_CTX_new(
	    set->server ? TLS_server_method() : TLS_client_method());
	if (ctx == NULL) {
		tls_error(err, ENOMEM, "OpenSSL");
		return NULL;
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		     SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER);
	if (set_versions(ctx, set, err) == -1 ||
	    set_ciphers(ctx, set, err) == -1)
		goto fail;
	/* The fast ones first.  What a real-server has is not ours to say. */
	if (set->server &&
	    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384:P-521") != 1) {
		tls_error(err, EINVAL, "groups");
		goto fail;
	}
	return ctx;
fail:
	SSL_CTX_free(ctx);
	return NULL;
}
