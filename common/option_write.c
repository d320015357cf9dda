/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is written from the table: --help, the manual page's section and the
 * sample file.  All texts on an option come from describe(), so that they
 * cannot differ.
 */
#include "config.h"

#include "common/option_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

#define WIDTH 79       /* columns of text; the 80th makes terminals wrap */
#define HELP_COLUMN 30 /* where the texts of --help begin */

/* --- the text on one option ---------------------------------------------- */

static const char *
arg_of(const struct option_table *table, const struct option_def *def)
{
	const struct option_type *type = option_target(table, def)->type;

	return type->arg == NULL || def->arg == NULL ? type->arg : def->arg;
}

static void
describe_values(const struct option_def *def, FILE *f)
{
	size_t i;

	if ((def->type == &option_uint || def->type == &option_seconds) &&
	    (def->min != 0 || def->max != 0)) {
		if (def->max == 0)
			fprintf(f, " At least %ju.", (uintmax_t)def->min);
		else
			fprintf(f, " From %ju to %ju.", (uintmax_t)def->min,
			    (uintmax_t)def->max);
	}
	/* With an arg of its own the table's text tells what it stands for. */
	if (def->names == NULL || def->arg != NULL)
		return;
	fputs(def->type->many || def->type == &option_set ? " Any of "
							  : " One of ",
	    f);
	for (i = 0; def->names[i].name != NULL; i++)
		fprintf(f, "%s%s", i == 0 ? "" : ", ", def->names[i].name);
	fputs(".", f);
}

static void
describe_default(const struct option_def *def, FILE *f)
{
	if (def->dflt == NULL || def->dflt[0] == '\0')
		return;
	if (def->type == &option_bool) {
		struct err err;
		bool on = false;

		def->type->parse(def, &on, def->dflt, &err);
		if (!on)
			return;
	}
	/* No full stop, which would look like a part of it. */
	if (strpbrk(def->dflt, " \t\n") == NULL)
		fprintf(f, " Default: %s", def->dflt);
	else
		fprintf(f, " Default: \"%s\"", def->dflt);
}

/* Sentences, separated by single spaces; malloc'ed; NULL with errno. */
static char *
describe(const struct option_table *table, const struct option_def *def)
{
	const struct option_def *target = option_target(table, def);
	const char *help = def->help == NULL ? "" : def->help;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	fputs(help, f);
	if (target != def && def->help == NULL)
		fprintf(f, " The same as %s.", target->name);
	if ((def->flags & OPTION_DEPRECATED) != 0 &&
	    strstr(help, "eprecated") == NULL)
		fputs(" Deprecated.", f);
	if (target == def) {
		describe_values(def, f);
		describe_default(def, f);
	}
	if (fclose(f) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- what all writers do ------------------------------------------------- */

/* The next word of *text, which is moved behind it; empty at the end. */
static struct slice
next_word(const char **text)
{
	const char *begin = *text + strspn(*text, " \t\n");
	size_t n = strcspn(begin, " \t\n");

	*text = begin + n;
	return slice_make(begin, n);
}

/*
 * Wraps text behind prefix in each line.  column is where the first line
 * stands already, at most as wide as prefix.  Ends the last line, if any.
 */
static void
write_wrapped(FILE *f, const char *prefix, size_t column, const char *text)
{
	bool first = true;
	struct slice word;

	while ((word = next_word(&text)).n > 0) {
		if (!first && column + 1 + word.n > WIDTH) {
			fputc('\n', f);
			column = 0;
			first = true;
		}
		if (first) {
			fputs(prefix + column, f);
			column = strlen(prefix);
		} else {
			fputc(' ', f);
			column++;
		}
		fprintf(f, "%.*s", (int)word.n, word.p);
		column += word.n;
		first = false;
	}
	if (column > 0)
		fputc('\n', f);
}

static const char *
group_of(const struct option_def *def)
{
	return def->group == NULL ? "Options" : def->group;
}

static bool
same_group(const struct option_def *a, const struct option_def *b)
{
	return strcmp(group_of(a), group_of(b)) == 0;
}

struct writer {
	void (*group)(FILE *, const char *heading);
	int (*option)(
	    const struct option_table *, const struct option_def *, FILE *);
	unsigned int without; /* options with one of these flags */
	bool aliases;
};

static bool
wanted(const struct writer *w, const struct option_def *def)
{
	return (def->flags & w->without) == 0 &&
	       (w->aliases || def->alias_of == NULL);
}

/* Group by group, in the order in which groups first appear in the table. */
static int
write_groups(const struct option_table *table, const struct writer *w, FILE *f)
{
	const struct option_def *def, *other;

	for (def = table->defs; def->name != NULL; def++) {
		if (!wanted(w, def))
			continue;
		for (other = table->defs; other != def; other++) {
			if (wanted(w, other) && same_group(other, def))
				break;
		}
		if (other != def)
			continue; /* that group is written already */
		w->group(f, group_of(def));
		for (other = def; other->name != NULL; other++) {
			if (wanted(w, other) && same_group(other, def) &&
			    w->option(table, other, f) == -1)
				return -1;
		}
	}
	return 0;
}

/* --- --help -------------------------------------------------------------- */

static void
help_group(FILE *f, const char *heading)
{
	fprintf(f, "\n%s:\n", heading);
}

static int
help_option(
    const struct option_table *table, const struct option_def *def, FILE *f)
{
	const char *arg = arg_of(table, def);
	char *text = describe(table, def);
	char indent[HELP_COLUMN + 1];
	int n;

	if (text == NULL)
		return -1;
	memset(indent, ' ', HELP_COLUMN);
	indent[HELP_COLUMN] = '\0';
	if (def->letter != '\0')
		n = fprintf(f, "  -%c, --%s", def->letter, def->name);
	else
		n = fprintf(f, "      --%s", def->name);
	if (arg != NULL && n > 0)
		n += fprintf(f, "=%s", arg);
	if (n > HELP_COLUMN - 2) {
		fputc('\n', f);
		n = 0;
	}
	write_wrapped(f, indent, n < 0 ? 0 : (size_t)n, text);
	free(text);
	return 0;
}

int
option_write_help(const struct option_table *table, FILE *f)
{
	static const struct writer writer = { help_group, help_option,
		OPTION_HIDDEN, true };

	fprintf(f, "Usage: %s [OPTION]...\n", table->program);
	if (write_groups(table, &writer, f) == -1)
		return -1;
	return option_finish(f);
}

/* --- sample file --------------------------------------------------------- */

static void
sample_group(FILE *f, const char *heading)
{
	size_t n = strlen(heading);

	fprintf(f, "\n# --- %s ", heading);
	for (; n < WIDTH - 7; n++)
		fputc('-', f);
	fputc('\n', f);
}

static int
sample_option(
    const struct option_table *table, const struct option_def *def, FILE *f)
{
	const char *dflt = def->dflt;
	const char *arg = arg_of(table, def);
	char *text = describe(table, def);

	if (text == NULL)
		return -1;
	fprintf(f, "\n# %s%s%s\n", def->name, arg == NULL ? "" : " ",
	    arg == NULL ? "" : arg);
	write_wrapped(f, "#   ", 0, text);
	free(text);
	if (dflt == NULL && arg == NULL)
		dflt = "no";
	if (dflt != NULL && strchr(dflt, '\n') == NULL) {
		fprintf(f, "#%s ", def->name);
		option_write_value(f, dflt);
		fputc('\n', f);
	}
	return 0;
}

int
option_write_sample(const struct option_table *table, FILE *f)
{
	static const struct writer writer = { sample_group, sample_option,
		OPTION_HIDDEN | OPTION_COMMAND | OPTION_DEPRECATED, false };

	fprintf(f,
	    "# SPDX-License-Identifier: GPL-2.0-or-later\n"
	    "# Configuration of %s: all options, at their defaults.\n"
	    "# One a line: a name, white space, a value.  Remove the \"#\" in "
	    "front of a\n"
	    "# name to change its value.\n",
	    table->program);
	if (write_groups(table, &writer, f) == -1)
		return -1;
	return option_finish(f);
}

/* --- manual page --------------------------------------------------------- */

#define MAN_WIDTH 76 /* columns of source, escapes included */

/* The escape for a byte at place i of a word, or NULL. */
static const char *
man_escape(char c, size_t i, bool literal)
{
	switch (c) {
	case '-': /* in prose a hyphen, else the command line's minus sign */
		return literal ? "\\-" : NULL;
	case '.': /* at the start of a line it would begin a request */
		return i == 0 ? "\\&." : NULL;
	case '\\':
		return "\\(rs";
	case '\'':
		return "\\(aq";
	case '`':
		return "\\(ga";
	case '^':
		return "\\(ha";
	case '~':
		return "\\(ti";
	case '"':
		return "\\(dq";
	default:
		return NULL;
	}
}

/* Returns the columns that the word takes; f: NULL to count only. */
static size_t
man_word(FILE *f, struct slice word, bool literal)
{
	size_t columns = 0, i;

	for (i = 0; i < word.n; i++) {
		const char *escape = man_escape(word.p[i], i, literal);

		if (f != NULL && escape != NULL)
			fputs(escape, f);
		else if (f != NULL)
			fputc(word.p[i], f);
		columns += escape == NULL ? 1 : strlen(escape);
	}
	return columns;
}

static void
man_literal(FILE *f, const char *text)
{
	man_word(f, slice_str(text), true);
}

static bool
is_literal(struct slice word)
{
	return word.p[0] == '-' || slice_find(word, '/') != -1 ||
	       slice_find(word, '_') != -1 || slice_find(word, '=') != -1;
}

/* A new line for each sentence, so that roff spaces them. */
static void
man_text(FILE *f, const char *text)
{
	size_t column = 0;
	struct slice word;

	while ((word = next_word(&text)).n > 0) {
		bool literal = is_literal(word);
		size_t columns = man_word(NULL, word, literal);

		if (column > 0) {
			bool wrap = column + 1 + columns > MAN_WIDTH;

			fputc(wrap ? '\n' : ' ', f);
			column = wrap ? 0 : column + 1;
		}
		man_word(f, word, literal);
		column += columns;
		if (strchr(".?!", word.p[word.n - 1]) != NULL)
			column = MAN_WIDTH; /* the next word wraps */
	}
	if (column > 0)
		fputc('\n', f);
}

static void
man_group(FILE *f, const char *heading)
{
	fputs(".SS ", f);
	man_literal(f, heading);
	fputc('\n', f);
}

static int
man_option(
    const struct option_table *table, const struct option_def *def, FILE *f)
{
	const char *arg = arg_of(table, def);
	char *text = describe(table, def);

	if (text == NULL)
		return -1;
	fputs(".TP\n", f);
	if (def->letter != '\0') {
		fputs("\\fB\\-", f);
		man_word(f, slice_make(&def->letter, 1), true);
		fputs("\\fR, ", f);
	}
	fputs("\\fB\\-\\-", f);
	man_literal(f, def->name);
	fputs("\\fR", f);
	if (arg != NULL) {
		fputs("=\\fI", f);
		man_literal(f, arg);
		fputs("\\fR", f);
	}
	fputc('\n', f);
	man_text(f, text);
	free(text);
	return 0;
}

int
option_write_man(const struct option_table *table, FILE *f)
{
	static const struct writer writer = { man_group, man_option,
		OPTION_HIDDEN, true };

	fputs(".SH OPTIONS\n", f);
	if (write_groups(table, &writer, f) == -1)
		return -1;
	return option_finish(f);
}
