/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_link - a connection to an LDAP server, in TLS if that is wanted, and
 * bound.
 *
 * None of its calls takes longer than it is told.  Knows nothing of what is
 * searched for.
 */
#ifndef PERDITION_MODULES_LDAP_LINK_H
#define PERDITION_MODULES_LDAP_LINK_H

#include <ldap.h>
#include <stdint.h>

#include "perdition/modules/ldap_options.h"
#include "perdition/popmap.h"

/*
 * Call once before anything else of the library.  Tries the files of
 * certificates, without any connection.  0, or -1 with err.
 */
int ldap_link_check(const struct ldap_options *, struct popmap_error *);

/* The server is one of the options'.  NULL with err, which names it. */
LDAP *ldap_link_open(const struct ldap_options *, const struct ldap_server *,
    uint64_t deadline, struct popmap_error *);
void ldap_link_close(LDAP **); /* accepts a pointer to NULL */

/*
 * The whole answer to a request: LDAP_SUCCESS with *res set, or the library's
 * code, which is negative: the link is of no more use.
 */
int ldap_link_wait(LDAP *, int msgid, uint64_t deadline, LDAPMessage **res);

/*
 * The server's own result code in an answer; what it said besides is kept for
 * ldap_link_error().  Does not free res.
 */
int ldap_link_result(LDAP *, LDAPMessage *res);

/* Formats a code with all that is known of it; returns -1. */
int ldap_link_error(struct popmap_error *, LDAP *, const struct ldap_server *,
    const char *what, int code);

#endif
