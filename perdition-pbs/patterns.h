/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patterns - what the logs of POP and IMAP servers look like: a table of those
 * that are known, and files of a site's own.
 *
 * A pattern has a name, the idents under which its server writes to syslog,
 * and one line or more, each a shape (shape.h).
 *
 * A file of patterns, one word and its value a line:
 *   # comment
 *   pattern NAME             begins one; letters, digits, "-" and "_"
 *   ident IDENT ...          may be repeated; NAME.* stands for NAME, a dot and
 *                            a word.  For {syslog}
 *   login SHAPE              a login that worked
 *   begin SHAPE              a session whose address comes from {client} and
 *                            whose login comes later, from the same process:
 *                            a login without {client}, with [PID] on both
 *   end SHAPE                it will not come any more
 * What stands behind the word, less white space on both sides, is taken as it
 * is: there is no quoting.
 */
#ifndef PERDITION_PBS_PATTERNS_H
#define PERDITION_PBS_PATTERNS_H

#include <stddef.h>

#include "common/err.h"
#include "perdition-pbs/shape.h"

enum pattern_role { PATTERN_LOGIN, PATTERN_BEGIN, PATTERN_END };

struct pattern_line {
	enum pattern_role role;
	struct shape *shape;
};

struct pattern {
	char *name;
	char **idents;
	size_t idents_n;
	struct pattern_line *lines;
	size_t lines_n;
};

struct patterns {
	struct pattern *v;
	size_t n;
};

#define PATTERNS_FILE_MAX 65536 /* bytes */

/* Each adds: the built-in pattern of that name, or all that path defines.  0,
 * or -1 with err; then patterns are to be cleared. */
int patterns_add_known(struct patterns *, const char *name, struct err *);
int patterns_add_file(struct patterns *, const char *path, struct err *);
void patterns_clear(struct patterns *);

#endif
