/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_join - see map_join.h.
 */
#include "config.h"

#include "perdition/modules/map_join.h"

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

/* HOST as [SCHEME://]NAME[:PORT][?...]. */
struct host {
	struct slice scheme, name, rest;
	bool has_port, brackets;
};

struct text {
	char p[POPMAP_USER_MAX + POPMAP_SERVER_MAX];
	size_t n;
	bool full;
};

static void
put(struct text *t, struct slice s)
{
	if (s.n > sizeof(t->p) - t->n) {
		t->full = true;
		return;
	}
	if (s.n > 0)
		memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
}

static struct host
split(struct slice text)
{
	struct host h = { .has_port = false };
	ptrdiff_t at = slice_rfind(text, SLICE("://"));
	ptrdiff_t colon;

	if (at != -1) {
		h.scheme = slice_make(text.p, (size_t)at + 3);
		text = slice_skip(text, h.scheme.n);
	}
	h.rest = text;
	at = slice_find(text, '?');
	h.name = at == -1 ? text : slice_make(text.p, (size_t)at);
	h.rest = slice_skip(text, h.name.n);
	colon = slice_rfind(h.name, SLICE(":"));
	if (colon == -1)
		return h;
	if (h.name.p[0] == '[')
		h.has_port = slice_rfind(h.name, SLICE("]")) < colon;
	else if (slice_find(h.name, ':') == colon)
		h.has_port = true;
	else
		h.brackets = true; /* a bare IPv6 address */
	return h;
}

/* A number or a service's name (RFC 6335 section 5.1). */
static bool
is_port(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return true;
}

int
map_join(struct popmap_answer *answer, struct slice user, struct slice host,
    struct slice port, const char *delimiter, struct popmap_error *err)
{
	struct slice d = slice_str(delimiter);
	struct host h = split(host);
	struct text t = { .n = 0 };

	if (h.name.n == 0)
		return map_error(err, "no server's name where one should be");
	if (!is_port(port))
		return map_error(err, "what should be a port is none");
	if (d.n > 0 && slice_rfind(host, d) != -1)
		return map_answer_add(answer, host, err);
	if (user.n > 0 && d.n > 0) {
		put(&t, user);
		put(&t, d);
	}
	if (port.n == 0 || h.has_port) {
		put(&t, host);
	} else {
		put(&t, h.scheme);
		put(&t, h.brackets ? SLICE("[") : SLICE(""));
		put(&t, h.name);
		put(&t, h.brackets ? SLICE("]:") : SLICE(":"));
		put(&t, port);
		put(&t, h.rest);
	}
	if (t.full)
		return map_error(
		    err, "user and server longer than %zu bytes", sizeof(t.p));
	return map_answer_add(answer, slice_make(t.p, t.n), err);
}
