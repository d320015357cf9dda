/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_memfds - what workers need for TLS, as descriptors to be handed to them.
 */
#ifndef PERDITION_TLS_MEMFDS_H
#define PERDITION_TLS_MEMFDS_H

#include <stdbool.h>

#include "perdition/config.h"
#include "perdition/tls/tls_files.h"

struct tls_memfds {
	int keys; /* -1: no listener has TLS */
	int trust;
};

#define TLS_MEMFDS_NONE ((struct tls_memfds){ -1, -1 })

/*
 * As tls_files_read(), with what was read in sealed memfds.  OpenSSL need not
 * have been made ready.  0, or a status of sysexits(3) with all problems and
 * no descriptor open.
 */
int tls_memfds_read(struct tls_memfds *, const struct config *,
    struct tls_passphrase *, struct option_problems *);
void tls_memfds_close(struct tls_memfds *);

/* Whether workers would notice no difference. */
bool tls_memfds_same(const struct tls_memfds *, const struct tls_memfds *);

#endif
