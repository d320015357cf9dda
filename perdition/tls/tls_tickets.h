/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_tickets - the keys that session tickets are encrypted with (RFC 5077,
 * RFC 8446 section 4.6.1), in memory that the master writes and all its workers
 * read: a session resumes whichever worker it comes to, also after a
 * reload.
 *
 * A key encrypts for one lifetime and decrypts for one more; then it is
 * wiped.
 */
#ifndef PERDITION_TLS_TICKETS_H
#define PERDITION_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

struct tls_tickets;

/* The master's, without a key yet; *fd: a memfd whose other holders can only
 * read.  NULL with errno. */
struct tls_tickets *tls_tickets_create(int *fd);

/*
 * Makes a new key when the present one has encrypted for its lifetime, or when
 * that is longer than lifetime (seconds; 0: no keys at all).  now: seconds of
 * CLOCK_MONOTONIC.  Returns the seconds until it is to be called again, 0 for
 * never.
 */
int64_t tls_tickets_rotate(
    struct tls_tickets *, unsigned int lifetime, int64_t now);

/* A worker's; NULL with errno.  fd stays the caller's. */
struct tls_tickets *tls_tickets_attach(int fd);
void tls_tickets_detach(struct tls_tickets **);

/* ctx: encrypts and decrypts its tickets with these keys from now on, and
 * tells clients their lifetime.  tickets is borrowed.  0, or -1. */
int tls_tickets_install(
    SSL_CTX *ctx, struct tls_tickets *, unsigned int lifetime);

#endif
