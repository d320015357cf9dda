/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_reader - what the parts of tls_files.c share: where to read files goes
 * to, and what is wrong with them.
 */
#ifndef PERDITION_TLS_READER_H
#define PERDITION_TLS_READER_H

#include <dirent.h>
#include <openssl/x509.h>
#include <stddef.h>

#include "common/option.h"
#include "common/secret.h"
#include "perdition/config.h"
#include "perdition/tls/tls_bundle.h"
#include "perdition/tls/tls_files.h"

#define TLS_READER_KINDS 8 /* of keys; more than there are */

struct tls_digest {
	unsigned char bytes[32]; /* SHA-256 */
};

struct tls_reader {
	const struct config *config;
	const struct secret *passphrase; /* NULL: none */
	struct tls_bundle *keys, *trust;
	struct option_problems *problems;
	int kind[TLS_READER_KINDS]; /* of the default pairs' keys */
	size_t kinds;
	struct tls_digest *seen; /* authorities that are in the bundle */
	size_t seen_n;
	int status; /* sysexits(3); 0: nothing is wrong */
};

/* A problem with a file that an option names.  code: errno's; what is not there
 * is another status than what is wrong. */
void tls_reader_complain(struct tls_reader *, int code, const char *option,
    const char *path, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* What works all the same is only logged. */
void tls_reader_warn(const char *option, const char *path, const char *text);

/* Puts a piece, or a certificate, into one of the bundles; out of memory is
 * complained of. */
void tls_reader_add(struct tls_reader *, struct tls_bundle *, enum tls_piece,
    const void *p, size_t n);
void tls_reader_cert(
    struct tls_reader *, struct tls_bundle *, enum tls_piece, X509 *);

/* scandir(3)'s filter for the directories that options name. */
int tls_reader_not_hidden(const struct dirent *);

/* --- tls_read_pairs.c --------------------------------------------------- */

/* Our own certificates and keys: the default ones, and those of ssl_cert_dir,
 * which go behind all else. */
void tls_read_passphrase(struct tls_reader *, struct tls_passphrase *);
void tls_read_default_pairs(struct tls_reader *);
void tls_read_cert_dir(struct tls_reader *);

/* --- tls_read_trust.c --------------------------------------------------- */

/* Authorities, and lists of what they have revoked; path: may be "". */
void tls_read_server_trust(struct tls_reader *);
void tls_read_client_trust(struct tls_reader *);
void tls_read_crls(struct tls_reader *, const char *option, const char *path,
    struct tls_bundle *, enum tls_piece);

#endif
