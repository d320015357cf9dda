/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_bundle - keys and certificates on their way from the master, who reads
 * files, to the workers, who cannot: a row of typed pieces in one block.
 *
 * The block goes through a sealed memfd, so that a worker that is started
 * again gets what its predecessor had, whatever has happened to the files.
 */
#ifndef PERDITION_TLS_BUNDLE_H
#define PERDITION_TLS_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

enum tls_piece {
	/* bundle "keys": only where a listener has TLS */
	TLS_PIECE_PAIR = 1, /* begins a certificate of ours; its file's name */
	TLS_PIECE_CERT,     /* DER; of the pair: the leaf, then its chain */
	TLS_PIECE_KEY,      /* DER (PKCS #8, not encrypted), of the pair */
	TLS_PIECE_OCSP,     /* DER response, of the pair */
	TLS_PIECE_BY_NAME,  /* empty: the pairs that follow are of ssl_cert_dir,
			       for SNI only; those before it are the default */
	TLS_PIECE_DH,       /* PEM parameters */
	TLS_PIECE_CLIENT_CA,  /* DER; whom clients' certificates are from */
	TLS_PIECE_CLIENT_CRL, /* DER */
	/* bundle "trust": always */
	TLS_PIECE_CA,  /* DER; whom real-servers' certificates are from */
	TLS_PIECE_CRL, /* DER */
	TLS_PIECE_COUNT
};

/* Wiped when it grows and when it is cleared. */
struct tls_bundle {
	char *p;
	size_t n, cap;
};

/* 0, or -1 with errno ENOMEM, or EMSGSIZE (the bundle would pass 64 MiB). */
int tls_bundle_add(struct tls_bundle *, enum tls_piece, struct slice);
void tls_bundle_clear(struct tls_bundle *); /* wipes */

/* A sealed, close-on-exec memfd with its content; -1 with errno. */
int tls_bundle_to_memfd(const struct tls_bundle *);

/*
 * The whole content of such a descriptor, mapped for reading; fd may be shared
 * with other processes.  0, or -1 with errno.  tls_bundle_unmap() accepts an
 * empty slice.
 */
int tls_bundle_map(int fd, struct slice *all);
void tls_bundle_unmap(struct slice *all);

/* Whether two such descriptors hold the same; -1: none, which is the same only
 * as none. */
bool tls_bundle_same(int a, int b);

/*
 * The next piece of *rest, which is cut off.  1, 0 at the end, or -1 with
 * errno EBADMSG (cut short, unknown type).
 */
int tls_bundle_next(
    struct slice *rest, enum tls_piece *type, struct slice *piece);

#endif
