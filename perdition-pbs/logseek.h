/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logseek - where in many lines one of some texts stands.
 *
 * A login's line has to hold a text that its pattern knows.  Looking for that
 * in all of a buffer costs a fraction of looking at each of its lines, most of
 * which tell of other things.  What is found is looked at as ever: this only
 * leaves out what cannot match.
 */
#ifndef PERDITION_PBS_LOGSEEK_H
#define PERDITION_PBS_LOGSEEK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"

#define LOGSEEK_MAX 24     /* texts; with more, all lines are looked at */
#define LOGSEEK_SHORTEST 3 /* bytes of one: else it is found everywhere */

struct logseek {
	bool all; /* every line has to be looked at */
	size_t n;
	struct logseek_text {
		struct slice bytes;
		size_t rare;      /* the byte in it that is looked for */
		const char *next; /* where it stands next; NULL: nowhere */
	} v[LOGSEEK_MAX];
};

/* Zeroed at first.  bytes: borrowed; too short a text (none, say) makes it
 * all lines. */
void logseek_add(struct logseek *, struct slice bytes);

/* Where the first of the texts begins, or NULL.  first: see tail_seek in
 * tail_file.h. */
const char *logseek_next(struct logseek *, struct slice in, bool first);

#endif
