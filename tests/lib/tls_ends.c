/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_ends - see tls_ends.h.
 */
#include "config.h"

#include "tests/lib/tls_ends.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perdition/tls/tls_ctx.h"

#include "common/banned.h"

#define STEPS 100000

static char none[] = "";

struct tls_ends *
tls_ends_create(struct tls_tickets *tickets, long until)
{
	struct tls_ends *e = calloc(1, sizeof(*e));
	struct tls_bundle keys = { NULL, 0, 0 };
	struct err err;

	ck_assert_ptr_nonnull(e);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(tls_init(&err), 0);
	e->fd[0] = e->fd[1] = -1;
	e->authority = pki_authority("Test authority");
	e->pair = pki_issue(&e->authority, "mail.test", -60, until);
	pki_bundle_pair(&keys, &e->pair);
	e->listener = (struct listener_config){ .protocol = &protocol_imap4,
		.tls = TLS_IMPLICIT };
	e->config = (struct config){ .listeners = &e->listener,
		.listener_count = 1,
		.ssl_listen_ciphers = none,
		.ssl_outgoing_ciphers = none,
		.ssl_ticket_lifetime = 3600,
		.ssl_cert_verify_depth = 9,
		.ssl_listen_min_proto_version = TLS1_2_VERSION };
	e->listen = tls_listen_create(
	    &e->config, slice_make(keys.p, keys.n), tickets, &err);
	ck_assert_msg(e->listen != NULL, "%s", err.msg);
	tls_bundle_clear(&keys);
	e->ctx = SSL_CTX_new(TLS_client_method());
	return e;
}

void
tls_ends_destroy(struct tls_ends **ep)
{
	struct tls_ends *e = *ep;

	tls_ends_disconnect(e);
	tls_listen_destroy(&e->listen);
	SSL_CTX_free(e->ctx);
	pki_clear(&e->authority);
	pki_clear(&e->pair);
	free(e);
	*ep = NULL;
}

void
tls_ends_connect(struct tls_ends *e, SSL_SESSION *session)
{
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, e->fd), 0);
	e->ours = tls_listen_accept(e->listen, &e->listener, e->fd[0]);
	ck_assert_ptr_nonnull(e->ours);
	e->peer = SSL_new(e->ctx);
	SSL_set_connect_state(e->peer);
	SSL_set_tlsext_host_name(e->peer, "mail.test");
	SSL_set_bio(e->peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (session != NULL)
		ck_assert_int_eq(SSL_set_session(e->peer, session), 1);
	e->raw_n = 0;
}

void
tls_ends_disconnect(struct tls_ends *e)
{
	tls_destroy(&e->ours);
	/* Or a session that was never told to end could not be resumed. */
	if (e->peer != NULL)
		SSL_set_shutdown(
		    e->peer, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(e->peer);
	e->peer = NULL;
	for (int i = 0; i < 2; i++) {
		if (e->fd[i] != -1)
			close(e->fd[i]);
		e->fd[i] = -1;
	}
}

size_t
tls_ends_move(struct tls_ends *e, size_t most)
{
	unsigned char piece[65536];
	size_t moved = 0;
	ssize_t n;
	int out;

	if (most > sizeof(piece))
		most = sizeof(piece);
	out = BIO_read(SSL_get_wbio(e->peer), piece, (int)most);
	if (out > 0) {
		ck_assert_int_eq(write(e->fd[1], piece, (size_t)out), out);
		moved += (size_t)out;
	}
	while ((n = read(e->fd[1], piece, sizeof(piece))) > 0) {
		ck_assert_uint_le(e->raw_n + (size_t)n, RAW_MAX);
		memcpy(e->raw + e->raw_n, piece, (size_t)n);
		e->raw_n += (size_t)n;
		ck_assert_int_eq(
		    BIO_write(SSL_get_rbio(e->peer), piece, (int)n), (int)n);
		moved += (size_t)n;
	}
	return moved;
}

int
tls_ends_shake(struct tls_ends *e, size_t step, struct err *err)
{
	int ours = 0, peer = 0;

	for (int i = 0; i < STEPS && (ours == 0 || peer != 1); i++) {
		size_t moved;

		if (peer != 1)
			peer = SSL_do_handshake(e->peer);
		moved = tls_ends_move(e, step);
		if (ours == 0)
			ours = tls_handshake(e->ours, err);
		if (ours == -1)
			return -1;
		moved += tls_ends_move(e, step);
		if (moved == 0 && ours == 1 && peer == 1)
			break;
	}
	/* What TLS 1.3 sends behind it. */
	while (tls_ends_move(e, step) > 0)
		;
	return ours;
}
