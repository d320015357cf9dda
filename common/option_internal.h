/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * option_internal - what the files of the option module share and nobody
 * else uses.
 */
#ifndef COMMON_OPTION_INTERNAL_H
#define COMMON_OPTION_INTERNAL_H

#include "common/option.h"

/* --- option_table.c: names ----------------------------------------------- */

/* By long name, '-' and '_' alike; NULL for none. */
const struct option_def *option_find(const struct option_table *, struct slice);
const struct option_def *option_find_letter(const struct option_table *, char);
/* The key of a configuration file: one or the other. */
const struct option_def *option_find_key(
    const struct option_table *, struct slice);

/*
 * By an unambiguous beginning of a long name, or the whole of one.  NULL for
 * none, or for several; then *several is set to two of them.
 */
const struct option_def *option_find_prefix(const struct option_table *,
    struct slice, const struct option_def *several[2]);

/* The option that def is another name of, or def itself. */
const struct option_def *option_target(
    const struct option_table *, const struct option_def *);

/* The name that is most like a wrong one; NULL when none is much like it. */
const char *option_nearest(const struct option_table *, struct slice);

/* --- option.c: values ---------------------------------------------------- */

enum option_source { OPTION_UNSET, OPTION_FILE, OPTION_ARGV };

/* One option as it was met in a file or on the command line. */
struct option_given {
	enum option_source source;
	const char *at; /* what problems begin with; option_set_where() */
	bool warn;      /* log what is deprecated */
};

/* Begins a file, a text or a command line: see option_read_argv(). */
void option_reading(struct option_state *);
const struct option_table *option_table_of(const struct option_state *);

/* 0, or -1 with a problem added. */
int option_give(struct option_state *, const struct option_def *,
    const char *text, const struct option_given *, struct option_problems *);

/* Adds: at: unknown option "name"; did you mean "this"?  Returns -1. */
int option_unknown(const struct option_table *, const char *at,
    struct slice name, struct option_problems *);

#define OPTION_SHOWN_MAX 300
/* Text from outside as it may stand in a message: quoted, escaped, cut. */
const char *option_shown(struct slice, char out[OPTION_SHOWN_MAX]);

/* --- option_lex.c: file syntax ------------------------------------------- */

struct option_lex {
	struct slice rest;
	unsigned int line, column; /* of the first byte of rest */
};

/*
 * The next line of option_line_next(): 1, 0 or -1 with err, *line and *column
 * of the trouble; lex then stands behind it, where reading may go on.
 */
int option_lex_line(struct option_lex *, struct option_line *out,
    unsigned int *line, unsigned int *column, struct err *);

/* --- option_dump.c: values as text --------------------------------------- */

/* As the file syntax reads it back, whatever the text. */
void option_write_value(FILE *, const char *text);

/* Flushes: 0, or -1 with errno when not all that was written arrived. */
int option_finish(FILE *);

#endif
