/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shape - matching a line of a log against a shape; see the header.
 */
#include "config.h"

#include "perdition-pbs/shape.h"

#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "perdition-pbs/logtime.h"
#include "perdition-pbs/shape_private.h"

#include "common/banned.h"

/* What runs consist of. */
#define DIGIT 1u
#define WORD 2u
#define HOST 4u
#define ADDRESS 8u
#define DOTTED 16u

static const unsigned char classes[256] = {
	['0' ... '9'] = DIGIT | WORD | HOST | ADDRESS | DOTTED,
	['a' ... 'z'] = WORD | HOST | ADDRESS,
	['A' ... 'Z'] = WORD | HOST | ADDRESS,
	['.'] = WORD | HOST | ADDRESS | DOTTED,
	['-'] = WORD | HOST,
	['_'] = WORD | HOST,
	[':'] = HOST | ADDRESS,
	['%'] = ADDRESS, /* in front of an interface */
	['+'] = WORD,
	['/'] = WORD,
	['='] = WORD,
	['@'] = WORD,
};

#define NO_MATCH ((size_t)-1)

static size_t
run(struct slice s, unsigned int class)
{
	size_t n = 0;

	while (n < s.n && (classes[(unsigned char)s.p[n]] & class) != 0)
		n++;
	return n;
}

static size_t
some(size_t n)
{
	return n == 0 ? NO_MATCH : n;
}

/* "192.0.2.1:143", "::1" and "[::1]:143"; what it is worth is seen later. */
static size_t
address(struct slice s)
{
	size_t n;

	if (s.n == 0 || s.p[0] != '[')
		return some(run(s, ADDRESS));
	n = 1 + run(slice_skip(s, 1), ADDRESS);
	if (n == s.n || s.p[n] != ']')
		return NO_MATCH;
	n++;
	return n + run(slice_skip(s, n), ADDRESS);
}

static size_t
true_address(struct slice s)
{
	struct addr a;
	size_t n = address(s);

	if (n == NO_MATCH || addr_parse(slice_make(s.p, n), false, &a) == -1)
		return NO_MATCH;
	return n;
}

/* Up to the byte that ends it, which has to be there. */
static size_t
free_text(const struct shape_op *op, struct slice s)
{
	size_t n = s.n;

	if (op->has_stop) {
		ptrdiff_t at = slice_find(s, op->stop);

		if (at == -1)
			return NO_MATCH;
		n = (size_t)at;
	}
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return NO_MATCH;
	return n;
}

static size_t
stamp(struct slice s)
{
	struct logtime_stamp t;

	return logtime_find(s, &t) ? t.text.n : NO_MATCH;
}

static size_t
field(const struct shape_op *op, struct slice s, struct shape_match *m)
{
	size_t n;

	switch (op->field) {
	case SHAPE_CLIENT:
		n = address(s);
		m->client = slice_make(s.p, n);
		return n;
	case SHAPE_CLIENT4:
		n = some(run(s, DOTTED));
		m->client = slice_make(s.p, n);
		return n;
	case SHAPE_USER:
		n = some(free_text(op, s));
		m->user = slice_make(s.p, n);
		return n;
	case SHAPE_SAME:
		return slice_starts(s, m->user) ? m->user.n : NO_MATCH;
	case SHAPE_TEXT:
		return free_text(op, s);
	case SHAPE_ADDRESS:
		return true_address(s);
	case SHAPE_HOST:
		return some(run(s, HOST));
	case SHAPE_NUMBER:
		return some(run(s, DIGIT));
	case SHAPE_WORD:
		return some(run(s, WORD));
	case SHAPE_STAMP:
		return stamp(s);
	case SHAPE_PERDITION:
		m->own = s;
		return s.n;
	case SHAPE_SYSLOG: /* only in front, where others see to it */
	case SHAPE_FIELDS:
		break;
	}
	return NO_MATCH;
}

static size_t
choice(struct slice alternatives, struct slice s)
{
	struct slice one;
	bool more;

	do {
		more = slice_cut(&alternatives, '|', &one);
		if (slice_starts(s, one))
			return one.n;
	} while (more);
	return NO_MATCH;
}

/* The length of what op stands for at the start of s; *i: op's place, moved
 * behind an optional part that is not there. */
static size_t
step(const struct shape *sh, size_t *i, struct slice s, struct shape_match *m)
{
	const struct shape_op *op = &sh->ops[*i];

	switch (op->type) {
	case SHAPE_OP_LITERAL:
		return slice_starts(s, op->text) ? op->text.n : NO_MATCH;
	case SHAPE_OP_CHOICE:
		return choice(op->text, s);
	case SHAPE_OP_OPTIONAL:
		if (!slice_starts(s, sh->ops[*i + 1].text))
			*i += op->length;
		return 0;
	case SHAPE_OP_FIELD:
		break;
	}
	return field(op, s, m);
}

bool
shape_match(const struct shape *sh, struct slice text, struct shape_match *m)
{
	struct slice rest = text;

	m->client = m->user = m->own = slice_make(text.p, 0);
	for (size_t i = sh->first; i < sh->n; i++) {
		size_t at = i, n = step(sh, &i, rest, m);

		if (n == NO_MATCH) {
			m->at = text.n - rest.n;
			m->expected = sh->ops[at].source;
			return false;
		}
		rest = slice_skip(rest, n);
	}
	m->at = text.n - rest.n;
	m->expected = slice_make(NULL, 0);
	return rest.n == 0;
}

bool
shape_has(const struct shape *sh, enum shape_field f)
{
	return (sh->fields & 1u << f) != 0;
}

struct slice
shape_literal(const struct shape *sh)
{
	struct slice longest = { NULL, 0 };

	for (size_t i = sh->first; i < sh->n; i++) {
		const struct shape_op *op = &sh->ops[i];

		if (op->type == SHAPE_OP_OPTIONAL)
			i += op->length;
		else if (op->type == SHAPE_OP_LITERAL && op->text.n > longest.n)
			longest = op->text;
	}
	return longest;
}

void
shape_destroy(struct shape **shp)
{
	if (*shp == NULL)
		return;
	free((*shp)->ops);
	free((*shp)->text);
	free((*shp)->literals);
	free(*shp);
	*shp = NULL;
}
