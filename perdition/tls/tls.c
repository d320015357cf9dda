/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls - OpenSSL's calls and their many ways to say "not now".
 */
#include "config.h"

#include "perdition/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"
#include "perdition/tls/tls_bio.h"
#include "perdition/tls/tls_ctx.h"

#include "common/banned.h"

#define RECORD_FIRST 1400 /* bytes; with its overhead within one packet */
#define QUIET_MS 1000     /* without a write: then a burst begins anew */
#define RECORD_BULK 4096  /* bytes; a longer one may well have a successor */

enum tls_state { TLS_SHAKING, TLS_OPEN, TLS_FAILED };

struct tls {
	SSL *ssl;
	struct tls_bio socket;
	const struct tls_side *side;
	char *refusal; /* of tls_refuse(), until the handshake ends */
	uint64_t peer;
	uint64_t written_ms; /* the last write */
	size_t refused_n;    /* of a write that was not taken: all of it must be
				offered again; 0 none */
	uint32_t burst;      /* bytes written since it began */
	uint8_t state;       /* enum tls_state */
	bool to_write;       /* waits for that */
	bool drained;        /* the last read found no whole record */
	bool untold;         /* and an end behind what it gave */
};

struct tls *
tls_create(SSL *ssl, int fd, const struct tls_side *side, uint64_t peer)
{
	struct tls *t = calloc(1, sizeof(*t));
	BIO *bio = t == NULL ? NULL : tls_bio_create(&t->socket);

	if (bio == NULL || SSL_set_app_data(ssl, t) != 1) {
		BIO_free(bio);
		ERR_clear_error();
		SSL_free(ssl);
		free(t);
		errno = ENOMEM;
		return NULL;
	}
	SSL_set_bio(ssl, bio, bio); /* takes it */
	t->ssl = ssl;
	t->socket.fd = fd;
	t->socket.ssl = ssl;
	t->side = side;
	t->peer = peer;
	t->drained = true;
	return t;
}

struct tls *
tls_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

const struct tls_side *
tls_side(const struct tls *t)
{
	return t->side;
}

uint64_t
tls_peer(const struct tls *t)
{
	return t->peer;
}

void
tls_refuse(struct tls *t, const char *why)
{
	if (t->refusal == NULL)
		t->refusal = strdup(why); /* without memory: OpenSSL's words */
}

void
tls_shutdown(struct tls *t)
{
	if (t->state != TLS_OPEN)
		return;
	ERR_clear_error();
	t->socket.more = true; /* the end of the connection follows */
	/* Once: whether it went, and the peer's own, are not waited for. */
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

void
tls_destroy(struct tls **tp)
{
	struct tls *t = *tp;

	if (t == NULL)
		return;
	tls_shutdown(t);
	SSL_free(t->ssl);
	free(t->refusal);
	secret_wipe(t, sizeof(*t));
	free(t);
	*tp = NULL;
}

/* --- what went wrong ---------------------------------------------------- */

/* Reads as nonsense what is no TLS at all. */
static bool
is_no_tls(unsigned long e)
{
	if (ERR_GET_LIB(e) != ERR_LIB_SSL)
		return false;
	switch (ERR_GET_REASON(e)) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_RECORD_LENGTH_MISMATCH:
		return true;
	default:
		return false;
	}
}

static bool
is_alert(unsigned long e)
{
	return ERR_GET_LIB(e) == ERR_LIB_SSL &&
	       ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET;
}

static int
handshake_failed(struct tls *t, int ssl_error, int error, struct err *err)
{
	unsigned long e = ERR_peek_error();

	t->state = TLS_FAILED;
	if (t->refusal != NULL)
		err_set(err, EPROTO, "%s", t->refusal);
	else if (ssl_error == SSL_ERROR_ZERO_RETURN ||
		 (ssl_error == SSL_ERROR_SYSCALL && e == 0 && error == 0))
		err_set(err, EPROTO, "connection closed during the handshake");
	else if (ssl_error == SSL_ERROR_SYSCALL && e == 0)
		err_set(err, error, "%s", strerror(error));
	else if (is_no_tls(e))
		err_set(err, EPROTO, "the other side speaks no TLS (%s)",
		    ERR_reason_error_string(e));
	else if (is_alert(e))
		err_set(err, EPROTO, "the other side refused: %s",
		    SSL_alert_desc_string_long(
			ERR_GET_REASON(e) - SSL_AD_REASON_OFFSET));
	else
		tls_error(err, EPROTO, "handshake");
	ERR_clear_error();
	return -1;
}

/* errno of a read or write that failed for good. */
static ssize_t
broken(struct tls *t, int ssl_error, int error)
{
	t->state = TLS_FAILED;
	if (ssl_error == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
		errno = error != 0 ? error : ECONNRESET;
	else
		errno = EPROTO;
	ERR_clear_error();
	return -1;
}

/* --- handshake ---------------------------------------------------------- */

static void
opened(struct tls *t)
{
	t->state = TLS_OPEN;
	t->to_write = false;
	/* The first bytes may have come with the handshake's last. */
	t->drained = false;
	free(t->refusal);
	t->refusal = NULL;
}

int
tls_handshake(struct tls *t, struct err *err)
{
	int r, e, error;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(t->ssl);
	error = errno;
	if (r == 1) {
		opened(t);
		return 1;
	}
	e = SSL_get_error(t->ssl, r);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
		t->to_write = e == SSL_ERROR_WANT_WRITE;
		return 0;
	}
	return handshake_failed(t, e, error, err);
}

bool
tls_waits_to_write(const struct tls *t)
{
	return t->to_write;
}

/* --- bytes -------------------------------------------------------------- */

/* One SSL_read().  Bytes, 0 at the end, or -1 with errno. */
static ssize_t
read_once(struct tls *t, char *p, size_t n)
{
	size_t got = 0;
	int r, e, error;

	ERR_clear_error();
	errno = 0;
	r = SSL_read_ex(t->ssl, p, n, &got);
	error = errno;
	if (r == 1) {
		t->to_write = false;
		return (ssize_t)got;
	}
	e = SSL_get_error(t->ssl, r);
	switch (e) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: /* an answer to a change of keys */
		t->to_write = e == SSL_ERROR_WANT_WRITE;
		t->drained = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		break;
	}
	/* OpenSSL 1.1.1 tells an end without close_notify so. */
	if (e == SSL_ERROR_SYSCALL && error == 0 && ERR_peek_error() == 0)
		return 0;
	return broken(t, e, error);
}

ssize_t
tls_read(struct tls *t, char *p, size_t n)
{
	size_t have = 0;

	if (t->state != TLS_OPEN) {
		t->untold = false;
		errno = EPROTO;
		return -1;
	}
	t->drained = t->untold = false;
	while (have < n) {
		ssize_t r = read_once(t, p + have, n - have);

		if (r > 0) {
			have += (size_t)r;
			/* The end of what was said: the socket will tell of
			 * more.  To ask it now costs as much as to read. */
			if (r < RECORD_BULK && SSL_has_pending(t->ssl) != 1)
				return (ssize_t)have;
			continue;
		}
		if (have == 0)
			return r;
		/* What came before the end, or the failure, is told first;
		 * the socket will not announce it again. */
		t->untold = r == 0 || errno != EAGAIN;
		break;
	}
	return (ssize_t)have;
}

bool
tls_pending(const struct tls *t)
{
	if (t->untold)
		return true;
	return t->state == TLS_OPEN && !t->drained &&
	       SSL_has_pending(t->ssl) == 1;
}

/* How long the next record may be. */
static size_t
record_max(struct tls *t, uint64_t now_ms)
{
	if (now_ms - t->written_ms >= QUIET_MS)
		t->burst = 0;
	if (t->burst < RECORD_FIRST)
		return RECORD_FIRST;
	return t->burst < SSL3_RT_MAX_PLAIN_LENGTH ? t->burst
						   : SSL3_RT_MAX_PLAIN_LENGTH;
}

/* One SSL_write().  Bytes, maybe 0, or -1 with errno. */
static ssize_t
write_once(struct tls *t, struct slice s)
{
	size_t done = 0;
	int r, e, error;

	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(t->ssl, s.p, s.n, &done);
	error = errno;
	if (r == 1) {
		t->refused_n = 0;
		return (ssize_t)done;
	}
	e = SSL_get_error(t->ssl, r);
	if (e != SSL_ERROR_WANT_WRITE && e != SSL_ERROR_WANT_READ)
		return broken(t, e, error);
	t->refused_n = s.n;
	return 0;
}

ssize_t
tls_write(struct tls *t, struct slice s, uint64_t now_ms)
{
	size_t done = 0;

	if (t->state != TLS_OPEN) {
		errno = EPIPE;
		return -1;
	}
	while (done < s.n) {
		size_t n = s.n - done, max = record_max(t, now_ms);
		ssize_t w;

		if (t->refused_n != 0)
			max = t->refused_n;
		if (n > max)
			n = max;
		t->socket.more = n < s.n - done;
		w = write_once(t, slice_make(s.p + done, n));
		if (w == -1)
			return -1;
		t->written_ms = now_ms;
		if (w == 0)
			break;
		done += (size_t)w;
		if (t->burst < SSL3_RT_MAX_PLAIN_LENGTH)
			t->burst += (uint32_t)w;
	}
	t->socket.more = false;
	return (ssize_t)done;
}

/* --- for the log -------------------------------------------------------- */

const char *
tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *
tls_cipher(const struct tls *t)
{
	return SSL_get_cipher_name(t->ssl);
}

bool
tls_resumed(const struct tls *t)
{
	return SSL_session_reused(t->ssl) == 1;
}

const char *
tls_server_name(const struct tls *t)
{
	const char *name =
	    SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);

	return name == NULL ? "" : name;
}

/* --- the client's certificate ------------------------------------------- */

/* The one field of that kind in a name; NULL: none, or more than one. */
static ASN1_STRING *
only_entry(X509_NAME *name, int nid)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1);

	if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0)
		return NULL;
	return X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
}

size_t
tls_peer_user(const struct tls *t, int nid, char *out, size_t cap)
{
	X509 *cert = SSL_get_peer_certificate(t->ssl);
	ASN1_STRING *field;
	unsigned char *text = NULL;
	size_t n = 0;
	int r;

	if (cert == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK)
		goto out;
	field = only_entry(X509_get_subject_name(cert), nid);
	r = field == NULL ? -1 : ASN1_STRING_to_UTF8(&text, field);
	if (r <= 0 || (size_t)r > cap || memchr(text, '\0', (size_t)r) != NULL)
		goto out;
	n = (size_t)r;
	memcpy(out, text, n);
out:
	OPENSSL_free(text);
	X509_free(cert);
	ERR_clear_error();
	return n;
}
