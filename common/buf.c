/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A byte queue in one piece of memory.  Whatever lies outside the queued
 * bytes is kept zero, so that a consumed password is nowhere left; memory
 * that was never used is never touched and costs nothing.
 */
#include "config.h"

#include "common/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/secret.h"
#include "common/banned.h"

struct buf {
	size_t cap;
	size_t start, end; /* the data is mem[start..end) */
	bool overflowed;
	char mem[];
};

struct buf *
buf_create(size_t cap)
{
	struct buf *b;

	if (cap > SIZE_MAX - sizeof(*b)) {
		errno = ENOMEM;
		return NULL;
	}
	b = malloc(sizeof(*b) + cap);
	if (b == NULL)
		return NULL;
	*b = (struct buf){ .cap = cap };
	return b;
}

void
buf_clear(struct buf *b)
{
	secret_wipe(b->mem + b->start, b->end - b->start);
	b->start = b->end = 0;
	b->overflowed = false;
}

void
buf_destroy(struct buf **bp)
{
	if (*bp == NULL)
		return;
	buf_clear(*bp);
	free(*bp);
	*bp = NULL;
}

struct slice
buf_data(const struct buf *b)
{
	return slice_make(b->mem + b->start, b->end - b->start);
}

size_t
buf_len(const struct buf *b)
{
	return b->end - b->start;
}

size_t
buf_space(const struct buf *b)
{
	return b->cap - buf_len(b);
}

/* Move the data to the front, leaving no second copy behind it. */
static void
compact(struct buf *b)
{
	size_t n = buf_len(b), stale;

	if (b->start == 0)
		return;
	memmove(b->mem, b->mem + b->start, n);
	stale = b->start < n ? n : b->start; /* first byte not overwritten */
	secret_wipe(b->mem + stale, b->end - stale);
	b->start = 0;
	b->end = n;
}

int
buf_put(struct buf *b, struct slice s)
{
	if (s.n > buf_space(b)) {
		b->overflowed = true;
		errno = ENOSPC;
		return -1;
	}
	if (s.n == 0)
		return 0;
	if (s.n > b->cap - b->end)
		compact(b);
	memcpy(b->mem + b->end, s.p, s.n);
	b->end += s.n;
	return 0;
}

int
buf_put_str(struct buf *b, const char *s)
{
	return buf_put(b, slice_str(s));
}

int
buf_put_u64(struct buf *b, uint64_t v)
{
	char digits[20]; /* 2^64 - 1 has 20 */
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	return buf_put(b, slice_make(digits + i, sizeof(digits) - i));
}

int
buf_overflowed(const struct buf *b)
{
	return b->overflowed;
}

size_t
buf_reserve(struct buf *b, char **room)
{
	compact(b);
	*room = b->mem + b->end;
	return b->cap - b->end;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->end);
	b->end += n;
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	secret_wipe(b->mem + b->start, n);
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void
buf_truncate(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	secret_wipe(b->mem + b->start + n, buf_len(b) - n);
	b->end = b->start + n;
	if (n == 0)
		b->start = b->end = 0;
}
