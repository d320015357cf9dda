/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_filter - the search filter for a key.
 *
 * The template is the filter of an LDAP URL, not yet percent-decoded.  In it
 * %s is the key, as in printf(3) with a width and a precision if need be
 * (%-10s, %.10s: bytes of the key before it is escaped), %% a percent sign and
 * %XX a byte (RFC 4516 section 2.1).  Digits in front of an s are a width:
 * "%20s" is not a space and an s.  Pure.
 */
#ifndef PERDITION_MODULES_LDAP_FILTER_H
#define PERDITION_MODULES_LDAP_FILTER_H

#include "common/slice.h"
#include "perdition/popmap.h"

/* 0, or -1 with err: malformed, unbalanced, or without a key. */
int ldap_filter_check(struct slice form, struct popmap_error *);

/*
 * The filter for a key, escaped so that it is a value and nothing else
 * (RFC 4515 section 3).  malloc'ed, or NULL with err.
 */
char *ldap_filter_make(
    struct slice form, struct slice key, struct popmap_error *);

#endif
