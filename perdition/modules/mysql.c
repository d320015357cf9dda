/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mysql - popmap module: a table or a query in MariaDB or MySQL.
 *
 * With the library's calls that do not wait: a call that has to is suspended
 * and tells what for, and we poll(2) until a given time.  A name server that
 * is asked for the host's address is the exception.  Texts are UTF-8.
 */
#include "config.h"

#include <mysql.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "perdition/modules/map_answer.h"
#include "perdition/modules/sql_map.h"
#include "perdition/popmap.h"

#include "common/banned.h"

/* For the library's second stack, on which it also runs the resolver and TLS;
 * its own default is tight. */
#define STACK_BYTES (256 * 1024)
/* A call that is told that its time is over returns, unless it has another
 * address to try. */
#define END_TRIES 32

extern const struct popmap_ops popmap_module;

struct column {
	char text[POPMAP_USER_MAX];
	unsigned long n;
	my_bool null, cut;
};

struct sql_client {
	MYSQL *my;
	MYSQL_STMT *stmt;
	char where[SQL_WHERE_MAX]; /* for messages */
	unsigned int columns;
	unsigned long length[SQL_PARAMS_MAX]; /* read at each execution */
	MYSQL_BIND result[SQL_COLUMNS];
	struct column column[SQL_COLUMNS];
};

static void
my_disconnect(struct sql_client **cp)
{
	struct sql_client *c = *cp;

	if (c == NULL)
		return;
	/* So that saying goodbye cannot wait. */
	if (c->my != NULL && mysql_get_socket(c->my) >= 0)
		shutdown((int)mysql_get_socket(c->my), SHUT_RDWR);
	if (c->my != NULL)
		mysql_close(c->my);
	/* Behind the connection, and so nothing but its memory. */
	if (c->stmt != NULL)
		mysql_stmt_close(c->stmt);
	free(c);
	*cp = NULL;
}

static int
fail(const struct sql_client *c, struct popmap_error *err)
{
	const char *text = mysql_error(c->my);

	if (text[0] == '\0' && c->stmt != NULL)
		text = mysql_stmt_error(c->stmt);
	return sql_error(err, c->where, text);
}

/* --- waiting ---------------------------------------------------------------
 */

static int
wait_for(struct sql_client *c, int status, uint64_t until)
{
	short events = 0, got;
	int ret = 0;

	if (status & MYSQL_WAIT_READ)
		events |= POLLIN;
	if (status & MYSQL_WAIT_WRITE)
		events |= POLLOUT;
	if (status & MYSQL_WAIT_EXCEPT)
		events |= POLLPRI;
	got = sql_wait((int)mysql_get_socket(c->my), events, until);
	if (got == 0)
		return MYSQL_WAIT_TIMEOUT;
	if (got & POLLPRI)
		ret |= MYSQL_WAIT_EXCEPT;
	/* An error is found out by trying. */
	if (got & (POLLERR | POLLHUP | POLLNVAL))
		got |= events;
	if (got & POLLIN)
		ret |= MYSQL_WAIT_READ;
	if (got & POLLOUT)
		ret |= MYSQL_WAIT_WRITE;
	return ret;
}

typedef int stmt_cont(int *ret, MYSQL_STMT *, int status);

/* A statement's call that has begun, up to its end: what it returns is in
 * ret.  False, with err, when it is late. */
static bool
finish(struct sql_client *c, int status, stmt_cont *cont, int *ret,
    uint64_t until, struct popmap_error *err)
{
	bool late = false;

	for (int ends = 0; status != 0 && ends < END_TRIES; ends += late) {
		int got = wait_for(c, status, until);

		late = late || (got & MYSQL_WAIT_TIMEOUT);
		status = cont(ret, c->stmt, got);
	}
	if (late)
		sql_error(err, c->where, "no answer in time");
	return !late;
}

/* --- connecting ------------------------------------------------------------
 */

/* So that each look sees what is there now, changes nothing and ends in time;
 * the comments are code for MariaDB and for MySQL alone. */
static void
set_first_commands(MYSQL *my, unsigned int timeout_ms)
{
	char text[160];

	snprintf(text, sizeof(text),
	    "SET SESSION autocommit = 1 "
	    "/*M!100101 , max_statement_time = %u.%03u */ "
	    "/*!80000 , max_execution_time = %u */",
	    timeout_ms / 1000, timeout_ms % 1000, timeout_ms);
	mysql_options(my, MYSQL_INIT_COMMAND, text);
	mysql_options(
	    my, MYSQL_INIT_COMMAND, "SET SESSION TRANSACTION READ ONLY");
}

static void
set_tls(MYSQL *my, const struct sql_options *o)
{
	my_bool on = 1, verify = o->tls == SQL_TLS_VERIFY;

	if (o->tls != SQL_TLS_REQUIRE && o->tls != SQL_TLS_VERIFY)
		return;
	mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &on);
	mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	if (o->tls_ca != NULL)
		mysql_options(my, MYSQL_OPT_SSL_CA, o->tls_ca);
}

static void
set_options(MYSQL *my, const struct sql_target *t)
{
	size_t stack = STACK_BYTES;
	unsigned int off = 0;

	mysql_options(my, MYSQL_OPT_NONBLOCK, &stack);
	mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	/* Or a server might ask for any file of ours. */
	mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &off);
	mysql_options4(
	    my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "perdition");
	set_tls(my, t->options);
	set_first_commands(my, t->timeout_ms);
}

static int
connect_until(
    struct sql_client *c, const struct sql_target *t, struct popmap_error *err)
{
	const struct sql_options *o = t->options;
	bool local = t->host->name[0] == '/', late = false;
	MYSQL *ret = NULL;
	int status = mysql_real_connect_start(&ret, c->my,
	    local ? "localhost" : t->host->name, o->user, o->password,
	    o->database, t->host->port, local ? t->host->name : NULL, 0);

	for (int ends = 0; status != 0 && ends < END_TRIES; ends += late) {
		int got = wait_for(c, status, t->until);

		late = late || (got & MYSQL_WAIT_TIMEOUT);
		status = mysql_real_connect_cont(&ret, c->my, got);
	}
	if (late)
		return sql_error(err, c->where, "no answer in time");
	return ret != NULL ? 0 : fail(c, err);
}

/* When the server has no TLS, the library goes on without, whatever it was
 * told, unless there is a certificate to verify. */
static int
check_tls(const struct sql_client *c, const struct sql_target *t,
    struct popmap_error *err)
{
	if (t->options->tls == SQL_TLS_REQUIRE &&
	    mysql_get_ssl_cipher(c->my) == NULL)
		return map_error(
		    err, "%s: the server does not speak TLS", c->where);
	return 0;
}

static void
bind_result(struct sql_client *c)
{
	for (unsigned int i = 0; i < c->columns; i++) {
		MYSQL_BIND *b = &c->result[i];

		b->buffer_type = MYSQL_TYPE_STRING;
		b->buffer = c->column[i].text;
		b->buffer_length = sizeof(c->column[i].text);
		b->length = &c->column[i].n;
		b->is_null = &c->column[i].null;
		b->error = &c->column[i].cut;
	}
}

static int
prepare(
    struct sql_client *c, const struct sql_target *t, struct popmap_error *err)
{
	int ret = 1, status;

	c->stmt = mysql_stmt_init(c->my);
	if (c->stmt == NULL)
		return map_error(err, "out of memory");
	status = mysql_stmt_prepare_start(
	    &ret, c->stmt, t->statement->text, strlen(t->statement->text));
	if (!finish(c, status, mysql_stmt_prepare_cont, &ret, t->until, err))
		return -1;
	if (ret != 0)
		return fail(c, err);
	c->columns = mysql_stmt_field_count(c->stmt);
	if (c->columns < 1 || c->columns > SQL_COLUMNS)
		return map_error(err,
		    "%s: the query gives %u columns, not server, user, port",
		    c->where, c->columns);
	if (mysql_stmt_param_count(c->stmt) != t->statement->params)
		return map_error(err,
		    "%s: query: a placeholder where none can be", c->where);
	bind_result(c);
	return 0;
}

static int
my_connect(struct sql_client **cp, const struct sql_target *t,
    struct popmap_error *err)
{
	struct sql_client *c = calloc(1, sizeof(*c));

	*cp = c;
	if (c == NULL)
		return map_error(err, "out of memory");
	sql_where(t->host, c->where);
	c->my = mysql_init(NULL);
	if (c->my == NULL) {
		map_error(err, "out of memory");
		goto bad;
	}
	set_options(c->my, t);
	if (connect_until(c, t, err) == -1 || check_tls(c, t, err) == -1 ||
	    prepare(c, t, err) == -1)
		goto bad;
	return 0;
bad:
	my_disconnect(cp);
	return -1;
}

/* --- asking ----------------------------------------------------------------
 */

static bool
bind_values(struct sql_client *c, const struct sql_statement *st,
    const struct popmap_query *q)
{
	MYSQL_BIND bind[SQL_PARAMS_MAX]; /* is copied */

	memset(bind, 0, sizeof(bind));
	for (size_t i = 0; i < st->params; i++) {
		struct slice value = sql_param_value(st->param[i], q);

		c->length[i] = value.n;
		bind[i].buffer_type = MYSQL_TYPE_STRING;
		/* Not const there, and not changed. */
		bind[i].buffer = (void *)(uintptr_t)value.p;
		bind[i].buffer_length = value.n;
		bind[i].length = &c->length[i];
	}
	return mysql_stmt_bind_param(c->stmt, bind) == 0;
}

static struct slice
column(const struct sql_client *c, unsigned int i)
{
	if (i >= c->columns || c->column[i].null)
		return slice_make(NULL, 0);
	return slice_make(c->column[i].text, c->column[i].n);
}

static int
take_row(const struct sql_client *c, const struct popmap_query *q,
    struct popmap_answer *answer, struct popmap_error *err)
{
	struct sql_row row = { column(c, 0), column(c, 1), column(c, 2) };
	struct popmap_error why;

	for (unsigned int i = 0; i < c->columns; i++)
		if (!c->column[i].null &&
		    c->column[i].n > sizeof(c->column[i].text))
			return map_error(err,
			    "%s: row of a key: a column longer than %zu bytes",
			    c->where, sizeof(c->column[i].text));
	if (sql_row_add(answer, &row, q->delimiter, &why) == -1)
		return map_error(
		    err, "%s: row of a key: %.200s", c->where, why.msg);
	return 0;
}

static int
failed(const struct sql_client *c, struct popmap_error *err)
{
	bool data = sql_is_data_error(mysql_stmt_sqlstate(c->stmt));

	fail(c, err);
	return data ? SQL_REFUSED : SQL_LOST;
}

static int
take_rows(struct sql_client *c, const struct popmap_query *q, uint64_t until,
    struct popmap_answer *answer, struct popmap_error *err)
{
	for (;;) {
		int ret = 1;
		int status = mysql_stmt_fetch_start(&ret, c->stmt);

		if (!finish(c, status, mysql_stmt_fetch_cont, &ret, until, err))
			return SQL_LOST;
		if (ret == MYSQL_NO_DATA)
			break;
		if (ret != 0 && ret != MYSQL_DATA_TRUNCATED)
			return failed(c, err);
		/* The rest would have to be read first. */
		if (take_row(c, q, answer, err) == -1)
			return SQL_LOST;
	}
	mysql_stmt_free_result(c->stmt);
	if (mysql_stmt_more_results(c->stmt)) {
		map_error(
		    err, "%s: the query gives more than one table", c->where);
		return SQL_LOST;
	}
	return 1;
}

static int
my_query(struct sql_client *c, const struct sql_statement *st,
    const struct popmap_query *q, uint64_t until, struct popmap_answer *answer,
    struct popmap_error *err)
{
	int ret = 1, status;

	/* Texts hold nothing else. */
	if (!sql_params_are_utf8(st, q))
		return 0;
	if (!bind_values(c, st, q))
		return failed(c, err);
	status = mysql_stmt_execute_start(&ret, c->stmt);
	if (!finish(c, status, mysql_stmt_execute_cont, &ret, until, err))
		return SQL_LOST;
	if (ret != 0 || mysql_stmt_bind_result(c->stmt, c->result) != 0)
		return failed(c, err);
	return take_rows(c, q, until, answer, err);
}

/* --- the module ------------------------------------------------------------
 */

static int
my_check(const struct sql_options *o, struct popmap_error *err)
{
	if (o->tls == SQL_TLS_PREFER)
		return map_error(err,
		    "tls: prefer is not for MySQL; none, require or verify");
	return 0;
}

static const struct sql_driver driver = {
	.dialect = { .quote = '`',
	    .fold = SQL_FOLD_NONE,
	    .mysql = true,
	    .limit = " LIMIT 17" },
	.check = my_check,
	.connect = my_connect,
	.query = my_query,
	.disconnect = my_disconnect,
};

static int
my_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	return sql_map_open(mp, &driver, options, sysconfdir, err);
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "mysql",
	.flags = POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = my_open,
	.lookup = sql_map_lookup,
	.close = sql_map_close,
};
