/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query_key - the key that a popmap is asked for, made from a format.
 *
 * Pure.  Formats (option query_key): \U the whole user name, \u what stands
 * before the domain delimiter, \D the delimiter, \d what stands behind it,
 * \i and \p the client's address and port, \I and \P the local ones, \\ a
 * backslash; everything else, an unknown escape too, stands for itself.
 */
#ifndef PERDITION_QUERY_KEY_H
#define PERDITION_QUERY_KEY_H

#include <stddef.h>

#include "common/addr.h"
#include "common/slice.h"

#define QUERY_KEY_MAX 2048 /* bytes; two user names and some text */

struct query_key_values {
	struct slice user;     /* rewritten for servername_lookup; any bytes */
	const char *delimiter; /* option domain_delimiter */
	const struct addr *client, *local;
};

/* Bytes written to out (no NUL), or -1 with errno ENAMETOOLONG. */
long query_key_expand(
    const char *format, const struct query_key_values *, char *out, size_t cap);

#endif
