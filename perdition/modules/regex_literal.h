/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regex_literal - what a text must begin or end with to match an expression.
 *
 * Pure.  Only what is sure is told: "^ab*" says that a text begins with "a",
 * "x@example\.org$" how it ends, "a|b" nothing.
 */
#ifndef PERDITION_MODULES_REGEX_LITERAL_H
#define PERDITION_MODULES_REGEX_LITERAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"

#define REGEX_LITERAL_MAX 64 /* bytes; of a longer one the outermost */

struct regex_literals {
	/* The expression says no more than this: what has this prefix and
	 * suffix matches, and with exact only what is the prefix. */
	bool whole, exact;
	size_t prefix_n, suffix_n; /* 0: nothing is sure */
	char prefix[REGEX_LITERAL_MAX], suffix[REGEX_LITERAL_MAX];
};

/* re: a POSIX extended expression that regcomp(3) has taken. */
void regex_literals(const char *re, struct regex_literals *);

/* Whether text matches an expression of which this is the whole. */
bool regex_literals_match(const struct regex_literals *, struct slice text);

#endif
