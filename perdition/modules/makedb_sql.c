/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makedb_sql - a popmap as SQL for the tables in contrib/sql: a row a server,
 * all rows replaced in one transaction.
 *
 * What a popmap holds is data: it gets into a text in quotes only, with what
 * that database takes for special there.
 */
#include "config.h"

#include "perdition/modules/makedb.h"

#include "common/banned.h"

#define NAME_MAX_BYTES 63 /* PostgreSQL cuts longer ones silently */
#define SERVER_MAX 255    /* of the columns, as in contrib/sql */
#define PORT_MAX 32
#define COLUMNS 3 /* user, server, port */

enum quoting {
	QUOTE_STANDARD,   /* '' only */
	QUOTE_POSTGRESQL, /* E'...' where there is a backslash */
	QUOTE_MYSQL,      /* a backslash escapes, unless sql_mode says no */
};

struct dialect {
	enum quoting quoting;
	char name_quote; /* 0: only where it must be, then " */
	bool lower;      /* what is not quoted is in lower case */
	const char *setup;
	const char *text; /* what stands behind the type of a user's text */
	const char *table_end;
	bool index_inside; /* of CREATE TABLE */
	const char *begin;
};

/* --- texts ---------------------------------------------------------------- */

static void
put_text(struct makedb *m, struct slice s)
{
	const struct dialect *d = m->dialect;
	bool escapes =
	    d->quoting == QUOTE_MYSQL ||
	    (d->quoting == QUOTE_POSTGRESQL && slice_find(s, '\\') != -1);

	if (escapes && d->quoting == QUOTE_POSTGRESQL)
		fputc('E', m->out);
	fputc('\'', m->out);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\'' || (escapes && s.p[i] == '\\'))
			fputc(s.p[i], m->out);
		fputc(s.p[i], m->out);
	}
	fputc('\'', m->out);
}

static void
put_value(struct makedb *m, struct slice s)
{
	if (s.n == 0)
		fputs("NULL", m->out);
	else
		put_text(m, s);
}

/* --- names ---------------------------------------------------------------- */

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_';
}

/* A name, in double quotes or not, from the front.  False: it is none. */
static bool
cut_name(struct slice *rest, struct slice *name, bool *exact)
{
	size_t n = 0;

	*exact = rest->n > 0 && rest->p[0] == '"';
	if (*exact) {
		*rest = slice_skip(*rest, 1);
		if (!slice_cut(rest, '"', name))
			return false;
	} else {
		while (n < rest->n &&
		       (is_word(rest->p[n]) || strchr("$-", rest->p[n])))
			n++;
		*name = slice_make(rest->p, n);
		*rest = slice_skip(*rest, n);
	}
	return name->n > 0 && name->n <= NAME_MAX_BYTES;
}

/* Reserved, or not a plain word. */
static bool
must_quote(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_word(name.p[i]))
			return true;
	return (name.p[0] >= '0' && name.p[0] <= '9') ||
	       slice_caseeq(name, SLICE("user")) ||
	       slice_caseeq(name, SLICE("key"));
}

static void
put_quoted(const struct dialect *d, FILE *out, struct slice name, bool exact)
{
	char quote = d->name_quote;

	if (quote == 0 && (exact || must_quote(name)))
		quote = '"';
	if (quote != 0)
		fputc(quote, out);
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (d->lower && !exact && c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == quote)
			fputc(c, out);
		fputc(c, out);
	}
	if (quote != 0)
		fputc(quote, out);
}

/* Cuts a name from the front of *rest; a table's may have that of a schema in
 * front.  False: it is none. */
static bool
skip_name(struct slice *rest, bool table)
{
	struct slice name;
	bool exact;

	while (cut_name(rest, &name, &exact)) {
		if (!table || rest->n == 0 || rest->p[0] != '.')
			return true;
		*rest = slice_skip(*rest, 1);
	}
	return false;
}

/* The same, in the database's way. */
static void
put_name(struct makedb *m, struct slice rest, bool table)
{
	struct slice name;
	bool exact;

	while (cut_name(&rest, &name, &exact)) {
		put_quoted(m->dialect, m->out, name, exact);
		if (!table || rest.n == 0 || rest.p[0] != '.')
			return;
		fputc('.', m->out);
		rest = slice_skip(rest, 1);
	}
}

static void
put_table(struct makedb *m)
{
	put_name(m, slice_str(m->options->table), true);
}

/* which: 0 to COLUMNS - 1, or -1: that of the key. */
static void
put_column(struct makedb *m, int which)
{
	struct slice rest = slice_str(m->options->columns);

	if (which == -1 && m->options->key_column != NULL)
		rest = slice_str(m->options->key_column);
	for (; which > 0; which--) {
		skip_name(&rest, false);
		rest = slice_skip(rest, 1);
	}
	put_name(m, rest, false);
}

/* What is wrong, or NULL. */
static const char *
check_names(const struct makedb_options *o)
{
	struct slice table = slice_str(o->table);
	struct slice key = slice_str(o->key_column);
	struct slice columns = slice_str(o->columns);

	if (!skip_name(&table, true) || table.n > 0)
		return "--table: not a table's name";
	if (o->key_column != NULL && (!skip_name(&key, false) || key.n > 0))
		return "--key-column: not a column's name";
	for (int i = 0; i < COLUMNS; i++) {
		if (i > 0 && (columns.n == 0 || columns.p[0] != ','))
			return "--columns: not three, with commas between";
		if (i > 0)
			columns = slice_skip(columns, 1);
		if (!skip_name(&columns, false))
			return "--columns: not a column's name";
	}
	return columns.n > 0 ? "--columns: not three, with commas between"
			     : NULL;
}

/* --- statements ----------------------------------------------------------- */

/* TABLE_COLUMN, without the schema. */
static void
put_index_name(struct makedb *m)
{
	struct slice rest = slice_str(m->options->table), name, column;
	char text[2 * NAME_MAX_BYTES + 2];
	bool exact, column_exact;
	int n;

	cut_name(&rest, &name, &exact);
	while (rest.n > 0) {
		rest = slice_skip(rest, 1);
		cut_name(&rest, &name, &exact);
	}
	rest = slice_str(m->options->key_column != NULL ? m->options->key_column
							: m->options->columns);
	cut_name(&rest, &column, &column_exact);
	n = snprintf(text, sizeof(text), "%.*s_%.*s", (int)name.n, name.p,
	    (int)column.n, column.p);
	put_quoted(m->dialect, m->out, slice_make(text, (size_t)n), exact);
}

/* The index is not unique: several servers are several rows. */
static void
put_index(struct makedb *m)
{
	fputs("CREATE INDEX IF NOT EXISTS ", m->out);
	put_index_name(m);
	fputs(" ON ", m->out);
	put_table(m);
	fputs(" (", m->out);
	put_column(m, -1);
	fputs(");\n", m->out);
}

static void
put_create(struct makedb *m)
{
	const struct dialect *d = m->dialect;

	fputs("CREATE TABLE IF NOT EXISTS ", m->out);
	put_table(m);
	fputs(" (\n    ", m->out);
	put_column(m, -1);
	fprintf(
	    m->out, " VARCHAR(%d)%s NOT NULL,\n    ", POPMAP_USER_MAX, d->text);
	if (m->options->key_column != NULL) {
		put_column(m, 0);
		fprintf(
		    m->out, " VARCHAR(%d)%s,\n    ", POPMAP_USER_MAX, d->text);
	}
	put_column(m, 1);
	fprintf(m->out, " VARCHAR(%d) NOT NULL,\n    ", SERVER_MAX);
	put_column(m, 2);
	fprintf(m->out, " VARCHAR(%d)", PORT_MAX);
	if (d->index_inside) {
		fputs(",\n    KEY (", m->out);
		put_column(m, -1);
		fputc(')', m->out);
	}
	fprintf(m->out, "\n)%s;\n", d->table_end);
	if (!d->index_inside)
		put_index(m);
}

static const char *
sql_begin(struct makedb *m)
{
	const struct dialect *d = m->dialect;
	const char *wrong = check_names(m->options);

	if (wrong != NULL)
		return wrong;
	fputs(d->setup, m->out);
	if (!m->options->no_create)
		put_create(m);
	fprintf(m->out, "%s;\nDELETE FROM ", d->begin);
	put_table(m);
	fputs(";\n", m->out);
	return NULL;
}

static void
put_row(struct makedb *m, struct slice key, const struct makedb_server *s)
{
	bool has_key = m->options->key_column != NULL;

	fputs("INSERT INTO ", m->out);
	put_table(m);
	fputs(" (", m->out);
	if (has_key) {
		put_column(m, -1);
		fputs(", ", m->out);
	}
	for (int i = 0; i < COLUMNS; i++) {
		fputs(i == 0 ? "" : ", ", m->out);
		put_column(m, i);
	}
	fputs(") VALUES (", m->out);
	put_value(m, key);
	if (has_key) {
		fputs(", ", m->out);
		put_value(m, s->user);
	}
	fputs(", ", m->out);
	put_value(m, makedb_server_name(s));
	fputs(", ", m->out);
	put_value(m, s->port);
	fputs(");\n", m->out);
}

static const char *
check(const struct makedb *m, struct slice key, const struct makedb_server *s)
{
	if (key.n > POPMAP_USER_MAX)
		return "key longer than 512 bytes";
	if (s->user.n > POPMAP_USER_MAX)
		return "user longer than 512 bytes";
	if (s->name_len > SERVER_MAX)
		return "server longer than 255 bytes";
	if (s->port.n > PORT_MAX)
		return "port longer than 32 bytes";
	if (m->options->key_column == NULL && s->user.n > 0 &&
	    !slice_eq(s->user, key))
		return "a user in front of the server has no column: give one "
		       "for the key, with --key-column";
	return NULL;
}

static const char *
sql_entry(struct makedb *m, const struct makedb_entry *e)
{
	for (size_t i = 0; i < e->n; i++) {
		const char *wrong = check(m, e->key, &e->server[i]);

		if (wrong != NULL)
			return wrong;
		put_row(m, e->key, &e->server[i]);
	}
	return NULL;
}

static void
sql_end(struct makedb *m)
{
	fputs("COMMIT;\n", m->out);
}

const struct makedb_format makedb_mysql = {
	.name = "mysql",
	.sql = true,
	.dialect =
	    &(const struct dialect){
		.quoting = QUOTE_MYSQL,
		.name_quote = '`',
		/* Backslashes escape; what does not fit is an error. */
		.setup = "SET NAMES utf8mb4;\n"
			 "SET SESSION sql_mode = 'STRICT_ALL_TABLES';\n",
		.text = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
		.table_end = " ENGINE = InnoDB",
		.index_inside = true,
		.begin = "START TRANSACTION",
	    },
	.begin = sql_begin,
	.entry = sql_entry,
	.end = sql_end,
};

const struct makedb_format makedb_postgresql = {
	.name = "postgresql",
	.sql = true,
	.dialect =
	    &(const struct dialect){
		.quoting = QUOTE_POSTGRESQL,
		.name_quote = '"',
		.lower = true,
		.setup = "SET client_encoding = 'UTF8';\n"
			 "SET client_min_messages = 'warning';\n",
		.text = "",
		.table_end = "",
		.begin = "BEGIN",
	    },
	.begin = sql_begin,
	.entry = sql_entry,
	.end = sql_end,
};

const struct makedb_format makedb_odbc = {
	.name = "odbc",
	.sql = true,
	.dialect =
	    &(const struct dialect){
		.quoting = QUOTE_STANDARD,
		.setup = "",
		.text = "",
		.table_end = "",
		.begin = "BEGIN TRANSACTION",
	    },
	.begin = sql_begin,
	.entry = sql_entry,
	.end = sql_end,
};
