/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_bio - see tls_bio.h.
 */
#include "config.h"

#include "perdition/tls/tls_bio.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/banned.h"

static BIO_METHOD *method; /* made once */

static bool
later(ssize_t r)
{
	return r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Nobody waits for one, and a packet of its own would cost both sides. */
static bool
is_ticket(const SSL *ssl)
{
	return SSL_get_state(ssl) == TLS_ST_SW_SESSION_TICKET &&
	       SSL_version(ssl) >= TLS1_3_VERSION;
}

static int
write_bytes(BIO *bio, const char *p, int n)
{
	const struct tls_bio *s = BIO_get_data(bio);
	bool more = s->more || is_ticket(s->ssl);
	ssize_t r;

	BIO_clear_retry_flags(bio);
	do
		r = send(
		    s->fd, p, (size_t)n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (r == -1 && errno == EINTR);
	if (later(r))
		BIO_set_retry_write(bio);
	return (int)r;
}

static int
read_bytes(BIO *bio, char *p, int n)
{
	struct tls_bio *s = BIO_get_data(bio);
	ssize_t r;

	BIO_clear_retry_flags(bio);
	do
		r = recv(s->fd, p, (size_t)n, 0);
	while (r == -1 && errno == EINTR);
	s->end |= r == 0;
	if (later(r))
		BIO_set_retry_read(bio);
	return (int)r;
}

static long
control(BIO *bio, int command, long number, void *p)
{
	const struct tls_bio *s = BIO_get_data(bio);

	(void)number;
	(void)p;
	switch (command) {
	case BIO_CTRL_FLUSH: /* nothing is kept here */
		return 1;
	case BIO_CTRL_EOF:
		return s->end;
	default:
		return 0;
	}
}

static void
make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(
	    BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "perdition socket");

	if (m == NULL)
		return;
	if (BIO_meth_set_write(m, write_bytes) == 1 &&
	    BIO_meth_set_read(m, read_bytes) == 1 &&
	    BIO_meth_set_ctrl(m, control) == 1)
		method = m;
	else
		BIO_meth_free(m);
}

BIO *
tls_bio_create(struct tls_bio *socket)
{
	BIO *bio;

	if (method == NULL)
		make_method();
	bio = method == NULL ? NULL : BIO_new(method);
	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, socket);
	BIO_set_init(bio, 1);
	return bio;
}
