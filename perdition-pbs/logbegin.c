/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logbegin - the beginning of a line, read or remembered; see the header.
 */
#include "config.h"

#include "perdition-pbs/logbegin.h"

#include <string.h>

#include "common/banned.h"

bool
logbegin_stamp(
    struct logbegin *b, struct slice line, struct logtime_stamp *stamp)
{
	struct slice text;

	if (b->stamp_n > 0 &&
	    slice_starts(line, slice_make(b->stamp_text, b->stamp_n))) {
		*stamp = b->stamp;
		return true;
	}
	if (!logtime_find(line, stamp))
		return false;
	text = stamp->text;
	b->stamp_n = 0;
	/* With a fraction of a second each is another. */
	if (text.n <= sizeof(b->stamp_text) &&
	    memchr(text.p, '.', text.n) == NULL) {
		memcpy(b->stamp_text, text.p, text.n);
		if (logtime_find(slice_make(b->stamp_text, text.n), &b->stamp))
			b->stamp_n = text.n;
	}
	return true;
}

bool
logbegin_head(struct logbegin *b, struct slice rest, struct loghead *head)
{
	size_t n;

	if (b->head_n > 0 &&
	    slice_starts(rest, slice_make(b->head_text, b->head_n))) {
		*head = b->head;
		head->message = slice_skip(rest, b->head_n);
		return true;
	}
	if (!loghead_parse(rest, head))
		return false;
	n = (size_t)(head->message.p - rest.p);
	b->head_n = 0;
	if (n <= sizeof(b->head_text)) {
		memcpy(b->head_text, rest.p, n);
		if (loghead_parse(slice_make(b->head_text, n), &b->head))
			b->head_n = n;
	}
	return true;
}
