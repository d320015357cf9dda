/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_auth - see http_auth.h.
 */
#include "config.h"

#include "perdition/modules/http_auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/addr.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

#define HOST_MAX 255 /* bytes */

/* --- the request --------------------------------------------------------- */

static size_t
encode(struct slice in, char *out)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c > ' ' && c < 0x7f && c != '%') {
			out[n++] = in.p[i];
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return n;
}

char *
http_auth_header(const char *name, struct slice value)
{
	size_t n = strlen(name);
	char *line = malloc(n + 3 + 3 * value.n);

	if (line == NULL)
		return NULL;
	memcpy(line, name, n);
	if (value.n == 0) { /* libcurl's way of a header without a value */
		line[n++] = ';';
	} else {
		line[n++] = ':';
		line[n++] = ' ';
		n += encode(value, line + n);
	}
	line[n] = '\0';
	return line;
}

const char *
http_auth_protocol(const char *name)
{
	return strcmp(name, "imap4") == 0 ? "imap" : name;
}

/* --- the response -------------------------------------------------------- */

static struct slice
trim(struct slice s)
{
	while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL && s.p[0] != '\0')
		s = slice_skip(s, 1);
	while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL &&
	       s.p[s.n - 1] != '\0')
		s.n--;
	return s;
}

static void
set(struct http_value *v, struct slice text)
{
	if (v->given)
		v->twice = true;
	v->given = true;
	v->n = text.n;
	if (text.n >= sizeof(v->text)) {
		v->long_one = true;
		v->n = sizeof(v->text) - 1;
	}
	if (v->n > 0)
		memcpy(v->text, text.p, v->n);
	v->text[v->n] = '\0';
}

/* RFC 9111 section 5.2.2.  What cannot be read is not there. */
static void
read_cache_control(struct http_reply *r, struct slice text)
{
	struct slice one, name;
	uint64_t seconds;
	bool more;

	do {
		more = slice_cut(&text, ',', &one);
		one = trim(one);
		(void)slice_cut(&one, '=', &name);
		if (slice_caseeq(name, SLICE("no-store")) ||
		    slice_caseeq(name, SLICE("no-cache"))) {
			r->ttl = POPMAP_TTL_NONE;
			return;
		}
		if (!slice_caseeq(name, SLICE("max-age")))
			continue;
		errno = 0;
		if (slice_u64(one, INT32_MAX, &seconds) == -1) {
			if (errno != ERANGE)
				continue;
			seconds = INT32_MAX;
		}
		r->ttl = seconds == 0 ? POPMAP_TTL_NONE : (uint32_t)seconds;
	} while (more);
}

void
http_reply_line(struct http_reply *r, struct slice line)
{
	const struct {
		struct slice name;
		struct http_value *value;
	} wanted[] = {
		{ SLICE("Auth-Status"), &r->status },
		{ SLICE("Auth-Server"), &r->server },
		{ SLICE("Auth-Port"), &r->port },
		{ SLICE("Auth-User"), &r->user },
		{ SLICE("Auth-Error-Code"), &r->error_code },
	};
	struct slice name;

	if (slice_starts(line, SLICE("HTTP/"))) { /* that before was "100" */
		memset(r, 0, sizeof(*r));
		return;
	}
	if (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t')) {
		r->folded = true;
		return;
	}
	if (!slice_cut(&line, ':', &name))
		return;
	if (slice_caseeq(name, SLICE("Cache-Control")))
		read_cache_control(r, trim(line));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (slice_caseeq(name, wanted[i].name))
			set(wanted[i].value, trim(line));
	}
}

static struct slice
text_of(const struct http_value *v)
{
	return slice_make(v->text, v->n);
}

static bool
case_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n &&
	       slice_caseeq(slice_make(s.p, prefix.n), prefix);
}

/*
 * A temporary refusal, not a final one.  Codes are SMTP's; who serves IMAP4 and
 * POP3 only may have nothing but words.
 */
static bool
is_temporary(const struct http_reply *r)
{
	static const struct slice words[] = {
		SLICE("temporar"),
		SLICE("[UNAVAILABLE]"),
		SLICE("[SYS/TEMP]"),
	};

	if (r->error_code.given)
		return r->error_code.text[0] == '4';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (case_starts(text_of(&r->status), words[i]))
			return true;
	}
	return false;
}

static bool
is_host(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
			return false;
	}
	return s.n > 0 && s.n <= HOST_MAX;
}

static struct slice
unbracketed(struct slice s)
{
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return slice_make(s.p + 1, s.n - 2);
	return s;
}

/*
 * [USER<delimiter>]SERVER:PORT.  An address gets brackets, so that nothing in
 * it can be the delimiter.
 */
static int
add_server(const struct http_reply *r, struct slice host, const char *delimiter,
    struct popmap_answer *a, struct popmap_error *err)
{
	char text[sizeof(a->server[0].text)];
	struct slice bare = unbracketed(host);
	struct addr addr;
	bool ip = addr_parse_ip(bare, &addr) == 0;
	int n;

	if (!ip && !is_host(host))
		return map_error(
		    err, "Auth-Server is neither an address nor a host's name");
	n = snprintf(text, sizeof(text), "%s%s%s%.*s%s:%s", r->user.text,
	    r->user.n > 0 ? delimiter : "", ip ? "[" : "", (int)bare.n, bare.p,
	    ip ? "]" : "", r->port.text);
	if (n < 0 || (size_t)n >= sizeof(text))
		return map_error(err, "Auth-User and Auth-Server too long");
	return map_answer_add(a, slice_make(text, (size_t)n), err);
}

static int
read_servers(const struct http_reply *r, const char *delimiter,
    struct popmap_answer *a, struct popmap_error *err)
{
	struct slice list = text_of(&r->server), host;
	uint64_t port;

	if (!r->server.given || !r->port.given)
		return map_error(err, "Auth-Status: OK without %s",
		    r->server.given ? "Auth-Port" : "Auth-Server");
	if (slice_u64(text_of(&r->port), 65535, &port) == -1 || port == 0)
		return map_error(
		    err, "Auth-Port is not a number from 1 to 65535");
	/* "imaps://x" in front would be taken for the server's scheme. */
	if (memchr(r->user.text, '\0', r->user.n) != NULL ||
	    strstr(r->user.text, "://") != NULL)
		return map_error(err, "a NUL or \"://\" in Auth-User");
	a->n = 0;
	while (map_answer_next(&list, &host)) {
		if (add_server(r, host, delimiter, a, err) == -1)
			return -1;
	}
	return 1;
}

/* What would leave us guessing. */
static const char *
what_is_wrong(const struct http_reply *r)
{
	const struct http_value *all[] = { &r->status, &r->server, &r->port,
		&r->user, &r->error_code };

	if (r->folded)
		return "a header over several lines";
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i]->twice)
			return "an Auth- header that is given twice";
		if (all[i]->long_one && all[i] != &r->status)
			return "an Auth- header that is too long";
	}
	return NULL;
}

int
http_reply_answer(const struct http_reply *r, long code, const char *delimiter,
    struct popmap_answer *a, struct popmap_error *err)
{
	const char *wrong = what_is_wrong(r);

	a->ttl = r->ttl;
	if (code < 200 || code > 299)
		return map_error(err, "HTTP status %ld", code);
	if (wrong != NULL)
		return map_error(err, "%s", wrong);
	if (!r->status.given)
		return map_error(err, "no header Auth-Status in the response");
	if (slice_eq(text_of(&r->status), SLICE("OK")))
		return read_servers(r, delimiter, a, err);
	if (is_temporary(r))
		return map_error(err, "Auth-Status: %.200s", r->status.text);
	return 0;
}
