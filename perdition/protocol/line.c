/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * line - finding lines, words and harmless text in what a peer sent.
 */
#include "config.h"

#include "perdition/protocol/line.h"
#include "perdition/protocol/protocol.h"

#include "common/banned.h"

int
line_find(
    struct slice in, size_t from, size_t *scanned, size_t max, size_t *end)
{
	size_t stop = in.n < max ? in.n : max;
	size_t at = *scanned > from ? *scanned : from;
	const char *lf = NULL;

	if (at < stop)
		lf = memchr(in.p + at, '\n', stop - at);
	if (lf != NULL) {
		*end = (size_t)(lf - in.p) + 1;
		return 1;
	}
	if (stop > *scanned)
		*scanned = stop;
	return in.n >= max ? -1 : 0;
}

struct slice
line_body(struct slice line)
{
	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

bool
line_is_http(struct slice line, bool first)
{
	static const struct slice methods[] = {
		SLICE("GET "),
		SLICE("POST "),
		SLICE("HEAD "),
		SLICE("PUT "),
		SLICE("DELETE "),
		SLICE("OPTIONS "),
		SLICE("CONNECT "),
		SLICE("TRACE "),
		SLICE("PATCH "),
		SLICE("PRI "),
	};
	bool method = false;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		method = method || slice_starts(line, methods[i]);
	if (!method)
		return false;
	return first || slice_rfind(line, SLICE("HTTP/")) != -1;
}

bool
line_word(struct slice *s, struct slice *word)
{
	while (s->n > 0 && s->p[0] == ' ')
		*s = slice_skip(*s, 1);
	if (s->n == 0)
		return false;
	slice_cut(s, ' ', word);
	return true;
}

bool
line_arg_ok(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
			return false;
	return true;
}

size_t
line_copy_text(char *out, size_t cap, struct slice text)
{
	size_t n = text.n < cap ? text.n : cap;

	for (size_t i = 0; i < n; i++) {
		char c = text.p[i];

		if (c < 0x20 || c > 0x7e)
			c = '?';
		else if (i == 0 && c == '[')
			c = '(';
		out[i] = c;
	}
	return n;
}

void
line_put_text(struct buf *out, struct slice text)
{
	char safe[PROTOCOL_TEXT_MAX];
	size_t n = line_copy_text(safe, sizeof(safe), text);

	if (n > 0 && text.p[0] == '[')
		safe[0] = '[';
	buf_put(out, slice_make(safe, n));
}
