/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Passwords held in one place of fixed size, and wiped from it.
 */
#include "config.h"

#include "common/secret.h"

#include <errno.h>
#include <string.h>

#include "common/banned.h"

int
secret_set(struct secret *secret, struct slice s)
{
	if (s.n > sizeof(secret->bytes)) {
		errno = EMSGSIZE;
		return -1;
	}
	secret_clear(secret); /* a longer one may have been here */
	if (s.n != 0)
		memcpy(secret->bytes, s.p, s.n);
	secret->n = s.n;
	return 0;
}

struct slice
secret_get(const struct secret *secret)
{
	return slice_make(secret->bytes, secret->n);
}

void
secret_clear(struct secret *secret)
{
	secret_wipe(secret, sizeof(*secret));
}

void
secret_wipe(void *p, size_t n)
{
	if (n != 0)
		explicit_bzero(p, n);
}
