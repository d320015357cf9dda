/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * odbc - popmap module: a table or a query behind unixODBC.
 *
 * The database is a data source's name, or a connection string, which has a
 * '=' in it.  Drivers may wait; how long, they are told, and who does not
 * care has our process killed.
 */
#include "config.h"

#include <sql.h>
#include <sqlext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perdition/modules/map_answer.h"
#include "perdition/modules/sql_map.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define CONNECT_MAX 4096 /* bytes of a connection string */

extern const struct popmap_ops popmap_module;

struct sql_client {
	SQLHENV env;
	SQLHDBC dbc;
	SQLHSTMT stmt;
	bool connected;
	char where[SQL_WHERE_MAX]; /* for messages */
	const char *password;      /* of the options; never told */
};

static void
odbc_disconnect(struct sql_client **cp)
{
	struct sql_client *c = *cp;

	if (c == NULL)
		return;
	if (c->stmt != SQL_NULL_HSTMT)
		SQLFreeHandle(SQL_HANDLE_STMT, c->stmt);
	if (c->connected)
		SQLDisconnect(c->dbc);
	if (c->dbc != SQL_NULL_HDBC)
		SQLFreeHandle(SQL_HANDLE_DBC, c->dbc);
	if (c->env != SQL_NULL_HENV)
		SQLFreeHandle(SQL_HANDLE_ENV, c->env);
	free(c);
	*cp = NULL;
}

/* Whatever a driver thinks fit for a message. */
static void
hide_password(const struct sql_client *c, char *text)
{
	size_t n = strlen(c->password);
	char *at = text;

	while (n > 0 && (at = strstr(at, c->password)) != NULL) {
		memset(at, '*', n);
		at += n;
	}
}

/* Always -1; state: the five letters, or empty. */
static int
diagnose(const struct sql_client *c, SQLSMALLINT kind, SQLHANDLE handle,
    char state[SQL_SQLSTATE_SIZE + 1], struct popmap_error *err)
{
	SQLCHAR text[300] = "", code[SQL_SQLSTATE_SIZE + 1] = "";
	SQLINTEGER native;
	SQLSMALLINT n;

	state[0] = '\0';
	if (!SQL_SUCCEEDED(SQLGetDiagRec(
		kind, handle, 1, code, &native, text, sizeof(text), &n)))
		return sql_error(err, c->where, "unknown error");
	memcpy(state, code, sizeof(code));
	hide_password(c, (char *)text);
	return sql_error(err, c->where, (const char *)text);
}

/* --- connecting ------------------------------------------------------------
 */

struct text {
	char mem[CONNECT_MAX];
	size_t n;
	bool failed;
};

static void
put(struct text *t, struct slice s)
{
	if (s.n >= sizeof(t->mem) - t->n) {
		t->failed = true;
		return;
	}
	if (s.n > 0)
		memcpy(t->mem + t->n, s.p, s.n);
	t->n += s.n;
	t->mem[t->n] = '\0';
}

/* ";KEY=value", in braces when it needs them. */
static void
put_pair(struct text *t, const char *key, const char *value)
{
	struct slice rest = slice_str(value), part;
	bool plain = strpbrk(value, " ;{}[](),?*=!@\\\"'") == NULL;

	put(t, SLICE(";"));
	put(t, slice_str(key));
	put(t, SLICE("="));
	if (plain) {
		put(t, rest);
		return;
	}
	put(t, SLICE("{"));
	while (slice_cut(&rest, '}', &part)) {
		put(t, part);
		put(t, SLICE("}}"));
	}
	put(t, part);
	put(t, SLICE("}"));
}

static bool
is_connection_string(const char *database)
{
	return strchr(database, '=') != NULL;
}

static void
make_string(struct text *t, const struct sql_target *target)
{
	const struct sql_options *o = target->options;
	char port[8];

	if (!is_connection_string(o->database))
		put(t, SLICE("DSN="));
	put(t, slice_str(o->database));
	if (o->hosts_given) {
		put_pair(t, "SERVER", target->host->name);
		snprintf(
		    port, sizeof(port), "%u", (unsigned int)target->host->port);
		if (target->host->port != 0)
			put_pair(t, "PORT", port);
	}
	if (o->user[0] != '\0')
		put_pair(t, "UID", o->user);
	if (o->password[0] != '\0')
		put_pair(t, "PWD", o->password);
}

static SQLPOINTER
number(uintptr_t n)
{
	return (SQLPOINTER)n;
}

static SQLCHAR *
chars(const char *text)
{
	return (SQLCHAR *)(uintptr_t)text; /* which nobody changes */
}

static uintptr_t
seconds(unsigned int ms)
{
	return (ms + 999) / 1000;
}

static int
make_handles(struct sql_client *c, const struct sql_target *t)
{
	if (!SQL_SUCCEEDED(
		SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &c->env)) ||
	    !SQL_SUCCEEDED(SQLSetEnvAttr(
		c->env, SQL_ATTR_ODBC_VERSION, number(SQL_OV_ODBC3), 0)) ||
	    !SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_DBC, c->env, &c->dbc)))
		return -1;
	/* Who does not know one does without. */
	SQLSetConnectAttr(c->dbc, SQL_ATTR_LOGIN_TIMEOUT,
	    number(seconds(sql_left_ms(t->until))), 0);
	SQLSetConnectAttr(c->dbc, SQL_ATTR_CONNECTION_TIMEOUT,
	    number(seconds(t->timeout_ms)), 0);
	SQLSetConnectAttr(
	    c->dbc, SQL_ATTR_ACCESS_MODE, number(SQL_MODE_READ_ONLY), 0);
	SQLSetConnectAttr(
	    c->dbc, SQL_ATTR_AUTOCOMMIT, number(SQL_AUTOCOMMIT_ON), 0);
	return 0;
}

static int
connect_now(
    struct sql_client *c, const struct sql_target *t, struct popmap_error *err)
{
	const struct sql_options *o = t->options;
	char state[SQL_SQLSTATE_SIZE + 1];
	struct text text = { .n = 0 };
	SQLRETURN ret;

	if (is_connection_string(o->database) || (o->hosts_given)) {
		make_string(&text, t);
		if (text.failed) {
			explicit_bzero(&text, sizeof(text));
			return map_error(
			    err, "the connection string is too long");
		}
		ret = SQLDriverConnect(c->dbc, NULL, chars(text.mem), SQL_NTS,
		    NULL, 0, NULL, SQL_DRIVER_NOPROMPT);
		explicit_bzero(&text, sizeof(text));
	} else {
		ret = SQLConnect(c->dbc, chars(o->database), SQL_NTS,
		    o->user[0] != '\0' ? chars(o->user) : NULL, SQL_NTS,
		    o->password[0] != '\0' ? chars(o->password) : NULL,
		    SQL_NTS);
	}
	if (!SQL_SUCCEEDED(ret))
		return diagnose(c, SQL_HANDLE_DBC, c->dbc, state, err);
	c->connected = true;
	return 0;
}

/* How this database writes identifiers. */
static void
ask_dialect(const struct sql_client *c, struct sql_dialect *d)
{
	char quote[8] = "";
	SQLUSMALLINT fold = SQL_IC_MIXED;
	SQLSMALLINT n;

	*d = (struct sql_dialect){ .quote = 0, .limit = "" };
	if (SQL_SUCCEEDED(SQLGetInfo(
		c->dbc, SQL_IDENTIFIER_QUOTE_CHAR, quote, sizeof(quote), &n)) &&
	    quote[0] > ' ' && quote[1] == '\0')
		d->quote = quote[0];
	if (!SQL_SUCCEEDED(SQLGetInfo(
		c->dbc, SQL_IDENTIFIER_CASE, &fold, sizeof(fold), &n)))
		return;
	if (fold == SQL_IC_LOWER)
		d->fold = SQL_FOLD_LOWER;
	else if (fold == SQL_IC_UPPER)
		d->fold = SQL_FOLD_UPPER;
}

static int
prepare(
    struct sql_client *c, const struct sql_target *t, struct popmap_error *err)
{
	char state[SQL_SQLSTATE_SIZE + 1];
	struct sql_dialect dialect;
	struct sql_statement st;
	SQLRETURN ret;

	ask_dialect(c, &dialect);
	if (sql_statement_make(&st, t->options, &dialect, err) == -1)
		return -1;
	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, c->dbc, &c->stmt))) {
		sql_statement_clear(&st);
		return diagnose(c, SQL_HANDLE_DBC, c->dbc, state, err);
	}
	SQLSetStmtAttr(
	    c->stmt, SQL_ATTR_QUERY_TIMEOUT, number(seconds(t->timeout_ms)), 0);
	SQLSetStmtAttr(
	    c->stmt, SQL_ATTR_MAX_ROWS, number(POPMAP_SERVERS_MAX + 1), 0);
	ret = SQLPrepare(c->stmt, chars(st.text), SQL_NTS);
	sql_statement_clear(&st);
	if (!SQL_SUCCEEDED(ret))
		return diagnose(c, SQL_HANDLE_STMT, c->stmt, state, err);
	return 0;
}

/* For messages; a connection string may hold secrets. */
static void
name(struct sql_client *c, const struct sql_target *t)
{
	const struct sql_options *o = t->options;

	if (o->hosts_given)
		sql_where(t->host, c->where);
	else if (is_connection_string(o->database))
		snprintf(c->where, sizeof(c->where), "connection string");
	else
		snprintf(c->where, sizeof(c->where), "data source %.80s",
		    o->database);
}

static int
odbc_connect(struct sql_client **cp, const struct sql_target *t,
    struct popmap_error *err)
{
	struct sql_client *c = calloc(1, sizeof(*c));

	*cp = c;
	if (c == NULL)
		return map_error(err, "out of memory");
	c->password = t->options->password;
	name(c, t);
	if (make_handles(c, t) == -1)
		map_error(err, "ODBC: out of memory");
	else if (connect_now(c, t, err) == 0 && prepare(c, t, err) == 0)
		return 0;
	odbc_disconnect(cp);
	return -1;
}

/* --- asking ----------------------------------------------------------------
 */

static int
failed(const struct sql_client *c, struct popmap_error *err)
{
	char state[SQL_SQLSTATE_SIZE + 1];

	diagnose(c, SQL_HANDLE_STMT, c->stmt, state, err);
	return sql_is_data_error(state) ? SQL_REFUSED : SQL_LOST;
}

static bool
bind_values(const struct sql_client *c, const struct sql_statement *st,
    const struct popmap_query *q, SQLLEN length[SQL_PARAMS_MAX])
{
	for (size_t i = 0; i < st->params; i++) {
		struct slice value = sql_param_value(st->param[i], q);
		SQLULEN size = value.n == 0 ? 1 : value.n;

		length[i] = (SQLLEN)value.n;
		if (!SQL_SUCCEEDED(
			SQLBindParameter(c->stmt, (SQLUSMALLINT)(i + 1),
			    SQL_PARAM_INPUT, SQL_C_CHAR, SQL_VARCHAR, size, 0,
			    chars(value.p), (SQLLEN)size, &length[i])))
			return false;
	}
	return true;
}

struct column {
	char text[POPMAP_USER_MAX + 1];
	SQLLEN n;
};

static struct slice
view(const struct column *col)
{
	if (col->n == SQL_NULL_DATA)
		return slice_make(NULL, 0);
	return slice_make(col->text, (size_t)col->n);
}

static int
take_row(const struct sql_client *c, SQLSMALLINT columns,
    const struct popmap_query *q, struct popmap_answer *answer,
    struct popmap_error *err)
{
	struct column col[SQL_COLUMNS];
	struct popmap_error why;
	struct sql_row row;

	for (SQLSMALLINT i = 0; i < SQL_COLUMNS; i++) {
		col[i].n = SQL_NULL_DATA;
		if (i >= columns)
			continue;
		if (!SQL_SUCCEEDED(
			SQLGetData(c->stmt, (SQLUSMALLINT)(i + 1), SQL_C_CHAR,
			    col[i].text, sizeof(col[i].text), &col[i].n)))
			return failed(c, err);
		if (col[i].n != SQL_NULL_DATA &&
		    (col[i].n < 0 || col[i].n >= (SQLLEN)sizeof(col[i].text))) {
			map_error(err,
			    "%s: row of a key: a column longer than %d bytes",
			    c->where, POPMAP_USER_MAX);
			return SQL_REFUSED;
		}
	}
	row = (struct sql_row){ view(&col[0]), view(&col[1]), view(&col[2]) };
	if (sql_row_add(answer, &row, q->delimiter, &why) == -1) {
		map_error(err, "%s: row of a key: %.200s", c->where, why.msg);
		return SQL_REFUSED;
	}
	return 1;
}

static int
take_rows(const struct sql_client *c, const struct popmap_query *q,
    struct popmap_answer *answer, struct popmap_error *err)
{
	SQLSMALLINT columns = 0;
	SQLRETURN got;
	int ret = 1;

	if (!SQL_SUCCEEDED(SQLNumResultCols(c->stmt, &columns)))
		return failed(c, err);
	if (columns < 1 || columns > SQL_COLUMNS) {
		map_error(err,
		    "%s: the query gives %d columns, not server, user, port",
		    c->where, columns);
		return SQL_REFUSED;
	}
	while (ret == 1 && SQL_SUCCEEDED(got = SQLFetch(c->stmt)))
		ret = take_row(c, columns, q, answer, err);
	return ret == 1 && got != SQL_NO_DATA ? failed(c, err) : ret;
}

static int
odbc_query(struct sql_client *c, const struct sql_statement *st,
    const struct popmap_query *q, uint64_t until, struct popmap_answer *answer,
    struct popmap_error *err)
{
	SQLLEN length[SQL_PARAMS_MAX];
	SQLRETURN got;
	int ret;

	(void)until;
	/* A driver would cut one, or not hold the other, where texts are
	 * Unicode; which it is, cannot be told for all. */
	if (sql_params_have_nul(st, q) || !sql_params_are_utf8(st, q))
		return 0;
	if (!bind_values(c, st, q, length))
		return failed(c, err);
	got = SQLExecute(c->stmt);
	if (got == SQL_NO_DATA)
		ret = 0;
	else if (!SQL_SUCCEEDED(got))
		ret = failed(c, err);
	else
		ret = take_rows(c, q, answer, err);
	SQLFreeStmt(c->stmt, SQL_CLOSE);
	SQLFreeStmt(c->stmt, SQL_RESET_PARAMS);
	return ret;
}

/* --- the module ------------------------------------------------------------
 */

static int
odbc_check(const struct sql_options *o, struct popmap_error *err)
{
	if (o->tls != SQL_TLS_UNSAID)
		return map_error(
		    err, "tls: with ODBC the data source says it, in odbc.ini");
	return 0;
}

static const struct sql_driver driver = {
	/* Any with which all names are written; see ask_dialect(). */
	.dialect = { .quote = '"', .limit = "" },
	.check = odbc_check,
	.hostless = true,
	.connect = odbc_connect,
	.query = odbc_query,
	.disconnect = odbc_disconnect,
};

static int
odbc_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	return sql_map_open(mp, &driver, options, sysconfdir, err);
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "odbc",
	.flags = POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = odbc_open,
	.lookup = sql_map_lookup,
	.close = sql_map_close,
};
