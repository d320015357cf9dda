/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shape - what one kind of log line looks like, from its first byte to its
 * last.
 *
 * A shape is literal text with fields in braces.  Matching goes from left to
 * right, never back and never forth: each field ends where its own rule says,
 * so that a line has at most one reading, in time proportional to its length.
 * That is the point: what stands in a user name cannot become another field.
 *
 *   {syslog}   stamp, perhaps a host, one of the pattern's idents, perhaps
 *              [PID], and ": "; only in front
 *   {stamp}    a time stamp (logtime.h); a shape begins with it or {syslog}
 *   {client}   the address to let in, perhaps with a port; once
 *   {client4}  the same, IPv4 and without a port
 *   {user}     one byte or more up to the first byte that is the first of the
 *              literal text behind the field, or up to the end of the line
 *              when the field is last; no control characters; once
 *   {same}     what {user} stood for, once more
 *   {text}     as {user}, or nothing, and of no interest
 *   {address}  another address, perhaps with a port
 *   {host} {number} {word}
 *              the longest run of the bytes that such a thing consists of:
 *              letters, digits and ._:- ; digits; letters, digits and ._+/=@-
 *   {=A|B}     one of these texts, none of which begins another
 *   {?...?}    may be left out; begins with literal text, which decides
 *   {perdition}  what perdition logs of a login; it holds the client
 *   {{         a brace
 */
#ifndef PERDITION_PBS_SHAPE_H
#define PERDITION_PBS_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/slice.h"

enum shape_field {
	SHAPE_SYSLOG,
	SHAPE_STAMP,
	SHAPE_CLIENT,
	SHAPE_CLIENT4,
	SHAPE_USER,
	SHAPE_TEXT,
	SHAPE_ADDRESS,
	SHAPE_HOST,
	SHAPE_NUMBER,
	SHAPE_WORD,
	SHAPE_PERDITION,
	SHAPE_SAME,
	SHAPE_FIELDS
};

struct shape;

/* text is copied.  NULL with err: what is wrong with it. */
struct shape *shape_create(struct slice text, struct err *);
void shape_destroy(struct shape **);

/* Whether the field occurs; SHAPE_CLIENT: either of its kinds. */
bool shape_has(const struct shape *, enum shape_field);

/* The longest literal text that each line of this shape holds; empty: none. */
struct slice shape_literal(const struct shape *);

struct shape_match {
	struct slice client, user; /* into the text; or of no length */
	struct slice own;          /* what {perdition} stands for */
	/* Where it did not match: the byte, and what should be there, as the
	 * shape has it ("{number}", or literal text; empty: the end). */
	size_t at;
	struct slice expected;
};

/*
 * text: a line without what {syslog} or {stamp} in front of the shape stand
 * for.  Whether it has the shape, whole.
 */
bool shape_match(const struct shape *, struct slice text, struct shape_match *);

#endif
