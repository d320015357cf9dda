/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * buf - bounded byte queue between one socket and its line parser.
 *
 * The capacity is fixed at creation: memory per session is known, and no
 * realloc(3) leaves a second copy of a password.  Bytes are wiped once
 * consumed.  Knows nothing of POP3 or IMAP4.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

struct buf;

struct buf *buf_create(size_t cap); /* cap: bytes; NULL with errno ENOMEM */
void buf_destroy(struct buf **bp);  /* wipes, frees, sets *bp to NULL */
void buf_clear(struct buf *b);      /* wipes and empties, keeps the memory */

/* What is queued; valid until the next call on b that is not a getter. */
struct slice buf_data(const struct buf *b);
size_t buf_len(const struct buf *b);
size_t buf_space(const struct buf *b); /* bytes that still fit */

/*
 * Append all of s or nothing.  0, or -1 with errno ENOSPC; then the buffer is
 * marked as overflowed (see buf_overflowed) and stays as it is.
 */
int buf_put(struct buf *b, struct slice s);
int buf_put_str(struct buf *b, const char *s);
int buf_put_u64(struct buf *b, uint64_t v); /* decimal digits */

/*
 * Whether any buf_put since creation or buf_clear() did not fit: writers of
 * a reply put all its parts and test once.
 */
int buf_overflowed(const struct buf *b);

/*
 * For reading from a socket: *room is set to the free bytes behind the data
 * (moved to one piece first), its size returned.  After the read,
 * buf_commit() adds n of them: all that were written there, or those behind
 * would never be wiped.
 */
size_t buf_reserve(struct buf *b, char **room);
void buf_commit(struct buf *b, size_t n);

/* Drop and wipe the first n bytes; n is at most buf_len(b). */
void buf_consume(struct buf *b, size_t n);

/* Drop and wipe all bytes from offset n on; n is at most buf_len(b). */
void buf_truncate(struct buf *b, size_t n);

#endif
