/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_bio - between OpenSSL and a socket: as BIO_s_socket(3), but it can be
 * told that the next record follows at once, so that records of a large piece
 * leave in packets as large as those of a single write.  A ticket of TLS 1.3
 * leaves with what the server says next: its greeting, mostly.
 */
#ifndef PERDITION_TLS_BIO_H
#define PERDITION_TLS_BIO_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct tls_bio {
	const SSL *ssl; /* whose BIO it is; borrowed */
	int fd;         /* the caller's */
	bool more;      /* MSG_MORE, with each write until it is false again */
	bool end;       /* the peer has sent its last */
};

/* socket is borrowed.  NULL without memory. */
BIO *tls_bio_create(struct tls_bio *socket);

#endif
