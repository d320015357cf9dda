/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * route - see route.h.
 */
#include "config.h"

#include "perdition/route.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/log.h"
#include "perdition/lookup.h"
#include "perdition/role.h"
#include "perdition/username.h"

#include "common/banned.h"

#define QUOTED_MAX (4 * AUTH_USER_MAX + 4 * LOOKUP_DOMAIN_MAX + 3)

struct route {
	const struct config *config;
	FILE *out;
	unsigned int asked; /* questions to maps */
	char map[64];       /* the map that had an answer; "" for none */
	struct lookup_question question;
	struct lookup_answer answer;
};

static const char *
quoted(struct slice s, char mem[QUOTED_MAX])
{
	long n = log_quote(s, mem, QUOTED_MAX - 1);

	mem[n < 0 ? 0 : n] = '\0';
	return mem;
}

/* --- the connection ----------------------------------------------------- */

/* 0.0.0.0 or :: */
static bool
is_any(const struct addr *a)
{
	struct addr none = { .port = 0 };

	return addr_same_ip(a, &none) ||
	       (addr_is_v4(a) && addr_parse_ip(SLICE("0.0.0.0"), &none) == 0 &&
		   addr_same_ip(a, &none));
}

/* The listener that a connection to this address and port arrives at. */
static size_t
find_listener(const struct config *c, const struct addr *to)
{
	for (size_t i = 0; i < c->listener_count; i++) {
		const struct listener_config *l = &c->listeners[i];

		if (l->addr.port == to->port &&
		    (l->any_family || is_any(&l->addr) ||
			addr_same_ip(&l->addr, to)))
			return i;
	}
	return c->listener_count;
}

static int
read_address(
    const char *option, const char *text, uint16_t port, struct addr *out)
{
	if (addr_parse(slice_str(text), true, out) == 0)
		return 0;
	if (addr_parse_ip(slice_str(text), out) == 0) {
		out->port = port;
		return 0;
	}
	fprintf(stderr, "perdition: %s: %s: not an address, or ADDRESS:PORT\n",
	    option, text);
	return EX_USAGE;
}

static int
read_question(struct route *r)
{
	const struct config *c = r->config;
	struct lookup_question *q = &r->question;
	struct slice user = slice_str(c->route);
	const struct listener_config *first = &c->listeners[0];

	if (user.n > sizeof(q->user)) {
		fprintf(stderr, "perdition: --route: at most %zu bytes\n",
		    sizeof(q->user));
		return EX_USAGE;
	}
	q->user_len = user.n;
	memcpy(q->user, user.p, user.n);
	q->local = first->addr;
	if (read_address("--from",
		c->route_from[0] == '\0' ? "127.0.0.1" : c->route_from, 0,
		&q->client) != 0)
		return EX_USAGE;
	if (c->route_to[0] != '\0' &&
	    read_address("--to", c->route_to, first->addr.port, &q->local) != 0)
		return EX_USAGE;
	q->listener = (uint16_t)find_listener(c, &q->local);
	if (q->listener == c->listener_count) {
		fprintf(stderr, "perdition: --to %s: nothing listens there\n",
		    c->route_to);
		return EX_USAGE;
	}
	q->client_tls = c->listeners[q->listener].tls == TLS_IMPLICIT;
	return 0;
}

/* --- what is shown ------------------------------------------------------ */

static void
show_connection(const struct route *r)
{
	const struct listener_config *l =
	    &r->config->listeners[r->question.listener];
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], mem[QUOTED_MAX];

	addr_write_port(&r->question.client, from);
	addr_write_port(&r->question.local, to);
	fprintf(r->out, "%-12s %s\n", "user",
	    quoted(slice_make(r->question.user, r->question.user_len), mem));
	fprintf(r->out, "%-12s from %s to %s, %s, TLS %s\n", "connection", from,
	    to, l->protocol->name, tls_mode_name(l->tls));
}

static void
show_name(const struct route *r, const char *label, enum name_state state,
    struct slice user)
{
	char name[AUTH_USER_MAX + LOOKUP_DOMAIN_MAX], mem[QUOTED_MAX];
	long n = username_rewrite(
	    r->config, state, user, r->answer.domain, name, sizeof(name));

	fprintf(r->out, "%-12s %s: %s\n", "name", label,
	    n < 0 ? "too long" : quoted(slice_make(name, (size_t)n), mem));
}

static void
show_names(const struct route *r)
{
	const struct lookup_answer *a = &r->answer;
	struct slice sent = slice_make(r->question.user, r->question.user_len);

	if (a->domain[0] != '\0')
		fprintf(r->out, "%-12s %s, from the local address\n", "domain",
		    a->domain);
	show_name(r, "servername_lookup", NAME_SERVERNAME_LOOKUP, sent);
	show_name(r, "local_authentication", NAME_LOCAL_AUTHENTICATION, sent);
	show_name(r, "remote_login", NAME_REMOTE_LOGIN,
	    a->has_user ? slice_make(a->user, a->user_len) : sent);
}

static void
show_servers_text(struct route *r, const struct popmap_answer *a)
{
	char mem[4 * (POPMAP_USER_MAX + POPMAP_SERVER_MAX) + 3];

	for (size_t i = 0; i < a->n; i++) {
		long n =
		    log_quote(slice_make(a->server[i].text, a->server[i].len),
			mem, sizeof(mem));

		fprintf(r->out, "%s%.*s", i == 0 ? "" : ", ", (int)n, mem);
	}
}

/* A map was asked for one key. */
static void
show_asked(void *arg, const char *map, struct popmap_text key, uint64_t took_ns,
    int result, const struct popmap_answer *a, const struct err *err)
{
	struct route *r = arg;
	char mem[QUOTED_MAX];

	r->asked++;
	fprintf(r->out, "%-12s %s, key %s, %.3f ms: ", "map", map,
	    quoted(slice_make(key.p, key.n), mem), (double)took_ns / 1e6);
	if (result == 1) {
		snprintf(r->map, sizeof(r->map), "%s", map);
		show_servers_text(r, a);
		if (a->ttl == POPMAP_TTL_NONE)
			fprintf(r->out, ", not to be kept");
		else if (a->ttl > 0)
			fprintf(r->out, ", for %" PRIu32 " s", a->ttl);
		fputc('\n', r->out);
	} else {
		fprintf(r->out, "%s\n", result == 0 ? "not found" : err->msg);
	}
}

static void
show_candidates(const struct route *r)
{
	const struct lookup_answer *a = &r->answer;

	for (size_t i = 0; i < a->n; i++) {
		const struct lookup_candidate *c = &a->candidate[i];
		char where[ADDR_TEXT_MAX];

		addr_write_port(&c->addr, where);
		fprintf(r->out, "%-12s %s (%s), TLS %s\n",
		    i == 0 && !a->defaults ? "server" : "or server", where,
		    c->host, tls_mode_name(c->tls));
	}
}

static void
show_reason(const struct route *r)
{
	const struct lookup_answer *a = &r->answer;

	fprintf(r->out, "%-12s ", "because");
	if (a->status == LOOKUP_NONE || a->status == LOOKUP_DENIED ||
	    a->status == LOOKUP_FAILED)
		fprintf(r->out, "%s\n", a->text);
	else if (a->defaults && r->asked == 0)
		fprintf(r->out, "there is no map: outgoing_server, in turn\n");
	else if (a->defaults)
		fprintf(r->out, "no map has such a user: outgoing_server, in "
				"turn\n");
	else if (r->map[0] == '\0')
		fprintf(
		    r->out, "the user says so (client_server_specification)\n");
	else
		fprintf(r->out, "map %s says so%s\n", r->map,
		    a->n > 1 ? "; the others when it cannot be reached" : "");
}

static int
show_result(const struct route *r)
{
	static const struct {
		const char *text;
		int status;
	} ends[] = {
		[LOOKUP_FOUND] = { NULL, 0 },
		[LOOKUP_NONE] = { "none", EX_NOUSER },
		[LOOKUP_FAILED] = { "none: temporary failure", EX_TEMPFAIL },
		[LOOKUP_DENIED] = { "none: refused", EX_DATAERR },
	};

	show_names(r);
	show_candidates(r);
	if (ends[r->answer.status].text != NULL)
		fprintf(r->out, "%-12s %s\n", "server",
		    ends[r->answer.status].text);
	show_reason(r);
	return ends[r->answer.status].status;
}

int
route_show(const struct config *c, FILE *out)
{
	struct route *r = calloc(1, sizeof(*r));
	const struct maps_trace trace = { show_asked, r };
	const struct lookup_settings set = {
		.config = c, .epoll = -1, .trace = &trace
	};
	struct resolve_when when = { .waiter = NULL };
	struct lookup *lookup = NULL;
	struct timespec t;
	struct err err;
	int status = EX_OSERR;

	if (r == NULL)
		return status;
	r->config = c;
	r->out = out;
	status = read_question(r);
	if (status != 0)
		goto out;
	if (role_drop(ROLE_LOOKUP, c, &err) == -1 ||
	    lookup_open(&lookup, &set, &err) == -1) {
		fprintf(stderr, "perdition: %s\n", err.msg);
		status = role_exit_status(&err);
		goto out;
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	when.now_ms = (uint64_t)t.tv_sec * 1000;
	show_connection(r);
	lookup_ask(lookup, &r->question, &when, &r->answer);
	status = show_result(r);
out:
	lookup_close(&lookup);
	free(r);
	return status;
}
