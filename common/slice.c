/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views of bytes: search, cut, compare, convert.  Nothing here depends on
 * the locale or on a terminating NUL.
 */
#include "config.h"

#include "common/slice.h"

#include <errno.h>
#include <stdlib.h>

#include "common/banned.h"

static unsigned char
fold(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? (unsigned char)(u + ('a' - 'A')) : u;
}

bool
slice_caseeq(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
}

ptrdiff_t
slice_find(struct slice s, char c)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return at == NULL ? -1 : at - s.p;
}

ptrdiff_t
slice_rfind(struct slice s, struct slice needle)
{
	if (needle.n == 0 || needle.n > s.n)
		return -1;
	for (size_t i = s.n - needle.n + 1; i-- > 0;)
		if (memcmp(s.p + i, needle.p, needle.n) == 0)
			return (ptrdiff_t)i;
	return -1;
}

bool
slice_cut(struct slice *s, char c, struct slice *head)
{
	ptrdiff_t at = slice_find(*s, c);

	if (at == -1) {
		*head = *s;
		/* Not NULL: pointers into the text stay comparable. */
		if (s->n != 0)
			*s = slice_skip(*s, s->n);
		return false;
	}
	*head = slice_make(s->p, (size_t)at);
	*s = slice_skip(*s, (size_t)at + 1);
	return true;
}

char *
slice_dup(struct slice s)
{
	char *copy;

	if (slice_find(s, '\0') != -1) {
		errno = EINVAL;
		return NULL;
	}
	copy = malloc(s.n + 1);
	if (copy == NULL)
		return NULL;
	if (s.n != 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

int
slice_u64(struct slice s, uint64_t max, uint64_t *v)
{
	uint64_t sum = 0;
	int err = s.n == 0 ? EINVAL : 0;

	/* On to the end after ERANGE: "99999x" is not a number at all. */
	for (size_t i = 0; i < s.n; i++) {
		unsigned int digit = (unsigned char)s.p[i] - (unsigned int)'0';

		if (digit > 9) {
			err = EINVAL;
			break;
		}
		/* Nearly all numbers are too short for this division. */
		if (i >= SLICE_U64_MAX - 1 && sum > (UINT64_MAX - digit) / 10)
			err = ERANGE;
		sum = sum * 10 + digit;
	}
	if (err == 0 && sum > max)
		err = ERANGE;
	if (err != 0) {
		errno = err;
		return -1;
	}
	*v = sum;
	return 0;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

bool
slice_is_word(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) &&
		    (s.p[i] == '\0' || strchr(others, s.p[i]) == NULL))
			return false;
	}
	return s.n > 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
slice_percent(struct slice s, char *byte)
{
	int high, low;

	if (s.n < 3 || s.p[0] != '%')
		return false;
	high = hex_digit(s.p[1]);
	low = hex_digit(s.p[2]);
	if (high == -1 || low == -1)
		return false;
	*byte = (char)(high << 4 | low);
	return true;
}

size_t
slice_put_u64(char out[SLICE_U64_MAX], uint64_t v)
{
	char digits[SLICE_U64_MAX];
	size_t at = sizeof(digits);

	/* Two at a time: each division waits for the one before it. */
	for (; v >= 100; v /= 100) {
		unsigned int two = (unsigned int)(v % 100);

		digits[--at] = (char)('0' + two % 10);
		digits[--at] = (char)('0' + two / 10);
	}
	digits[--at] = (char)('0' + v % 10);
	if (v >= 10)
		digits[--at] = (char)('0' + v / 10);
	memcpy(out, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}
