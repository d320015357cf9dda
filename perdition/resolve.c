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

#define PLACES 1024 /* names remembered; a newer one takes its place */
#define NAME_BYTES LOOKUP_HOST_MAX

enum entry_status { ENTRY_FREE, ENTRY_FOUND, ENTRY_NONE, ENTRY_FAILED };

struct entry {
	enum entry_status status;
	bool reverse; /* key is an address, name is what it is called */
	char key[NAME_BYTES];
	uint64_t until;   /* ms, monotonic: ask again from then on */
	uint64_t learned; /* ms, when it was last found */
	size_t n;
	struct addr addr[RESOLVE_ADDRS_MAX];
	char name[NAME_BYTES];
	char why[128];
};

struct resolver {
	bool numeric;
	struct resolve_ops ops;
	struct hash_key hash;
	struct entry entry[PLACES];
};

static const struct resolve_ops system_ops = {
	.getaddrinfo = getaddrinfo,
	.freeaddrinfo = freeaddrinfo,
	.getnameinfo = getnameinfo,
};

struct resolver *
resolve_create(bool numeric, const struct resolve_ops *ops)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->numeric = numeric;
	r->ops = ops == NULL ? system_ops : *ops;
	if (hash_key_make(&r->hash) == -1) {
		free(r);
		return NULL;
	}
	return r;
}

void
resolve_destroy(struct resolver **rp)
{
	free(*rp);
	*rp = NULL;
}

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

static void
take_addresses(struct entry *e, const struct addrinfo *list)
{
	e->n = 0;
	for (; list != NULL && e->n < RESOLVE_ADDRS_MAX; list = list->ai_next) {
		struct addr a;

		if (addr_from_sockaddr(&a, list->ai_addr) == -1 ||
		    is_known(e->addr, e->n, &a))
			continue;
		a.port = 0;
		e->addr[e->n++] = a;
	}
	interleave(e->addr, e->n);
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
note_failure(struct entry *e, int code, uint64_t now)
{
	/* Found lately, and now the resolver is down: better than nothing. */
	if (!is_none(code) && e->status == ENTRY_FOUND &&
	    now - e->learned < RESOLVE_STALE_MS) {
		e->until = now + RESOLVE_MISS_MS;
		return;
	}
	e->status = is_none(code) ? ENTRY_NONE : ENTRY_FAILED;
	e->until = now + RESOLVE_MISS_MS;
	if (snprintf(e->why, sizeof(e->why), "%s", gai_text(code)) < 0)
		e->why[0] = '\0';
}

static void
note_found(struct entry *e, uint64_t now)
{
	e->status = ENTRY_FOUND;
	e->learned = now;
	e->until = now + RESOLVE_HIT_MS;
}

/* The place of a key, emptied if another had it; NULL: no key to keep. */
static struct entry *
place_of(struct resolver *r, bool reverse, struct slice key)
{
	struct entry *e;

	if (key.n == 0 || key.n >= NAME_BYTES || slice_find(key, '\0') != -1)
		return NULL;
	e = &r->entry[hash_bytes(&r->hash, key) % PLACES];
	if (e->status != ENTRY_FREE && e->reverse == reverse &&
	    slice_eq(slice_str(e->key), key))
		return e;
	memset(e, 0, sizeof(*e));
	e->reverse = reverse;
	memcpy(e->key, key.p, key.n);
	return e;
}

static void
ask_forward(struct resolver *r, struct entry *e, uint64_t now)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list = NULL;
	int code = r->ops.getaddrinfo(e->key, NULL, &hints, &list);

	if (code != 0) {
		note_failure(e, code, now);
		return;
	}
	take_addresses(e, list);
	r->ops.freeaddrinfo(list);
	if (e->n > 0)
		note_found(e, now);
	else
		note_failure(e, EAI_NONAME, now);
}

int
resolve_host(struct resolver *r, struct slice host, uint64_t now_ms,
    struct addr *out, size_t max, size_t *n, struct err *err)
{
	struct entry *e;

	*n = 0;
	if (max > 0 && addr_parse_ip(host, &out[0]) == 0) {
		out[0].port = 0;
		*n = 1;
		return 1;
	}
	e = r->numeric ? NULL : place_of(r, false, host);
	if (e == NULL) {
		err_set(err, ENOENT, "%.*s: %s", (int)host.n, host.p,
		    r->numeric ? "not an address, and no_lookup is set"
			       : "not a host name");
		return 0;
	}
	if (e->status == ENTRY_FREE || now_ms >= e->until)
		ask_forward(r, e, now_ms);
	if (e->status == ENTRY_FOUND) {
		*n = e->n < max ? e->n : max;
		memcpy(out, e->addr, *n * sizeof(*out));
		return 1;
	}
	err_set(err, e->status == ENTRY_NONE ? ENOENT : EAGAIN, "%s: %s",
	    e->key, e->why);
	return e->status == ENTRY_NONE ? 0 : -1;
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

static void
ask_reverse(
    struct resolver *r, struct entry *e, const struct addr *a, uint64_t now)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(a, &ss);
	char name[NI_MAXHOST];
	struct slice s;
	int code = r->ops.getnameinfo((struct sockaddr *)&ss, len, name,
	    sizeof(name), NULL, 0, NI_NAMEREQD);

	if (code != 0) {
		note_failure(e, code, now);
		return;
	}
	s = slice_make(name, strnlen(name, sizeof(name)));
	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n >= sizeof(e->name) || !is_host_name(s)) {
		log_event(LOG_NOTICE, "reverse-name-refused",
		    LOG_ADDR("address", a), LOG_SLICE("name", s));
		note_failure(e, EAI_NONAME, now);
		return;
	}
	memcpy(e->name, s.p, s.n);
	e->name[s.n] = '\0';
	note_found(e, now);
}

int
resolve_domain(struct resolver *r, const struct addr *a, unsigned int depth,
    uint64_t now_ms, char *out, struct err *err)
{
	char text[ADDR_TEXT_MAX];
	struct slice key, rest, label;
	struct addr bare = *a;
	struct entry *e;

	out[0] = '\0';
	bare.port = 0;
	key = slice_make(text, addr_write_ip(&bare, text));
	e = r->numeric ? NULL : place_of(r, true, key);
	if (e == NULL)
		return 0;
	if (e->status == ENTRY_FREE || now_ms >= e->until)
		ask_reverse(r, e, &bare, now_ms);
	if (e->status == ENTRY_NONE)
		return 0;
	if (e->status != ENTRY_FOUND)
		return err_set(err, EAGAIN, "name of %s: %s", e->key, e->why);
	rest = slice_str(e->name);
	while (depth-- > 0 && rest.n > 0)
		slice_cut(&rest, '.', &label);
	if (rest.n == 0 || rest.n >= LOOKUP_DOMAIN_MAX)
		return 0;
	memcpy(out, rest.p, rest.n);
	out[rest.n] = '\0';
	return 1;
}
