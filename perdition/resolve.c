/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolve - see resolve.h.
 */
#include "config.h"

#include "perdition/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "perdition/request.h"

#include "common/banned.h"

#define NAME_BYTES LOOKUP_HOST_MAX
/* How many names may be asked for at once. */
#define PROCESSES 4
/* What is asked, the first byte of a request. */
#define ASK_FORWARD 'F'
#define ASK_REVERSE 'R'

struct resolver {
	bool numeric;
	struct resolve_ops ops;
	struct memo *memo;
	struct ask_pool *pool;
};

static const struct memo_times times = {
	.found = RESOLVE_HIT_MS,
	.none = RESOLVE_MISS_MS,
	.failed = RESOLVE_MISS_MS,
	.stale = RESOLVE_STALE_MS,
	.refresh = RESOLVE_HIT_MS,
};

static const struct resolve_ops system_ops = {
	.getaddrinfo = getaddrinfo,
	.freeaddrinfo = freeaddrinfo,
	.getnameinfo = getnameinfo,
};

static const char *
gai_text(int code)
{
	return code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code);
}

static bool
is_known(const struct addr *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++) {
		if (addr_same_ip(&list[i], a) && list[i].scope == a->scope)
			return true;
	}
	return false;
}

/* The first of v not used yet, of the wanted family if there is one. */
static size_t
pick(const struct addr *v, const bool *used, size_t n, bool v4)
{
	size_t any = n;

	for (size_t i = 0; i < n; i++) {
		if (used[i])
			continue;
		if (addr_is_v4(&v[i]) == v4)
			return i;
		if (any == n)
			any = i;
	}
	return any;
}

/* RFC 8305 section 4: as sorted, but the families take turns. */
static void
interleave(struct addr *v, size_t n)
{
	struct addr sorted[RESOLVE_ADDRS_MAX];
	bool used[RESOLVE_ADDRS_MAX] = { false };
	bool v4 = n > 0 && addr_is_v4(&v[0]);

	if (n > 0)
		memcpy(sorted, v, n * sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		size_t at = pick(sorted, used, n, v4);

		used[at] = true;
		v[i] = sorted[at];
		v4 = !addr_is_v4(&v[i]);
	}
}

static size_t
take_addresses(struct addr *v, const struct addrinfo *list)
{
	size_t n = 0;

	for (; list != NULL && n < RESOLVE_ADDRS_MAX; list = list->ai_next) {
		struct addr a;

		if (addr_from_sockaddr(&a, list->ai_addr) == -1 ||
		    is_known(v, n, &a))
			continue;
		a.port = 0;
		v[n++] = a;
	}
	interleave(v, n);
	return n;
}

/* Whether code means that there is no such name, not that nobody knows. */
static bool
is_none(int code)
{
	return code == EAI_NONAME
#ifdef EAI_NODATA
	       || code == EAI_NODATA
#endif
	    ;
}

static void
reply_failure(struct msg_writer *w, int code)
{
	const char *why = gai_text(code);

	memo_reply_begin(w, is_none(code) ? MEMO_NONE : MEMO_FAILED, 0);
	msg_put_bytes(w, why, strlen(why));
}

/* --- in the processes that may wait ------------------------------------- */

static void
serve_forward(struct resolver *r, const char *name, struct msg_writer *w)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addr found[RESOLVE_ADDRS_MAX];
	struct addrinfo *list = NULL;
	int code = r->ops.getaddrinfo(name, NULL, &hints, &list);
	size_t n = 0;

	if (code == 0) {
		n = take_addresses(found, list);
		r->ops.freeaddrinfo(list);
		code = n > 0 ? 0 : EAI_NONAME;
	}
	if (code != 0) {
		reply_failure(w, code);
		return;
	}
	memo_reply_begin(w, MEMO_FOUND, 0);
	msg_put_bytes(w, found, n * sizeof(*found));
}

static void
serve_reverse(struct resolver *r, const struct addr *a, struct msg_writer *w)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(a, &ss);
	char name[NI_MAXHOST];
	int code = r->ops.getnameinfo((struct sockaddr *)&ss, len, name,
	    sizeof(name), NULL, 0, NI_NAMEREQD);

	if (code != 0) {
		reply_failure(w, code);
		return;
	}
	memo_reply_begin(w, MEMO_FOUND, 0);
	msg_put_bytes(w, name, strnlen(name, sizeof(name)));
}

static void
serve(void *state, struct slice request, struct msg_writer *w)
{
	struct resolver *r = state;
	struct slice what = slice_skip(request, 1);
	char name[NAME_BYTES];
	struct addr a;

	if (request.p[0] == ASK_REVERSE && what.n == sizeof(a)) {
		memcpy(&a, what.p, sizeof(a));
		serve_reverse(r, &a, w);
	} else if (request.p[0] == ASK_FORWARD && what.n < sizeof(name)) {
		memcpy(name, what.p, what.n);
		name[what.n] = '\0';
		serve_forward(r, name, w);
	} else {
		memo_reply_begin(w, MEMO_FAILED, 0);
	}
}

static int
serve_open(void *arg, void **state, struct err *err)
{
	(void)err;
	*state = arg;
	return 0;
}

static void
serve_close(void *state)
{
	(void)state;
}

/* --- begin and end ------------------------------------------------------ */

int
resolve_open(struct resolver **rp, bool numeric, const struct resolve_ops *ops,
    int epoll, uint64_t limit_ms, uint64_t *replies, struct err *err)
{
	static const struct ask_ops asked = { "resolver", serve_open, serve,
		serve_close };
	struct ask_pool_settings set = {
		.ops = &asked,
		.processes = epoll == -1 ? 0 : PROCESSES,
		.late = true, /* most sites have only addresses */
		.limit_ms = limit_ms,
		.epoll = epoll,
		.done = memo_done,
	};
	struct resolver *r = calloc(1, sizeof(*r));
	int ret = 0;

	*rp = r;
	if (r == NULL)
		return err_set(err, ENOMEM, "out of memory");
	set.arg = r;
	r->numeric = numeric;
	r->ops = ops == NULL ? system_ops : *ops;
	if (!numeric) {
		r->memo = memo_create(RESOLVE_NAMES_MAX, replies);
		if (r->memo == NULL)
			ret = err_set(
			    err, errno, "resolver: %s", strerror(errno));
		else
			ret = ask_pool_open(&r->pool, &set, err);
	}
	if (ret == -1)
		resolve_close(rp);
	return ret;
}

void
resolve_close(struct resolver **rp)
{
	if (*rp == NULL)
		return;
	ask_pool_close(&(*rp)->pool);
	memo_destroy(&(*rp)->memo);
	free(*rp);
	*rp = NULL;
}

void
resolve_tick(struct resolver *r, uint64_t now_ms)
{
	if (r->pool != NULL)
		ask_pool_tick(r->pool, now_ms);
}

uint64_t
resolve_due(const struct resolver *r)
{
	return r->pool == NULL ? UINT64_MAX : ask_pool_due(r->pool);
}

/* --- questions ---------------------------------------------------------- */

static enum memo_result
ask(struct resolver *r, char kind, struct slice what,
    const struct resolve_when *when, struct slice *answer)
{
	char request[1 + NAME_BYTES];

	request[0] = kind;
	memcpy(request + 1, what.p, what.n);
	what = slice_make(request, 1 + what.n);
	return memo_get(r->memo, r->pool, &times, what, what, when->now_ms,
	    when->since, when->waiter, answer);
}

static size_t
copy_addresses(struct slice answer, struct addr *out, size_t max)
{
	size_t n = answer.n / sizeof(*out);

	if (n > max)
		n = max;
	if (n > 0)
		memcpy(out, answer.p, n * sizeof(*out));
	return n;
}

static bool
is_name(struct slice host)
{
	return host.n > 0 && host.n < NAME_BYTES &&
	       slice_find(host, '\0') == -1;
}

int
resolve_host(struct resolver *r, struct slice host,
    const struct resolve_when *when, struct addr *out, size_t max, size_t *n,
    struct err *err)
{
	struct slice answer;

	*n = 0;
	if (max > 0 && addr_parse_ip(host, &out[0]) == 0) {
		out[0].port = 0;
		*n = 1;
		return 1;
	}
	if (r->numeric || !is_name(host)) {
		err_set(err, ENOENT, "%.*s: %s", (int)host.n, host.p,
		    r->numeric ? "not an address, and no_lookup is set"
			       : "not a host name");
		return 0;
	}
	switch (ask(r, ASK_FORWARD, host, when, &answer)) {
	case MEMO_FOUND:
		*n = copy_addresses(answer, out, max);
		return 1;
	case MEMO_WAIT:
		return RESOLVE_WAIT;
	case MEMO_NONE:
		err_set(err, ENOENT, "%.*s: no such host", (int)host.n, host.p);
		return 0;
	default:
		return err_set(err, EAGAIN, "%.*s: %.*s", (int)host.n, host.p,
		    (int)answer.n, answer.p);
	}
}

int
resolve_port(
    const struct resolver *r, struct slice port, uint16_t *out, struct err *err)
{
	struct servent *service;
	uint64_t number;
	char *name;

	if (slice_u64(port, 65535, &number) == 0 && number > 0) {
		*out = (uint16_t)number;
		return 0;
	}
	name = r->numeric ? NULL : slice_dup(port);
	service = name == NULL ? NULL : getservbyname(name, "tcp");
	free(name);
	if (service == NULL || service->s_port == 0)
		return err_set(err, ENOENT, "port %.*s: %s", (int)port.n,
		    port.p,
		    r->numeric ? "not a number, and no_lookup is set"
			       : "no such service");
	*out = ntohs((uint16_t)service->s_port);
	return 0;
}

static bool
is_host_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
			return false;
	}
	return s.n > 0;
}

/* The name without its first depth labels; false when nothing is left, or it
 * is no name to be trusted. */
static bool
cut_domain(
    const struct addr *a, struct slice name, unsigned int depth, char *out)
{
	struct slice label;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n >= NAME_BYTES || !is_host_name(name)) {
		log_event(LOG_NOTICE, "reverse-name-refused",
		    LOG_ADDR("address", a), LOG_SLICE("name", name));
		return false;
	}
	while (depth-- > 0 && name.n > 0)
		slice_cut(&name, '.', &label);
	if (name.n == 0 || name.n >= LOOKUP_DOMAIN_MAX)
		return false;
	memcpy(out, name.p, name.n);
	out[name.n] = '\0';
	return true;
}

int
resolve_domain(struct resolver *r, const struct addr *a, unsigned int depth,
    const struct resolve_when *when, char *out, struct err *err)
{
	char text[ADDR_TEXT_MAX];
	struct slice answer;
	struct addr bare;

	out[0] = '\0';
	if (r->numeric)
		return 0;
	/* Byte by byte equal where the address is. */
	memset(&bare, 0, sizeof(bare));
	bare.ip = a->ip;
	bare.scope = a->scope;
	switch (ask(r, ASK_REVERSE,
	    slice_make((const char *)&bare, sizeof(bare)), when, &answer)) {
	case MEMO_FOUND:
		return cut_domain(&bare, answer, depth, out);
	case MEMO_WAIT:
		return RESOLVE_WAIT;
	case MEMO_NONE:
		return 0;
	default:
		addr_write_ip(a, text);
		return err_set(err, EAGAIN, "name of %s: %.*s", text,
		    (int)answer.n, answer.p);
	}
}
