/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_line - see daemon_line.h.
 */
#include "config.h"

#include "perdition/modules/daemon_line.h"

#include "common/addr.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

/* --- questions ---------------------------------------------------------- */

struct writer {
	char *out;
	size_t n, cap;
	bool full;
};

static void
put(struct writer *w, struct slice s)
{
	if (w->full || s.n > w->cap - w->n) {
		w->full = true;
		return;
	}
	if (s.n > 0)
		memcpy(w->out + w->n, s.p, s.n);
	w->n += s.n;
}

/*
 * Without '/', so that a programme may take a key for a file's name; without
 * what parts words, or is special to a shell.
 */
static bool
is_safe(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._-@:+", c) != NULL);
}

static void
put_encoded(struct writer *w, struct slice s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char code[3] = { '%', hex[c >> 4], hex[c & 15] };

		if (is_safe(s.p[i]))
			put(w, slice_make(s.p + i, 1));
		else
			put(w, slice_make(code, sizeof(code)));
	}
}

static void
put_pair(struct writer *w, const char *name, struct slice value)
{
	put(w, SLICE(" "));
	put(w, slice_str(name));
	put(w, SLICE("="));
	put_encoded(w, value);
}

static void
put_u64(struct writer *w, const char *name, uint64_t v)
{
	char digits[SLICE_U64_MAX];

	put_pair(w, name, slice_make(digits, slice_put_u64(digits, v)));
}

/* Left out where there is none: of the client no port is told, since an answer
 * is to do for all its connections. */
static void
put_addr(struct writer *w, const char *ip, const char *port,
    const struct sockaddr *sa)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	if (sa == NULL || addr_from_sockaddr(&a, sa) == -1)
		return;
	put_pair(w, ip, slice_make(text, addr_write_ip(&a, text)));
	if (port != NULL)
		put_u64(w, port, a.port);
}

static struct slice
slice_of(struct popmap_text t)
{
	return slice_make(t.p, t.n);
}

long
daemon_line_question(
    uint64_t id, const struct popmap_query *q, char *out, size_t cap)
{
	struct writer w = { .out = out, .cap = cap };
	char digits[SLICE_U64_MAX];

	put(&w, slice_make(digits, slice_put_u64(digits, id)));
	put(&w, SLICE(" "));
	put_encoded(&w, slice_of(q->key));
	put_pair(&w, "user", slice_of(q->user));
	put_pair(&w, "local", slice_of(q->local));
	put_pair(&w, "domain", slice_of(q->domain));
	put_pair(&w, "delimiter", slice_str(q->delimiter));
	put_pair(&w, "protocol", slice_str(q->protocol));
	put_addr(&w, "client_addr", NULL, q->client_addr);
	put_addr(&w, "local_addr", "local_port", q->local_addr);
	put_pair(&w, "tls", q->client_tls ? SLICE("yes") : SLICE("no"));
	put(&w, SLICE("\n"));
	return w.full ? -1 : (long)w.n;
}

/* --- answers ------------------------------------------------------------ */

/* Into out, which holds cap bytes: how many; or -1 with err. */
static long
decode(struct slice in, char *out, size_t cap, struct popmap_error *err)
{
	size_t n = 0;

	while (in.n > 0) {
		size_t used = 1;
		char c = in.p[0];

		if (c == '%') {
			if (!slice_percent(in, &c))
				return map_error(err,
				    "a %% without two digits of base 16 behind "
				    "it");
			used = 3;
		}
		if (n == cap)
			return map_error(
			    err, "a server longer than %zu bytes", cap);
		out[n++] = c;
		in = slice_skip(in, used);
	}
	return (long)n;
}

/* Commas part servers before anything is decoded. */
static int
read_servers(
    struct slice list, struct popmap_answer *a, struct popmap_error *err)
{
	struct slice text;
	bool more;

	do {
		char server[sizeof(a->server[0].text)];
		long n;

		more = slice_cut(&list, ',', &text);
		n = decode(text, server, sizeof(server), err);
		if (n == -1 ||
		    map_answer_add(a, slice_make(server, (size_t)n), err) == -1)
			return -1;
	} while (more);
	return 0;
}

/* What may stand behind: "ttl=N", or nothing. */
static int
read_ttl(struct slice rest, struct popmap_answer *a, struct popmap_error *err)
{
	uint64_t ttl;

	if (rest.n == 0)
		return 0;
	if (!slice_starts(rest, SLICE("ttl=")))
		return map_error(err, "not \"ttl=\" at the end");
	if (slice_u64(slice_skip(rest, 4), DAEMON_TTL_MAX, &ttl) == -1)
		return map_error(
		    err, "a ttl that is no number up to %d", DAEMON_TTL_MAX);
	a->ttl = ttl == 0 ? POPMAP_TTL_NONE : (uint32_t)ttl;
	return 0;
}

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' || c == 0x7f)
			return true;
	}
	return false;
}

int
daemon_line_answer(struct slice line, struct daemon_reply *r,
    struct popmap_answer *a, struct popmap_error *err)
{
	struct slice id, word, servers;

	a->n = 0;
	a->ttl = 0;
	r->text = SLICE("");
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (has_control(line))
		return map_error(err, "a control byte in the line");
	(void)slice_cut(&line, ' ', &id);
	if (slice_u64(id, UINT64_MAX, &r->id) == -1)
		return map_error(err, "no ID at its beginning");
	(void)slice_cut(&line, ' ', &word);
	if (slice_eq(word, SLICE("NOTFOUND"))) {
		r->says = DAEMON_NOTFOUND;
		return read_ttl(line, a, err);
	}
	if (slice_eq(word, SLICE("FAIL"))) {
		r->says = DAEMON_FAIL;
		r->text = line;
		return 0;
	}
	if (!slice_eq(word, SLICE("OK")))
		return map_error(
		    err, "neither OK nor NOTFOUND nor FAIL behind the ID");
	r->says = DAEMON_OK;
	(void)slice_cut(&line, ' ', &servers);
	if (read_servers(servers, a, err) == -1)
		return -1;
	return read_ttl(line, a, err);
}
