/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makedb_server - see makedb_server.h.
 */
#include "config.h"

#include "perdition/modules/makedb_server.h"

#include "common/banned.h"

/* Takes "imaps://" and the like from the front. */
static struct slice
cut_scheme(struct slice *text)
{
	static const char *const schemes[] = { "imap://", "imaps://", "pop3://",
		"pop3s://" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i]);

		if (text->n >= n && slice_caseeq(slice_make(text->p, n),
					slice_str(schemes[i]))) {
			struct slice scheme = slice_make(text->p, n);

			*text = slice_skip(*text, n);
			return scheme;
		}
	}
	return SLICE("");
}

static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') &&
		    !(s.p[i] >= 'A' && s.p[i] <= 'Z') && s.p[i] != '_')
			return false;
	}
	return true;
}

/* Takes "?tls=MODE" from the end; with anything but a word behind it is part
 * of a user's name. */
static struct slice
cut_tls(struct slice *text)
{
	static const struct slice mark = { "?tls=", 5 };
	ptrdiff_t at = slice_rfind(*text, mark);
	struct slice tls;

	if (at == -1 || !is_word(slice_skip(*text, (size_t)at + mark.n)))
		return SLICE("");
	tls = slice_skip(*text, (size_t)at);
	text->n = (size_t)at;
	return tls;
}

/* Where a server in brackets begins, or -1: what is inside of them may hold
 * a delimiter. */
static ptrdiff_t
find_bracketed(struct slice text)
{
	ptrdiff_t open = slice_rfind(text, SLICE("["));
	ptrdiff_t close = slice_rfind(text, SLICE("]"));

	if (open == -1 || close < open ||
	    ((size_t)close + 1 < text.n && text.p[close + 1] != ':'))
		return -1;
	return open;
}

/* Where USER<delimiter> ends, or 0. */
static size_t
user_end(struct slice text, struct slice delimiter)
{
	ptrdiff_t open = find_bracketed(text), at;

	if (open == 0 || delimiter.n == 0)
		return 0;
	if (open >= (ptrdiff_t)delimiter.n &&
	    slice_eq(slice_make(text.p + open - delimiter.n, delimiter.n),
		delimiter))
		return (size_t)open;
	at = slice_rfind(text, delimiter);
	return at == -1 ? 0 : (size_t)at + delimiter.n;
}

/* Not 0, which in a table means none. */
static bool
is_port(struct slice s)
{
	if (slice_eq(s, SLICE("0")))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return s.n > 0;
}

/* Takes ":PORT" from the end.  A bare IPv6 address has none. */
static struct slice
cut_port(struct slice *host)
{
	ptrdiff_t colon = slice_rfind(*host, SLICE(":"));
	struct slice port;

	if (colon < 1)
		return SLICE("");
	if (host->p[0] == '[' ? host->p[colon - 1] != ']'
			      : slice_find(*host, ':') != colon)
		return SLICE("");
	port = slice_skip(*host, (size_t)colon + 1);
	if (!is_port(port))
		return SLICE("");
	host->n = (size_t)colon;
	return port;
}

static void
put(struct makedb_server *s, struct slice text)
{
	if (text.n > 0)
		memcpy(s->name + s->name_len, text.p, text.n);
	s->name_len += text.n;
}

const char *
makedb_server_split(
    struct makedb_server *s, struct slice text, struct slice delimiter)
{
	struct slice tls, scheme;
	size_t end;

	s->user = s->port = SLICE("");
	s->name_len = 0;
	if (text.n > sizeof(s->name))
		return "server too long";
	tls = cut_tls(&text);
	scheme = cut_scheme(&text);
	end = user_end(text, delimiter);
	if (end > 0) {
		s->user = slice_make(text.p, end - delimiter.n);
		text = slice_skip(text, end);
		if (scheme.n == 0)
			scheme = cut_scheme(&text);
	}
	s->port = cut_port(&text);
	if (text.n == 0)
		return "no server's name";
	put(s, scheme);
	put(s, text);
	put(s, tls);
	return NULL;
}
