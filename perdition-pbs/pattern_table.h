/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pattern_table - the built-in patterns, as text.
 */
#ifndef PERDITION_PBS_PATTERN_TABLE_H
#define PERDITION_PBS_PATTERN_TABLE_H

#include "perdition-pbs/patterns.h"

#define PATTERN_IDENTS_MAX 8
#define PATTERN_LINES_MAX 4

struct pattern_def {
	const char *name;
	const char *idents[PATTERN_IDENTS_MAX];
	struct {
		enum pattern_role role;
		const char *shape;
	} lines[PATTERN_LINES_MAX];
};

extern const struct pattern_def pattern_table[]; /* ended by name == NULL */

#endif
