/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The syntax of configuration files: bytes in, words out.  Knows no options.
 */
#include "config.h"

#include "common/option_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

/* The line that is being read. */
struct reader {
	struct option_lex *lex;
	bool in_single, in_double;
	struct option_lex begin;       /* of the line */
	struct option_lex single, dbl; /* where the open quotes stand */
	bool spans; /* a line end was in quotes that are closed */
};

enum token {
	TOKEN_BYTE,
	TOKEN_BLANK,  /* a byte too, but neither quoted nor escaped */
	TOKEN_QUOTE,  /* which is not part of the word */
	TOKEN_END,    /* of the logical line; nothing was taken */
	TOKEN_FAILED, /* the end of the text inside quotes, or a NUL */
};

static void
advance(struct option_lex *lex, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (lex->rest.p[i] == '\n') {
			lex->line++;
			lex->column = 1;
		} else {
			lex->column++;
		}
	}
	lex->rest = slice_skip(lex->rest, n);
}

static void
skip_physical_line(struct option_lex *lex)
{
	ptrdiff_t at = slice_find(lex->rest, '\n');

	advance(lex, at == -1 ? lex->rest.n : (size_t)at + 1);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* How many bytes of s, behind a backslash, are a line end; 0 for none. */
static size_t
line_end(struct slice s)
{
	if (slice_starts(s, SLICE("\n")))
		return 1;
	return slice_starts(s, SLICE("\r\n")) ? 2 : 0;
}

static enum token
take(struct reader *r, char *c)
{
	*c = r->lex->rest.p[0];
	if (*c == '\0')
		return TOKEN_FAILED;
	advance(r->lex, 1);
	return TOKEN_BYTE;
}

static void
open_quote(struct reader *r, bool *which, struct option_lex *where)
{
	*which = true;
	*where = *r->lex;
}

static void
close_quote(struct reader *r, bool *which, const struct option_lex *where)
{
	*which = false;
	if (where->line != r->lex->line)
		r->spans = true;
}

static enum token
next_quoted(struct reader *r, char *c)
{
	char q = r->lex->rest.p[0];

	if (q == '\'') {
		if (r->in_single)
			close_quote(r, &r->in_single, &r->single);
		else
			open_quote(r, &r->in_single, &r->single);
	} else if (q == '"' && !r->in_single) {
		close_quote(r, &r->in_double, &r->dbl);
	} else {
		return take(r, c);
	}
	advance(r->lex, 1);
	return TOKEN_QUOTE;
}

/* A backslash and the line end behind it are gone without a trace. */
static void
skip_joins(struct option_lex *lex)
{
	while (slice_starts(lex->rest, SLICE("\\"))) {
		struct slice behind = slice_skip(lex->rest, 1);
		size_t n = line_end(behind);

		if (n == 0 && behind.n > 0)
			return;
		advance(lex, 1 + n);
	}
}

static enum token
next(struct reader *r, char *c)
{
	struct option_lex *lex = r->lex;

	if (r->in_single || r->in_double)
		return lex->rest.n == 0 ? TOKEN_FAILED : next_quoted(r, c);
	skip_joins(lex);
	if (lex->rest.n == 0)
		return TOKEN_END;
	switch (lex->rest.p[0]) {
	case '\n':
	case '#':
		return TOKEN_END;
	case '\\':
		advance(lex, 1);
		return take(r, c);
	case '\'':
		open_quote(r, &r->in_single, &r->single);
		break;
	case '"':
		open_quote(r, &r->in_double, &r->dbl);
		break;
	default:
		return take(r, c) == TOKEN_FAILED ? TOKEN_FAILED
		       : is_blank(*c)             ? TOKEN_BLANK
						  : TOKEN_BYTE;
	}
	advance(lex, 1);
	return TOKEN_QUOTE;
}

static void
skip_blanks(struct option_lex *lex)
{
	for (;;) {
		skip_joins(lex);
		if (lex->rest.n == 0 || !is_blank(lex->rest.p[0]))
			return;
		advance(lex, 1);
	}
}

/* To the first line that is not blank; false at the end of the text. */
static bool
skip_blank_lines(struct option_lex *lex)
{
	for (;;) {
		skip_blanks(lex);
		if (lex->rest.n == 0)
			return false;
		if (lex->rest.p[0] != '\n' && lex->rest.p[0] != '#')
			return true;
		skip_physical_line(lex);
	}
}

struct word {
	char *p;
	size_t n, cap;
};

static void
wipe_free(char *p, size_t n)
{
	if (p != NULL)
		explicit_bzero(p, n);
	free(p);
}

static int
word_put(struct word *w, char c)
{
	size_t cap = w->cap == 0 ? 32 : w->cap * 2;
	char *p;

	if (w->n == w->cap) {
		/* Not realloc(3): it may be a password, of which no copy is
		 * to stay behind. */
		p = malloc(cap);
		if (p == NULL)
			return -1;
		if (w->n != 0)
			memcpy(p, w->p, w->n);
		wipe_free(w->p, w->n);
		w->p = p;
		w->cap = cap;
	}
	w->p[w->n++] = c;
	return 0;
}

/*
 * Reads a key, or a value up to the end of the line.  Returns 0, or -1 with
 * errno EBADMSG (TOKEN_FAILED) or ENOMEM.
 */
static int
read_word(struct reader *r, bool key, struct word *w)
{
	size_t keep = 0; /* blanks behind a value are not part of it */
	enum token token;
	char c = '\0';

	while ((token = next(r, &c)) != TOKEN_END) {
		if (token == TOKEN_QUOTE)
			continue;
		if (token == TOKEN_BLANK && key)
			break;
		if (token == TOKEN_FAILED) {
			errno = EBADMSG;
			return -1;
		}
		if (word_put(w, c) == -1)
			return -1;
		if (token == TOKEN_BYTE)
			keep = w->n;
	}
	w->n = keep;
	if (word_put(w, '\0') == -1)
		return -1;
	w->n = keep;
	return 0;
}

static int
read_words(struct reader *r, struct option_line *out)
{
	struct option_lex *lex = r->lex;
	struct word key = { 0 }, value = { 0 };
	int ret = -1;

	out->line = lex->line;
	out->column = lex->column;
	if (read_word(r, true, &key) == -1)
		goto out;
	skip_blanks(lex);
	if (lex->rest.n > 0 && lex->rest.p[0] != '\n' &&
	    lex->rest.p[0] != '#') {
		out->value_line = lex->line;
		out->value_column = lex->column;
	}
	if (read_word(r, false, &value) == -1)
		goto out;
	ret = 0;
out:
	out->key = key.p;
	out->key_len = key.n;
	out->value = value.p;
	out->value_len = value.n;
	return ret;
}

/* Says what failed and moves lex to where reading may go on. */
static void
explain(
    struct reader *r, unsigned int *line, unsigned int *column, struct err *err)
{
	struct option_lex *lex = r->lex;

	if (lex->rest.n > 0) {
		err_set(err, EINVAL, "a NUL byte");
		*line = lex->line;
		*column = lex->column;
		skip_physical_line(lex);
		return;
	}
	*lex = r->in_single ? r->single : r->dbl;
	*line = lex->line;
	*column = lex->column;
	err_set(err, EINVAL, "a %s quote that is never closed",
	    r->in_single ? "single" : "double");
	/*
	 * If quotes before this one held a line end, perhaps one of them was
	 * the odd one out, and what looked quoted since then was not: start
	 * over behind the first line.
	 */
	if (r->spans) {
		err_set(err, EINVAL,
		    "a %s quote that is never closed (the text began on "
		    "line %u)",
		    r->in_single ? "single" : "double", r->begin.line);
		*lex = r->begin;
	}
	skip_physical_line(lex);
}

int
option_lex_line(struct option_lex *lex, struct option_line *out,
    unsigned int *line, unsigned int *column, struct err *err)
{
	struct reader r = { .lex = lex };
	int saved;

	memset(out, 0, sizeof(*out));
	if (!skip_blank_lines(lex))
		return 0;
	r.begin = *lex;
	if (read_words(&r, out) == 0) {
		skip_physical_line(lex); /* a comment, the line end */
		return 1;
	}
	saved = errno;
	*line = out->line;
	*column = out->column;
	option_line_clear(out);
	if (saved == EBADMSG) {
		explain(&r, line, column, err);
	} else {
		err_set(err, saved, "out of memory");
		skip_physical_line(lex);
	}
	return -1;
}

int
option_line_next(struct slice *text, unsigned int *line,
    struct option_line *out, struct err *err)
{
	struct option_lex lex = { *text, *line, 1 };
	unsigned int column;
	int ret = option_lex_line(&lex, out, line, &column, err);

	if (ret == -1) {
		*text = slice_skip(*text, text->n);
	} else {
		*text = lex.rest;
		*line = lex.line;
	}
	return ret;
}

void
option_line_clear(struct option_line *line)
{
	wipe_free(line->key, line->key_len);
	wipe_free(line->value, line->value_len);
	memset(line, 0, sizeof(*line));
}
