/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_source - see map_source.h.
 */
#include "config.h"

#include "perdition/modules/map_source.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "perdition/popmap.h"

#include "common/banned.h"

#define TEXT_MAX (SIZE_MAX / 4) /* bytes; memory is the bound */
#define VALUE_MAX ((size_t)POPMAP_USER_MAX + POPMAP_SERVER_MAX)
#define ERRORS_MAX 50

struct report {
	FILE *out;
	const char *name;
	unsigned int n;
};

static void
complain(struct report *r, unsigned long line, const char *text)
{
	if (r->n++ < ERRORS_MAX)
		fprintf(r->out, "%s:%lu: %s\n", r->name, line, text);
}

void
map_source_clear(struct map_source *s)
{
	free(s->text);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

/* All of fd into s->text, *n bytes.  0, or -1 with errno. */
static int
read_text(struct map_source *s, int fd, size_t *n)
{
	size_t cap = 0;

	*n = 0;
	for (;;) {
		ssize_t got;

		if (*n == cap) {
			char *more;

			cap = cap == 0 ? 65536 : cap * 2;
			more = cap > TEXT_MAX ? NULL : realloc(s->text, cap);
			if (more == NULL) {
				errno = ENOMEM;
				return -1;
			}
			s->text = more;
		}
		got = read(fd, s->text + *n, cap - *n);
		if (got == 0)
			return 0;
		if (got == -1 && errno != EINTR)
			return -1;
		if (got > 0)
			*n += (size_t)got;
	}
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct slice
trim(struct slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = slice_skip(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Where the key's colon is, or -1. */
static ptrdiff_t
find_colon(struct slice line)
{
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == ':')
			return (ptrdiff_t)i;
		if (line.p[i] == '\\' && i + 1 < line.n)
			i++;
	}
	return -1;
}

/* Takes the backslashes out, in place. */
static struct slice
unescape(struct slice key)
{
	char *to = (char *)(uintptr_t)key.p;
	size_t n = 0;

	for (size_t i = 0; i < key.n; i++) {
		if (key.p[i] == '\\' && i + 1 < key.n &&
		    memchr(":#\\", key.p[i + 1], 3) != NULL)
			i++;
		to[n++] = key.p[i];
	}
	return slice_make(to, n);
}

static const char *
check_value(struct slice value)
{
	struct slice server;
	bool more;

	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (c < 0x20 || c == 0x7f)
			return "control byte in the value";
	}
	do {
		more = slice_cut(&value, ',', &server);
		server = trim(server);
		if (server.n == 0)
			return "no server behind the colon or a comma";
		if (server.n > VALUE_MAX)
			return "server too long";
	} while (more);
	return NULL;
}

/* NULL with e filled, or what is wrong with the line. */
static const char *
parse_line(struct slice line, struct map_entry *e)
{
	ptrdiff_t colon;

	if (slice_find(line, '\0') != -1)
		return "NUL byte";
	colon = find_colon(line);
	if (colon == -1)
		return "no colon behind the key";
	e->key = unescape(trim(slice_make(line.p, (size_t)colon)));
	e->value = trim(slice_skip(line, (size_t)colon + 1));
	if (e->key.n == 0)
		return "no key in front of the colon";
	return check_value(e->value);
}

/* A zeroed entry at the end, or NULL. */
static struct map_entry *
new_entry(struct map_source *s, size_t *cap)
{
	if (s->n == *cap) {
		size_t more = *cap == 0 ? 1024 : *cap * 2;
		struct map_entry *v = reallocarray(s->v, more, sizeof(*v));

		if (v == NULL)
			return NULL;
		s->v = v;
		*cap = more;
	}
	memset(&s->v[s->n], 0, sizeof(s->v[0]));
	return &s->v[s->n++];
}

static int
parse_text(struct map_source *s, size_t n, struct report *r)
{
	struct slice text = slice_make(s->text, n), line;
	size_t cap = 0;

	for (unsigned long at = 1; text.n > 0; at++) {
		struct map_entry *e;
		const char *wrong;

		slice_cut(&text, '\n', &line);
		line = trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		e = new_entry(s, &cap);
		if (e == NULL)
			return -1;
		e->line = at;
		wrong = parse_line(line, e);
		if (wrong != NULL) {
			complain(r, at, wrong);
			s->n--;
		}
	}
	return 0;
}

static int
compare(const void *va, const void *vb)
{
	const struct map_entry *a = va, *b = vb;
	size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
	int d = memcmp(a->key.p, b->key.p, n);

	if (d != 0)
		return d;
	if (a->key.n != b->key.n)
		return a->key.n < b->key.n ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

static void
find_repeated(const struct map_source *s, struct report *r)
{
	char text[128];

	for (size_t i = 1; i < s->n; i++) {
		if (!slice_eq(s->v[i].key, s->v[i - 1].key))
			continue;
		if (snprintf(text, sizeof(text), "key of line %lu again",
			s->v[i - 1].line) > 0)
			complain(r, s->v[i].line, text);
	}
}

int
map_source_read(struct map_source *s, int fd, const char *name, FILE *errors)
{
	struct report r = { .out = errors, .name = name };
	size_t n = 0;

	memset(s, 0, sizeof(*s));
	if (read_text(s, fd, &n) == -1 || parse_text(s, n, &r) == -1) {
		fprintf(errors, "%s: %s\n", name, strerror(errno));
		map_source_clear(s);
		return -1;
	}
	if (s->n > 1)
		qsort(s->v, s->n, sizeof(s->v[0]), compare);
	find_repeated(s, &r);
	if (r.n == 0)
		return 0;
	if (r.n > ERRORS_MAX)
		fprintf(errors, "%s: and %u more\n", name, r.n - ERRORS_MAX);
	map_source_clear(s);
	return 1;
}
