/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_token - the grammar of RFC 9051 section 9 as far as it is needed
 * before a login.
 *
 * A cursor is a slice from whose front tokens are cut; it holds a whole
 * command with its literals in place.  On failure the cursor stands anywhere.
 */
#ifndef PERDITION_PROTOCOL_IMAP4_TOKEN_H
#define PERDITION_PROTOCOL_IMAP4_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

#define IMAP4_TAG_MAX 64 /* bytes; the RFC has no limit, clients use few */

/* ID: RFC 2971 section 3.3. */
#define IMAP4_ID_PAIRS_MAX 30
#define IMAP4_ID_NAME_MAX 30    /* bytes */
#define IMAP4_ID_VALUE_MAX 1024 /* bytes */

/* What stands at the end of a line. */
enum imap4_literal {
	IMAP4_LITERAL_NONE,
	IMAP4_LITERAL_SYNC,     /* {n}: the client waits for "+" */
	IMAP4_LITERAL_NONSYNC,  /* {n+}: RFC 7888 */
	IMAP4_LITERAL_HOPELESS, /* {n+}, n is no 32-bit number: where does it
				   end? */
};

/* The last IMAP4_LITERAL_TAIL bytes of a line are enough to decide. */
#define IMAP4_LITERAL_TAIL 32

/* line: without its line end.  *n is set for SYNC and NONSYNC; a number that
 * is too large is UINT32_MAX for SYNC. */
enum imap4_literal imap4_literal_at_end(struct slice line, uint32_t *n);

/* A tag of at most IMAP4_TAG_MAX bytes, cut from the front. */
bool imap4_tag(struct slice *s, struct slice *tag);

bool imap4_space(struct slice *s); /* exactly one */
bool imap4_at_end(struct slice s); /* LF, CRLF or nothing is left */
bool imap4_atom(struct slice *s, struct slice *atom); /* not empty */

/*
 * Atom, quoted string or literal: copied to out, unescaped where that is due,
 * and never cut: false when longer than cap.
 */
bool imap4_astring(struct slice *s, char *out, size_t cap, size_t *len);

/* The same without the atom. */
bool imap4_string(struct slice *s, char *out, size_t cap, size_t *len);

/* The argument of ID, within its bounds; it is only checked. */
bool imap4_id_params(struct slice *s);

#endif
