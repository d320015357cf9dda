/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_mode - the names of the modes.
 */
#include "config.h"

#include "perdition/tls/tls_mode.h"

#include <stddef.h>

#include "common/banned.h"

static const char *const names[TLS_MODE_COUNT] = {
	[TLS_NONE] = "none",
	[TLS_STARTTLS_OPTIONAL] = "starttls_optional",
	[TLS_STARTTLS] = "starttls",
	[TLS_IMPLICIT] = "implicit",
};

const char *
tls_mode_name(enum tls_mode mode)
{
	return names[mode];
}

bool
tls_mode_find(struct slice name, enum tls_mode *mode)
{
	for (int i = 0; i < TLS_MODE_COUNT; i++)
		if (slice_caseeq(name, slice_str(names[i]))) {
			*mode = (enum tls_mode)i;
			return true;
		}
	return false;
}
