/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_files - the master's side: reads and checks the files that the options
 * ssl_... name.
 *
 * All that can be wrong with a key, a certificate or a list is found here,
 * before any worker sees it: unreadable or empty files, a key that does not
 * fit its certificate, a wrong pass phrase, a key shorter than OpenSSL takes.
 */
#ifndef PERDITION_TLS_FILES_H
#define PERDITION_TLS_FILES_H

#include "common/secret.h"
#include "perdition/config.h"
#include "perdition/tls/tls_bundle.h"

/* What is read once and kept over reloads: a pass phrase that came through a
 * descriptor.  Wiped by tls_files_forget(). */
struct tls_passphrase {
	bool read;
	struct secret text;
};
void tls_files_forget(struct tls_passphrase *);

/*
 * Reads all files that config names, into two bundles.  keys stays empty
 * when no listener has TLS.  What is odd but works (a certificate that is
 * expired, or about to; an OCSP response that is out of date; a key that
 * others may read) is logged as a warning; so is each option that loosens
 * verification, once here.
 * 0; or EX_NOINPUT (a file is not there) or EX_CONFIG of sysexits(3) with all
 * problems, each naming option and file; the bundles are empty then.
 */
int tls_files_read(const struct config *, struct tls_passphrase *,
    struct tls_bundle *keys, struct tls_bundle *trust,
    struct option_problems *);

#endif
