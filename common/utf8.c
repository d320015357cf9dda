/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * utf8 - see the header.
 */
#include "config.h"

#include "common/utf8.h"

#include <stddef.h>

#include "common/banned.h"

/* How many bytes the character has with which s begins; 0 when it is none. */
static size_t
length(struct slice s)
{
	unsigned char c = (unsigned char)s.p[0], d;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	d = n > 1 ? (unsigned char)s.p[1] : 0;
	/* Too long a form, a surrogate, beyond the last. */
	if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) ||
	    (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f))
		return 0;
	return n;
}

bool
utf8_is_valid(struct slice s)
{
	while (s.n > 0) {
		size_t n = length(s);

		if (n == 0)
			return false;
		s = slice_skip(s, n);
	}
	return true;
}
