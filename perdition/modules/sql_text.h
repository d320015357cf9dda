/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sql_text - the one statement of a map, as text for a certain database.
 *
 * Made from table and columns, which are checked and quoted, or from the
 * administrator's query, in which placeholders become bound parameters.  What
 * a user sends never gets into the text.
 */
#ifndef PERDITION_MODULES_SQL_TEXT_H
#define PERDITION_MODULES_SQL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"
#include "perdition/modules/sql_options.h"
#include "perdition/popmap.h"

#define SQL_PARAMS_MAX 16

enum sql_fold { SQL_FOLD_NONE, SQL_FOLD_LOWER, SQL_FOLD_UPPER };

/* How a database writes things. */
struct sql_dialect {
	char quote;         /* around an identifier; 0: it has none */
	enum sql_fold fold; /* of an identifier that is not quoted */
	/* The form of parameters, $1, $2 instead of ?, and texts between
	 * $tag$ and $tag$. */
	bool dollar;
	/* In '...' and "..." a backslash escapes, and # begins a comment. */
	bool mysql;
	const char *limit; /* at the statement's end, or "" */
};

enum sql_param {
	SQL_PARAM_KEY,
	SQL_PARAM_USER,
	SQL_PARAM_LOCAL,
	SQL_PARAM_DOMAIN,
	SQL_PARAM_PROTOCOL,
};

struct sql_statement {
	char *text;
	size_t params; /* at least 1 */
	enum sql_param param[SQL_PARAMS_MAX];
};

/* 0, or -1 with err and nothing allocated. */
int sql_statement_make(struct sql_statement *, const struct sql_options *,
    const struct sql_dialect *, struct popmap_error *);
void sql_statement_clear(struct sql_statement *);

/* What is to be bound, a view of query. */
struct slice sql_param_value(enum sql_param, const struct popmap_query *);

/* Whether any of the statement's values has a NUL in it, and whether all are
 * sound UTF-8. */
bool sql_params_have_nul(
    const struct sql_statement *, const struct popmap_query *);
bool sql_params_are_utf8(
    const struct sql_statement *, const struct popmap_query *);

#endif
