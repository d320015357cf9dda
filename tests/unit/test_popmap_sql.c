/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the modules for SQL databases share: both forms of their options, the
 * statement that comes of them, the values that are bound, and what a row
 * comes to.  No database.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "map_scratch.h"
#include "perdition/modules/sql_map.h"
#include "perdition/modules/sql_options.h"
#include "perdition/modules/sql_text.h"

#include "common/banned.h"

#define DEFAULTS "dbPerdition tblPerdition perdition perdition "
#define COLUMNS "servername user port user"

/* hosts, database, table, user, password, the columns and the key's */
static void
show(const struct sql_options *o, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < o->hosts; i++)
		n += (size_t)snprintf(out + n, cap - n, "%s%s/%u",
		    i == 0 ? "" : ",", o->host[i].name,
		    (unsigned int)o->host[i].port);
	snprintf(out + n, cap - n, " %s %s %s %s %s %s %s %s", o->database,
	    o->table, o->user, o->password, o->server_column, o->user_column,
	    o->port_column, o->key_column);
}

static const struct {
	const char *text, *shown;
} good[] = {
	/* of perdition 2.2 */
	{ "", "localhost/0 " DEFAULTS COLUMNS },
	{ "db1", "db1/0 " DEFAULTS COLUMNS },
	{ ":::", "localhost/0 " DEFAULTS COLUMNS },
	{ "db1:3307", "db1/3307 " DEFAULTS COLUMNS },
	{ "db1, db2:3307", "db1/3307,db2/3307 " DEFAULTS COLUMNS },
	{ "db1::d", "db1/0 d tblPerdition perdition perdition " COLUMNS },
	{ ":::t", "localhost/0 dbPerdition t perdition perdition " COLUMNS },
	{ "::::u",
	    "localhost/0 dbPerdition tblPerdition u perdition " COLUMNS },
	{ ":::::p=[x",
	    "localhost/0 dbPerdition tblPerdition perdition p=[x " COLUMNS },
	{ "h:1:d:t:u:p:s:n:q", "h/1 d t u p s n q n" },
	{ "h:1:d:t:u:p:s:n:", "h/1 d t u p s n  n" },
	{ "::::::s::", "localhost/0 " DEFAULTS "s user  user" },
	{ "::::::s", "localhost/0 " DEFAULTS "s user port user" },
	{ "[::1]:99", "::1/99 " DEFAULTS COLUMNS },
	{ "[::1],[2001:db8::1],h:99",
	    "::1/99,2001:db8::1/99,h/99 " DEFAULTS COLUMNS },
	{ "/run/db.sock", "/run/db.sock/0 " DEFAULTS COLUMNS },
	{ "h::d:t:u:a=b", "h/0 d t u a=b " COLUMNS },
	/* key=value */
	{ "hosts=db1", "db1/0 " DEFAULTS COLUMNS },
	{ " \thosts=db1  port=5 ", "db1/5 " DEFAULTS COLUMNS },
	{ "port=5 hosts=a,b:6,[::1]:7,[::2],::3,/run/s:x",
	    "a/5,b/6,::1/7,::2/5,::3/5,/run/s:x/5 " DEFAULTS COLUMNS },
	{ "hosts='a, b'", "a/0,b/0 " DEFAULTS COLUMNS },
	{ "database=d table=t user=u password=p server_column=s "
	  "user_column=n port_column=q",
	    "localhost/0 d t u p s n q n" },
	{ "key_column=k user_column= port_column=''",
	    "localhost/0 " DEFAULTS "servername   k" },
	{ "password='it''s \"x\" '", "localhost/0 dbPerdition tblPerdition "
				     "perdition it's \"x\"  " COLUMNS },
	{ "password=\"a\"\"b'c\"",
	    "localhost/0 dbPerdition tblPerdition perdition a\"b'c " COLUMNS },
	{ "password=a'b=c",
	    "localhost/0 dbPerdition tblPerdition perdition a'b=c " COLUMNS },
	{ "password= user=",
	    "localhost/0 dbPerdition tblPerdition   " COLUMNS },
	{ "password_file=pw",
	    "localhost/0 dbPerdition tblPerdition perdition S3cret " COLUMNS },
	{ "password_file=crlf", "localhost/0 dbPerdition tblPerdition "
				"perdition S3 cret  " COLUMNS },
};

static struct sql_options options;

static void
setup(void)
{
	scratch_make();
	scratch_write("pw", SLICE("S3cret\nanother line\n"));
	scratch_write("crlf", SLICE("S3 cret \r\n"));
	scratch_write("nul", SLICE("a\0b\n"));
	memset(&options, 0, sizeof(options));
}

static void
teardown(void)
{
	sql_options_clear(&options);
	scratch_remove();
}

START_TEST(good_options)
{
	struct popmap_error err = { .msg = "" };
	char shown[512];
	int ret = sql_options_parse(&options, good[_i].text, scratch, &err);

	ck_assert_msg(ret == 0, "%s", err.msg);
	show(&options, shown, sizeof(shown));
	ck_assert_str_eq(shown, good[_i].shown);
	ck_assert_ptr_null(options.query);
	ck_assert_ptr_null(options.tls_ca);
}
END_TEST

static const struct {
	const char *text, *part; /* of the message */
} bad[] = {
	{ "h:1:d:t:u:p:s:n:q:x", "more than 9 fields" },
	{ "h:x", "port: not a port" },
	{ "h:0", "port: not a port" },
	{ "h:65536", "port: not a port" },
	{ "a,,b", "host: an empty host name" },
	{ "a,", "host: an empty host name" },
	{ "[]", "host: an empty host name" },
	{ "[::1", "host: no bracket behind" },
	{ "[::1]x", "host: neither a comma nor a colon" },
	{ "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "host: more than 16 hosts" },
	{ "hosts=a b", "a key=value is expected" },
	{ "hosts=a B=c", "a key=value is expected" },
	{ "hosts=a what=c", "what: no such key" },
	{ "hosts=a hosts=b", "hosts: more than once" },
	{ "hosts=", "hosts: an empty host name" },
	{ "hosts=a:b", "hosts: not a port" },
	{ "port=-1", "port: not a port" },
	{ "table=", "table: empty" },
	{ "database=''", "database: empty" },
	{ "user='a", "user: the closing quote is missing" },
	{ "user='a''", "user: the closing quote is missing" },
	{ "user='a'b", "user: no white space behind the closing quote" },
	{ "user_column=", "without user_column, key_column is needed" },
	{ "password=a password_file=pw", "only one of them" },
	{ "password_file=none", "none: No such file" },
	{ "password_file=nul", "nul: a NUL byte" },
	{ "password_file=", "password_file: empty" },
	{ "query=x table=t", "leave out table" },
	{ "query=x user_column=t", "leave out table" },
	{ "query=", "query: empty" },
	{ "tls=maybe", "tls: not none" },
	{ "tls=verify", "need each other" },
	{ "tls=require tls_ca=/x", "need each other" },
	{ "connect_timeout=0", "connect_timeout: not a number from 1 to 600" },
	{ "connect_timeout=601", "connect_timeout: not a number" },
};

START_TEST(bad_options)
{
	struct popmap_error err = { .msg = "" };

	ck_assert_int_eq(
	    sql_options_parse(&options, bad[_i].text, scratch, &err), -1);
	ck_assert_msg(strstr(err.msg, bad[_i].part) != NULL, "%s", err.msg);
	ck_assert_ptr_null(options.password);
	ck_assert_ptr_null(options.host[0].name);
}
END_TEST

START_TEST(other_options)
{
	struct popmap_error err;

	ck_assert_int_eq(
	    sql_options_parse(&options,
		"query=\"a b\" tls_ca=/x connect_timeout=3", scratch, &err),
	    0);
	ck_assert_str_eq(options.query, "a b");
	ck_assert_int_eq(options.tls, SQL_TLS_VERIFY);
	ck_assert_str_eq(options.tls_ca, "/x");
	ck_assert_uint_eq(options.connect_timeout_ms, 3000);
	ck_assert(!options.hosts_given);
	sql_options_clear(&options);
	ck_assert_int_eq(
	    sql_options_parse(&options, "hosts=a tls=none", scratch, &err), 0);
	ck_assert_int_eq(options.tls, SQL_TLS_NONE);
	ck_assert(options.hosts_given);
}
END_TEST

START_TEST(no_secret_in_a_message)
{
	static const char *const texts[] = {
		"password=S3cret",
		"password='S3cret",
		"password='S3cret'x",
		"password=S3cret password=S3cret",
		"password=S3cret S3cret",
		"password=S3cret password_file=pw",
		"password_file=pw password=S3cret",
		"a:x:c:d:e:S3cret",
		"a::c:d:e:S3cret:g:h:i:S3cret",
	};
	struct popmap_error err;

	for (int i = 0; i < COUNT(texts); i++) {
		err.msg[0] = '\0';
		sql_options_parse(&options, texts[i], scratch, &err);
		sql_options_clear(&options);
		ck_assert_msg(strstr(err.msg, "S3cret") == NULL, "%s", err.msg);
	}
}
END_TEST

START_TEST(long_password_file)
{
	struct popmap_error err;
	char text[1200];

	memset(text, 'x', sizeof(text));
	scratch_write("long", slice_make(text, 1025));
	ck_assert_int_eq(
	    sql_options_parse(&options, "password_file=long", scratch, &err),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "more than 1024 bytes"));
	scratch_write("long", slice_make(text, 1024));
	ck_assert_int_eq(
	    sql_options_parse(&options, "password_file=long", scratch, &err),
	    0);
	ck_assert_uint_eq(strlen(options.password), 1024);
}
END_TEST

/* --- statements ------------------------------------------------------------
 */

enum { MY, PG, UP, BARE };

static const struct sql_dialect dialects[] = {
	[MY] = { .quote = '`', .mysql = true, .limit = " LIMIT 17" },
	[PG] = { .quote = '"',
	    .fold = SQL_FOLD_LOWER,
	    .dollar = true,
	    .limit = "" },
	[UP] = { .quote = '"', .fold = SQL_FOLD_UPPER, .limit = "" },
	[BARE] = { .limit = "" },
};

/* text is NULL where part is that of the message */
static const struct {
	int dialect;
	const char *options, *text, *part;
} statements[] = {
	{ MY, "",
	    "SELECT `servername`, `user`, `port` FROM `tblPerdition` "
	    "WHERE `user` = ? LIMIT 17",
	    "k" },
	{ PG, "",
	    "SELECT \"servername\", \"user\", \"port\" FROM \"tblperdition\" "
	    "WHERE \"user\" = $1",
	    "k" },
	{ UP, "",
	    "SELECT \"SERVERNAME\", \"USER\", \"PORT\" FROM \"TBLPERDITION\" "
	    "WHERE \"USER\" = ?",
	    "k" },
	{ BARE, "",
	    "SELECT servername, user, port FROM tblPerdition WHERE user = ?",
	    "k" },
	{ PG, "table='Mail.\"My \"\"T.x\"' key_column=K", NULL,
	    "is not a name for a table" },
	{ PG, "table='Mail.\"My T.x\"' key_column=K",
	    "SELECT \"servername\", \"user\", \"port\" FROM "
	    "\"mail\".\"My T.x\" WHERE \"k\" = $1",
	    "k" },
	{ MY, "table='\"a`b\"'",
	    "SELECT `servername`, `user`, `port` FROM `a``b` WHERE `user` = ? "
	    "LIMIT 17",
	    "k" },
	{ PG, "key_column=k user_column= port_column=",
	    "SELECT \"servername\" FROM \"tblperdition\" WHERE \"k\" = $1",
	    "k" },
	{ PG, "key_column=k user_column=",
	    "SELECT \"servername\", NULL, \"port\" FROM \"tblperdition\" "
	    "WHERE \"k\" = $1",
	    "k" },
	{ PG, "port_column=",
	    "SELECT \"servername\", \"user\" FROM \"tblperdition\" "
	    "WHERE \"user\" = $1",
	    "k" },
	{ BARE, "table='\"a b\"'", NULL, "is not a name for a table" },
	{ PG, "table='a b'", NULL, "is not a name for a table" },
	{ PG, "table=a.", NULL, "is not a name for a table" },
	{ PG, "table=.a", NULL, "is not a name for a table" },
	{ PG, "table='\"\"'", NULL, "is not a name for a table" },
	{ PG, "table='\"a'", NULL, "is not a name for a table" },
	{ PG, "table='\"a\001\"'", NULL, "is not a name for a table" },
	{ PG, "table=a;drop", NULL, "is not a name for a table" },
	{ PG, "server_column=count(x)", NULL, "is not a name for a column" },
	{ PG, "server_column=a.b", NULL, "is not a name for a column" },
	{ PG, "user_column=u--", "", NULL }, /* quoted, so a name */
	{ PG,
	    "table="
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaa",
	    NULL, "is not a name for a table" },

	/* queries */
	{ MY, "query='SELECT s FROM t WHERE u = :key'",
	    "SELECT s FROM t WHERE u = ?", "k" },
	{ PG, "query='SELECT s FROM t WHERE u = :key'",
	    "SELECT s FROM t WHERE u = $1", "k" },
	{ PG, "query='x :local y:domain(:key,:user):protocol'",
	    "x $1 y$2($3,$4)$5", "ldkup" },
	{ MY, "query='x :local y :local'", "x ? y ?", "ll" },
	{ MY, "query='x ? y'", "x ? y", "k" },
	{ UP, "query='x ?'", "x ?", "k" },
	{ PG, "query='x $1 y ? $1'", "x $1 y ? $2", "kk" },
	{ PG, "query='a$1 :key::text :=a[1:2]'", "a$1 $1::text :=a[1:2]", "k" },
	{ PG, "query='x $2'", NULL, "only $1 can be numbered" },
	{ PG, "query='x $12'", NULL, "only $1 can be numbered" },
	{ MY, "query='x $1'", NULL, "query has no placeholder" },
	{ PG, "query='x ?'", NULL, "query has no placeholder" },
	{ PG, "query='x'", NULL, "query has no placeholder" },
	{ PG, "query=\"x ':key'\"", NULL, "query has no placeholder" },
	{ PG, "query='x :keys'", NULL, ":keys is none of :key" },
	{ PG, "query='x :pass'", NULL, ":pass is none of :key" },
	{ PG,
	    "query=':key :key :key :key :key :key :key :key :key :key :key "
	    ":key :key :key :key :key :key'",
	    NULL, "more than 16 placeholders" },
	/* quotes and comments are left alone */
	{ MY, "query=\"':a' \"\":b\"\" `:c` :key\"", "':a' \":b\" `:c` ?",
	    "k" },
	{ MY, "query=\"'it''s :a' :key '\"", "'it''s :a' ? '", "k" },
	{ MY, "query=\"'\\' :a' :key\"", "'\\' :a' ?", "k" },
	{ PG, "query=\"'\\' :key\"", "'\\' $1", "k" },
	{ PG, "query=\"E'\\' :a' :key\"", "E'\\' :a' $1", "k" },
	{ PG, "query=\"somee'\\' :key\"", "somee'\\' $1", "k" },
	{ MY, "query=':key -- :a\n:user # :b\n:local a--:domain'",
	    "? -- :a\n? # :b\n? a--?", "kuld" },
	{ PG, "query=':key --:a\n:user #:local'", "$1 --:a\n$2 #$3", "kul" },
	{ MY, "query=':key /* :a /* :b */ :user'", "? /* :a /* :b */ ?", "ku" },
	{ PG, "query=':key /* :a /* :b */ :c */ :user'",
	    "$1 /* :a /* :b */ :c */ $2", "ku" },
	{ PG, "query=':key /* :a /*/'", "$1 /* :a /*/", "k" },
	{ PG, "query='$$:a$$ :key $x$ :b $$ $x$ :user $x$ :c'",
	    "$$:a$$ $1 $x$ :b $$ $x$ $2 $x$ :c", "ku" },
	{ MY, "query='$$:key$$'", "$$?$$", "k" },
};

START_TEST(statement)
{
	static const char letters[] = "kuldp";
	const struct sql_dialect *d = &dialects[statements[_i].dialect];
	struct popmap_error err = { .msg = "" };
	struct sql_statement st;
	char params[SQL_PARAMS_MAX + 1] = "";
	int ret;

	ck_assert_int_eq(
	    sql_options_parse(&options, statements[_i].options, scratch, &err),
	    0);
	ret = sql_statement_make(&st, &options, d, &err);
	if (statements[_i].text == NULL) {
		ck_assert_int_eq(ret, -1);
		ck_assert_msg(strstr(err.msg, statements[_i].part) != NULL,
		    "%s", err.msg);
		ck_assert_ptr_null(st.text);
		return;
	}
	ck_assert_msg(ret == 0, "%s", err.msg);
	if (statements[_i].part != NULL) {
		ck_assert_str_eq(st.text, statements[_i].text);
		for (size_t i = 0; i < st.params; i++)
			params[i] = letters[st.param[i]];
		ck_assert_str_eq(params, statements[_i].part);
	}
	sql_statement_clear(&st);
}
END_TEST

/* --- values ----------------------------------------------------------------
 */

static const struct {
	struct slice key;
	bool nul, utf8;
} values[] = {
	{ SLICE(""), false, true },
	{ SLICE("abc"), false, true },
	{ SLICE("a\0c"), true, true },
	{ SLICE("\0"), true, true },
	{ SLICE("\xc3\xbc"), false, true },
	{ SLICE("\xe2\x82\xac"), false, true },
	{ SLICE("\xf0\x9f\x98\x80"), false, true },
	{ SLICE("\xf4\x8f\xbf\xbf"), false, true },
	{ SLICE("\xed\x9f\xbf\xee\x80\x80"), false, true },
	{ SLICE("\x80"), false, false },
	{ SLICE("a\xff"), false, false },
	{ SLICE("\xc3"), false, false },
	{ SLICE("\xc3"
		"a"),
	    false, false },
	{ SLICE("\xc0\x80"), false, false },
	{ SLICE("\xc1\xbf"), false, false },
	{ SLICE("\xe0\x9f\xbf"), false, false },
	{ SLICE("\xed\xa0\x80"), false, false },
	{ SLICE("\xf0\x8f\xbf\xbf"), false, false },
	{ SLICE("\xf4\x90\x80\x80"), false, false },
	{ SLICE("\xf5\x80\x80\x80"), false, false },
	{ SLICE("\xe2\x82"), false, false },
};

START_TEST(value)
{
	struct popmap_query q = {
		.key = { values[_i].key.p, values[_i].key.n },
		.user = { "u", 1 },
		.local = { "l", 1 },
		.domain = { NULL, 0 },
		.protocol = "imap4",
	};
	struct sql_statement st = { .params = 5,
		.param = { SQL_PARAM_PROTOCOL, SQL_PARAM_USER, SQL_PARAM_LOCAL,
		    SQL_PARAM_DOMAIN, SQL_PARAM_KEY } };

	ck_assert(sql_params_have_nul(&st, &q) == values[_i].nul);
	ck_assert(sql_params_are_utf8(&st, &q) == values[_i].utf8);
	ck_assert(slice_eq(sql_param_value(SQL_PARAM_KEY, &q), values[_i].key));
	ck_assert(slice_eq(sql_param_value(SQL_PARAM_USER, &q), SLICE("u")));
	ck_assert(slice_eq(sql_param_value(SQL_PARAM_LOCAL, &q), SLICE("l")));
	ck_assert(slice_eq(sql_param_value(SQL_PARAM_DOMAIN, &q), SLICE("")));
	ck_assert(
	    slice_eq(sql_param_value(SQL_PARAM_PROTOCOL, &q), SLICE("imap4")));
}
END_TEST

/* --- rows ------------------------------------------------------------------
 */

static const struct {
	const char *server, *user, *port, *delimiter, *text;
} rows[] = {
	{ "h", "u", "143", "@", "u@h:143" },
	{ "h", NULL, NULL, "@", "h" },
	{ "h", "", "", "@", "h" },
	{ "h", "u", "0", "@", "u@h" },
	{ "h", NULL, "imap", "@", "h:imap" },
	{ " h  ", "u ", " 143 ", "@", "u @h:143" },
	{ "h", "u@x", NULL, "@", "u@x@h" },
	{ "h", "u", NULL, "%%", "u%%h" },
	{ "h", "u", NULL, "", "h" },
	{ "2001:db8::1", "u", "143", "@", "u@[2001:db8::1]:143" },
	{ "[2001:db8::1]", NULL, "143", "@", "[2001:db8::1]:143" },
	{ "2001:db8::1", NULL, NULL, "@", "[2001:db8::1]" },
	{ "h:143", NULL, NULL, "@", "h:143" },
	{ "h?tls=none", "u", "143", "@", "u@h:143?tls=none" },
	{ "::1?tls=none", NULL, "143", "@", "[::1]:143?tls=none" },
	{ "imaps://h", "u", "99", "@", "u@imaps://h:99" },
	{ NULL, "u", "143", "@", NULL },
	{ "", "u", "143", "@", NULL },
	{ "  ", "u", "143", "@", NULL },
};

START_TEST(row)
{
	static struct popmap_answer a;
	struct sql_row r = { slice_str(rows[_i].server),
		slice_str(rows[_i].user), slice_str(rows[_i].port) };
	struct popmap_error err;

	a.n = 0;
	ck_assert_int_eq(sql_row_add(&a, &r, rows[_i].delimiter, &err), 0);
	if (rows[_i].text == NULL) {
		ck_assert_uint_eq(a.n, 0);
		return;
	}
	ck_assert_uint_eq(a.n, 1);
	ck_assert_msg(slice_eq(slice_make(a.server[0].text, a.server[0].len),
			  slice_str(rows[_i].text)),
	    "%.*s", (int)a.server[0].len, a.server[0].text);
}
END_TEST

START_TEST(row_limits)
{
	static struct popmap_answer a;
	char text[POPMAP_USER_MAX + POPMAP_SERVER_MAX + 1];
	struct sql_row r = { .server = SLICE("h") };
	struct popmap_error err;

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < POPMAP_SERVERS_MAX; i++)
		ck_assert_int_eq(sql_row_add(&a, &r, "@", &err), 0);
	ck_assert_int_eq(sql_row_add(&a, &r, "@", &err), -1);
	a.n = 0;
	r.user = slice_make(text, POPMAP_USER_MAX);
	ck_assert_int_eq(sql_row_add(&a, &r, "@", &err), 0);
	r.user.n++;
	ck_assert_int_eq(sql_row_add(&a, &r, "@", &err), -1);
	r.user.n--;
	r.server = slice_make(text, POPMAP_SERVER_MAX);
	ck_assert_int_eq(sql_row_add(&a, &r, "@", &err), -1);
	r.server.n--;
	ck_assert_int_eq(sql_row_add(&a, &r, "@", &err), 0);
	r.port = SLICE("143");
	ck_assert_int_eq(sql_row_add(&a, &r, "@", &err), -1);
}
END_TEST

/* --- messages --------------------------------------------------------------
 */

START_TEST(messages)
{
	struct popmap_error err;
	char long_text[1000];

	ck_assert_int_eq(sql_error(&err, "h", "one\ttwo\nthree"), -1);
	ck_assert_str_eq(err.msg, "h: one two");
	sql_error(&err, "h", "");
	ck_assert_str_eq(err.msg, "h: unknown error");
	sql_error(&err, "h", NULL);
	ck_assert_str_eq(err.msg, "h: unknown error");
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	sql_error(&err, long_text, long_text);
	ck_assert_uint_eq(strlen(err.msg), 100 + 2 + 300);
}
END_TEST

/* --- connections ------------------------------------------------------------
 */

/* A database that does as it is told: a letter a call, C connect, Q query;
 * what it gives is in the script. */
static struct {
	const char *script; /* f found, n none, r refused, l lost, x not
			     * connected, c connected */
	char hosts[64];     /* the first letters of those connected to */
	unsigned int connected;
} fake;

static int
fake_check(const struct sql_options *o, struct popmap_error *err)
{
	(void)o;
	(void)err;
	return 0;
}

static int
fake_connect(struct sql_client **cp, const struct sql_target *t,
    struct popmap_error *err)
{
	char name[2] = { t->host->name[0], '\0' };
	char got = *fake.script++;

	ck_assert_uint_lt(strlen(fake.hosts), sizeof(fake.hosts) - 1);
	memcpy(fake.hosts + strlen(fake.hosts), name, sizeof(name));
	ck_assert_uint_eq(fake.connected, 0);
	if (got == 'x')
		return sql_error(err, t->host->name, "down");
	ck_assert_int_eq(got, 'c');
	*cp = (struct sql_client *)(void *)&fake;
	fake.connected = 1;
	return 0;
}

static int
fake_query(struct sql_client *c, const struct sql_statement *st,
    const struct popmap_query *q, uint64_t until, struct popmap_answer *a,
    struct popmap_error *err)
{
	struct sql_row r = { .server = SLICE("h") };

	(void)c;
	(void)st;
	ck_assert_uint_le(until, sql_now_ms() + q->timeout_ms);
	switch (*fake.script++) {
	case 'f':
		sql_row_add(a, &r, "@", err);
		return 1;
	case 'e':
		return 1; /* rows, but none with a server */
	case 'n':
		return 0;
	case 'r':
		sql_error(err, "q", "refused");
		return SQL_REFUSED;
	case 'l':
		sql_row_add(a, &r, "@", err);
		sql_error(err, "q", "lost");
		return SQL_LOST;
	default:
		ck_abort_msg("asked too often");
		return -1;
	}
}

static void
fake_disconnect(struct sql_client **cp)
{
	ck_assert_uint_eq(fake.connected, 1);
	fake.connected = 0;
	*cp = NULL;
}

static const struct sql_driver fake_driver = {
	.dialect = { .quote = '"', .limit = "" },
	.check = fake_check,
	.connect = fake_connect,
	.query = fake_query,
	.disconnect = fake_disconnect,
};

/* results: a letter a lookup: 1, 0 or - */
static const struct {
	const char *script, *hosts, *results, *said;
} stories[] = {
	{ "cfff", "a", "111", "" },
	{ "cne", "a", "00", "" },
	{ "crf", "a", "-1", "q: refused" },
	{ "cl", "a", "-", "q: lost" },
	{ "clcf", "aa", "-1", "q: lost" },
	{ "cflcf", "aa", "11", "" },
	{ "cflcl", "aa", "1-", "q: lost" },
	{ "cflxx", "aab", "1-", "a: down; b: down" },
	{ "xx", "ab", "-", "a: down; b: down" },
	{ "xcf", "ab", "1", "" },
	{ "xcflcf", "aba", "11", "" },
	{ "cflxcff", "aab", "111", "" },
};

START_TEST(story)
{
	static struct popmap_answer a;
	struct popmap_query q = { .delimiter = "@", .timeout_ms = 10000 };
	struct popmap_error err = { .msg = "" }, last = { .msg = "" };
	struct popmap *map;

	memset(&fake, 0, sizeof(fake));
	fake.script = stories[_i].script;
	ck_assert_int_eq(
	    sql_map_open(&map, &fake_driver, "a,b", scratch, &err), 0);
	for (const char *r = stories[_i].results; *r != '\0'; r++) {
		int ret = sql_map_lookup(map, &q, &a, &err);

		ck_assert_int_eq(ret, *r == '-' ? -1 : *r - '0');
		if (ret == 1)
			ck_assert_uint_eq(a.n, 1);
		if (ret == -1)
			last = err;
	}
	ck_assert_str_eq(last.msg, stories[_i].said);
	ck_assert_str_eq(fake.hosts, stories[_i].hosts);
	ck_assert_str_eq(fake.script, "");
	sql_map_close(&map);
	ck_assert_ptr_null(map);
	sql_map_close(&map);
	ck_assert_uint_eq(fake.connected, 0);
}
END_TEST

START_TEST(open_needs_no_database)
{
	struct popmap_error err = { .msg = "" };
	struct popmap *map;

	memset(&fake, 0, sizeof(fake));
	ck_assert_int_eq(
	    sql_map_open(&map, &fake_driver, "table=a;b", scratch, &err), -1);
	ck_assert_ptr_null(map);
	ck_assert_ptr_nonnull(strstr(err.msg, "not a name for a table"));
	ck_assert_int_eq(
	    sql_map_open(&map, &fake_driver, "x=", scratch, &err), -1);
	ck_assert_ptr_null(map);
	ck_assert_str_eq(fake.hosts, "");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_sql");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, good_options, 0, COUNT(good));
	tcase_add_loop_test(t, bad_options, 0, COUNT(bad));
	tcase_add_test(t, other_options);
	tcase_add_test(t, no_secret_in_a_message);
	tcase_add_test(t, long_password_file);
	tcase_add_loop_test(t, statement, 0, COUNT(statements));
	tcase_add_loop_test(t, value, 0, COUNT(values));
	tcase_add_loop_test(t, row, 0, COUNT(rows));
	tcase_add_test(t, row_limits);
	tcase_add_test(t, messages);
	tcase_add_loop_test(t, story, 0, COUNT(stories));
	tcase_add_test(t, open_needs_no_database);
	return check_run("popmap_sql", t);
}
