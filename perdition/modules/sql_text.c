/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sql_text - see sql_text.h.
 */
#include "config.h"

#include "perdition/modules/sql_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

/* A statement that is being written. */
struct writing {
	struct sql_statement *st;
	const struct sql_dialect *d;
	FILE *out; /* to st->text */
	struct popmap_error *err;
};

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

static void
put(struct writing *w, struct slice s)
{
	if (s.n > 0)
		fwrite(s.p, 1, s.n, w->out);
}

static int
put_param(struct writing *w, enum sql_param param)
{
	if (w->st->params == SQL_PARAMS_MAX)
		return map_error(
		    w->err, "more than %d placeholders", SQL_PARAMS_MAX);
	w->st->param[w->st->params++] = param;
	if (w->d->dollar)
		fprintf(w->out, "$%zu", w->st->params);
	else
		fputc('?', w->out);
	return 0;
}

/* --- identifiers ---------------------------------------------------------- */

static char
fold(char c, enum sql_fold how)
{
	if (how == SQL_FOLD_LOWER && c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if (how == SQL_FOLD_UPPER && c >= 'a' && c <= 'z')
		return (char)(c - 'a' + 'A');
	return c;
}

/*
 * The name that *rest begins with, up to '.' or the end; one in double quotes
 * may hold any byte that can be printed.  False: it is none.
 */
static bool
cut_identifier(struct slice *rest, struct slice *name, bool *exact)
{
	size_t n = 0;

	*exact = rest->n > 0 && rest->p[0] == '"';
	if (*exact) {
		*rest = slice_skip(*rest, 1);
		if (!slice_cut(rest, '"', name))
			return false;
		for (size_t i = 0; i < name->n; i++)
			if ((unsigned char)name->p[i] < ' ' ||
			    name->p[i] == 0x7f)
				return false;
	} else {
		while (n < rest->n &&
		       (is_word(rest->p[n]) || strchr("$-", rest->p[n])))
			n++;
		*name = slice_make(rest->p, n);
		*rest = slice_skip(*rest, n);
	}
	return name->n > 0 && name->n <= SQL_NAME_MAX;
}

/* Quoted; folded first as the database does with what is not. */
static bool
put_quoted(struct writing *w, struct slice name, bool exact)
{
	enum sql_fold how = exact ? SQL_FOLD_NONE : w->d->fold;
	char quote = w->d->quote;

	if (quote != 0)
		fputc(quote, w->out);
	for (size_t i = 0; i < name.n; i++) {
		if (quote == 0 && !is_word(name.p[i]))
			return false;
		if (name.p[i] == quote)
			fputc(quote, w->out);
		fputc(fold(name.p[i], how), w->out);
	}
	if (quote != 0)
		fputc(quote, w->out);
	return true;
}

/* text: NAME, or for a table SCHEMA.NAME; what: for the message. */
static int
put_name(struct writing *w, const char *what, const char *text, bool table)
{
	struct slice rest = slice_str(text), name;
	bool exact;

	for (;;) {
		if (!cut_identifier(&rest, &name, &exact) ||
		    !put_quoted(w, name, exact))
			break;
		if (rest.n == 0)
			return 0;
		if (rest.p[0] != '.' || !table)
			break;
		put(w, SLICE("."));
		rest = slice_skip(rest, 1);
	}
	return map_error(w->err,
	    "\"%.80s\" is not a name for a %s: letters, digits, _, $ and -, "
	    "at most %d, or anything in double quotes; for an expression use "
	    "query",
	    text, what, SQL_NAME_MAX);
}

static int
put_select(struct writing *w, const struct sql_options *o)
{
	bool user = o->user_column[0] != '\0', port = o->port_column[0] != '\0';

	put(w, SLICE("SELECT "));
	if (put_name(w, "column", o->server_column, false) == -1)
		return -1;
	if (user || port)
		put(w, SLICE(", "));
	if (user && put_name(w, "column", o->user_column, false) == -1)
		return -1;
	if (!user && port)
		put(w, SLICE("NULL"));
	if (port) {
		put(w, SLICE(", "));
		if (put_name(w, "column", o->port_column, false) == -1)
			return -1;
	}
	put(w, SLICE(" FROM "));
	if (put_name(w, "table", o->table, true) == -1)
		return -1;
	put(w, SLICE(" WHERE "));
	if (put_name(w, "column", o->key_column, false) == -1)
		return -1;
	put(w, SLICE(" = "));
	if (put_param(w, SQL_PARAM_KEY) == -1)
		return -1;
	put(w, slice_str(w->d->limit));
	return 0;
}

/* --- the administrator's query -------------------------------------------- */

/* How many bytes from s to behind the next needle; all of it without one. */
static size_t
through(struct slice s, size_t from, struct slice needle)
{
	for (size_t i = from; i + needle.n <= s.n; i++)
		if (memcmp(s.p + i, needle.p, needle.n) == 0)
			return i + needle.n;
	return s.n;
}

/* The text in quotes that s begins with.  A quote that is written twice ends
 * one and begins the next, which comes to the same. */
static size_t
quoted(struct slice s, bool backslash)
{
	size_t i = 1;

	while (i < s.n && s.p[i] != s.p[0])
		i += backslash && s.p[i] == '\\' ? 2 : 1;
	return i < s.n ? i + 1 : s.n;
}

/* As the standard says, and PostgreSQL does, they nest; elsewhere not. */
static size_t
block_comment(struct slice s, bool nest)
{
	size_t depth = 1, i = 2;

	while (i + 1 < s.n && depth > 0) {
		if (s.p[i] == '*' && s.p[i + 1] == '/') {
			depth--;
			i += 2;
		} else if (nest && s.p[i] == '/' && s.p[i + 1] == '*') {
			depth++;
			i += 2;
		} else {
			i++;
		}
	}
	return depth == 0 ? i : s.n;
}

/* $tag$ ... $tag$; 0 when s does not begin with one. */
static size_t
dollar_quoted(struct slice s)
{
	size_t n = 1;

	while (n < s.n && is_word(s.p[n]))
		n++;
	if (n == s.n || s.p[n] != '$' || (n > 1 && isdigit(s.p[1])))
		return 0;
	n++;
	return through(s, n, slice_make(s.p, n));
}

static bool
begins(struct slice s, const char *text)
{
	return slice_starts(s, slice_str(text));
}

/* For MySQL "a--1" is a sum. */
static bool
line_comment(struct slice s, const struct sql_dialect *d)
{
	if (d->mysql && s.p[0] == '#')
		return true;
	return begins(s, "--") &&
	       (!d->mysql || s.n == 2 || (unsigned char)s.p[2] <= ' ');
}

/*
 * How much of s, from its beginning, is to be copied without a look: text in
 * quotes, comments, words.  0: nothing.
 */
static size_t
opaque(struct slice s, const struct sql_dialect *d)
{
	size_t n = 0;

	if (s.p[0] == '\'' || s.p[0] == '"')
		return quoted(s, d->mysql);
	if (s.p[0] == '`')
		return quoted(s, false);
	if (line_comment(s, d))
		return through(s, 0, SLICE("\n"));
	if (begins(s, "/*"))
		return block_comment(s, d->dollar);
	if (begins(s, "::"))
		return 2;
	if (d->dollar && s.p[0] == '$')
		return dollar_quoted(s);
	while (n < s.n && (is_word(s.p[n]) || (n > 0 && s.p[n] == '$')))
		n++;
	/* E'...' of PostgreSQL */
	if (n == 1 && d->dollar && (s.p[0] == 'E' || s.p[0] == 'e') &&
	    n < s.n && s.p[n] == '\'')
		return n + quoted(slice_skip(s, n), true);
	return n;
}

/* ":name" at s; how many bytes it has, 0 when it is none, -1 with err. */
static ptrdiff_t
named(struct writing *w, struct slice s, enum sql_param *param)
{
	static const struct {
		const char *name;
		enum sql_param param;
	} names[] = {
		{ "key", SQL_PARAM_KEY },
		{ "user", SQL_PARAM_USER },
		{ "local", SQL_PARAM_LOCAL },
		{ "domain", SQL_PARAM_DOMAIN },
		{ "protocol", SQL_PARAM_PROTOCOL },
	};
	struct slice name;
	size_t n = 1;

	if (s.p[0] != ':' || s.n < 2 || !is_word(s.p[1]) || isdigit(s.p[1]))
		return 0;
	while (n < s.n && is_word(s.p[n]))
		n++;
	name = slice_make(s.p + 1, n - 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (slice_eq(name, slice_str(names[i].name))) {
			*param = names[i].param;
			return (ptrdiff_t)n;
		}
	}
	return map_error(w->err,
	    "query: :%.*s is none of :key, :user, :local, :domain, :protocol",
	    name.n > 40 ? 40 : (int)name.n, name.p);
}

/* "?", or "$1", as the database itself has it: the key. */
static ptrdiff_t
numbered(struct writing *w, struct slice s)
{
	if (!w->d->dollar)
		return s.p[0] == '?';
	if (s.p[0] != '$' || s.n < 2 || !isdigit(s.p[1]))
		return 0;
	if (s.p[1] != '1' || (s.n > 2 && isdigit(s.p[2])))
		return map_error(w->err,
		    "query: only $1 can be numbered; use :key, :user, :local, "
		    ":domain, :protocol");
	return 2;
}

static int
put_query(struct writing *w, struct slice s)
{
	while (s.n > 0) {
		enum sql_param param = SQL_PARAM_KEY;
		size_t copy = opaque(s, w->d);
		ptrdiff_t n;

		if (copy == 0) {
			n = named(w, s, &param);
			if (n == 0)
				n = numbered(w, s);
			if (n == -1 || (n > 0 && put_param(w, param) == -1))
				return -1;
			if (n > 0) {
				s = slice_skip(s, (size_t)n);
				continue;
			}
			copy = 1;
		}
		put(w, slice_make(s.p, copy));
		s = slice_skip(s, copy);
	}
	if (w->st->params == 0)
		return map_error(w->err,
		    "query has no placeholder: write :key where the key "
		    "belongs, outside of quotes");
	return 0;
}

int
sql_statement_make(struct sql_statement *st, const struct sql_options *o,
    const struct sql_dialect *d, struct popmap_error *err)
{
	struct writing w = { .st = st, .d = d, .err = err };
	size_t size;
	int ret;

	memset(st, 0, sizeof(*st));
	w.out = open_memstream(&st->text, &size);
	if (w.out == NULL)
		return map_error(err, "out of memory");
	if (o->query != NULL)
		ret = put_query(&w, slice_str(o->query));
	else
		ret = put_select(&w, o);
	if (fclose(w.out) == EOF && ret == 0)
		ret = map_error(err, "out of memory");
	if (ret == -1)
		sql_statement_clear(st);
	return ret;
}

void
sql_statement_clear(struct sql_statement *st)
{
	free(st->text);
	memset(st, 0, sizeof(*st));
}

/* --- values --------------------------------------------------------------- */

static struct slice
view(struct popmap_text t)
{
	return slice_make(t.n == 0 ? "" : t.p, t.n);
}

struct slice
sql_param_value(enum sql_param param, const struct popmap_query *q)
{
	switch (param) {
	case SQL_PARAM_USER:
		return view(q->user);
	case SQL_PARAM_LOCAL:
		return view(q->local);
	case SQL_PARAM_DOMAIN:
		return view(q->domain);
	case SQL_PARAM_PROTOCOL:
		return slice_str(q->protocol);
	case SQL_PARAM_KEY:
	default:
		return view(q->key);
	}
}

bool
sql_params_have_nul(
    const struct sql_statement *st, const struct popmap_query *q)
{
	for (size_t i = 0; i < st->params; i++)
		if (slice_find(sql_param_value(st->param[i], q), '\0') != -1)
			return true;
	return false;
}

bool
sql_params_are_utf8(
    const struct sql_statement *st, const struct popmap_query *q)
{
	for (size_t i = 0; i < st->params; i++)
		if (!utf8_is_valid(sql_param_value(st->param[i], q)))
			return false;
	return true;
}
