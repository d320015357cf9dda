/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_finish - from options' texts to what the roles work with:
 * listeners, real-servers, query keys.
 *
 * All that is wrong is found in one go.  Names are resolved here, in the
 * master, and nowhere else, so that all roles have the same listeners.
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

#define LISTENERS_MAX 256
#define SERVERS_MAX 1024
#define KEYS_MAX 16
#define PLACEHOLDER "<basename>"

struct finish {
	struct config *c;
	const struct option_state *state; /* NULL in a role */
	struct option_problems *problems;
	bool bad;
};

static void complain(struct finish *f, const char *option, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
complain(struct finish *f, const char *option, const char *fmt, ...)
{
	const char *where = NULL;
	char text[512];
	va_list ap;

	if (f->state != NULL)
		where = option_set_where(f->state, option);
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

static void
out_of_memory(struct finish *f)
{
	option_problems_add(f->problems, "out of memory");
	f->bad = true;
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT or IPV6; port empty when not given. */
static bool
split_port(struct slice s, struct slice *host, struct slice *port)
{
	struct slice rest = s;

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
		return true;
	}
	*port = rest;
	return host->n > 0 && port->n > 0;
}

static int
parse_port(struct finish *f, const char *option, struct slice s, uint16_t *port)
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
		complain(f, option,
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
listener_settings(const struct config *c, struct listener_config *l)
{
	const char *own = NULL;

	if (strcmp(l->protocol->name, "imap4") == 0)
		own = c->imap_capability;
	else if (strcmp(l->protocol->name, "pop3") == 0)
		own = c->pop_capability;
	else if (strcmp(l->protocol->name, "managesieve") == 0)
		own = c->managesieve_capability;
	l->settings = (struct protocol_settings){
		.capability =
		    own != NULL && own[0] != '\0' ? own : c->capability,
		.ok_line = c->ok_line,
		.server_resp_line = c->server_resp_line,
		.login_disabled = c->login_disabled,
	};
}

static void
listener_add(struct finish *f, const char *option,
    const struct protocol *protocol, const struct addr *addr, bool any)
{
	struct config *c = f->c;
	struct listener_config *l;
	char text[ADDR_TEXT_MAX];
	size_t i;

	addr_write_port(addr, text);
	for (i = 0; i < c->listener_count; i++) {
		l = &c->listeners[i];
		if (addr->port != 0 && l->addr.port == addr->port &&
		    addr_same_ip(&l->addr, addr) &&
		    l->addr.scope == addr->scope) {
			complain(f, option, "%s is there twice", text);
			return;
		}
	}
	if (c->listener_count == LISTENERS_MAX) {
		complain(f, option, "more than %d addresses", LISTENERS_MAX);
		return;
	}
	l = reallocarray(c->listeners, c->listener_count + 1, sizeof(*l));
	if (l == NULL) {
		out_of_memory(f);
		return;
	}
	c->listeners = l;
	l += c->listener_count;
	*l = (struct listener_config){
		.protocol = protocol,
		.addr = *addr,
		.any_family = any,
	};
	listener_settings(c, l);
	if ((any ? asprintf(&l->text, "%s://*:%u", protocol->name, addr->port)
		 : asprintf(&l->text, "%s://%s", protocol->name, text)) == -1) {
		l->text = NULL;
		out_of_memory(f);
		return;
	}
	c->listener_count++;
}

static void
listener_resolve(struct finish *f, const char *option,
    const struct protocol *protocol, struct slice host, uint16_t port)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	struct addrinfo *ai;
	struct addr addr;
	char *name;
	int error;

	name = slice_dup(host);
	if (name == NULL) {
		out_of_memory(f);
		return;
	}
	error = getaddrinfo(name, NULL, &hints, &list);
	if (error != 0)
		complain(f, option, "%s: %s", name,
		    error == EAI_SYSTEM ? strerror(errno)
					: gai_strerror(error));
	for (ai = list; ai != NULL; ai = ai->ai_next) {
		if (addr_from_sockaddr(&addr, ai->ai_addr) == -1)
			continue;
		addr.port = port;
		listener_add(f, option, protocol, &addr, false);
	}
	if (list != NULL)
		freeaddrinfo(list);
	free(name);
}

/* One address to listen on; port_text is what port stands for when place has
 * none of its own. */
static void
listener_place(struct finish *f, const char *option,
    const struct protocol *protocol, struct slice place, uint16_t port)
{
	struct addr addr = { .port = 0 };
	struct slice host;
	struct slice text;

	if (!split_port(place, &host, &text)) {
		complain(f, option, "%.*s: not ADDR or ADDR:PORT", (int)place.n,
		    place.p);
		return;
	}
	if (text.n > 0 && parse_port(f, option, text, &port) == -1)
		return;
	addr.port = port;
	if (slice_eq(host, SLICE("*"))) {
		listener_add(f, option, protocol, &addr, true);
		return;
	}
	if (addr_parse_ip(host, &addr) == 0) {
		addr.port = port;
		listener_add(f, option, protocol, &addr, false);
	} else if (f->state == NULL || f->c->no_lookup) {
		complain(
		    f, option, "%.*s: not an IP address", (int)host.n, host.p);
	} else {
		listener_resolve(f, option, protocol, host, port);
	}
}

static const struct protocol *
find_protocol(struct finish *f, const char *option, struct slice name)
{
	const struct protocol *protocol;
	bool tls = false;

	protocol = protocol_find(name, &tls);
	if (protocol == NULL && slice_caseeq(name, SLICE("managesieve")))
		complain(f, option, "ManageSieve is not part of this build");
	else if (protocol == NULL)
		complain(f, option, "%.*s: not a protocol; POP3 and IMAP4 are",
		    (int)name.n, name.p);
	else if (tls)
		complain(f, option,
		    "%.*s: TLS is not part of this build; use %s", (int)name.n,
		    name.p, protocol->label);
	return tls ? NULL : protocol;
}

static void
listener_url(struct finish *f, const char *url)
{
	struct slice rest = slice_str(url);
	struct slice name;
	const struct protocol *protocol;

	if (!slice_cut(&rest, ':', &name) || !slice_starts(rest, SLICE("//"))) {
		complain(f, "listen", "%s: not PROTOCOL://ADDR[:PORT]", url);
		return;
	}
	rest = slice_skip(rest, 2);
	if (rest.n > 0 && rest.p[rest.n - 1] == '/')
		rest.n--;
	protocol = find_protocol(f, "listen", name);
	if (protocol != NULL)
		listener_place(f, "listen", protocol, rest, protocol->port);
}

static void
finish_listeners(struct finish *f)
{
	struct config *c = f->c;
	const struct protocol *protocol;
	struct slice rest = slice_str(c->bind_address);
	struct slice place;
	uint16_t port;
	size_t i;

	for (i = 0; i < c->listen.n; i++)
		listener_url(f, c->listen.v[i]);
	if (c->listen.n > 0 && c->bind_address[0] != '\0')
		complain(f, "bind_address",
		    "cannot go with listen, which has addresses of its own");
	if (c->listen.n > 0 && c->listen_port[0] != '\0')
		complain(f, "listen_port",
		    "cannot go with listen, which has ports of its own");
	if (c->listen.n > 0)
		return;
	protocol = find_protocol(f, "protocol", slice_str(c->protocol));
	if (protocol == NULL)
		return;
	port = protocol->port;
	if (c->listen_port[0] != '\0' &&
	    parse_port(f, "listen_port", slice_str(c->listen_port), &port) ==
		-1)
		return;
	if (rest.n == 0)
		listener_place(f, "bind_address", protocol, SLICE("*"), port);
	while (rest.n > 0) {
		slice_cut(&rest, ',', &place);
		listener_place(f, "bind_address", protocol, place, port);
	}
}

static void
server_add(struct finish *f, struct slice text)
{
	struct config *c = f->c;
	struct server_config *s;
	struct slice host;
	struct slice port;
	struct addr addr;
	uint16_t number = 0;

	if (!split_port(text, &host, &port) || host.n > 255) {
		complain(f, "outgoing_server",
		    "%.*s: not SERVER or SERVER:PORT", (int)text.n, text.p);
		return;
	}
	if (port.n > 0 && parse_port(f, "outgoing_server", port, &number) == -1)
		return;
	if (c->no_lookup && addr_parse_ip(host, &addr) == -1) {
		complain(f, "outgoing_server",
		    "%.*s: with no_lookup it must be an IP address",
		    (int)host.n, host.p);
		return;
	}
	if (c->server_count == SERVERS_MAX) {
		complain(f, "outgoing_server", "more than %d", SERVERS_MAX);
		return;
	}
	s = reallocarray(c->servers, c->server_count + 1, sizeof(*s));
	if (s == NULL) {
		out_of_memory(f);
		return;
	}
	c->servers = s;
	s += c->server_count;
	s->host = slice_dup(host);
	s->port = number;
	if (s->host == NULL)
		out_of_memory(f);
	else
		c->server_count++;
}

static void
finish_servers(struct finish *f)
{
	struct slice rest = slice_str(f->c->outgoing_server);
	struct slice text;

	if (f->c->outgoing_port[0] != '\0')
		parse_port(f, "outgoing_port", slice_str(f->c->outgoing_port),
		    &f->c->out_port);
	while (rest.n > 0) {
		slice_cut(&rest, ',', &text);
		server_add(f, text);
	}
}

static void
check_key(struct finish *f, const char *key)
{
	const char *p;

	if (key[0] == '\0')
		complain(f, "query_key", "an empty format");
	for (p = key; *p != '\0'; p++) {
		if (*p != '\\')
			continue;
		p++;
		if (*p != '\0' && strchr("UuDdiIpP\\", *p) != NULL)
			continue;
		complain(f, "query_key",
		    "%s: behind a backslash stands one of U u D d i p I P and "
		    "the backslash",
		    key);
		return;
	}
}

static void
finish_keys(struct finish *f)
{
	struct slice rest = slice_str(f->c->query_key);
	struct slice key;
	size_t n = 0;

	if (rest.n == 0)
		return;
	f->c->query_keys = calloc(KEYS_MAX + 1, sizeof(char *));
	if (f->c->query_keys == NULL) {
		out_of_memory(f);
		return;
	}
	while (rest.n > 0 && n < KEYS_MAX) {
		slice_cut(&rest, ',', &key);
		f->c->query_keys[n] = slice_dup(key);
		if (f->c->query_keys[n] == NULL) {
			out_of_memory(f);
			return;
		}
		check_key(f, f->c->query_keys[n++]);
	}
	if (rest.n > 0)
		complain(f, "query_key", "more than %d formats", KEYS_MAX);
}

static void
finish_pid_file(struct finish *f, const char *basename)
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
		out_of_memory(f);
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
		out_of_memory(f);
		return;
	}
	free(f->c->pid_file);
	f->c->pid_file = out;
}

/* Of the TLS options, those at their defaults do no harm: old files often
 * spell them out.  What would change something must not be passed over. */
static void
refuse_tls(struct finish *f)
{
	const struct option_def *def;
	struct option_state *state;
	struct config dflt;
	char have[1024];
	char want[1024];

	state = option_state_create(&config_options, &dflt);
	if (state == NULL || option_apply_defaults(state, f->problems) == -1) {
		option_state_destroy(&state);
		out_of_memory(f);
		return;
	}
	for (def = config_options.defs; def->name != NULL; def++) {
		const char *value = (const char *)f->c + def->offset;
		const char *usual = (const char *)&dflt + def->offset;

		if (strncmp(def->name, "ssl_", 4) != 0 ||
		    option_set_where(f->state, def->name) == NULL ||
		    strstr(def->name, "_compression") != NULL)
			continue;
		if (def->type->print(def, value, 0, have, sizeof(have)) == -1)
			have[0] = '\0';
		if (def->type->print(def, usual, 0, want, sizeof(want)) == -1)
			want[0] = '\0';
		if (strcmp(have, want) != 0)
			complain(f, def->name,
			    "TLS is not part of this build; remove the option");
	}
	option_state_destroy(&state);
	option_clear(&config_options, &dflt);
}

static void
check_ids(struct finish *f)
{
	if (geteuid() != 0)
		return;
	if (getpwnam(f->c->username) == NULL)
		complain(
		    f, "username", "%s: there is no such user", f->c->username);
	if (getgrnam(f->c->group) == NULL)
		complain(f, "group", "%s: there is no such group", f->c->group);
}

static void
check_log(struct finish *f)
{
	const char *facility = f->c->log_facility;
	struct logdest *dest;
	struct err err;

	if (facility[0] == '/' || logdest_is_stdio(facility))
		return;
	dest = logdest_open(facility,
	    f->c->syslog_socket[0] == '\0' ? NULL : f->c->syslog_socket, &err);
	if (dest == NULL)
		complain(f, "log_facility", "%s", err.msg);
	logdest_close(&dest);
}

static void
check_rest(struct finish *f)
{
	if (f->c->authenticate_in)
		complain(f, "authenticate_in",
		    "PAM is not part of this build; remove the option");
	if (f->c->auth_socket[0] != '\0' && f->c->auth_socket[0] != '/')
		complain(f, "auth_socket", "%s: not an absolute path",
		    f->c->auth_socket);
	refuse_tls(f);
	check_ids(f);
	check_log(f);
}

int
config_finish(struct config *c, const struct option_state *state,
    const char *basename, struct option_problems *problems)
{
	struct finish f = { .c = c, .state = state, .problems = problems };
	struct utsname un;

	if (c->domain_delimiter[0] == '\0')
		complain(&f, "domain_delimiter", "must not be empty");
	finish_listeners(&f);
	finish_servers(&f);
	finish_keys(&f);
	finish_pid_file(&f, basename);
	c->host = strdup(uname(&un) == 0 ? un.nodename : "localhost");
	if (c->host == NULL)
		out_of_memory(&f);
	if (state != NULL) {
		c->pid_file_set = option_set_where(state, "pid_file") != NULL;
		check_rest(&f);
	}
	return f.bad ? -1 : 0;
}
