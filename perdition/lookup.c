/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup - see lookup.h.
 */
#include "config.h"

#include "perdition/lookup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "perdition/popmap_answer.h"
#include "perdition/query_key.h"
#include "perdition/username.h"

#include "common/banned.h"

struct lookup {
	const struct config *config;
	struct resolver *resolver;
	struct maps *maps;          /* none in it: no popmap */
	uint64_t replies;           /* of both of them */
	struct popmap_answer found; /* too large for a stack */
};

/* One question on its way. */
struct ask {
	struct lookup *l;
	const struct lookup_question *q;
	struct lookup_answer *a;
	const struct resolve_when *when;
	bool waits;     /* for what is on its way; then nothing else counts */
	struct err why; /* of the last candidate that did not work out */
};

static void fail(struct ask *, enum lookup_status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
fail(struct ask *k, enum lookup_status status, const char *fmt, ...)
{
	va_list ap;

	k->a->status = status;
	k->a->n = 0;
	k->a->has_user = false;
	k->a->user_len = 0;
	k->a->defaults = false;
	va_start(ap, fmt);
	if (vsnprintf(k->a->text, sizeof(k->a->text), fmt, ap) < 0)
		k->a->text[0] = '\0';
	va_end(ap);
}

static struct slice
user_of(const struct ask *k)
{
	return slice_make(k->q->user, k->q->user_len);
}

static const struct protocol *
protocol_of(const struct ask *k)
{
	return k->l->config->listeners[k->q->listener].protocol;
}

static uint16_t
default_port(const struct ask *k, const struct server_url *url)
{
	const struct config *c = k->l->config;

	return server_url_port(url, server_url_mode(url, c->outgoing_tls),
	    protocol_of(k), c->out_port);
}

/*
 * Appends the addresses of one real-server, at most max.  port: 0 for what url
 * says.  1; or 0, -1 as resolve_host() with k->why set and nothing appended,
 * also when that is on its way.
 */
static int
add_host(struct ask *k, struct slice host, uint16_t port,
    const struct server_url *url, size_t max)
{
	struct lookup_answer *a = k->a;
	struct addr addrs[RESOLVE_ADDRS_MAX];
	size_t room = LOOKUP_CANDIDATES_MAX - a->n, n;
	int ret;

	if (url->protocol != NULL && url->protocol != protocol_of(k)) {
		err_set(&k->why, EINVAL, "%.*s: a server of %s only",
		    (int)host.n, host.p, url->protocol->label);
		return 0;
	}
	if (max > RESOLVE_ADDRS_MAX)
		max = RESOLVE_ADDRS_MAX;
	if (max > room)
		max = room;
	if (max == 0)
		return 1;
	if (host.n == 0 || host.n >= LOOKUP_HOST_MAX)
		return err_set(
		    &k->why, EINVAL, "a host name of %zu bytes", host.n);
	ret = resolve_host(
	    k->l->resolver, host, k->when, addrs, max, &n, &k->why);
	if (ret == RESOLVE_WAIT) {
		k->waits = true;
		return -1;
	}
	if (ret != 1)
		return ret;
	for (size_t i = 0; i < n; i++) {
		struct lookup_candidate *c = &a->candidate[a->n++];

		memset(c, 0, sizeof(*c));
		c->addr = addrs[i];
		c->addr.port = port != 0 ? port : default_port(k, url);
		c->tls = server_url_mode(url, k->l->config->outgoing_tls);
		memcpy(c->host, host.p, host.n);
		c->same = i > 0;
	}
	return 1;
}

/* The same for a parsed text. */
static int
add_server(struct ask *k, const struct popmap_server *s, size_t max)
{
	uint16_t port = 0;

	if (s->port.n > 0 &&
	    resolve_port(k->l->resolver, s->port, &port, &k->why) == -1)
		return 0;
	return add_host(k, s->host, port, &s->url, max);
}

static void
set_user(struct ask *k, struct slice user)
{
	k->a->has_user = true;
	k->a->user_len = user.n;
	if (user.n > 0)
		memcpy(k->a->user, user.p, user.n);
}

/* client_server_specification: user<delimiter>server[:port]. */
static void
use_specified(struct ask *k, struct slice user, struct slice text)
{
	struct popmap_server server;

	if (user.n == 0) {
		fail(k, LOOKUP_DENIED, "no user in front of the server");
		return;
	}
	if (popmap_answer_parse_server(text, &server, &k->why) == -1) {
		fail(k, LOOKUP_DENIED, "%.200s", k->why.msg);
		return;
	}
	switch (add_server(k, &server, RESOLVE_ADDRS_MAX)) {
	case 1:
		k->a->status = LOOKUP_FOUND;
		set_user(k, user);
		return;
	case 0:
		fail(k, LOOKUP_DENIED, "%.200s", k->why.msg);
		return;
	default:
		fail(k, LOOKUP_FAILED, "%.200s", k->why.msg);
	}
}

/* How many addresses each of count servers may have. */
static size_t
share(size_t count)
{
	return count >= LOOKUP_CANDIDATES_MAX ? 1
					      : LOOKUP_CANDIDATES_MAX / count;
}

static void
use_defaults(struct ask *k)
{
	const struct config *c = k->l->config;
	size_t count = c->server_count, first = 0;

	if (count == 0) {
		fail(k, LOOKUP_NONE, "no such user, and no outgoing_server");
		return;
	}
	err_set(&k->why, ENOENT, "no outgoing_server for this protocol");
	/* In turn, and for one question always the same. */
	if (count > LOOKUP_CANDIDATES_MAX)
		first = (size_t)(k->q->id >> 32) % count;
	for (size_t i = 0; i < count && k->a->n < LOOKUP_CANDIDATES_MAX; i++) {
		const struct server_config *s =
		    &c->servers[(first + i) % count];

		if (s->url.protocol != NULL &&
		    s->url.protocol != protocol_of(k))
			continue;
		if (add_host(k, slice_str(s->host), s->port, &s->url,
			share(count)) != 1 &&
		    !k->waits)
			log_event(LOG_WARNING, "outgoing-server-unresolved",
			    LOG_STR("why", k->why.msg));
	}
	if (k->a->n == 0) {
		fail(k, LOOKUP_FAILED, "%.200s", k->why.msg);
		return;
	}
	k->a->status = LOOKUP_FOUND;
	k->a->defaults = true;
}

/*
 * Only one user can be told to the real-server, so that of the first usable
 * candidate holds, and others that name another are left out.
 */
static bool
same_user(const struct ask *k, const struct popmap_server *s)
{
	if (!k->l->config->username_from_database || k->a->n == 0)
		return true;
	return k->a->has_user == s->has_user &&
	       slice_eq(slice_make(k->a->user, k->a->user_len), s->user);
}

/* One server of the map's answer; k->why tells why it was left out. */
static void
use_text(struct ask *k, struct slice text, size_t max)
{
	const struct config *c = k->l->config;
	struct popmap_server s;

	if (popmap_answer_parse(text, c->domain_delimiter, &s, &k->why) == -1)
		goto out;
	if (!same_user(k, &s)) {
		err_set(&k->why, EINVAL, "names another user");
		goto out;
	}
	if (add_server(k, &s, max) != 1)
		goto out;
	if (c->username_from_database && s.has_user)
		set_user(k, s.user);
	return;
out:
	if (k->waits)
		return;
	log_event(LOG_WARNING, "popmap-server-skipped",
	    LOG_SLICE("user", user_of(k)), LOG_SLICE("server", text),
	    LOG_STR("why", k->why.msg));
}

static void
use_found(struct ask *k)
{
	const struct popmap_answer *found = &k->l->found;

	for (size_t i = 0; i < found->n; i++)
		use_text(k,
		    slice_make(found->server[i].text, found->server[i].len),
		    share(found->n));
	if (k->a->n > 0)
		k->a->status = LOOKUP_FOUND;
	else
		fail(k, LOOKUP_FAILED, "%.200s", k->why.msg);
}

/* The keys to look for, in order, written one behind the other to mem. */
static size_t
make_keys(const struct ask *k, const struct query_key_values *values, char *mem,
    size_t cap, struct popmap_text *keys, size_t max)
{
	static char whole_name[] = "\\U";
	static char *const whole[] = { whole_name, NULL };
	const struct config *c = k->l->config;
	char *const *format = c->query_keys == NULL ? whole : c->query_keys;
	size_t n = 0, used = 0;

	for (; *format != NULL && n < max; format++) {
		size_t room =
		    cap - used < QUERY_KEY_MAX ? cap - used : QUERY_KEY_MAX;
		long len = query_key_expand(*format, values, mem + used, room);

		if (len == -1)
			continue; /* longer than what any map holds */
		keys[n++] = (struct popmap_text){ mem + used, (size_t)len };
		used += (size_t)len;
	}
	return n;
}

/* 1 with l->found filled, 0 no hit, -1 with k->why or k->waits. */
static int
ask_maps(struct ask *k, struct slice user)
{
	const struct config *c = k->l->config;
	struct query_key_values values = {
		.user = user,
		.delimiter = c->domain_delimiter,
		.client = &k->q->client,
		.local = &k->q->local,
	};
	const struct server_url usual = { .has_tls = false };
	struct sockaddr_storage client, local_addr;
	struct slice local, domain;
	struct popmap_query query = {
		.user = { user.p, user.n },
		.delimiter = c->domain_delimiter,
		.protocol = protocol_of(k)->name,
		.client_addr = (const struct sockaddr *)&client,
		.local_addr = (const struct sockaddr *)&local_addr,
		.client_tls = k->q->client_tls,
		.port = default_port(k, &usual),
	};
	struct popmap_text keys[CONFIG_QUERY_KEYS_MAX];
	char mem[CONFIG_QUERY_KEYS_MAX * QUERY_KEY_MAX];
	size_t n = make_keys(
	    k, &values, mem, sizeof(mem), keys, CONFIG_QUERY_KEYS_MAX);
	int ret;

	username_split(user, c->domain_delimiter, &local, &domain);
	query.local = (struct popmap_text){ local.p, local.n };
	query.domain = (struct popmap_text){ domain.p, domain.n };
	addr_to_sockaddr(&k->q->client, &client);
	addr_to_sockaddr(&k->q->local, &local_addr);
	ret = maps_ask(k->l->maps, &query, keys, n, k->when->now_ms,
	    k->when->since, k->when->waiter, &k->l->found, &k->why);
	if (ret != MAPS_WAIT)
		return ret;
	k->waits = true;
	return -1;
}

static void
use_popmap(struct ask *k)
{
	char user[AUTH_USER_MAX + LOOKUP_DOMAIN_MAX];
	long n = username_rewrite(k->l->config, NAME_SERVERNAME_LOOKUP,
	    user_of(k), k->a->domain, user, sizeof(user));

	if (n == -1) {
		fail(k, LOOKUP_NONE, "user's name too long");
		return;
	}
	switch (ask_maps(k, slice_make(user, (size_t)n))) {
	case 1:
		use_found(k);
		return;
	case 0:
		use_defaults(k);
		return;
	default:
		fail(k, LOOKUP_FAILED, "%.200s", k->why.msg);
	}
}

/* The domain for add_domain; false when the answer is complete: it failed. */
static bool
find_domain(struct ask *k)
{
	const struct config *c = k->l->config;

	if (c->add_domain == 0 ||
	    (c->explicit_domain != NULL && c->explicit_domain[0] != '\0'))
		return true;
	switch (resolve_domain(k->l->resolver, &k->q->local,
	    c->add_domain_depth, k->when, k->a->domain, &k->why)) {
	case RESOLVE_WAIT:
		k->waits = true;
		return false;
	case -1:
		break;
	default:
		return true;
	}
	/* Without the domain it would be another user's name. */
	fail(k, LOOKUP_FAILED, "%.200s", k->why.msg);
	return false;
}

bool
lookup_ask(struct lookup *l, const struct lookup_question *q,
    const struct resolve_when *when, struct lookup_answer *a)
{
	struct ask k = { .l = l, .q = q, .a = a, .when = when };
	struct slice user, server;

	/* Not the candidates, which are large; add_host() fills them. */
	memset(a, 0, offsetof(struct lookup_answer, candidate));
	a->id = q->id;
	if (!find_domain(&k))
		return !k.waits;
	if (l->config->client_server_specification &&
	    username_split(
		user_of(&k), l->config->domain_delimiter, &user, &server))
		use_specified(&k, user, server);
	else if (maps_count(l->maps) > 0)
		use_popmap(&k);
	else
		use_defaults(&k);
	return !k.waits;
}

uint64_t
lookup_replies(const struct lookup *l)
{
	return l->replies;
}

void
lookup_give_up(
    const struct lookup_question *q, const char *why, struct lookup_answer *a)
{
	struct ask k = { .q = q, .a = a };

	memset(a, 0, offsetof(struct lookup_answer, candidate));
	a->id = q->id;
	fail(&k, LOOKUP_FAILED, "%s", why);
}

void
lookup_tick(struct lookup *l, uint64_t now_ms)
{
	maps_tick(l->maps, now_ms);
	resolve_tick(l->resolver, now_ms);
}

uint64_t
lookup_due(const struct lookup *l)
{
	uint64_t maps = maps_due(l->maps), names = resolve_due(l->resolver);

	return maps < names ? maps : names;
}

int
lookup_open(
    struct lookup **lp, const struct lookup_settings *set, struct err *err)
{
	const struct config *c = set->config;
	struct lookup *l = calloc(1, sizeof(*l));
	int ret = -1;

	*lp = l;
	if (l == NULL)
		return err_set(err, ENOMEM, "out of memory");
	l->config = c;
	if (resolve_open(&l->resolver, c->no_lookup, set->resolve, set->epoll,
		maps_limit_ms(c), &l->replies, err) == 0)
		ret = maps_open(
		    &l->maps, c, set->epoll, set->trace, &l->replies, err);
	if (ret == -1)
		lookup_close(lp);
	return ret;
}

void
lookup_close(struct lookup **lp)
{
	if (*lp == NULL)
		return;
	maps_close(&(*lp)->maps);
	resolve_close(&(*lp)->resolver);
	free(*lp);
	*lp = NULL;
}
