/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_finish - from options' texts to what the roles work with.
 *
 * All that is wrong is found in one go.
 */
#include "config.h"

#include "perdition/config_private.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/err.h"
#include "common/logdest.h"

#include "common/banned.h"

#define SERVERS_MAX 1024
#define PLACEHOLDER "<basename>"

void
config_complain(
    struct config_finish *f, const char *option, const char *fmt, ...)
{
	const char *where = NULL;
	char text[512];
	va_list ap;

	if (f->state != NULL)
		where = option_set_where_nth(f->state, option, f->nth);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (where != NULL)
		option_problems_add(
		    f->problems, "%s: %s: %s", where, option, text);
	else
		option_problems_add(f->problems, "%s: %s", option, text);
	f->bad = true;
}

void
config_out_of_memory(struct config_finish *f)
{
	option_problems_add(f->problems, "out of memory");
	f->bad = true;
}

bool
config_split_port(struct slice s, struct slice *host, struct slice *port)
{
	struct slice rest = s;
	struct addr addr;

	*port = slice_make(NULL, 0);
	if (s.n > 0 && s.p[0] == '[') {
		rest = slice_skip(s, 1);
		if (!slice_cut(&rest, ']', host) || host->n == 0)
			return false;
		if (rest.n == 0)
			return true;
		*port = slice_skip(rest, 1);
		return rest.p[0] == ':' && port->n > 0;
	}
	if (!slice_cut(&rest, ':', host))
		return host->n > 0;
	if (slice_find(rest, ':') != -1) { /* IPv6 without brackets */
		*host = s;
		return addr_parse_ip(s, &addr) == 0;
	}
	*port = rest;
	return host->n > 0 && port->n > 0;
}

int
config_parse_port(
    struct config_finish *f, const char *option, struct slice s, uint16_t *port)
{
	struct servent *service;
	uint64_t number;
	char *name;

	if (slice_u64(s, 65535, &number) == 0) {
		*port = (uint16_t)number;
		return 0;
	}
	name = f->c->no_lookup ? NULL : slice_dup(s);
	service = name == NULL ? NULL : getservbyname(name, "tcp");
	free(name);
	if (service == NULL) {
		config_complain(f, option,
		    f->c->no_lookup
			? "%.*s: with no_lookup a port is a number to 65535"
			: "%.*s: neither a number to 65535 nor a service's "
			  "name",
		    (int)s.n, s.p);
		return -1;
	}
	*port = ntohs((uint16_t)service->s_port);
	return 0;
}

static void
server_add(struct config_finish *f, struct slice text)
{
	struct config *c = f->c;
	struct server_config *s;
	struct slice host;
	struct slice port;
	struct addr addr;
	uint16_t number = 0;
	struct server_url url;
	struct err err;

	if (server_url_parse(text, &url, &err) == -1) {
		config_complain(f, "outgoing_server", "%.*s: %s", (int)text.n,
		    text.p, err.msg);
		return;
	}
	if (!config_split_port(url.rest, &host, &port) || host.n > 255) {
		config_complain(f, "outgoing_server",
		    "%.*s: not SERVER[:PORT], with SCHEME:// in front or "
		    "?tls=MODE behind",
		    (int)text.n, text.p);
		return;
	}
	if (port.n > 0 &&
	    config_parse_port(f, "outgoing_server", port, &number) == -1)
		return;
	if (c->no_lookup && addr_parse_ip(host, &addr) == -1) {
		config_complain(f, "outgoing_server",
		    "%.*s: with no_lookup it must be an IP address",
		    (int)host.n, host.p);
		return;
	}
	if (c->server_count == SERVERS_MAX) {
		config_complain(
		    f, "outgoing_server", "more than %d", SERVERS_MAX);
		return;
	}
	s = reallocarray(c->servers, c->server_count + 1, sizeof(*s));
	if (s == NULL) {
		config_out_of_memory(f);
		return;
	}
	c->servers = s;
	s += c->server_count;
	s->host = slice_dup(host);
	s->port = number;
	s->url = url;
	s->url.rest = slice_make(NULL, 0);
	if (s->host == NULL)
		config_out_of_memory(f);
	else
		c->server_count++;
}

static void
finish_servers(struct config_finish *f)
{
	struct slice rest = slice_str(f->c->outgoing_server);
	struct slice text;

	if (f->c->outgoing_port[0] != '\0')
		config_parse_port(f, "outgoing_port",
		    slice_str(f->c->outgoing_port), &f->c->out_port);
	while (rest.n > 0) {
		slice_cut(&rest, ',', &text);
		server_add(f, text);
	}
}

static void
source_add(struct config_finish *f, struct slice text)
{
	struct config *c = f->c;
	struct addr a, *more;

	if (addr_parse_ip(text, &a) == -1) {
		config_complain(f, "outgoing_bind_address",
		    "%.*s: not an IP address", (int)text.n, text.p);
		return;
	}
	more = reallocarray(c->sources, c->source_count + 1, sizeof(*more));
	if (more == NULL) {
		config_out_of_memory(f);
		return;
	}
	c->sources = more;
	c->sources[c->source_count++] = a;
}

static void
finish_sources(struct config_finish *f)
{
	struct slice rest = slice_str(f->c->outgoing_bind_address);
	struct slice text;

	while (rest.n > 0) {
		slice_cut(&rest, ',', &text);
		source_add(f, text);
	}
}

static void
check_key(struct config_finish *f, const char *key)
{
	const char *p;

	if (key[0] == '\0')
		config_complain(f, "query_key", "an empty format");
	for (p = key; *p != '\0'; p++) {
		if (*p != '\\')
			continue;
		p++;
		if (*p != '\0' && strchr("UuDdiIpP\\", *p) != NULL)
			continue;
		config_complain(f, "query_key",
		    "%s: behind a backslash stands one of U u D d i p I P and "
		    "the backslash",
		    key);
		return;
	}
}

static void
finish_keys(struct config_finish *f)
{
	struct slice rest = slice_str(f->c->query_key);
	struct slice key;
	size_t n = 0;

	if (rest.n == 0)
		return;
	f->c->query_keys = calloc(CONFIG_QUERY_KEYS_MAX + 1, sizeof(char *));
	if (f->c->query_keys == NULL) {
		config_out_of_memory(f);
		return;
	}
	while (rest.n > 0 && n < CONFIG_QUERY_KEYS_MAX) {
		slice_cut(&rest, ',', &key);
		f->c->query_keys[n] = slice_dup(key);
		if (f->c->query_keys[n] == NULL) {
			config_out_of_memory(f);
			return;
		}
		check_key(f, f->c->query_keys[n++]);
	}
	if (rest.n > 0)
		config_complain(f, "query_key", "more than %d formats",
		    CONFIG_QUERY_KEYS_MAX);
}

static void
finish_pid_file(struct config_finish *f, const char *basename)
{
	const char *from = f->c->pid_file;
	const char *at;
	char *out = NULL;
	size_t size = 0;
	FILE *s;

	if (strstr(from, PLACEHOLDER) == NULL)
		return;
	s = open_memstream(&out, &size);
	if (s == NULL) {
		config_out_of_memory(f);
		return;
	}
	while ((at = strstr(from, PLACEHOLDER)) != NULL) {
		fwrite(from, 1, (size_t)(at - from), s);
		fputs(basename, s);
		from = at + strlen(PLACEHOLDER);
	}
	fputs(from, s);
	if (fclose(s) != 0) {
		free(out);
		config_out_of_memory(f);
		return;
	}
	free(f->c->pid_file);
	f->c->pid_file = out;
}

static void
check_versions(struct config_finish *f, const char *option, unsigned int min,
    unsigned int max)
{
	if (max != 0 && min > max)
		config_complain(
		    f, option, "is above the highest version that is allowed");
}

static void
check_passphrase(struct config_finish *f)
{
	const struct config *c = f->c;
	uint64_t fd;

	if (c->ssl_passphrase_fd[0] == '\0')
		return;
	if (c->ssl_passphrase_file[0] != '\0')
		config_complain(f, "ssl_passphrase_fd",
		    "cannot go with ssl_passphrase_file");
	if (slice_u64(slice_str(c->ssl_passphrase_fd), 65535, &fd) == -1 ||
	    fd == STDOUT_FILENO || fd == STDERR_FILENO)
		config_complain(f, "ssl_passphrase_fd",
		    "%s: not the number of a descriptor for reading",
		    c->ssl_passphrase_fd);
}

static void
check_certificate_user(struct config_finish *f)
{
	const struct config *c = f->c;

	if (c->ssl_client_cert_user == 0 || c->listen_client_certs)
		return;
	config_complain(f, "ssl_client_cert_user",
	    "no listener asks for a certificate: see ssl_client_cert");
}

static void
check_tls(struct config_finish *f)
{
	const struct config *c = f->c;

	check_versions(f, "ssl_listen_min_proto_version",
	    c->ssl_listen_min_proto_version, c->ssl_listen_max_proto_version);
	check_versions(f, "ssl_outgoing_min_proto_version",
	    c->ssl_outgoing_min_proto_version,
	    c->ssl_outgoing_max_proto_version);
	check_passphrase(f);
	check_certificate_user(f);
}

/* TLS from the first byte wins over STARTTLS. */
static enum tls_mode
mode_of(
    unsigned int set, unsigned int ssl, unsigned int tls, unsigned int force)
{
	if (set & ssl)
		return TLS_IMPLICIT;
	if ((set & force) == force)
		return TLS_STARTTLS;
	return set & tls ? TLS_STARTTLS_OPTIONAL : TLS_NONE;
}

static void
finish_modes(struct config *c)
{
	c->listen_mode = mode_of(c->ssl_mode, SSL_MODE_SSL_LISTEN,
	    SSL_MODE_TLS_LISTEN, SSL_MODE_TLS_LISTEN_FORCE);
	c->outgoing_tls = mode_of(c->ssl_mode, SSL_MODE_SSL_OUTGOING,
	    SSL_MODE_TLS_OUTGOING, SSL_MODE_TLS_OUTGOING_FORCE);
}

static void
check_ids(struct config_finish *f)
{
	if (geteuid() != 0)
		return;
	if (getpwnam(f->c->username) == NULL)
		config_complain(
		    f, "username", "%s: there is no such user", f->c->username);
	if (getgrnam(f->c->group) == NULL)
		config_complain(
		    f, "group", "%s: there is no such group", f->c->group);
}

static void
check_log(struct config_finish *f)
{
	const char *facility = f->c->log_facility;
	struct logdest *dest;
	struct err err;

	if (facility[0] == '/' || logdest_is_stdio(facility))
		return;
	dest = logdest_open(facility,
	    f->c->syslog_socket[0] == '\0' ? NULL : f->c->syslog_socket, &err);
	if (dest == NULL)
		config_complain(f, "log_facility", "%s", err.msg);
	logdest_close(&dest);
}

static void
check_maps(struct config_finish *f)
{
	const struct config *c = f->c;

	if (c->map_library_opt.n > c->map_library.n)
		config_complain(f, "map_library_opt",
		    "%zu of them, for %zu map_library", c->map_library_opt.n,
		    c->map_library.n);
}

static void
check_rest(struct config_finish *f)
{
	check_maps(f);
	if (f->c->authenticate_in)
		config_complain(f, "authenticate_in",
		    "PAM is not part of this build; remove the option");
	if (f->c->auth_socket[0] != '\0' && f->c->auth_socket[0] != '/')
		config_complain(f, "auth_socket", "%s: not an absolute path",
		    f->c->auth_socket);
	check_tls(f);
	check_ids(f);
	check_log(f);
}

int
config_finish(struct config *c, const struct option_state *state,
    const char *basename, struct option_problems *problems)
{
	struct config_finish f = {
		.c = c, .state = state, .problems = problems
	};
	struct utsname un;

	if (c->domain_delimiter[0] == '\0')
		config_complain(&f, "domain_delimiter", "must not be empty");
	finish_modes(c);
	config_finish_listeners(&f);
	finish_servers(&f);
	finish_sources(&f);
	finish_keys(&f);
	finish_pid_file(&f, basename);
	c->host = strdup(uname(&un) == 0 ? un.nodename : "localhost");
	if (c->host == NULL)
		config_out_of_memory(&f);
	if (state != NULL) {
		c->pid_file_set = option_set_where(state, "pid_file") != NULL;
		check_rest(&f);
	}
	return f.bad ? -1 : 0;
}
