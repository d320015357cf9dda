/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_listen - see tls_listen.h.
 */
#include "config.h"

#include "perdition/tls/tls_listen.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "perdition/tls/tls_bundle.h"
#include "perdition/tls/tls_certs.h"
#include "perdition/tls/tls_ctx.h"
#include "perdition/tls/tls_verify.h"

#include "common/banned.h"

#define CONTEXT_LEN 16 /* bytes of a hash */

struct tls_listen {
	const struct config *config;
	/* Of the sessions that may be resumed; behind it stands whether the
	 * listener asks for certificates. */
	unsigned char context[CONTEXT_LEN + 1];
	SSL_CTX *ctx;
	struct tls_certs *certs;
	struct tls_side *side; /* one a listener */
};

/* --- ALPN --------------------------------------------------------------- */

/* Who offers protocols means one of them: what else it would say is for
 * another server (RFC 7301 section 3.2; ALPACA). */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned int in_len, void *arg)
{
	struct tls *t = tls_of(ssl);
	struct slice want = slice_str(tls_side(t)->alpn);
	unsigned int at = 0;

	(void)arg;
	while (at < in_len && in[at] <= in_len - at - 1) {
		struct slice offer = { (const char *)in + at + 1, in[at] };

		if (slice_eq(offer, want)) {
			*out = in + at + 1;
			*out_len = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
		at += in[at] + 1u;
	}
	tls_refuse(t, "the client offers other protocols only (ALPN)");
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- Diffie-Hellman ----------------------------------------------------- */

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
static int
set_dh(SSL_CTX *ctx, BIO *bio)
{
	EVP_PKEY *dh = PEM_read_bio_Parameters(bio, NULL);

	if (dh == NULL)
		return -1;
	/* Parameters of curves are read as well, and would be taken. */
	if ((EVP_PKEY_is_a(dh, "DH") || EVP_PKEY_is_a(dh, "DHX")) &&
	    SSL_CTX_set0_tmp_dh_pkey(ctx, dh) == 1)
		return 0;
	EVP_PKEY_free(dh);
	return -1;
}
#else
static int
set_dh(SSL_CTX *ctx, BIO *bio)
{
	DH *dh = PEM_read_bio_DHparams(bio, NULL, NULL, NULL);
	int ret = dh != NULL && SSL_CTX_set_tmp_dh(ctx, dh) == 1 ? 0 : -1;

	DH_free(dh);
	return ret;
}
#endif

static int
read_dh(SSL_CTX *ctx, struct slice keys, struct err *err)
{
	enum tls_piece type;
	struct slice piece;

	while (tls_bundle_next(&keys, &type, &piece) == 1) {
		BIO *bio;
		int ret;

		if (type != TLS_PIECE_DH)
			continue;
		bio = BIO_new_mem_buf(piece.p, (int)piece.n);
		ret = bio == NULL ? -1 : set_dh(ctx, bio);
		BIO_free(bio);
		if (ret == -1)
			return tls_error(err, EINVAL, "ssl_dh_params_file");
	}
	return 0;
}

/* --- clients' certificates ---------------------------------------------- */

/* The names of those whose certificates are taken, which help a client to
 * choose. */
static int
tell_authorities(SSL_CTX *ctx, struct slice keys)
{
	enum tls_piece type;
	struct slice piece;

	while (tls_bundle_next(&keys, &type, &piece) == 1) {
		const unsigned char *p = (const unsigned char *)piece.p;
		X509 *cert;
		int ok;

		if (type != TLS_PIECE_CLIENT_CA)
			continue;
		cert = d2i_X509(NULL, &p, (long)piece.n);
		ok = cert != NULL && SSL_CTX_add_client_CA(ctx, cert) == 1;
		X509_free(cert);
		if (!ok)
			return -1;
	}
	return 0;
}

/*
 * A session is resumed without its client's certificate being looked at again:
 * so it belongs to those who were trusted, and not, when it began, and to
 * listeners that ask for as much.
 */
static int
make_context(struct tls_listen *l, struct slice keys)
{
	const struct config *c = l->config;
	unsigned char hash[EVP_MAX_MD_SIZE];
	const bool flags[] = { c->ssl_no_cert_verify,
		c->ssl_no_client_cert_verify, c->ssl_cert_accept_expired,
		c->ssl_cert_accept_not_yet_valid,
		c->ssl_cert_accept_self_signed, c->ssl_ca_accept_self_signed };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	enum tls_piece type;
	struct slice piece;
	unsigned int n = 0;
	int ret = -1;

	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(md, flags, sizeof(flags)) != 1)
		goto out;
	while (tls_bundle_next(&keys, &type, &piece) == 1)
		if ((type == TLS_PIECE_CLIENT_CA ||
			type == TLS_PIECE_CLIENT_CRL) &&
		    EVP_DigestUpdate(md, piece.p, piece.n) != 1)
			goto out;
	if (EVP_DigestFinal_ex(md, hash, &n) != 1 || n < CONTEXT_LEN)
		goto out;
	memcpy(l->context, hash, CONTEXT_LEN);
	ret = 0;
out:
	EVP_MD_CTX_free(md);
	return ret;
}

static int
set_clients(struct tls_listen *l, struct slice keys, struct err *err)
{
	X509_STORE *store;

	if (make_context(l, keys) == -1)
		return tls_error(err, EINVAL, "session context");
	if (!l->config->listen_client_certs)
		return 0;
	store = tls_verify_store(
	    keys, TLS_PIECE_CLIENT_CA, TLS_PIECE_CLIENT_CRL, err);
	if (store == NULL)
		return -1;
	/* Not the one that our own chains would be made up from. */
	SSL_CTX_set1_verify_cert_store(l->ctx, store);
	X509_STORE_free(store);
	if (tell_authorities(l->ctx, keys) == -1)
		return tls_error(err, EINVAL, "ssl_client_ca_file");
	return 0;
}

/* --- the context -------------------------------------------------------- */

static int
set_tickets(struct tls_listen *l, struct tls_tickets *tickets, struct err *err)
{
	if (tickets != NULL) {
		/* One a handshake: whoever comes with it gets another. */
		if (SSL_CTX_set_num_tickets(l->ctx, 1) == 1 &&
		    tls_tickets_install(
			l->ctx, tickets, l->config->ssl_ticket_lifetime) == 0)
			return 0;
		return tls_error(err, EINVAL, "session tickets");
	}
	SSL_CTX_set_options(l->ctx, SSL_OP_NO_TICKET);
	if (SSL_CTX_set_num_tickets(l->ctx, 0) != 1)
		return tls_error(err, EINVAL, "session tickets");
	return 0;
}

static int
make_ctx(struct tls_listen *l, struct slice keys, struct tls_tickets *tickets,
    struct err *err)
{
	const struct config *c = l->config;
	const char *ciphers = c->ssl_listen_ciphers;
	const struct tls_ctx_settings set = {
		.server = true,
		.ciphers =
		    ciphers[0] == '\0' ? tls_ctx_listen_ciphers : ciphers,
		.min = (int)c->ssl_listen_min_proto_version,
		.max = (int)c->ssl_listen_max_proto_version,
		.min_name = "ssl_listen_min_proto_version",
		.ciphers_name = "ssl_listen_ciphers",
	};

	l->ctx = tls_ctx_create(&set, err);
	if (l->ctx == NULL)
		return -1;
	if (!c->ssl_no_cipher_server_preference)
		SSL_CTX_set_options(l->ctx,
		    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_alpn_select_cb(l->ctx, choose_protocol, NULL);
	if (set_tickets(l, tickets, err) == -1 ||
	    read_dh(l->ctx, keys, err) == -1 || set_clients(l, keys, err) == -1)
		return -1;
	l->certs = tls_certs_create(keys, err);
	if (l->certs == NULL)
		return -1;
	return tls_certs_install(l->certs, l->ctx, err);
}

struct tls_listen *
tls_listen_create(const struct config *config, struct slice keys,
    struct tls_tickets *tickets, struct err *err)
{
	struct tls_listen *l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->side = calloc(config->listener_count, sizeof(*l->side));
	if (l == NULL || l->side == NULL) {
		err_set(err, ENOMEM, "out of memory");
		tls_listen_destroy(&l);
		return NULL;
	}
	l->config = config;
	for (size_t i = 0; i < config->listener_count; i++)
		l->side[i] = (struct tls_side){ config,
			config->listeners[i].protocol->alpn, l };
	if (make_ctx(l, keys, tickets, err) == -1)
		tls_listen_destroy(&l);
	return l;
}

void
tls_listen_destroy(struct tls_listen **lp)
{
	struct tls_listen *l = *lp;

	if (l == NULL)
		return;
	SSL_CTX_free(l->ctx);
	tls_certs_destroy(&l->certs);
	free(l->side);
	free(l);
	*lp = NULL;
}

struct tls *
tls_listen_accept(
    struct tls_listen *l, const struct listener_config *listener, int fd)
{
	size_t i = (size_t)(listener - l->config->listeners);
	SSL *ssl = SSL_new(l->ctx);

	l->context[CONTEXT_LEN] = (unsigned char)listener->client_cert;
	if (ssl == NULL || SSL_set_session_id_context(
			       ssl, l->context, sizeof(l->context)) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		errno = ENOMEM;
		return NULL;
	}
	SSL_set_accept_state(ssl);
	tls_verify_client(l->config, ssl, listener->client_cert);
	return tls_create(ssl, fd, &l->side[i], 0);
}
