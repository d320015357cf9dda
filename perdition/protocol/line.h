/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * line - what all line-based mail protocols share: finding a line's end
 * without looking twice, words, and text that is safe to pass on.
 *
 * Knows no command of any protocol.
 */
#ifndef PERDITION_PROTOCOL_LINE_H
#define PERDITION_PROTOCOL_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/slice.h"

/*
 * Find the LF that ends the line beginning at offset from of in.
 * scanned: offset up to which in was searched by earlier calls; kept by the
 *          caller, and set to 0 by it when it consumes.
 * max:     offset of in where the line must have ended.
 * Returns 1 with *end set behind the LF, 0 when more is to be read, or -1
 * when there is no LF before max.
 */
int line_find(
    struct slice in, size_t from, size_t *scanned, size_t max, size_t *end);

/* line without the LF or CRLF at its end. */
struct slice line_body(struct slice line);

/*
 * Whether this is the request line of a browser that was led here (ALPACA):
 * a method of HTTP as first word, and HTTP/ in the line, or nothing said
 * before it in this session (first).
 */
bool line_is_http(struct slice line, bool first);

/*
 * Cut the first word, ended by spaces, from the front of *s; false when
 * there is none left.
 */
bool line_word(struct slice *s, struct slice *word);

/* No NUL, CR or LF: may stand in a command to a real-server. */
bool line_arg_ok(struct slice);

/*
 * Copy human text: all outside 0x20-0x7e becomes "?", "[" at the start (which
 * would read as a response code) becomes "("; cut at cap.  Returns the length.
 */
size_t line_copy_text(char *out, size_t cap, struct slice text);

/* The same into a buffer, but for the "["; at most 512 bytes of it. */
void line_put_text(struct buf *out, struct slice text);

#endif
