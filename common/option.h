/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * option - one table of options yields everything that speaks of them.
 *
 * Configuration file, command line, --help, --dump_config, the manual page's
 * section and the sample file come from the same rows.  Defaults are text and
 * take the same path as the user's text.  Knows no program's options.
 *
 * Configuration file: one "key value" a line; key is the long or the
 * one-letter name without dashes.  '#' starts a comment, to the end of the
 * physical line, unless it is escaped or quoted.  A backslash before the end
 * of line joins lines, before any other character it makes that literal; text
 * in single quotes is literal, line ends too; in double quotes all but the
 * single quote is literal (so a backslash is, and single quotes may stand
 * inside double ones, to hold a double quote).  White space ends a key unless
 * quoted or escaped; in values it need not be quoted, but what stands unquoted
 * around a value is not part of it.  "" is an empty value, which is not the
 * same as none.
 */
#ifndef COMMON_OPTION_H
#define COMMON_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/slice.h"

struct option_def;

/*
 * A type is a set of functions on the option's field.
 * parse: text (NUL-terminated) into the field, whose former content is
 *        replaced (option_strings: added to).  0, or -1 with err set to
 *        what was expected ("a number from 0 to 65535").
 *        text is never NULL; a bool that stands alone is given "true".
 * print: the field as text that parse takes back; for a list, element i.
 *        Returns its length, or -1 when there is no (further) value; when
 *        that is cap or more, out holds what fits, as with snprintf(3).
 * clear: frees what the field holds and zeroes it.
 */
struct option_type {
	const char
	    *arg;  /* "SECONDS" in --help; NULL: takes no argument (bool) */
	bool many; /* may be given more than once, values add up */
	int (*parse)(const struct option_def *, void *field, const char *text,
	    struct err *);
	int (*print)(const struct option_def *, const void *field, size_t i,
	    char *out, size_t cap);
	void (*clear)(const struct option_def *, void *field);
};

struct option_names { /* an enum's or a set's values, ended by { NULL, 0 } */
	const char *name;
	unsigned int value;
};

struct option_list { /* field of option_strings */
	char **v;
	size_t n;
};

extern const struct option_type option_bool; /* bool */
extern const struct option_type option_uint; /* unsigned int; min..max */
extern const struct option_type
    option_seconds; /* unsigned int; min..max; also 5m 2h 1d */
extern const struct option_type
    option_string; /* char *, NULL only before defaults */
extern const struct option_type option_path;    /* the same; shown as FILE */
extern const struct option_type option_strings; /* struct option_list; many;
						 * an empty one adds nothing */
extern const struct option_type option_texts;   /* the same, and it does */
extern const struct option_type option_enum;    /* unsigned int; one of names */
extern const struct option_type
    option_set; /* unsigned int; names, comma-separated, or-ed */

#define OPTION_HIDDEN 1u     /* not in --help, manual page, sample file */
#define OPTION_DEPRECATED 2u /* works; a warning tells what to use instead */
#define OPTION_COMMAND 4u    /* only on the command line (help, config_file) */
#define OPTION_SECRET                                                          \
	8u /* --dump_config shows it, option_dump for roles may not */

struct option_def {
	const char *name; /* long name; '-' and '_' are the same on input */
	char letter;      /* one-letter name, or 0 */
	const struct option_type *type;
	size_t offset;     /* of the field in the program's config struct */
	const char *dflt;  /* default as text; NULL: none (field stays zero) */
	const char *arg;   /* replaces type->arg in --help when not NULL */
	const char *help;  /* full sentences, plain text */
	const char *group; /* heading in --help and manual page */
	const struct option_names *names;
	uint64_t min, max; /* numbers; max 0: no bound but the type's */
	unsigned int flags;
	const char *alias_of; /* long name that this one stands for, or NULL */
};

struct option_set_source; /* which options were set, and from where */

struct option_table {
	const struct option_def *defs; /* ended by name == NULL */
	const char *program;           /* "perdition" */
	size_t config_size;            /* sizeof the config struct */
};

/* All problems found, each one line "file:line:column: text"; freed by
 * option_problems_clear(). */
struct option_problems {
	char **v;
	size_t n;
};
void option_problems_add(struct option_problems *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void option_problems_clear(struct option_problems *);

/*
 * A configuration under construction: values with the place each came from.
 * The command line wins over the file wherever each is read first.
 */
struct option_state;
struct option_state *option_state_create(const struct option_table *,
    void *config); /* config: zeroed by this call, owned by the caller */
void option_state_destroy(struct option_state **);

/*
 * An option of a kind that is not "many" may be given once in each of these
 * readings; a later file wins over an earlier one, and the values of a "many"
 * option in the winning reading replace all others.  Deprecated options are
 * logged as warnings by option_read_argv() and option_read_file().
 *
 * Long options with one or two words ("--timeout 30", "--timeout=30"),
 * unambiguous prefixes of long names, bundled letters, "--" ends.  *first is
 * set to the index in argv of the first operand.  0, or -1 with problems.
 */
int option_read_argv(struct option_state *, int argc, char *const argv[],
    int *first, struct option_problems *);

#define OPTION_FILE_MAX (1024 * 1024) /* bytes */
#define OPTION_PROBLEMS_MAX 100       /* of one file; then it is given up */

/* 0, or -1 with problems (all of the file's, not just the first).  path is
 * also the name in messages. */
int option_read_file(
    struct option_state *, const char *path, struct option_problems *);
/* The same from memory; name stands in messages. */
int option_read_text(struct option_state *, struct slice text, const char *name,
    struct option_problems *);

/* Gives every option that was not set, or to a value that was refused, its
 * default, from text. */
int option_apply_defaults(struct option_state *, struct option_problems *);

/* Whether the user set it (not by default) to a value that was taken; where:
 * "file:line:column" or "command line"; NULL when not set. */
const char *option_set_where(const struct option_state *, const char *name);
/* The same of the i-th value, from 0, of a "many" option. */
const char *option_set_where_nth(
    const struct option_state *, const char *name, size_t i);

void option_clear(const struct option_table *, void *config);

/*
 * Writers.  help: --help.  dump: the effective configuration as a file that
 * option_read_text() reads back to the same values (OPTION_COMMAND is left
 * out); secrets: with options marked OPTION_SECRET.  man: the OPTIONS section
 * in man(7) macros.  sample: a commented sample file with every option at its
 * default.
 * 0, or -1 with errno of the stream.
 */
int option_write_help(const struct option_table *, FILE *);
int option_write_dump(
    const struct option_table *, const void *config, bool secrets, FILE *);
int option_write_man(const struct option_table *, FILE *);
int option_write_sample(const struct option_table *, FILE *);

/*
 * The file syntax without the options, for popmap.re and its like: the next
 * logical line of *text that is not blank, unquoted and joined, is cut into
 * its first word and the rest.  *line is the number of the physical line that
 * *text begins with (1 at the start) and is kept so.
 * Returns 1, 0 at the end, or -1 with err (unclosed quote, NUL byte, ENOMEM):
 * then *line is where the trouble is and *text is empty.
 */
struct option_line {
	unsigned int line, column; /* where the key begins; 1 is the first */
	char *key, *value;         /* no NUL inside, one behind; malloc'ed */
	size_t key_len, value_len;
	unsigned int value_line, value_column; /* 0: there is no value */
};
int option_line_next(struct slice *text, unsigned int *line,
    struct option_line *out, struct err *);
void option_line_clear(struct option_line *);

#endif
