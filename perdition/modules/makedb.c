/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * perditiondb_makedb - turn a popmap's text into what the client of
 * a directory or database loads.
 *
 * Also run under names of perdition 2.2, as perditiondb_ldap_makedb.  Nothing
 * is written before all of the text was found right, so that what reads from
 * us never loads a part.
 */
#include "config.h"

#include "perdition/modules/makedb.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/utf8.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

#define PROGRAM "perditiondb_makedb"
#define COMPLAINTS_MAX 50

static const struct makedb_format *const formats[] = { &makedb_ldap,
	&makedb_mysql, &makedb_postgresql, &makedb_odbc };

enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

void
makedb_complain(struct makedb *m, unsigned long line, const char *text)
{
	if (m->bad++ < COMPLAINTS_MAX)
		fprintf(stderr, "stdin:%lu: %s\n", line, text);
}

/* --- arguments ------------------------------------------------------------ */

enum { FOR_ALL, FOR_LDAP, FOR_SQL };

static const struct option_def {
	const char *name, *argument, *text;
	int whose;
	size_t offset; /* of a text in struct makedb_options */
} option_defs[] = {
	{ "base", "DN", "parent of the entries", FOR_LDAP,
	    offsetof(struct makedb_options, base) },
	{ "object-classes", "NAME,...", "object classes of an entry", FOR_LDAP,
	    offsetof(struct makedb_options, classes) },
	{ "table", "NAME", "the table, whose rows are replaced", FOR_SQL,
	    offsetof(struct makedb_options, table) },
	{ "columns", "USER,SERVER,PORT", "its columns", FOR_SQL,
	    offsetof(struct makedb_options, columns) },
	{ "key-column", "NAME", "column of the key, if USER is not", FOR_SQL,
	    offsetof(struct makedb_options, key_column) },
	{ "no-create", NULL, "expect the table to be there", FOR_SQL, 0 },
	{ "delimiter", "TEXT", "between user and server", FOR_ALL,
	    offsetof(struct makedb_options, delimiter) },
	{ "help", NULL, "show this", FOR_ALL, 0 },
	{ "version", NULL, "show the version", FOR_ALL, 0 },
};

enum { OPTIONS = sizeof(option_defs) / sizeof(option_defs[0]) };

static const struct makedb_options defaults = {
	.base = "ou=mailbox,dc=nodomain",
	.classes = "account,perditionPopmap",
	.table = "tblPerdition",
	.columns = "user,servername,port",
	.delimiter = "@",
};

static const char **
option_text(struct makedb_options *o, const struct option_def *d)
{
	return (const char **)(void *)((char *)o + d->offset);
}

static int
usage(FILE *out)
{
	struct makedb_options o = defaults;

	fputs("Usage: " PROGRAM " KIND [OPTION...] < POPMAP\n"
	      "Write what a database's client loads, from lines\n"
	      "  KEY:[USER@]SERVER[:PORT][,SERVER...]\n"
	      "KIND is ldap (LDIF), or mysql, postgresql or odbc (SQL).\n",
	    out);
	for (int i = 0; i < OPTIONS; i++) {
		const struct option_def *d = &option_defs[i];
		const char *value =
		    d->argument == NULL ? NULL : *option_text(&o, d);
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", d->name,
		    d->argument == NULL ? "" : " ",
		    d->argument == NULL ? "" : d->argument);
		fprintf(out, "  %-27s %s%s", left,
		    d->whose == FOR_LDAP  ? "ldap: "
		    : d->whose == FOR_SQL ? "SQL: "
					  : "",
		    d->text);
		fprintf(out, value == NULL ? "\n" : " (%s)\n", value);
	}
	return fflush(out) == 0 ? EX_OK : EX_IOERR;
}

static int
wrong_usage(const char *text, const char *what)
{
	fprintf(
	    stderr, "%s: %s%s\nTry " PROGRAM " --help.\n", PROGRAM, text, what);
	return EX_USAGE;
}

static int
version(void)
{
	printf("%s (perdition) %s\n", PROGRAM, PACKAGE_VERSION);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return utf8_is_valid(s);
}

/* Whose name ends in "_ldap_makedb" or the like; or NULL. */
static const struct makedb_format *
by_program(const char *program)
{
	size_t len = strlen(program);
	char end[64];

	for (int i = 0; i < FORMATS; i++) {
		int n =
		    snprintf(end, sizeof(end), "_%s_makedb", formats[i]->name);

		if (n > 0 && len > (size_t)n &&
		    strcmp(program + len - n, end) == 0)
			return formats[i];
	}
	return NULL;
}

static const struct makedb_format *
by_name(const char *name)
{
	for (int i = 0; i < FORMATS; i++)
		if (strcmp(name, formats[i]->name) == 0)
			return formats[i];
	return NULL;
}

/* format: NULL when none was said.  0; or -1 with the exit status. */
static int
read_option(const struct option_def *d, const char *value,
    const struct makedb_format *format, struct makedb_options *o, int *status)
{
	*status = EX_OK;
	if (strcmp(d->name, "help") == 0)
		*status = usage(stdout);
	else if (strcmp(d->name, "version") == 0)
		*status = version();
	else if (format != NULL && d->whose != FOR_ALL &&
		 (d->whose == FOR_SQL) != format->sql)
		*status = wrong_usage("option not for this kind: --", d->name);
	else if (value != NULL && !is_plain(slice_str(value)))
		*status = wrong_usage(
		    "not UTF-8, or with control bytes: --", d->name);
	else {
		if (value != NULL)
			*option_text(o, d) = value;
		else
			o->no_create = true;
		return 0;
	}
	return -1;
}

/* 0; or -1 with the exit status. */
static int
read_options(int argc, char *argv[], const struct makedb_format *format,
    struct makedb_options *o, int *status)
{
	struct option options[OPTIONS + 1] = { { .name = NULL } };
	int c, which = 0;

	for (int i = 0; i < OPTIONS; i++) {
		options[i].name = option_defs[i].name;
		options[i].has_arg = option_defs[i].argument == NULL
					 ? no_argument
					 : required_argument;
		options[i].val = 1;
	}
	while ((c = getopt_long(argc, argv, "h", options, &which)) != -1) {
		if (c == 'h')
			*status = usage(stdout);
		else if (c == '?')
			*status = wrong_usage("wrong option", "");
		if (c != 1 || read_option(&option_defs[which], optarg, format,
				  o, status) == -1)
			return -1;
	}
	if (optind == argc)
		return 0;
	*status = wrong_usage("too many arguments: ", argv[optind]);
	return -1;
}

/* --- the work ------------------------------------------------------------- */

/* NULL with e filled, or what is wrong. */
static const char *
read_entry(const struct map_entry *from, struct slice delimiter,
    struct makedb_entry *e)
{
	struct slice rest = from->value, server;
	const char *wrong = NULL;

	e->key = from->key;
	e->n = 0;
	if (!utf8_is_valid(from->key) || !utf8_is_valid(from->value))
		return "not UTF-8, as all text in a database must be";
	while (wrong == NULL && map_answer_next(&rest, &server)) {
		if (e->n == POPMAP_SERVERS_MAX)
			return "more than 16 servers";
		wrong =
		    makedb_server_split(&e->server[e->n++], server, delimiter);
	}
	return wrong;
}

/* EX_OK when all of it is in m->out. */
static int
write_all(struct makedb *m, const struct makedb_format *format)
{
	struct makedb_entry *e = calloc(1, sizeof(*e));
	const char *wrong;

	if (e == NULL)
		return EX_OSERR;
	wrong = format->begin(m);
	if (wrong != NULL) {
		free(e);
		return wrong_usage(wrong, "");
	}
	for (size_t i = 0; i < m->source->n; i++) {
		wrong = read_entry(
		    &m->source->v[i], slice_str(m->options->delimiter), e);
		if (wrong == NULL)
			wrong = format->entry(m, e);
		if (wrong != NULL)
			makedb_complain(m, m->source->v[i].line, wrong);
	}
	format->end(m);
	free(e);
	if (m->bad > COMPLAINTS_MAX)
		fprintf(
		    stderr, "stdin: and %lu more\n", m->bad - COMPLAINTS_MAX);
	return m->bad == 0 ? EX_OK : EX_DATAERR;
}

static int
print(const char *text, size_t n)
{
	if (fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0)
		return EX_OK;
	fprintf(stderr, "%s: standard output: %s\n", PROGRAM, strerror(errno));
	return EX_IOERR;
}

static int
convert(
    const struct makedb_format *format, const struct makedb_options *options)
{
	struct map_source source;
	struct makedb m = {
		.options = options,
		.dialect = format->dialect,
		.source = &source,
	};
	char *text = NULL;
	size_t n = 0;
	int status = map_source_read(&source, STDIN_FILENO, "stdin", stderr);

	if (status != 0)
		return status == 1 ? EX_DATAERR : EX_IOERR;
	m.out = open_memstream(&text, &n);
	status = m.out == NULL ? EX_OSERR : write_all(&m, format);
	if (m.out != NULL && (ferror(m.out) || fclose(m.out) == EOF))
		status = EX_OSERR;
	if (status == EX_OSERR)
		fprintf(stderr, "%s: out of memory\n", PROGRAM);
	if (status == EX_OK)
		status = print(text, n);
	free(text);
	map_source_clear(&source);
	return status;
}

int
main(int argc, char *argv[])
{
	const struct makedb_format *format =
	    argc > 0 ? by_program(argv[0]) : NULL;
	struct makedb_options options = defaults;
	int status;

	if (format == NULL && argc > 1 && argv[1][0] != '-') {
		format = by_name(argv[1]);
		if (format == NULL)
			return wrong_usage("no such kind: ", argv[1]);
		argc--;
		argv++;
	}
	if (read_options(argc, argv, format, &options, &status) == -1)
		return status;
	if (format == NULL)
		return wrong_usage("say which kind: ldap, mysql, postgresql or "
				   "odbc",
		    "");
	status = convert(format, &options);
	if (status != EX_OK)
		fprintf(stderr, "%s: nothing was written\n", PROGRAM);
	return status;
}
