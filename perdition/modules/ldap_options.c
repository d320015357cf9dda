/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_options - see ldap_options.h.
 */
#include "config.h"

#include "perdition/modules/ldap_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "common/addr.h"
#include "common/secret_file.h"
#include "perdition/modules/ldap_filter.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

#define DEFAULT_SOCKET "%2fvar%2frun%2fslapd%2fldapi"
#define DEFAULT_FILTER "(uid=%s)"
#define HOST_MAX 255   /* bytes; RFC 1035 section 2.3.4 */
#define NETWORK_MAX 60 /* s */
#define BOTH_PASSWORDS "x-bindpw and x-bindpw-file: only one can be given"

static int
no_memory(struct popmap_error *err)
{
	return map_error(err, "out of memory");
}

static int
copy(char **to, struct slice from, const char *what, struct popmap_error *err)
{
	*to = slice_dup(from);
	if (*to != NULL)
		return 0;
	return errno == ENOMEM ? no_memory(err)
			       : map_error(err, "%s: a NUL byte", what);
}

/* --- servers -------------------------------------------------------------- */

static int
split_host(struct slice text, struct slice *host, struct slice *port,
    struct popmap_error *err)
{
	bool has_port, brackets = text.p[0] == '[';
	struct addr ip;

	*port = text;
	if (brackets) {
		*port = slice_skip(text, 1);
		if (!slice_cut(port, ']', host) ||
		    (port->n > 0 && port->p[0] != ':'))
			return map_error(
			    err, "a server's address: brackets do not match");
		has_port = port->n > 0;
		if (has_port)
			*port = slice_skip(*port, 1);
	} else {
		has_port = slice_cut(port, ':', host);
	}
	if (host->n > HOST_MAX ||
	    !slice_is_word(*host, brackets ? ".:" : ".-_") ||
	    (brackets && addr_parse_ip(*host, &ip) == -1))
		return map_error(err,
		    "%.*s: not a server's name or address (IPv6 stands in "
		    "brackets)",
		    (int)(host->n > 100 ? 100 : host->n), host->p);
	if (has_port && port->n == 0)
		return map_error(err, "%.*s: no port behind the colon",
		    (int)host->n, host->p);
	return 0;
}

static int
set_network(struct ldap_server *s, struct slice text, struct popmap_error *err)
{
	const char *scheme = s->scheme == LDAP_SCHEME_TLS ? "ldaps" : "ldap";
	struct slice host = SLICE("localhost"), port = SLICE("");
	bool v6;
	uint64_t n;

	if (text.n > 0 && split_host(text, &host, &port, err) == -1)
		return -1;
	if (port.n == 0)
		port =
		    s->scheme == LDAP_SCHEME_TLS ? SLICE("636") : SLICE("389");
	if (slice_u64(port, 65535, &n) == -1 || n == 0)
		return map_error(err, "%.*s: port %.*s is not 1 to 65535",
		    (int)host.n, host.p, (int)(port.n > 20 ? 20 : port.n),
		    port.p);
	if (copy(&s->host, host, "server", err) == -1 ||
	    copy(&s->port, port, "port", err) == -1)
		return -1;
	v6 = slice_find(host, ':') != -1;
	if (asprintf(&s->name, "%s://%s%s%s:%s", scheme, v6 ? "[" : "", s->host,
		v6 ? "]" : "", s->port) == -1) {
		s->name = NULL;
		return no_memory(err);
	}
	return 0;
}

static int
set_socket(struct ldap_server *s, struct slice text, struct popmap_error *err)
{
	struct sockaddr_un sun;

	if (text.n == 0)
		text = SLICE(DEFAULT_SOCKET);
	s->host = ldap_url_decode(text, "ldapi://", err);
	if (s->host == NULL)
		return -1;
	if (s->host[0] != '/' || strlen(s->host) >= sizeof(sun.sun_path))
		return map_error(err,
		    "ldapi://: not a socket's path of at most %zu bytes; its "
		    "slashes are written %%2f",
		    sizeof(sun.sun_path) - 1);
	if (asprintf(&s->name, "ldapi://%.*s", (int)text.n, text.p) == -1) {
		s->name = NULL;
		return no_memory(err);
	}
	return 0;
}

static int
add_server(struct ldap_options *o, enum ldap_scheme scheme, struct slice text,
    struct popmap_error *err)
{
	struct ldap_server *s = &o->server[o->n];

	if (o->n == LDAP_SERVERS_MAX)
		return map_error(
		    err, "more than %d LDAP servers", LDAP_SERVERS_MAX);
	o->n++;
	s->scheme = scheme;
	if (scheme == LDAP_SCHEME_LOCAL)
		return set_socket(s, text, err);
	return set_network(s, text, err);
}

static int
add_servers(struct ldap_options *o, enum ldap_scheme scheme, struct slice hosts,
    struct popmap_error *err)
{
	struct slice one;

	do {
		hosts = ldap_url_trim(hosts);
		slice_cut(&hosts, ' ', &one);
		if (add_server(o, scheme, one, err) == -1)
			return -1;
	} while (hosts.n > 0);
	return 0;
}

/* --- the search ----------------------------------------------------------- */

static int
set_attributes(
    struct ldap_options *o, struct slice list, struct popmap_error *err)
{
	size_t n = 0;
	bool more = true;

	if (list.n == 0)
		list = SLICE("username,mailhost,port");
	while (more) {
		struct slice name;

		more = slice_cut(&list, ',', &name);
		name = ldap_url_trim(name);
		if (n == LDAP_ATTRS)
			return map_error(
			    err, "attributes: more than user, host and port");
		if (name.n > 0 && !slice_is_word(name, ".;-_"))
			return map_error(err, "attributes: %.*s is no name",
			    (int)(name.n > 100 ? 100 : name.n), name.p);
		if (name.n > 0 &&
		    copy(&o->attr[n], name, "attributes", err) == -1)
			return -1;
		n++;
	}
	if (o->attr[LDAP_ATTR_HOST] == NULL)
		return map_error(err,
		    "attributes: the second one, the server's, is missing");
	return 0;
}

static int
set_scope(struct ldap_options *o, struct slice text, struct popmap_error *err)
{
	static const struct slice names[] = {
		[LDAP_OPTIONS_BASE] = SLICE("base"),
		[LDAP_OPTIONS_ONE] = SLICE("one"),
		[LDAP_OPTIONS_SUB] = SLICE("sub"),
		[LDAP_OPTIONS_CHILDREN] = SLICE("children"),
	};

	if (text.n == 0) /* RFC 4516 section 3 */
		text = names[LDAP_OPTIONS_BASE];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (slice_caseeq(text, names[i])) {
			o->scope = (enum ldap_scope)i;
			return 0;
		}
	}
	return map_error(err, "scope: neither base, one, sub nor children");
}

static int
set_filter(struct ldap_options *o, struct slice text, struct popmap_error *err)
{
	if (text.n == 0)
		text = SLICE(DEFAULT_FILTER);
	if (ldap_filter_check(text, err) == -1)
		return -1;
	return copy(&o->filter, text, "filter", err);
}

/* --- extensions ----------------------------------------------------------- */

/* The password is the first line. */
static int
read_password(
    struct ldap_options *o, const char *path, struct popmap_error *err)
{
	struct secret password;
	struct err why;
	int ret;

	if (secret_read_file(path, &password, &why) == -1)
		return map_error(err, "x-bindpw-file: %s", why.msg);
	ret = copy(&o->password, secret_get(&password), "x-bindpw-file", err);
	secret_clear(&password);
	return ret;
}

static int
take_text(struct ldap_options *o, size_t offset, char *value,
    struct popmap_error *err)
{
	char **member = (char **)((char *)o + offset);

	if (*member == NULL) {
		*member = value;
		return 0;
	}
	/* One name is not given twice, so it is the other way to say it. */
	explicit_bzero(value, strlen(value));
	free(value);
	return map_error(err, BOTH_PASSWORDS);
}

static int
take_password_file(struct ldap_options *o, size_t offset, char *value,
    struct popmap_error *err)
{
	int ret;

	(void)offset;
	if (o->password != NULL)
		ret = map_error(err, BOTH_PASSWORDS);
	else
		ret = read_password(o, value, err);
	free(value);
	return ret;
}

static int
take_network_timeout(struct ldap_options *o, size_t offset, char *value,
    struct popmap_error *err)
{
	uint64_t n;
	int ret = slice_u64(slice_str(value), NETWORK_MAX, &n);

	(void)offset;
	free(value);
	if (ret == -1 || n == 0)
		return map_error(err,
		    "x-network-timeout: not a number of seconds, 1 to %d",
		    NETWORK_MAX);
	o->network_ms = (unsigned int)n * 1000;
	return 0;
}

#define TEXT(member) take_text, offsetof(struct ldap_options, member), NULL
#define WORD(member, word) NULL, offsetof(struct ldap_options, member), word

static const struct {
	const char *name;
	/* Takes value, malloc'ed and not empty, also when it fails. */
	int (*take)(struct ldap_options *, size_t offset, char *value,
	    struct popmap_error *);
	size_t offset;
	const char *word; /* without take: the value that sets a bool */
} extensions[] = {
	{ "bindname", TEXT(bind_name) },
	{ "x-bindpw", TEXT(password) },
	{ "x-bindpw-file", take_password_file, 0, NULL },
	{ "x-sasl", WORD(external, "external") },
	{ "x-starttls", WORD(starttls, "") },
	{ "x-tls-cacert", TEXT(ca_file) },
	{ "x-tls-cert", TEXT(cert_file) },
	{ "x-tls-key", TEXT(key_file) },
	{ "x-tls-verify", WORD(no_verify, "never") },
	{ "x-network-timeout", take_network_timeout, 0, NULL },
};

#undef TEXT
#undef WORD
#define EXTENSIONS (sizeof(extensions) / sizeof(extensions[0]))

static int
take_extension(struct ldap_options *o, size_t i, struct slice value,
    struct popmap_error *err)
{
	const char *name = extensions[i].name;
	char *text;

	if (extensions[i].take == NULL) {
		const char *word = extensions[i].word;

		if (!slice_caseeq(value, slice_str(word)))
			return map_error(err, "%s: %s%s", name,
			    word[0] == '\0' ? "takes no value"
					    : "the only value is ",
			    word);
		*(bool *)((char *)o + extensions[i].offset) = true;
		return 0;
	}
	if (value.n == 0)
		return map_error(err, "%s: needs a value", name);
	text = ldap_url_decode(value, name, err);
	if (text == NULL)
		return -1;
	return extensions[i].take(o, extensions[i].offset, text, err);
}

/*
 * One that is not known is refused, critical or not: it may be a misspelt one
 * that was to make things safer.  Its name is not told: behind a comma that
 * should have been encoded it may be a part of a password.
 */
static int
set_extensions(
    struct ldap_options *o, struct slice list, struct popmap_error *err)
{
	bool seen[EXTENSIONS] = { false };

	while (list.n > 0) {
		struct slice value, name;
		size_t i = 0;

		slice_cut(&list, ',', &value);
		value = ldap_url_trim(value);
		slice_cut(&value, '=', &name);
		if (name.n > 0 && name.p[0] == '!')
			name = slice_skip(name, 1);
		while (i < EXTENSIONS &&
		       !slice_caseeq(name, slice_str(extensions[i].name)))
			i++;
		if (i == EXTENSIONS)
			return map_error(err,
			    "an extension that popmap(5) does not know (in "
			    "values a comma is written %%2c, a question mark "
			    "%%3f)");
		if (seen[i])
			return map_error(
			    err, "%s: given twice", extensions[i].name);
		seen[i] = true;
		if (take_extension(o, i, value, err) == -1)
			return -1;
	}
	return 0;
}

/* --- all of it ------------------------------------------------------------ */

static int
parse_search(
    struct ldap_options *o, struct slice text, struct popmap_error *err)
{
	struct slice dn, attributes, scope, filter, extension;

	slice_cut(&text, '?', &dn);
	slice_cut(&text, '?', &attributes);
	slice_cut(&text, '?', &scope);
	slice_cut(&text, '?', &filter);
	slice_cut(&text, '?', &extension);
	if (text.n > 0)
		return map_error(err, "more than four question marks");
	if (slice_rfind(dn, SLICE("%s")) != -1)
		return map_error(err, "base: %%s can stand in the filter only");
	o->base = ldap_url_decode(ldap_url_trim(dn), "base", err);
	if (o->base == NULL ||
	    set_attributes(o, ldap_url_trim(attributes), err) == -1 ||
	    set_scope(o, ldap_url_trim(scope), err) == -1 ||
	    set_filter(o, ldap_url_trim(filter), err) == -1 ||
	    set_extensions(o, extension, err) == -1)
		return -1;
	return 0;
}

bool
ldap_options_tls(const struct ldap_options *o, const struct ldap_server *s)
{
	return s->scheme == LDAP_SCHEME_TLS ||
	       (s->scheme == LDAP_SCHEME_PLAIN && o->starttls);
}

static int
check_bind(const struct ldap_options *o, struct popmap_error *err)
{
	if (o->external && (o->bind_name != NULL || o->password != NULL))
		return map_error(err,
		    "x-sasl=external: not together with bindname or a "
		    "password");
	/* RFC 4513 section 5.1.2: a name without a password would be nobody,
	 * with success. */
	if ((o->bind_name == NULL) != (o->password == NULL))
		return map_error(err,
		    "bindname and a password: only both together are of use");
	if (o->version == 2 && (o->external || o->starttls))
		return map_error(err,
		    "x-sasl and x-starttls are of version 3 of the protocol");
	return 0;
}

static int
check_tls(const struct ldap_options *o, struct popmap_error *err)
{
	bool plain = false, tls = false;

	for (size_t i = 0; i < o->n; i++) {
		const struct ldap_server *s = &o->server[i];

		plain = plain || s->scheme == LDAP_SCHEME_PLAIN;
		tls = tls || ldap_options_tls(o, s);
		if (o->external && s->scheme != LDAP_SCHEME_LOCAL &&
		    (!ldap_options_tls(o, s) || o->cert_file == NULL))
			return map_error(err,
			    "x-sasl=external: %s needs TLS with x-tls-cert, or "
			    "to be an ldapi:// server",
			    s->name);
	}
	if (o->starttls && !plain)
		return map_error(err, "x-starttls: there is no ldap:// server");
	if ((o->cert_file == NULL) != (o->key_file == NULL))
		return map_error(
		    err, "x-tls-cert and x-tls-key: one without the other");
	if (!tls &&
	    (o->ca_file != NULL || o->cert_file != NULL || o->no_verify))
		return map_error(err,
		    "x-tls-...: nothing would be by TLS; use ldaps:// or "
		    "x-starttls");
	return 0;
}

static int
parse(struct ldap_options *o, struct slice text, struct popmap_error *err)
{
	struct slice hosts, rest;
	enum ldap_scheme scheme;
	int got;

	if (text.n > 1 && text.p[1] == ':') {
		if (text.p[0] != '2' && text.p[0] != '3')
			return map_error(
			    err, "the version in front is neither 2 nor 3");
		o->version = text.p[0] - '0';
		text = slice_skip(text, 2);
	}
	while ((got = ldap_url_next(&text, &scheme, &hosts, &rest, err)) == 1) {
		if (add_servers(o, scheme, hosts, err) == -1)
			return -1;
		if (rest.n > 0 && o->base != NULL)
			return map_error(err,
			    "of several URLs only one can say what to search "
			    "for");
		if (rest.n > 0 && parse_search(o, rest, err) == -1)
			return -1;
	}
	if (got == -1)
		return -1;
	if (o->n == 0)
		return map_error(err, "no LDAP URL behind the version");
	if (o->base == NULL)
		return map_error(err,
		    "no search base: ldap://SERVER/BASE, as in %s",
		    LDAP_OPTIONS_DEFAULT);
	return check_bind(o, err) == -1 ? -1 : check_tls(o, err);
}

int
ldap_options_parse(
    struct ldap_options *o, const char *text, struct popmap_error *err)
{
	struct slice s = ldap_url_trim(slice_str(text));

	memset(o, 0, sizeof(*o));
	o->version = 3;
	o->network_ms = 1000;
	if (s.n == 0)
		s = SLICE(LDAP_OPTIONS_DEFAULT);
	if (parse(o, s, err) == 0)
		return 0;
	ldap_options_clear(o);
	return -1;
}

void
ldap_options_clear(struct ldap_options *o)
{
	for (size_t i = 0; i < o->n; i++) {
		free(o->server[i].host);
		free(o->server[i].port);
		free(o->server[i].name);
	}
	for (size_t i = 0; i < LDAP_ATTRS; i++)
		free(o->attr[i]);
	if (o->password != NULL)
		explicit_bzero(o->password, strlen(o->password));
	free(o->password);
	free(o->base);
	free(o->filter);
	free(o->bind_name);
	free(o->ca_file);
	free(o->cert_file);
	free(o->key_file);
	memset(o, 0, sizeof(*o));
}
