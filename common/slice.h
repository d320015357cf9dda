/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slice - a view of bytes that somebody else owns.
 *
 * Pointer and length travel together, so that a NUL in hostile input never
 * ends a string early.  Owns nothing, allocates nothing.
 */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *p; /* not NUL-terminated; may be NULL when n is 0 */
	size_t n;      /* bytes */
};

#define SLICE(lit) ((struct slice){ (lit), sizeof(lit) - 1 })

static inline struct slice
slice_make(const char *p, size_t n)
{
	return (struct slice){ p, n };
}

/* The text of s without its NUL; empty for NULL. */
static inline struct slice
slice_str(const char *s)
{
	return (struct slice){ s, s == NULL ? 0 : strlen(s) };
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case folded, whatever the locale; a NUL is a byte like any other. */
bool slice_caseeq(struct slice a, struct slice b);

static inline bool
slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n &&
	       (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* The rest of s behind its first n bytes; n is at most s.n. */
static inline struct slice
slice_skip(struct slice s, size_t n)
{
	return (struct slice){ s.p + n, s.n - n };
}

/* A line that stood before an LF, without the CR of a CRLF. */
static inline struct slice
slice_less_cr(struct slice s)
{
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

/* Where byte c stands in s first, or -1. */
ptrdiff_t slice_find(struct slice s, char c);

/* Where needle (not empty) begins in s last, or -1. */
ptrdiff_t slice_rfind(struct slice s, struct slice needle);

/*
 * Cut s at the first byte c: *head gets what stands before it, s what stands
 * behind.  Without a c, *head gets all and s is left empty.
 * Returns whether there was a c.
 */
bool slice_cut(struct slice *s, char c, struct slice *head);

/* Whether s has bytes, all of them ASCII letters, digits or in others. */
bool slice_is_word(struct slice s, const char *others);

/* Whether s begins with a byte that is percent-encoded (RFC 3986 section 2.1),
 * which is three bytes there; which one. */
bool slice_percent(struct slice s, char *byte);

/* A malloc'ed NUL-terminated copy, or NULL (ENOMEM, or EINVAL: NUL inside). */
char *slice_dup(struct slice s);

/*
 * Decimal digits only, no sign, no space.  0 with *v set, or -1 with errno
 * EINVAL (empty or another byte) or ERANGE (above max).
 */
int slice_u64(struct slice s, uint64_t max, uint64_t *v);

/*
 * The decimal digits of v, without a NUL: SLICE_U64_MAX bytes at most; how
 * many.  For the lines of every login, where snprintf(3) shows in profiles.
 */
#define SLICE_U64_MAX 20
size_t slice_put_u64(char out[SLICE_U64_MAX], uint64_t v);

#endif
