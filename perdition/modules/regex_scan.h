/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regex_scan - find one's way in the text of a POSIX extended expression.
 */
#ifndef PERDITION_MODULES_REGEX_SCAN_H
#define PERDITION_MODULES_REGEX_SCAN_H

#include <stdbool.h>

/* Behind the bracket expression that begins at re; a backslash in it is an
 * ordinary byte. */
const char *regex_skip_brackets(const char *re);

/* Whether the expression refers back to a group: \1 outside of brackets. */
bool regex_has_back_reference(const char *re);

#endif
