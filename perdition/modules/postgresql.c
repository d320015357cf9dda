/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * postgresql - popmap module: a table or a query in PostgreSQL.
 *
 * Nothing here waits but in poll(2), until a given time; a name server that
 * is asked for the host's address is the exception.  Texts are UTF-8.
 */
#include "config.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perdition/modules/map_answer.h"
#include "perdition/modules/sql_map.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define STATEMENT "perdition"
#define PLACE "connection to server "
#define PLACE_END " failed: "
/* Else files below $HOME are looked for, which is that of whoever started
 * perdition: one that must not be read is an error. */
#define NO_FILE "/nonexistent"
#define BPCHAROID 1042 /* type character(n); of catalog/pg_type.h */

extern const struct popmap_ops popmap_module;

struct sql_client {
	PGconn *pg;
	char where[SQL_WHERE_MAX]; /* for messages */
};

static void
pg_disconnect(struct sql_client **cp)
{
	if (*cp == NULL)
		return;
	PQfinish((*cp)->pg);
	free(*cp);
	*cp = NULL;
}

static int
fail(const struct sql_client *c, struct popmap_error *err)
{
	const char *text = PQerrorMessage(c->pg);
	const char *failed = strstr(text, PLACE_END);

	/* We say ourselves where, and more shortly. */
	if (strncmp(text, PLACE, strlen(PLACE)) == 0 && failed != NULL)
		text = failed + strlen(PLACE_END);
	return sql_error(err, c->where, text);
}

static int
timed_out(const struct sql_client *c, struct popmap_error *err)
{
	return sql_error(err, c->where, "no answer in time");
}

/* --- talking ---------------------------------------------------------------
 */

/* Until what was sent has left.  0, or -1 with err. */
static int
flush(struct sql_client *c, uint64_t until, struct popmap_error *err)
{
	int more;

	while ((more = PQflush(c->pg)) == 1) {
		short got = sql_wait(PQsocket(c->pg), POLLIN | POLLOUT, until);

		if (got == 0)
			return timed_out(c, err);
		if ((got & POLLIN) && PQconsumeInput(c->pg) == 0)
			return fail(c, err);
	}
	return more == 0 ? 0 : fail(c, err);
}

/* The next result, NULL at the end.  0, or -1 with err. */
static int
next_result(struct sql_client *c, uint64_t until, PGresult **res,
    struct popmap_error *err)
{
	*res = NULL;
	while (PQisBusy(c->pg)) {
		if (sql_wait(PQsocket(c->pg), POLLIN, until) == 0)
			return timed_out(c, err);
		if (PQconsumeInput(c->pg) == 0)
			return fail(c, err);
	}
	*res = PQgetResult(c->pg);
	return 0;
}

/* What was sent gives no rows.  sent: as PQsend...() returned. */
static int
command(
    struct sql_client *c, int sent, uint64_t until, struct popmap_error *err)
{
	PGresult *res;
	int ret = 0;

	if (sent == 0)
		return fail(c, err);
	if (flush(c, until, err) == -1)
		return -1;
	for (;;) {
		if (next_result(c, until, &res, err) == -1)
			return -1;
		if (res == NULL)
			return ret;
		if (PQresultStatus(res) != PGRES_COMMAND_OK && ret == 0)
			ret =
			    sql_error(err, c->where, PQresultErrorMessage(res));
		PQclear(res);
	}
}

/* --- connecting ------------------------------------------------------------
 */

enum { MAX_PARAMS = 12 };

struct params {
	const char *key[MAX_PARAMS + 1], *value[MAX_PARAMS + 1];
	size_t n;
	char port[8];
};

static void
add(struct params *p, const char *key, const char *value)
{
	p->key[p->n] = key;
	p->value[p->n++] = value;
}

static void
make_params(struct params *p, const struct sql_target *t)
{
	static const char *const modes[] = {
		[SQL_TLS_UNSAID] = "prefer",
		[SQL_TLS_NONE] = "disable",
		[SQL_TLS_PREFER] = "prefer",
		[SQL_TLS_REQUIRE] = "require",
		[SQL_TLS_VERIFY] = "verify-full",
	};
	const struct sql_options *o = t->options;

	memset(p, 0, sizeof(*p));
	add(p, "host", t->host->name);
	if (t->host->port != 0) {
		snprintf(p->port, sizeof(p->port), "%u",
		    (unsigned int)t->host->port);
		add(p, "port", p->port);
	}
	add(p, "dbname", o->database);
	if (o->user[0] != '\0')
		add(p, "user", o->user);
	if (o->password[0] != '\0')
		add(p, "password", o->password);
	add(p, "client_encoding", "UTF8");
	add(p, "application_name", "perdition");
	/* Else it may ask a Kerberos server, and wait. */
	add(p, "gssencmode", "disable");
	add(p, "sslmode", modes[o->tls]);
	add(p, "sslcert", NO_FILE);
	add(p, "sslrootcert", o->tls_ca != NULL ? o->tls_ca : NO_FILE);
}

static int
connect_until(struct sql_client *c, uint64_t until, struct popmap_error *err)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	if (PQstatus(c->pg) == CONNECTION_BAD)
		return fail(c, err);
	while (status != PGRES_POLLING_OK) {
		short events =
		    status == PGRES_POLLING_READING ? POLLIN : POLLOUT;

		if (sql_wait(PQsocket(c->pg), events, until) == 0)
			return timed_out(c, err);
		status = PQconnectPoll(c->pg);
		if (status == PGRES_POLLING_FAILED)
			return fail(c, err);
	}
	return PQsetnonblocking(c->pg, 1) == 0 ? 0 : fail(c, err);
}

/* Nothing is to be changed, and nobody waits for longer than timeout_ms.  In
 * statements, as poolers refuse such things at the start of a session. */
static int
settle(
    struct sql_client *c, const struct sql_target *t, struct popmap_error *err)
{
	char text[128];

	snprintf(text, sizeof(text),
	    "SET default_transaction_read_only = on; "
	    "SET statement_timeout = %u",
	    t->timeout_ms);
	return command(c, PQsendQuery(c->pg, text), t->until, err);
}

static void
ignore_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

static int
pg_connect(struct sql_client **cp, const struct sql_target *t,
    struct popmap_error *err)
{
	struct sql_client *c = calloc(1, sizeof(*c));
	struct params p;

	*cp = c;
	if (c == NULL)
		return map_error(err, "out of memory");
	make_params(&p, t);
	sql_where(t->host, c->where);
	c->pg = PQconnectStartParams(p.key, p.value, 0);
	if (c->pg == NULL) {
		map_error(err, "out of memory");
		goto bad;
	}
	PQsetNoticeReceiver(c->pg, ignore_notice, NULL); /* not to stderr */
	if (connect_until(c, t->until, err) == -1 || settle(c, t, err) == -1)
		goto bad;
	if (command(c,
		PQsendPrepare(c->pg, STATEMENT, t->statement->text,
		    (int)t->statement->params, NULL),
		t->until, err) == -1)
		goto bad;
	return 0;
bad:
	pg_disconnect(cp);
	return -1;
}

/* --- asking ----------------------------------------------------------------
 */

/* The library wants texts with a NUL behind; 0, or -1: out of memory. */
static int
copy_values(const struct sql_statement *st, const struct popmap_query *q,
    char *value[SQL_PARAMS_MAX])
{
	for (size_t i = 0; i < st->params; i++) {
		value[i] = slice_dup(sql_param_value(st->param[i], q));
		if (value[i] == NULL)
			return -1;
	}
	return 0;
}

static int
send_query(struct sql_client *c, const struct sql_statement *st,
    const struct popmap_query *q, uint64_t until, struct popmap_error *err)
{
	char *value[SQL_PARAMS_MAX] = { NULL };
	int ret = SQL_LOST;

	/* Row by row: not more of them than we want. */
	if (copy_values(st, q, value) == -1)
		map_error(err, "out of memory");
	else if (PQsendQueryPrepared(c->pg, STATEMENT, (int)st->params,
		     (const char *const *)value, NULL, NULL, 0) == 0 ||
		 PQsetSingleRowMode(c->pg) == 0)
		fail(c, err);
	else if (flush(c, until, err) == 0)
		ret = 1;
	for (size_t i = 0; i < st->params; i++)
		free(value[i]);
	return ret;
}

/* A column of row 0; one that is not there is as one that is NULL. */
static struct slice
column(const PGresult *res, int i)
{
	struct slice s;

	if (i >= PQnfields(res) || PQgetisnull(res, 0, i))
		return slice_make(NULL, 0);
	s = slice_make(PQgetvalue(res, 0, i), (size_t)PQgetlength(res, 0, i));
	while (PQftype(res, i) == BPCHAROID && s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* A result with one row, or the one without rows at the end. */
static int
take_row(const struct sql_client *c, const PGresult *res,
    const struct popmap_query *q, struct popmap_answer *answer,
    struct popmap_error *err)
{
	struct popmap_error why;
	struct sql_row row;

	if (PQnfields(res) < 1 || PQnfields(res) > SQL_COLUMNS)
		return map_error(err,
		    "%s: the query gives %d columns, not server, user, port",
		    c->where, PQnfields(res));
	if (PQntuples(res) == 0)
		return 0;
	row =
	    (struct sql_row){ column(res, 0), column(res, 1), column(res, 2) };
	if (sql_row_add(answer, &row, q->delimiter, &why) == -1)
		return map_error(
		    err, "%s: row of a key: %.200s", c->where, why.msg);
	return 0;
}

/* Of an error that the server reports. */
static int
refused(const struct sql_client *c, const PGresult *res, bool ascii,
    struct popmap_error *err)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	sql_error(err, c->where, PQresultErrorMessage(res));
	if (!sql_is_data_error(state))
		return SQL_LOST;
	/* The database's own encoding has not all of the key's characters, so
	 * it holds no such key. */
	if (!ascii &&
	    (strcmp(state, "22P05") == 0 || strcmp(state, "22021") == 0))
		return 0;
	return SQL_REFUSED;
}

static bool
is_ascii(const struct sql_statement *st, const struct popmap_query *q)
{
	for (size_t i = 0; i < st->params; i++) {
		struct slice s = sql_param_value(st->param[i], q);

		for (size_t n = 0; n < s.n; n++)
			if ((unsigned char)s.p[n] >= 0x80)
				return false;
	}
	return true;
}

static int
pg_query(struct sql_client *c, const struct sql_statement *st,
    const struct popmap_query *q, uint64_t until, struct popmap_answer *answer,
    struct popmap_error *err)
{
	PGresult *res;
	int ret;

	/* It cannot hold these. */
	if (sql_params_have_nul(st, q) || !sql_params_are_utf8(st, q))
		return 0;
	ret = send_query(c, st, q, until, err);
	while (ret == 1 || ret == 0 || ret == SQL_REFUSED) {
		ExecStatusType status;

		if (next_result(c, until, &res, err) == -1)
			return SQL_LOST;
		if (res == NULL)
			return ret;
		status = PQresultStatus(res);
		if (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK) {
			/* The rest would have to be read first. */
			if (take_row(c, res, q, answer, err) == -1)
				ret = SQL_LOST;
		} else {
			ret = refused(c, res, is_ascii(st, q), err);
		}
		PQclear(res);
	}
	return ret;
}

/* --- the module ------------------------------------------------------------
 */

static int
pg_check(const struct sql_options *o, struct popmap_error *err)
{
	(void)o;
	(void)err;
	return 0;
}

static const struct sql_driver driver = {
	.dialect = { .quote = '"',
	    .fold = SQL_FOLD_LOWER,
	    .dollar = true,
	    .limit = " LIMIT 17" },
	.check = pg_check,
	.connect = pg_connect,
	.query = pg_query,
	.disconnect = pg_disconnect,
};

static int
pg_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	return sql_map_open(mp, &driver, options, sysconfdir, err);
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "postgresql",
	.flags = POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = pg_open,
	.lookup = sql_map_lookup,
	.close = sql_map_close,
};
