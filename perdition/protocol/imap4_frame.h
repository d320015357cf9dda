/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_frame - where a client's command ends.
 *
 * A command is a line, and another behind each literal.  Finding its end is
 * kept apart from its grammar, so that a refused command can never leave a
 * remainder that would be taken for the next one.  Each byte is looked at
 * once, however it arrives.
 */
#ifndef PERDITION_PROTOCOL_IMAP4_FRAME_H
#define PERDITION_PROTOCOL_IMAP4_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

/* LOGIN has two, ID one for each string. */
#define IMAP4_FRAME_LITERALS_MAX 64

/* A larger one is not read and thrown away: the session ends. */
#define IMAP4_FRAME_DISCARD_MAX (1U << 20) /* bytes */

struct imap4_frame {    /* all 0: at the start of a command */
	size_t scanned; /* offset up to which no LF was found */
	size_t line;    /* where the present line of the command begins */
	uint32_t skip;  /* discarding: bytes of a literal still to come */
	unsigned int literals;
};

enum imap4_framing {
	IMAP4_FRAME_MORE,     /* no end yet */
	IMAP4_FRAME_COMMAND,  /* *end is behind the command */
	IMAP4_FRAME_SYNC,     /* *end is behind a line with {n} at its end */
	IMAP4_FRAME_NONSYNC,  /* the same with {n+} */
	IMAP4_FRAME_TOO_LONG, /* no end within PROTOCOL_INPUT_MAX: discard */
	IMAP4_FRAME_HOPELESS, /* see IMAP4_LITERAL_HOPELESS */
};

/*
 * in: from the command's first byte on.  After SYNC and NONSYNC (*literal is
 * n) the caller takes the literal with imap4_frame_take(), refuses the command
 * (SYNC: it ends there), or throws it away (NONSYNC).
 */
enum imap4_framing imap4_frame_next(
    struct imap4_frame *, struct slice in, size_t *end, uint32_t *literal);

/* Whether n more bytes behind end are within all limits. */
bool imap4_frame_fits(const struct imap4_frame *, size_t end, uint32_t n);
void imap4_frame_take(struct imap4_frame *, size_t end, uint32_t n);

/* Throw the command away: first (NONSYNC) n bytes of a literal. */
void imap4_frame_discard(struct imap4_frame *, uint32_t n);

/*
 * Go on throwing away.  in: from the first byte that is not consumed on.
 * MORE, COMMAND (it is over) or HOPELESS; *consumed is set with each.
 */
enum imap4_framing imap4_frame_discard_next(
    struct imap4_frame *, struct slice in, size_t *consumed);

#endif
