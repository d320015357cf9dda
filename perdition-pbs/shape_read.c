/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shape_read - taking a shape's text apart, and refusing what could be read
 * in two ways; see shape.h.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "perdition-pbs/shape.h"
#include "perdition-pbs/shape_private.h"

#include "common/banned.h"

static const char *const names[SHAPE_FIELDS] = {
	[SHAPE_SYSLOG] = "syslog",
	[SHAPE_STAMP] = "stamp",
	[SHAPE_CLIENT] = "client",
	[SHAPE_CLIENT4] = "client4",
	[SHAPE_USER] = "user",
	[SHAPE_TEXT] = "text",
	[SHAPE_ADDRESS] = "address",
	[SHAPE_HOST] = "host",
	[SHAPE_NUMBER] = "number",
	[SHAPE_WORD] = "word",
	[SHAPE_PERDITION] = "perdition",
	[SHAPE_SAME] = "same",
};

struct reader {
	struct shape *sh;
	struct slice rest; /* of sh->text */
	size_t literals_n; /* bytes of sh->literals in use */
	size_t optional;   /* the op that began an optional part, or NONE */
	bool joins;        /* literal text goes on with what is there */
	struct err *err;
};

#define NONE ((size_t)-1)

static int
refuse(struct reader *r, const char *why, struct slice where)
{
	return err_set(r->err, EINVAL, "%s%s%.*s", why, where.n > 0 ? ": " : "",
	    where.n > 60 ? 60 : (int)where.n, where.p);
}

static struct shape_op *
add(struct reader *r, enum shape_op_type type, struct slice source)
{
	struct shape_op *op = &r->sh->ops[r->sh->n++];

	*op = (struct shape_op){
		.type = type, .source = source, .text = { source.p, 0 }
	};
	r->joins = false;
	return op;
}

/* One byte of literal text, n bytes in the source; joins what stands before. */
static int
literal(struct reader *r, size_t n)
{
	struct shape *sh = r->sh;
	struct shape_op *op;
	char c = r->rest.p[0];

	if ((unsigned char)c < ' ' || c == 0x7f)
		return refuse(r, "holds a control character", r->rest);
	if (r->joins) {
		op = &sh->ops[sh->n - 1];
	} else {
		op = add(r, SHAPE_OP_LITERAL, slice_make(r->rest.p, 0));
		op->text = slice_make(sh->literals + r->literals_n, 0);
		r->joins = true;
	}
	sh->literals[r->literals_n++] = c;
	op->text.n++;
	op->source.n += n;
	r->rest = slice_skip(r->rest, n);
	return 0;
}

/* "{=A|B}"; inside: "A|B" */
static int
choice(struct reader *r, struct slice source, struct slice inside)
{
	struct slice rest = inside, one, other, others;
	size_t i = 0;
	bool more;

	do {
		size_t k = 0;

		more = slice_cut(&rest, '|', &one);
		others = inside;
		for (bool next = true; next; k++) {
			next = slice_cut(&others, '|', &other);
			if (k != i && slice_starts(one, other))
				return refuse(r,
				    "one choice is how another begins", source);
		}
		i++;
	} while (more);
	add(r, SHAPE_OP_CHOICE, source)->text = inside;
	return 0;
}

static int
named(struct reader *r, struct slice source, struct slice name)
{
	struct shape *sh = r->sh;

	for (size_t f = 0; f < SHAPE_FIELDS; f++) {
		if (!slice_eq(name, slice_str(names[f])))
			continue;
		if (f == SHAPE_SYSLOG && sh->n > 0)
			return refuse(r, "stands not in front", source);
		if (f == SHAPE_SAME && !shape_has(sh, SHAPE_USER))
			return refuse(r, "stands not behind {user}", source);
		add(r, SHAPE_OP_FIELD, source)->field = (enum shape_field)f;
		if (f == SHAPE_CLIENT4)
			f = SHAPE_CLIENT;
		if (f == SHAPE_CLIENT || f == SHAPE_USER) {
			if (shape_has(sh, (enum shape_field)f))
				return refuse(r, "twice", source);
			if (r->optional != NONE)
				return refuse(r, "may not be left out", source);
		}
		sh->fields |= 1u << f;
		return 0;
	}
	return refuse(r, "there is no such field", source);
}

static int
begin_optional(struct reader *r)
{
	if (r->optional != NONE)
		return refuse(r, "an optional part in another", r->rest);
	r->optional = r->sh->n;
	add(r, SHAPE_OP_OPTIONAL, slice_make(r->rest.p, 2));
	r->rest = slice_skip(r->rest, 2);
	return 0;
}

static int
end_optional(struct reader *r)
{
	struct shape *sh = r->sh;
	struct shape_op *op = &sh->ops[r->optional];

	op->length = sh->n - r->optional - 1;
	op->source.n = (size_t)(r->rest.p + 2 - op->source.p);
	if (op->length == 0 || op[1].type != SHAPE_OP_LITERAL)
		return refuse(
		    r, "an optional part begins with literal text", op->source);
	r->optional = NONE;
	r->joins = false;
	r->rest = slice_skip(r->rest, 2);
	return 0;
}

/* Something in braces. */
static int
braces(struct reader *r)
{
	ptrdiff_t at = slice_find(r->rest, '}');
	struct slice source, inside;

	if (slice_starts(r->rest, SLICE("{?")))
		return begin_optional(r);
	if (at == -1)
		return refuse(r, "a brace is not closed", r->rest);
	source = slice_make(r->rest.p, (size_t)at + 1);
	inside = slice_make(source.p + 1, source.n - 2);
	r->rest = slice_skip(r->rest, source.n);
	if (slice_starts(inside, SLICE("=")))
		return choice(r, source, slice_skip(inside, 1));
	return named(r, source, inside);
}

static int
read_all(struct reader *r)
{
	int ret = 0;

	while (r->rest.n > 0 && ret == 0) {
		if (slice_starts(r->rest, SLICE("{{")))
			ret = literal(r, 2);
		else if (r->rest.p[0] == '{')
			ret = braces(r);
		else if (r->optional != NONE &&
			 slice_starts(r->rest, SLICE("?}")))
			ret = end_optional(r);
		else
			ret = literal(r, 1);
	}
	if (ret == 0 && r->optional != NONE)
		return refuse(r, "an optional part is not closed",
		    r->sh->ops[r->optional].source);
	return ret;
}

/* Where free text ends has to be told by one byte, or be the end. */
static int
set_stop(struct reader *r, struct shape_op *op)
{
	const struct shape *sh = r->sh;
	size_t next = (size_t)(op - sh->ops) + 1;

	if (op->type != SHAPE_OP_FIELD ||
	    (op->field != SHAPE_USER && op->field != SHAPE_TEXT))
		return 0;
	if (next == sh->n)
		return 0;
	if (sh->ops[next].type != SHAPE_OP_LITERAL)
		return refuse(
		    r, "needs literal text, or the end, behind it", op->source);
	op->has_stop = true;
	op->stop = sh->ops[next].text.p[0];
	return 0;
}

static int
check(struct reader *r)
{
	struct shape *sh = r->sh;

	if (sh->n == 0 || sh->ops[0].type != SHAPE_OP_FIELD ||
	    (sh->ops[0].field != SHAPE_SYSLOG &&
		sh->ops[0].field != SHAPE_STAMP))
		return refuse(
		    r, "does not begin with {syslog} or {stamp}", r->rest);
	sh->first = 1;
	for (size_t i = 0; i < sh->n; i++)
		if (set_stop(r, &sh->ops[i]) == -1)
			return -1;
	return 0;
}

struct shape *
shape_create(struct slice text, struct err *err)
{
	struct shape *sh = calloc(1, sizeof(*sh));
	struct reader r = { .sh = sh, .optional = NONE, .err = err };

	if (sh != NULL) {
		sh->text = malloc(text.n + 1);
		sh->literals = malloc(text.n + 1);
		sh->ops = calloc(text.n + 1, sizeof(*sh->ops));
	}
	if (sh == NULL || sh->text == NULL || sh->literals == NULL ||
	    sh->ops == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		shape_destroy(&sh);
		return NULL;
	}
	if (text.n > 0)
		memcpy(sh->text, text.p, text.n);
	r.rest = slice_make(sh->text, text.n);
	if (read_all(&r) == -1 || check(&r) == -1)
		shape_destroy(&sh);
	return sh;
}
