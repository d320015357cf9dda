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
	};
}

static void
listener_add(struct config_finish *f, const char *option,
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
		.protocol = protocol,
		.addr = *addr,
		.any_family = any,
	};
	listener_settings(c, l);
	if ((any ? asprintf(&l->text, "%s://*:%u", protocol->name, addr->port)
		 : asprintf(&l->text, "%s://%s", protocol->name, text)) == -1) {
		l->text = NULL;
		config_out_of_memory(f);
		return;
	}
	c->listener_count++;
}

static void
listener_resolve(struct config_finish *f, const char *option,
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
		config_out_of_memory(f);
		return;
	}
	error = getaddrinfo(name, NULL, &hints, &list);
	if (error != 0)
		config_complain(f, option, "%s: %s", name,
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
listener_place(struct config_finish *f, const char *option,
    const struct protocol *protocol, struct slice place, uint16_t port)
{
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
		listener_add(f, option, protocol, &addr, true);
		return;
	}
	if (addr_parse_ip(host, &addr) == 0) {
		addr.port = port;
		listener_add(f, option, protocol, &addr, false);
	} else if (f->state == NULL || f->c->no_lookup) {
		config_complain(
		    f, option, "%.*s: not an IP address", (int)host.n, host.p);
	} else {
		listener_resolve(f, option, protocol, host, port);
	}
}

static const struct protocol *
find_protocol(struct config_finish *f, const char *option, struct slice name)
{
	const struct protocol *protocol;
	bool tls = false;

	protocol = protocol_find(name, &tls);
	if (protocol == NULL && slice_caseeq(name, SLICE("managesieve")))
		config_complain(
		    f, option, "ManageSieve is not part of this build");
	else if (protocol == NULL)
		config_complain(f, option,
		    "%.*s: not a protocol; POP3 and IMAP4 are", (int)name.n,
		    name.p);
	else if (tls)
		config_complain(f, option,
		    "%.*s: TLS is not part of this build; use %s", (int)name.n,
		    name.p, protocol->label);
	return tls ? NULL : protocol;
}

static void
listener_url(struct config_finish *f, const char *url)
{
	struct slice rest = slice_str(url);
	struct slice name;
	const struct protocol *protocol;

	if (!slice_cut(&rest, ':', &name) || !slice_starts(rest, SLICE("//"))) {
		config_complain(
		    f, "listen", "%s: not PROTOCOL://ADDR[:PORT]", url);
		return;
	}
	rest = slice_skip(rest, 2);
	if (rest.n > 0 && rest.p[rest.n - 1] == '/')
		rest.n--;
	protocol = find_protocol(f, "listen", name);
	if (protocol != NULL)
		listener_place(f, "listen", protocol, rest, protocol->port);
}

void
config_finish_listeners(struct config_finish *f)
{
	struct config *c = f->c;
	const struct protocol *protocol;
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
	if (c->listen.n > 0)
		return;
	protocol = find_protocol(f, "protocol", slice_str(c->protocol));
	if (protocol == NULL)
		return;
	port = protocol->port;
	if (c->listen_port[0] != '\0' &&
	    config_parse_port(
		f, "listen_port", slice_str(c->listen_port), &port) == -1)
		return;
	if (rest.n == 0)
		listener_place(f, "bind_address", protocol, SLICE("*"), port);
	while (rest.n > 0) {
		slice_cut(&rest, ',', &place);
		listener_place(f, "bind_address", protocol, place, port);
	}
}
