/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target for both forms of the authentication event: whatever parses is
 * spelled exactly as our writer spells it, and parses to the same again.
 */
#include "config.h"

#include <stdlib.h>

#include "common/auth_event.h"
#include "common/fuzz.h"

#include "common/banned.h"

static void
check_line(struct slice in)
{
	char out[AUTH_LINE_MAX];
	struct auth_event e;
	ssize_t n;

	if (auth_event_parse_line(in, &e) != 1)
		return;
	n = auth_event_write_line(&e, out, sizeof(out));
	if (n == -1 || !slice_eq(slice_make(out, (size_t)n), in))
		abort();
}

static void
check_record(struct slice in)
{
	char out[AUTH_LINE_MAX];
	struct auth_event e;
	ssize_t n;

	if (auth_event_parse_record(in, &e) != 1)
		return;
	n = auth_event_write_record(&e, out, sizeof(out));
	if (n <= 0 || out[n - 1] != '\n' ||
	    !slice_eq(slice_make(out, (size_t)n - 1), in))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);

	check_line(in);
	check_record(in);
	return 0;
}
