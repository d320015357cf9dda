/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_url - pieces of an LDAP URL (RFC 4516).
 *
 * Not the library's own parser: that one knows neither our way to name
 * several servers nor "%s", and takes bad percent encoding.  Pure.
 */
#ifndef PERDITION_MODULES_LDAP_URL_H
#define PERDITION_MODULES_LDAP_URL_H

#include "common/slice.h"
#include "perdition/popmap.h"

/*
 * Percent-decoded, malloc'ed; or NULL with err that begins with what, and does
 * not hold s, which may be a password.
 */
char *ldap_url_decode(struct slice s, const char *what, struct popmap_error *);

/* White space around it left out. */
struct slice ldap_url_trim(struct slice s);

enum ldap_scheme {
	LDAP_SCHEME_PLAIN, /* ldap:// */
	LDAP_SCHEME_TLS,   /* ldaps:// */
	LDAP_SCHEME_LOCAL, /* ldapi:// */
};

/*
 * The next of several URLs with white space between them: a URL ends where
 * the next scheme begins, for a DN and a filter may hold spaces.
 * hosts: behind the scheme, as written; rest: what is behind the slash.
 * 1, 0 at the end, or -1 with err.
 */
int ldap_url_next(struct slice *text, enum ldap_scheme *, struct slice *hosts,
    struct slice *rest, struct popmap_error *);

#endif
