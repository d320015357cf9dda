/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_mode - whether and how TLS begins on a connection, on either side.
 */
#ifndef PERDITION_TLS_MODE_H
#define PERDITION_TLS_MODE_H

#include <stdbool.h>

#include "common/slice.h"

enum tls_mode {
	TLS_NONE,              /* in clear */
	TLS_STARTTLS_OPTIONAL, /* STARTTLS is offered, or used when offered */
	TLS_STARTTLS, /* STARTTLS, and no password before it (RFC 8314) */
	TLS_IMPLICIT, /* from the first byte */
	TLS_MODE_COUNT
};

/* "none", "starttls_optional", "starttls", "implicit", as in ?tls=. */
const char *tls_mode_name(enum tls_mode);
/* Any case.  false: there is no such mode. */
bool tls_mode_find(struct slice name, enum tls_mode *);

#endif
