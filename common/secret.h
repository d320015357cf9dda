/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secret - a password on its way from one socket to another.
 *
 * Never logged (no log field can hold one), never resized, wiped when done.
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stddef.h>

#include "common/slice.h"

struct secret {
	size_t n;         /* bytes used */
	char bytes[1024]; /* RFC 4616 section 2 asks for at least 255 */
};

/* Copy s in.  0, or -1 with errno EMSGSIZE (longer than bytes). */
int secret_set(struct secret *, struct slice s);
struct slice secret_get(const struct secret *); /* a view; do not keep it */
void secret_clear(struct secret *);             /* wipes bytes and length */

/* explicit_bzero(3) for any memory that held one. */
void secret_wipe(void *p, size_t n);

#endif
