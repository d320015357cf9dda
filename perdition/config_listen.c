/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_listen - the listeners of a configuration, from listen or from
 * protocol, bind_address and listen_port.
 *
 * Names are resolved here, in the master, and nowhere else, so that all roles
 * have the same listeners.
 */
#include "config.h"

#include "perdition/config_private.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

#include "common/banned.h"

#define LISTENERS_MAX 256

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
		.starttls =
		    l->tls == TLS_STARTTLS || l->tls == TLS_STARTTLS_OPTIONAL,
		.need_tls = l->tls == TLS_STARTTLS,
	};
}

/* Whom a listener serves, and how; the same for all addresses of a name. */
struct listener_kind {
	const char *option; /* that asked for it, for messages */
	const struct protocol *protocol;
	enum tls_mode tls;
	enum client_cert_mode client_cert;
	bool named; /* implicit by the protocol's name */
};

/* As listen takes it, so that roles get the same listeners. */
static char *
listener_text(const struct config *c, const struct listener_config *l)
{
	char where[ADDR_TEXT_MAX], mode[64] = "", *text;

	addr_write_port(&l->addr, where);
	if (l->any_family)
		snprintf(where, sizeof(where), "*:%u", l->addr.port);
	if (l->tls != c->listen_mode || l->client_cert != c->ssl_client_cert)
		snprintf(mode, sizeof(mode), "?tls=%s&client_cert=%s",
		    tls_mode_name(l->tls),
		    config_client_certs[l->client_cert].name);
	if (asprintf(&text, "%s://%s%s", l->protocol->name, where, mode) == -1)
		return NULL;
	return text;
}

static void
listener_add(struct config_finish *f, const struct listener_kind *kind,
    const struct addr *addr, bool any)
{
	const char *option = kind->option;
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
			config_complain(f, option, "%s is there twice", text);
			return;
		}
	}
	if (c->listener_count == LISTENERS_MAX) {
		config_complain(
		    f, option, "more than %d addresses", LISTENERS_MAX);
		return;
	}
	l = reallocarray(c->listeners, c->listener_count + 1, sizeof(*l));
	if (l == NULL) {
		config_out_of_memory(f);
		return;
	}
	c->listeners = l;
	l += c->listener_count;
	*l = (struct listener_config){
		.protocol = kind->protocol,
		.tls = kind->tls,
		.client_cert = kind->client_cert,
		.addr = *addr,
		.any_family = any,
	};
	listener_settings(c, l);
	l->text = listener_text(c, l);
	if (l->text == NULL) {
		config_out_of_memory(f);
		return;
	}
	c->listener_count++;
	c->listen_tls = c->listen_tls || l->tls != TLS_NONE;
	c->listen_client_certs =
	    c->listen_client_certs || l->client_cert != CLIENT_CERT_NONE;
}

static void
listener_resolve(struct config_finish *f, const struct listener_kind *kind,
    struct slice host, uint16_t port)
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
		config_out_of_memory(f);
		return;
	}
	error = getaddrinfo(name, NULL, &hints, &list);
	if (error != 0)
		config_complain(f, kind->option, "%s: %s", name,
		    error == EAI_SYSTEM ? strerror(errno)
					: gai_strerror(error));
	for (ai = list; ai != NULL; ai = ai->ai_next) {
		if (addr_from_sockaddr(&addr, ai->ai_addr) == -1)
			continue;
		addr.port = port;
		listener_add(f, kind, &addr, false);
	}
	if (list != NULL)
		freeaddrinfo(list);
	free(name);
}

/* One address to listen on; port_text is what port stands for when place has
 * none of its own. */
static void
listener_place(struct config_finish *f, const struct listener_kind *kind,
    struct slice place, uint16_t port)
{
	const char *option = kind->option;
	struct addr addr = { .port = 0 };
	struct slice host;
	struct slice text;

	if (!config_split_port(place, &host, &text)) {
		config_complain(f, option, "%.*s: not ADDR or ADDR:PORT",
		    (int)place.n, place.p);
		return;
	}
	if (text.n > 0 && config_parse_port(f, option, text, &port) == -1)
		return;
	addr.port = port;
	if (slice_eq(host, SLICE("*"))) {
		listener_add(f, kind, &addr, true);
		return;
	}
	if (addr_parse_ip(host, &addr) == 0) {
		addr.port = port;
		listener_add(f, kind, &addr, false);
	} else if (f->state == NULL || f->c->no_lookup) {
		config_complain(
		    f, option, "%.*s: not an IP address", (int)host.n, host.p);
	} else {
		listener_resolve(f, kind, host, port);
	}
}

/* Sets protocol and, where its name says so, mode.  0, or -1 complained of. */
static int
find_protocol(
    struct config_finish *f, struct listener_kind *kind, struct slice name)
{
	bool tls = false;

	kind->protocol = protocol_find(name, &tls);
	if (kind->protocol == NULL) {
		config_complain(f, kind->option,
		    slice_caseeq(name, SLICE("managesieve"))
			? "%.*s: ManageSieve is not part of this build"
			: "%.*s: not a protocol; POP3, POP3S, IMAP4 and "
			  "IMAP4S are",
		    (int)name.n, name.p);
		return -1;
	}
	kind->named = tls;
	if (tls)
		kind->tls = TLS_IMPLICIT;
	return 0;
}

static uint16_t
usual_port(const struct listener_kind *kind)
{
	return kind->tls == TLS_IMPLICIT ? kind->protocol->tls_port
					 : kind->protocol->port;
}

static bool
find_client_cert(struct slice word, enum client_cert_mode *mode)
{
	for (size_t i = 0; config_client_certs[i].name != NULL; i++)
		if (slice_caseeq(
			word, slice_str(config_client_certs[i].name))) {
			*mode =
			    (enum client_cert_mode)config_client_certs[i].value;
			return true;
		}
	return false;
}

/* What stands behind the question mark.  0, or -1 complained of. */
static int
listener_query(
    struct config_finish *f, struct listener_kind *kind, struct slice query)
{
	struct slice item, key;

	while (query.n > 0) {
		slice_cut(&query, '&', &item);
		slice_cut(&item, '=', &key);
		if (slice_eq(key, SLICE("tls")) &&
		    tls_mode_find(item, &kind->tls)) {
			if (!kind->named || kind->tls == TLS_IMPLICIT)
				continue;
			config_complain(f, kind->option,
			    "tls=%.*s: the protocol's name says implicit",
			    (int)item.n, item.p);
			return -1;
		}
		if (slice_eq(key, SLICE("client_cert")) &&
		    find_client_cert(item, &kind->client_cert))
			continue;
		config_complain(f, kind->option,
		    "%.*s=%.*s: not tls=none, starttls_optional, starttls or "
		    "implicit, nor client_cert=none, optional or required",
		    (int)key.n, key.p, (int)item.n, item.p);
		return -1;
	}
	return 0;
}

static void
listener_url(struct config_finish *f, const char *url)
{
	struct listener_kind kind = { .option = "listen",
		.tls = f->c->listen_mode,
		.client_cert = (enum client_cert_mode)f->c->ssl_client_cert };
	struct slice rest = slice_str(url);
	struct slice name, place;

	if (!slice_cut(&rest, ':', &name) || !slice_starts(rest, SLICE("//"))) {
		config_complain(f, "listen",
		    "%s: not PROTOCOL://ADDR[:PORT][?tls=MODE]", url);
		return;
	}
	rest = slice_skip(rest, 2);
	slice_cut(&rest, '?', &place);
	if (place.n > 0 && place.p[place.n - 1] == '/')
		place.n--;
	if (find_protocol(f, &kind, name) == -1 ||
	    listener_query(f, &kind, rest) == -1)
		return;
	listener_place(f, &kind, place, usual_port(&kind));
}

void
config_finish_listeners(struct config_finish *f)
{
	struct config *c = f->c;
	struct listener_kind kind = { .option = "protocol",
		.tls = c->listen_mode,
		.client_cert = (enum client_cert_mode)c->ssl_client_cert };
	struct slice rest = slice_str(c->bind_address);
	struct slice place;
	uint16_t port;
	size_t i;

	for (i = 0; i < c->listen.n; i++) {
		f->nth = i;
		listener_url(f, c->listen.v[i]);
	}
	f->nth = 0;
	if (c->listen.n > 0 && c->bind_address[0] != '\0')
		config_complain(f, "bind_address",
		    "cannot go with listen, which has addresses of its own");
	if (c->listen.n > 0 && c->listen_port[0] != '\0')
		config_complain(f, "listen_port",
		    "cannot go with listen, which has ports of its own");
	if (c->listen.n > 0 ||
	    find_protocol(f, &kind, slice_str(c->protocol)) == -1)
		return;
	port = usual_port(&kind);
	kind.option = "bind_address";
	if (c->listen_port[0] != '\0' &&
	    config_parse_port(
		f, "listen_port", slice_str(c->listen_port), &port) == -1)
		return;
	if (rest.n == 0)
		listener_place(f, &kind, SLICE("*"), port);
	while (rest.n > 0) {
		slice_cut(&rest, ',', &place);
		listener_place(f, &kind, place, port);
	}
}
