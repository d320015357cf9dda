/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_outgoing - see tls_outgoing.h.
 */
#include "config.h"

#include "perdition/tls/tls_outgoing.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "perdition/tls/tls_ctx.h"
#include "perdition/tls/tls_sessions.h"
#include "perdition/tls/tls_verify.h"

#include "common/banned.h"

#define SIDES 4 /* protocols */

struct tls_outgoing {
	const struct config *config;
	struct slice trust;
	SSL_CTX *ctx; /* NULL until the first connection */
	struct tls_sessions *sessions;
	struct tls_side side[SIDES]; /* one for each protocol's name */
};

struct tls_outgoing *
tls_outgoing_create(const struct config *config, struct slice trust)
{
	struct tls_outgoing *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->config = config;
	o->trust = trust;
	return o;
}

void
tls_outgoing_destroy(struct tls_outgoing **op)
{
	struct tls_outgoing *o = *op;

	if (o == NULL)
		return;
	tls_sessions_destroy(&o->sessions);
	SSL_CTX_free(o->ctx);
	free(o);
	*op = NULL;
}

/* With TLS 1.3 that is after the handshake, maybe more than once. */
static int
new_session(SSL *ssl, SSL_SESSION *session)
{
	const struct tls *t = tls_of(ssl);
	struct tls_outgoing *o = tls_side(t)->owner;

	tls_sessions_put(o->sessions, tls_peer(t), session, time(NULL));
	return 1; /* it is ours now */
}

int
tls_outgoing_prepare(struct tls_outgoing *o, struct err *err)
{
	const struct config *c = o->config;
	const struct tls_ctx_settings set = {
		.ciphers = c->ssl_outgoing_ciphers,
		.min = (int)c->ssl_outgoing_min_proto_version,
		.max = (int)c->ssl_outgoing_max_proto_version,
		.min_name = "ssl_outgoing_min_proto_version",
		.ciphers_name = "ssl_outgoing_ciphers",
	};
	X509_STORE *store;

	if (o->ctx != NULL)
		return 0;
	if (o->sessions == NULL)
		o->sessions = tls_sessions_create();
	if (o->sessions == NULL)
		return err_set(err, errno, "sessions: %s", strerror(errno));
	store = tls_verify_store(o->trust, TLS_PIECE_CA, TLS_PIECE_CRL, err);
	if (store == NULL)
		return -1;
	o->ctx = tls_ctx_create(&set, err);
	if (o->ctx == NULL) {
		X509_STORE_free(store);
		return -1;
	}
	SSL_CTX_set_cert_store(o->ctx, store); /* takes it */
	tls_verify_server(c, o->ctx);
	SSL_CTX_set_session_cache_mode(
	    o->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(o->ctx, new_session);
	return 0;
}

static struct tls_side *
side_of(struct tls_outgoing *o, const char *alpn)
{
	for (size_t i = 0; i < SIDES; i++) {
		struct tls_side *side = &o->side[i];

		if (side->alpn == NULL)
			*side = (struct tls_side){ o->config, alpn, o };
		if (strcmp(side->alpn, alpn) == 0)
			return side;
	}
	return NULL;
}

/* Length and name (RFC 7301 section 3.1). */
static int
set_alpn(SSL *ssl, const char *alpn)
{
	unsigned char list[256];
	size_t n = strlen(alpn);

	if (n == 0 || n > 255)
		return -1;
	list[0] = (unsigned char)n;
	memcpy(list + 1, alpn, n);
	/* 0 is success here. */
	return SSL_set_alpn_protos(ssl, list, (unsigned int)n + 1) == 0 ? 0
									: -1;
}

/* All that the connection is told before its handshake.  0, or -1 with err. */
static int
set_up(struct tls_outgoing *o, SSL *ssl, const char *host, const char *alpn,
    uint64_t peer, struct err *err)
{
	SSL_SESSION *session;
	struct addr a;

	if (tls_verify_name(ssl, host, err) == -1)
		return -1;
	/* Not for addresses (RFC 6066 section 3). */
	if (addr_parse_ip(slice_str(host), &a) == -1 &&
	    SSL_set_tlsext_host_name(ssl, host) != 1)
		return tls_error(err, EINVAL, "%s: name for SNI", host);
	if (set_alpn(ssl, alpn) == -1)
		return tls_error(err, EINVAL, "ALPN %s", alpn);
	session = tls_sessions_get(o->sessions, peer, time(NULL));
	/* One that OpenSSL does not take (another version, say) is no harm. */
	if (session != NULL && SSL_set_session(ssl, session) != 1)
		ERR_clear_error();
	return 0;
}

struct tls *
tls_outgoing_connect(struct tls_outgoing *o, const char *host,
    const struct addr *addr, const char *alpn, int fd, struct err *err)
{
	struct tls_side *side = side_of(o, alpn);
	struct tls *t;
	uint64_t peer;
	SSL *ssl;

	ERR_clear_error();
	if (side == NULL) {
		err_set(err, EINVAL, "ALPN %s: one protocol too many", alpn);
		return NULL;
	}
	if (tls_outgoing_prepare(o, err) == -1)
		return NULL;
	ssl = SSL_new(o->ctx);
	if (ssl == NULL) {
		tls_error(err, ENOMEM, "OpenSSL");
		return NULL;
	}
	SSL_set_connect_state(ssl);
	peer = tls_sessions_peer(o->sessions, host, addr, alpn);
	if (set_up(o, ssl, host, alpn, peer, err) == -1) {
		SSL_free(ssl);
		return NULL;
	}
	t = tls_create(ssl, fd, side, peer);
	if (t == NULL)
		err_set(err, errno, "%s", strerror(errno));
	return t;
}
