/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_frame - finding the end of a command with literals.
 */
#include "config.h"

#include "perdition/protocol/imap4.h"
#include "perdition/protocol/imap4_frame.h"
#include "perdition/protocol/imap4_token.h"
#include "perdition/protocol/line.h"

#include "common/banned.h"

enum imap4_framing
imap4_frame_next(
    struct imap4_frame *f, struct slice in, size_t *end, uint32_t *literal)
{
	struct slice line;
	int found;

	if (in.n < f->line)
		return IMAP4_FRAME_MORE;
	found = line_find(in, f->line, &f->scanned, PROTOCOL_INPUT_MAX, end);
	if (found != 1)
		return found == 0 ? IMAP4_FRAME_MORE : IMAP4_FRAME_TOO_LONG;
	line = line_body(slice_make(in.p + f->line, *end - f->line));
	switch (imap4_literal_at_end(line, literal)) {
	case IMAP4_LITERAL_SYNC:
		return IMAP4_FRAME_SYNC;
	case IMAP4_LITERAL_NONSYNC:
		return IMAP4_FRAME_NONSYNC;
	case IMAP4_LITERAL_HOPELESS:
		return IMAP4_FRAME_HOPELESS;
	case IMAP4_LITERAL_NONE:
		break;
	}
	return IMAP4_FRAME_COMMAND;
}

bool
imap4_frame_fits(const struct imap4_frame *f, size_t end, uint32_t n)
{
	return n <= IMAP4_LITERAL_MAX && n < PROTOCOL_INPUT_MAX - end &&
	       f->literals < IMAP4_FRAME_LITERALS_MAX;
}

void
imap4_frame_take(struct imap4_frame *f, size_t end, uint32_t n)
{
	f->line = f->scanned = end + n;
	f->literals++;
}

void
imap4_frame_discard(struct imap4_frame *f, uint32_t n)
{
	*f = (struct imap4_frame){ .skip = n };
}

/* Drop what cannot be a literal's announcement at the end of the line. */
static void
drop_line_head(struct imap4_frame *f, struct slice in, size_t *pos)
{
	const size_t keep = IMAP4_LITERAL_TAIL + 2; /* and CR LF */

	if (in.n - *pos > keep)
		*pos = in.n - keep;
	f->scanned = in.n - *pos;
}

enum imap4_framing
imap4_frame_discard_next(
    struct imap4_frame *f, struct slice in, size_t *consumed)
{
	size_t scanned = f->scanned, end;
	enum imap4_literal kind;

	*consumed = 0;
	f->scanned = 0;
	for (;;) {
		size_t part = in.n - *consumed;

		if (part > f->skip)
			part = f->skip;
		*consumed += part;
		f->skip -= (uint32_t)part;
		if (f->skip > 0)
			return IMAP4_FRAME_MORE;
		if (line_find(in, *consumed, &scanned, in.n + 1, &end) != 1) {
			drop_line_head(f, in, consumed);
			return IMAP4_FRAME_MORE;
		}
		kind = imap4_literal_at_end(
		    line_body(slice_make(in.p + *consumed, end - *consumed)),
		    &f->skip);
		*consumed = end;
		if (kind != IMAP4_LITERAL_NONSYNC) {
			f->skip = 0;
			return kind == IMAP4_LITERAL_HOPELESS
				   ? IMAP4_FRAME_HOPELESS
				   : IMAP4_FRAME_COMMAND;
		}
		if (f->skip > IMAP4_FRAME_DISCARD_MAX)
			return IMAP4_FRAME_HOPELESS;
	}
}
