/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_share_wire - what another host, or whoever got at Redis, says of relay
 * entries.
 *
 * The input is read as a message, and is a user's name.  Properties: every
 * line that is taken is written again as the same bytes; a change with any
 * name is read back as it was.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/fuzz.h"
#include "perdition-pbs/share_wire.h"

#include "common/banned.h"

static void
check_message(struct slice text)
{
	static struct share_change c;
	char line[SHARE_LINE_MAX];

	for (;;) {
		const char *begin = text.p;
		int ret = share_wire_read(&text, &c);
		long n;

		if (ret == 0)
			return;
		if (ret == -1)
			continue;
		n = share_wire_write(&c, line, sizeof(line));
		if (n == -1 || begin + n != text.p ||
		    memcmp(begin, line, (size_t)n) != 0)
			abort();
	}
}

static void
check_user(struct slice user)
{
	static struct share_change c, back;
	char line[SHARE_LINE_MAX];
	struct slice text;
	long n;

	c.kind = SHARE_OPEN;
	c.left_ms = SHARE_MS_MAX;
	c.age_ms = SHARE_MS_MAX;
	if (relay_key_parse(
		SLICE("2001:db8:111:222:333:444:555:666"), "", &c.key) == -1)
		abort();
	share_change_user(&c, user);
	n = share_wire_write(&c, line, sizeof(line));
	if (n == -1)
		abort();
	text = slice_make(line, (size_t)n);
	if (share_wire_read(&text, &back) != 1 || text.n != 0 ||
	    !relay_key_eq(&c.key, &back.key) || c.left_ms != back.left_ms ||
	    c.age_ms != back.age_ms || c.user_n != back.user_n ||
	    memcmp(c.user, back.user, c.user_n) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_make((const char *)data, size);

	check_message(s);
	check_user(s);
	return 0;
}
