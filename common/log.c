/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of key=value, and the quoting that keeps hostile bytes inside their
 * value.  Knows nothing of files or syslog.
 */
#include "config.h"

#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/banned.h"

#define VALUE_MAX 256 /* bytes of a value that are logged */
#define CUT " cut=1"  /* ends a line whose last fields did not fit */

static void
sink_stderr(void *arg, int level, struct slice line)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)line.p, line.n },
		{ (void *)(uintptr_t) "\n", 1 },
	};
	ssize_t n;

	(void)arg;
	(void)level;
	do
		n = writev(STDERR_FILENO, iov, 2);
	while (n == -1 && errno == EINTR);
}

static struct {
	log_sink *sink;
	void *arg;
	int level;
} log_state = { sink_stderr, NULL, LOG_INFO };

void
log_set_level(int level)
{
	log_state.level = level;
}

bool
log_wants(int level)
{
	return level <= log_state.level;
}

void
log_set_sink(log_sink *sink, void *arg)
{
	log_state.sink = sink == NULL ? sink_stderr : sink;
	log_state.arg = arg;
}

static bool
is_plain(char c) /* may stand inside quotes as it is */
{
	return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
}

/* How many bytes at the start of s stand for themselves. */
static size_t
plain_run(struct slice s)
{
	size_t n = 0;

	while (n < s.n && is_plain(s.p[n]))
		n++;
	return n;
}

/* One byte as it stands inside quotes; returns how many bytes it takes. */
static size_t
escape(char c, char out[4])
{
	static const char hex[] = "0123456789abcdef";

	if (is_plain(c)) {
		out[0] = c;
		return 1;
	}
	out[0] = '\\';
	if (c == '"' || c == '\\') {
		out[1] = c;
		return 2;
	}
	out[1] = 'x';
	out[2] = hex[(unsigned char)c >> 4];
	out[3] = hex[(unsigned char)c & 15];
	return 4;
}

long
log_quote(struct slice s, char *out, size_t cap)
{
	size_t n = 0;

	if (cap > LONG_MAX)
		cap = LONG_MAX;
	if (cap < 2)
		goto full;
	out[n++] = '"';
	for (size_t i = 0; i < s.n;) {
		char text[4];
		size_t run = plain_run(slice_skip(s, i));
		size_t len = run > 0 ? run : escape(s.p[i], text);

		if (len > cap - n - 1) /* 1: the closing quote */
			goto full;
		memcpy(out + n, run > 0 ? s.p + i : text, len);
		n += len;
		i += run > 0 ? run : 1;
	}
	out[n++] = '"';
	return (long)n;
full:
	errno = ENOSPC;
	return -1;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/*
 * The reverse of escape(): the byte that s begins with, and its length there;
 * 0 for what escape() does not write.
 */
static size_t
unescape(struct slice s, char *c)
{
	int high, low;

	if (s.n >= 1 && is_plain(s.p[0])) {
		*c = s.p[0];
		return 1;
	}
	if (s.n < 2 || s.p[0] != '\\')
		return 0;
	if (s.p[1] == '"' || s.p[1] == '\\') {
		*c = s.p[1];
		return 2;
	}
	if (s.n < 4 || s.p[1] != 'x')
		return 0;
	high = hex_digit(s.p[2]);
	low = hex_digit(s.p[3]);
	if (high == -1 || low == -1)
		return 0;
	*c = (char)(unsigned char)(high << 4 | low);
	/* Each value has one spelling: no \x41 for an A. */
	return is_plain(*c) || *c == '"' || *c == '\\' ? 0 : 4;
}

long
log_unquote(struct slice in, size_t *used, char *out, size_t cap)
{
	struct slice rest;
	size_t n = 0;

	if (in.n == 0 || in.p[0] != '"')
		goto malformed;
	rest = slice_skip(in, 1);
	while (rest.n > 0 && rest.p[0] != '"') {
		char c;
		size_t run = plain_run(rest);
		size_t len = run > 0 ? run : unescape(rest, &c);
		size_t put = run > 0 ? run : 1;

		if (len == 0)
			goto malformed;
		if (put > cap - n || n + put > LONG_MAX) {
			errno = ENOSPC;
			return -1;
		}
		memcpy(out + n, run > 0 ? rest.p : &c, put);
		n += put;
		rest = slice_skip(rest, len);
	}
	if (rest.n == 0)
		goto malformed;
	*used = in.n - rest.n + 1;
	return (long)n;
malformed:
	errno = EBADMSG;
	return -1;
}

struct line {
	char text[LOG_LINE_MAX];
	size_t n;
};

/* Bytes that there is room for, and for CUT. */
static size_t
room(const struct line *line)
{
	return sizeof(line->text) - (sizeof(CUT) - 1) - line->n;
}

/* All of s or nothing.  Whether it fitted. */
static bool
append(struct line *line, struct slice s)
{
	if (s.n > room(line))
		return false;
	memcpy(line->text + line->n, s.p, s.n);
	line->n += s.n;
	return true;
}

static bool
is_bare_byte(char c)
{
	switch (c) {
	case '.':
	case '_':
	case ':':
	case '@':
	case '/':
	case '+':
	case '-':
		return true;
	default:
		return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		       (c >= '0' && c <= '9');
	}
}

bool
log_is_bare(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_bare_byte(s.p[i]))
			return false;
	return s.n != 0;
}

static bool
append_value(struct line *line, struct slice value)
{
	char quoted[4 * VALUE_MAX + 2];
	long n;

	if (log_is_bare(value))
		return append(line, value);
	n = log_quote(value, quoted, sizeof(quoted));
	return n != -1 && append(line, slice_make(quoted, (size_t)n));
}

/* All that stands before a value; whether it fitted, and a byte of that. */
static bool
append_key(struct line *line, struct slice key, bool cut)
{
	char *p = line->text + line->n;

	if (key.n + sizeof(" =x") - 1 > room(line)) /* "~=" has more */
		return false;
	if (line->n > 0)
		*p++ = ' ';
	memcpy(p, key.p, key.n);
	p += key.n;
	if (cut)
		*p++ = '~';
	*p++ = '=';
	line->n = (size_t)(p - line->text);
	return true;
}

static bool
append_field(struct line *line, const char *key, struct slice value)
{
	size_t before = line->n;
	bool cut = value.n > VALUE_MAX;

	if (cut)
		value.n = VALUE_MAX;
	if (append_key(line, slice_str(key), cut) && append_value(line, value))
		return true;
	line->n = before; /* no half field */
	return false;
}

static size_t
put_i64(char out[1 + SLICE_U64_MAX], int64_t v)
{
	if (v >= 0)
		return slice_put_u64(out, (uint64_t)v);
	out[0] = '-';
	return 1 + slice_put_u64(out + 1, 0 - (uint64_t)v);
}

static bool
append_log_field(struct line *line, const struct log_field *field)
{
	char text[ADDR_TEXT_MAX]; /* also holds any number */
	int n = 0;

	switch (field->type) {
	case LOG_FIELD_SLICE:
		return append_field(line, field->key, field->v.slice);
	case LOG_FIELD_U64:
		n = (int)slice_put_u64(text, field->v.u64);
		break;
	case LOG_FIELD_I64:
		n = (int)put_i64(text, field->v.i64);
		break;
	case LOG_FIELD_ADDR:
		n = (int)(field->v.addr->port == 0
			      ? addr_write_ip(field->v.addr, text)
			      : addr_write_port(field->v.addr, text));
		break;
	case LOG_FIELD_END:
		return true;
	}
	return append_field(line, field->key, slice_make(text, (size_t)n));
}

void
log_fields(int level, const char *event, const struct log_field *fields)
{
	struct line line; /* not initialised: it is large, n tells */
	bool fits;

	if (!log_wants(level))
		return;
	line.n = 0;
	fits = append_field(&line, "event", slice_str(event));
	for (; fits && fields->type != LOG_FIELD_END; fields++)
		fits = append_log_field(&line, fields);
	if (!fits) {
		memcpy(line.text + line.n, CUT, sizeof(CUT) - 1);
		line.n += sizeof(CUT) - 1;
	}
	log_state.sink(log_state.arg, level, slice_make(line.text, line.n));
}

void
log_line(int level, struct slice line)
{
	if (!log_wants(level))
		return;
	if (slice_find(line, '\n') != -1) {
		/* Our own mistake, but a forged line is an open relay. */
		log_event(LOG_ERR, "bad-line", LOG_SLICE("line", line));
		return;
	}
	log_state.sink(log_state.arg, level, line);
}
