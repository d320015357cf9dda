/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sql_options - see sql_options.h.
 */
#include "config.h"

#include "perdition/modules/sql_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret_file.h"
#include "common/slice.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

#define CONNECT_TIMEOUT_MAX 600 /* s */

/* What is being read. */
struct reading {
	struct sql_options *o;
	const char *sysconfdir;
	struct popmap_error *err;
	bool password_given;
	bool names_given; /* a table or a column */
};

/* value, decoded, into what offset says; 0, or -1 with err. */
typedef int setter(struct reading *, size_t offset, struct slice value);

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
free_secret(char **text)
{
	if (*text != NULL)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

static int
set_text(struct reading *r, size_t offset, struct slice value)
{
	char **field = (char **)(void *)((char *)r->o + offset);
	char *copy = slice_dup(value);

	if (copy == NULL)
		return map_error(r->err, "out of memory");
	free_secret(field);
	*field = copy;
	return 0;
}

static int
set_name(struct reading *r, size_t offset, struct slice value)
{
	r->names_given = true;
	return set_text(r, offset, value);
}

static int
set_filled(struct reading *r, size_t offset, struct slice value)
{
	if (value.n == 0)
		return map_error(r->err, "empty");
	return set_text(r, offset, value);
}

/* A table or column that there must be. */
static int
set_filled_name(struct reading *r, size_t offset, struct slice value)
{
	r->names_given = true;
	return set_filled(r, offset, value);
}

static int
set_port(struct reading *r, size_t offset, struct slice value)
{
	uint16_t *field = (uint16_t *)(void *)((char *)r->o + offset);
	uint64_t port;

	if (slice_u64(value, UINT16_MAX, &port) == -1 || port == 0)
		return map_error(
		    r->err, "not a port, which is a number from 1 to 65535");
	*field = (uint16_t)port;
	return 0;
}

/* --- hosts -------------------------------------------------------------- */

static void
clear_hosts(struct sql_options *o)
{
	for (size_t i = 0; i < o->hosts; i++)
		free(o->host[i].name);
	memset(o->host, 0, sizeof(o->host));
	o->hosts = 0;
}

/* "[::1]", "[::1]:99", "name:99", "name", "/path" or, as there is no doubt,
 * "::1". */
static int
split_host(struct reading *r, struct slice *name, struct sql_host *h)
{
	struct slice rest = *name;

	if (name->p[0] == '[') {
		rest = slice_skip(rest, 1);
		if (!slice_cut(&rest, ']', name))
			return map_error(r->err, "no bracket behind a host");
		if (rest.n > 0 && rest.p[0] != ':')
			return map_error(r->err,
			    "neither a comma nor a colon behind a host's "
			    "bracket");
		if (rest.n == 0)
			return 0;
		rest = slice_skip(rest, 1);
	} else if (name->p[0] == '/' ||
		   memchr(name->p, ':', name->n) !=
		       memrchr(name->p, ':', name->n) ||
		   !slice_cut(&rest, ':', name)) {
		return 0;
	}
	return set_port(r,
	    offsetof(struct sql_options, host) +
		(size_t)((char *)h - (char *)r->o->host) +
		offsetof(struct sql_host, port),
	    rest);
}

static int
add_host(struct reading *r, struct slice name)
{
	struct sql_options *o = r->o;
	struct sql_host *h;

	if (name.n == 0)
		return map_error(r->err, "an empty host name");
	if (o->hosts == SQL_HOSTS_MAX)
		return map_error(r->err, "more than %d hosts", SQL_HOSTS_MAX);
	h = &o->host[o->hosts];
	if (split_host(r, &name, h) == -1)
		return -1;
	if (name.n == 0)
		return map_error(r->err, "an empty host name");
	h->name = slice_dup(name);
	if (h->name == NULL)
		return map_error(r->err, "out of memory");
	o->hosts++;
	return 0;
}

static int
set_hosts(struct reading *r, size_t offset, struct slice value)
{
	struct slice name;

	(void)offset;
	clear_hosts(r->o);
	while (map_answer_next(&value, &name))
		if (add_host(r, name) == -1)
			return -1;
	return 0;
}

/* --- values of other kinds ----------------------------------------------- */

static int
set_password(struct reading *r, size_t offset, struct slice value)
{
	if (r->password_given)
		return map_error(
		    r->err, "password and password_file: only one of them");
	r->password_given = true;
	return set_text(r, offset, value);
}

static int
set_password_from(struct reading *r, size_t offset, const char *path)
{
	struct secret password;
	struct err why;
	int ret;

	if (secret_read_file(path, &password, &why) == -1)
		return map_error(r->err, "%s", why.msg);
	ret = set_password(r, offset, secret_get(&password));
	secret_clear(&password);
	return ret;
}

static int
set_password_file(struct reading *r, size_t offset, struct slice value)
{
	struct slice dir = slice_str(r->sysconfdir);
	char *path;
	int ret;

	if (value.n == 0)
		return map_error(r->err, "empty");
	if (value.p[0] == '/')
		dir = SLICE("");
	if (asprintf(&path, "%.*s%s%.*s", (int)dir.n, dir.p,
		dir.n == 0 ? "" : "/", (int)value.n, value.p) == -1)
		return map_error(r->err, "out of memory");
	ret = set_password_from(r, offset, path);
	free(path);
	return ret;
}

static int
set_tls(struct reading *r, size_t offset, struct slice value)
{
	static const char *const words[] = {
		[SQL_TLS_NONE] = "none",
		[SQL_TLS_PREFER] = "prefer",
		[SQL_TLS_REQUIRE] = "require",
		[SQL_TLS_VERIFY] = "verify",
	};

	(void)offset;
	for (unsigned int i = SQL_TLS_NONE; i <= SQL_TLS_VERIFY; i++) {
		if (slice_eq(value, slice_str(words[i]))) {
			r->o->tls = (enum sql_tls)i;
			return 0;
		}
	}
	return map_error(r->err, "not none, prefer, require or verify");
}

static int
set_connect_timeout(struct reading *r, size_t offset, struct slice value)
{
	uint64_t s;

	(void)offset;
	if (slice_u64(value, CONNECT_TIMEOUT_MAX, &s) == -1 || s == 0)
		return map_error(
		    r->err, "not a number from 1 to %d", CONNECT_TIMEOUT_MAX);
	r->o->connect_timeout_ms = (unsigned int)s * 1000;
	return 0;
}

/* --- the form of perdition 2.2 -------------------------------------------- */

#define FIELD(name) offsetof(struct sql_options, name)

static const struct {
	const char *name;
	setter *set;
	size_t offset;
} fields[] = {
	{ "host", set_hosts, 0 },
	{ "port", set_port, FIELD(port) },
	{ "database", set_filled, FIELD(database) },
	{ "table", set_filled_name, FIELD(table) },
	{ "user", set_filled, FIELD(user) },
	{ "password", set_password, FIELD(password) },
	{ "servercol", set_filled_name, FIELD(server_column) },
	{ "usercol", set_filled_name, FIELD(user_column) },
	{ "portcol", set_name, FIELD(port_column) },
};

enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* The next field; a colon in brackets does not end it.  False: no more. */
static bool
next_field(struct slice *rest, struct slice *field)
{
	bool inside = false;
	size_t n;

	if (rest->p == NULL)
		return false;
	for (n = 0; n < rest->n && (inside || rest->p[n] != ':'); n++) {
		if (rest->p[n] == '[')
			inside = true;
		else if (rest->p[n] == ']')
			inside = false;
	}
	*field = slice_make(rest->p, n);
	*rest = n == rest->n ? slice_make(NULL, 0) : slice_skip(*rest, n + 1);
	return true;
}

static int
fail(struct reading *r, struct slice where)
{
	struct popmap_error why = *r->err;

	return map_error(
	    r->err, "%.*s: %.400s", (int)where.n, where.p, why.msg);
}

static int
read_fields(struct reading *r, struct slice text)
{
	struct slice field;

	/* Only a host may hold brackets; a password may well. */
	for (size_t i = 0; text.p != NULL; i++) {
		if (i == 0)
			next_field(&text, &field);
		else if (!slice_cut(&text, ':', &field))
			text = slice_make(NULL, 0);
		if (i == FIELDS)
			return map_error(r->err,
			    "more than %d fields with colons between", FIELDS);
		if (field.n == 0 && fields[i].set != set_name)
			continue; /* keeps its default */
		if (fields[i].set(r, fields[i].offset, field) == -1)
			return fail(r, slice_str(fields[i].name));
	}
	return 0;
}

/* --- key=value ------------------------------------------------------------ */

static const struct {
	const char *name;
	setter *set;
	size_t offset;
} keys[] = {
	{ "hosts", set_hosts, 0 },
	{ "port", set_port, FIELD(port) },
	{ "database", set_filled, FIELD(database) },
	{ "table", set_filled_name, FIELD(table) },
	{ "user", set_text, FIELD(user) },
	{ "password", set_password, FIELD(password) },
	{ "password_file", set_password_file, FIELD(password) },
	{ "server_column", set_filled_name, FIELD(server_column) },
	{ "user_column", set_name, FIELD(user_column) },
	{ "port_column", set_name, FIELD(port_column) },
	{ "key_column", set_filled_name, FIELD(key_column) },
	{ "query", set_filled, FIELD(query) },
	{ "tls", set_tls, 0 },
	{ "tls_ca", set_filled, FIELD(tls_ca) },
	{ "connect_timeout", set_connect_timeout, 0 },
};

enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

/* The letters in front of a '='; empty when there is no such thing. */
static struct slice
key_of(struct slice text)
{
	size_t n = 0;

	while (n < text.n &&
	       ((text.p[n] >= 'a' && text.p[n] <= 'z') || text.p[n] == '_'))
		n++;
	return slice_make(text.p, n < text.n && text.p[n] == '=' ? n : 0);
}

/* Up to the quote that *text begins with, which stands for itself when it is
 * written twice.  How many bytes are put to out; -1 with err. */
static ptrdiff_t
cut_quoted(struct reading *r, struct slice *text, char *out)
{
	char quote = text->p[0];
	ptrdiff_t n = 0;

	for (size_t i = 1; i < text->n; i++) {
		if (text->p[i] == quote) {
			if (i + 1 == text->n || text->p[i + 1] != quote) {
				*text = slice_skip(*text, i + 1);
				return n;
			}
			i++;
		}
		out[n++] = text->p[i];
	}
	return map_error(r->err, "the closing quote is missing");
}

static ptrdiff_t
cut_bare(struct slice *text, char *out)
{
	size_t n = 0;

	while (n < text->n && !is_space(text->p[n])) {
		out[n] = text->p[n];
		n++;
	}
	*text = slice_skip(*text, n);
	return (ptrdiff_t)n;
}

/* Takes the value that *text begins with, into out, which has room for all of
 * *text.  0, or -1 with err. */
static int
cut_value(struct reading *r, struct slice *text, char *out, struct slice *value)
{
	bool quoted = text->n > 0 && (text->p[0] == '\'' || text->p[0] == '"');
	ptrdiff_t n = quoted ? cut_quoted(r, text, out) : cut_bare(text, out);

	if (n == -1)
		return -1;
	if (text->n > 0 && !is_space(text->p[0]))
		return map_error(
		    r->err, "no white space behind the closing quote");
	*value = slice_make(out, (size_t)n);
	return 0;
}

static int
find_key(struct reading *r, struct slice name)
{
	for (int i = 0; i < KEYS; i++)
		if (slice_eq(name, slice_str(keys[i].name)))
			return i;
	return map_error(r->err, "no such key");
}

/* One "key=value" from the front of *text; mem: scratch. */
static int
read_pair(struct reading *r, struct slice *text, unsigned int *seen, char *mem)
{
	struct slice name = key_of(*text), value = SLICE("");
	int i;

	if (name.n == 0)
		return map_error(r->err,
		    "a key=value is expected; one with white space must be "
		    "in quotes");
	*text = slice_skip(*text, name.n + 1);
	i = find_key(r, name);
	if (i == -1 || cut_value(r, text, mem, &value) == -1)
		return fail(r, name);
	if (*seen & 1u << i) {
		map_error(r->err, "more than once");
		return fail(r, name);
	}
	*seen |= 1u << i;
	if (keys[i].set == set_hosts)
		r->o->hosts_given = true;
	if (keys[i].set(r, keys[i].offset, value) == -1)
		return fail(r, name);
	return 0;
}

static int
read_pairs(struct reading *r, struct slice text)
{
	unsigned int seen = 0;
	size_t cap = text.n + 1;
	char *mem = malloc(cap);
	int ret = 0;

	if (mem == NULL)
		return map_error(r->err, "out of memory");
	while (ret == 0) {
		while (text.n > 0 && is_space(text.p[0]))
			text = slice_skip(text, 1);
		if (text.n == 0)
			break;
		ret = read_pair(r, &text, &seen, mem);
	}
	explicit_bzero(mem, cap);
	free(mem);
	return ret;
}

/* --- the whole ------------------------------------------------------------ */

static int
set_defaults(struct reading *r)
{
	static const struct {
		size_t offset;
		const char *text;
	} texts[] = {
		{ FIELD(database), "dbPerdition" },
		{ FIELD(table), "tblPerdition" },
		{ FIELD(user), "perdition" },
		{ FIELD(password), "perdition" },
		{ FIELD(server_column), "servername" },
		{ FIELD(user_column), "user" },
		{ FIELD(port_column), "port" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (set_text(r, texts[i].offset, slice_str(texts[i].text)) ==
		    -1)
			return -1;
	return add_host(r, SLICE("localhost"));
}

/* What no key alone can tell. */
static int
complete(struct reading *r)
{
	struct sql_options *o = r->o;

	for (size_t i = 0; i < o->hosts; i++)
		if (o->host[i].port == 0)
			o->host[i].port = o->port;
	if (o->query != NULL && r->names_given)
		return map_error(r->err,
		    "query names its table and columns itself: leave out "
		    "table and ..._column");
	if (o->tls_ca != NULL && o->tls == SQL_TLS_UNSAID)
		o->tls = SQL_TLS_VERIFY;
	if ((o->tls_ca != NULL) != (o->tls == SQL_TLS_VERIFY))
		return map_error(
		    r->err, "tls=verify and tls_ca=FILE need each other");
	if (o->key_column != NULL)
		return 0;
	if (o->user_column[0] == '\0')
		return map_error(
		    r->err, "without user_column, key_column is needed");
	return set_text(r, FIELD(key_column), slice_str(o->user_column));
}

int
sql_options_parse(struct sql_options *o, const char *text,
    const char *sysconfdir, struct popmap_error *err)
{
	struct reading r = { .o = o, .sysconfdir = sysconfdir, .err = err };
	struct slice all = slice_str(text);
	int ret;

	memset(o, 0, sizeof(*o));
	while (all.n > 0 && is_space(all.p[0]))
		all = slice_skip(all, 1);
	ret = set_defaults(&r);
	r.password_given = r.names_given = false;
	if (ret == 0 && key_of(all).n > 0)
		ret = read_pairs(&r, all);
	else if (ret == 0)
		ret = read_fields(&r, all);
	if (ret == 0)
		ret = complete(&r);
	if (ret == -1)
		sql_options_clear(o);
	return ret;
}

void
sql_options_clear(struct sql_options *o)
{
	clear_hosts(o);
	free(o->database);
	free(o->table);
	free(o->user);
	free_secret(&o->password);
	free(o->server_column);
	free(o->user_column);
	free(o->port_column);
	free(o->key_column);
	free(o->query);
	free(o->tls_ca);
	memset(o, 0, sizeof(*o));
}
