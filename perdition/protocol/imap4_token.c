/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_token - cutting tags, atoms, strings and lists.
 */
#include "config.h"

#include "perdition/protocol/imap4_token.h"

#include "common/banned.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

enum imap4_literal
imap4_literal_at_end(struct slice line, uint32_t *n)
{
	enum imap4_literal kind = IMAP4_LITERAL_SYNC;
	size_t end = line.n, begin, floor;
	uint64_t value = 0;

	floor = line.n > IMAP4_LITERAL_TAIL ? line.n - IMAP4_LITERAL_TAIL : 0;
	if (end == 0 || line.p[--end] != '}')
		return IMAP4_LITERAL_NONE;
	if (end > floor && line.p[end - 1] == '+') {
		kind = IMAP4_LITERAL_NONSYNC;
		end--;
	}
	for (begin = end; begin > floor && is_digit(line.p[begin - 1]);)
		begin--;
	if (begin == end)
		return IMAP4_LITERAL_NONE;
	if (begin == floor && floor == 0)
		return IMAP4_LITERAL_NONE;
	if (begin > floor && line.p[begin - 1] != '{')
		return IMAP4_LITERAL_NONE;
	if (begin == floor || slice_u64(slice_make(line.p + begin, end - begin),
				  UINT32_MAX, &value) == -1) {
		/* Who waits for a "+" can be refused, whatever the number. */
		if (kind == IMAP4_LITERAL_NONSYNC)
			return IMAP4_LITERAL_HOPELESS;
		value = UINT32_MAX;
	}
	*n = (uint32_t)value;
	return kind;
}

/* ATOM-CHAR, with "]", "%" and "*", which do no harm in names and passwords
 * and which careless clients send bare. */
static bool
is_atom_char(char c)
{
	return c > 0x20 && c < 0x7f && c != '"' && c != '(' && c != ')' &&
	       c != '{' && c != '\\';
}

static bool
is_tag_char(char c)
{
	return is_atom_char(c) && c != '+' && c != '%' && c != '*';
}

static bool
cut_while(struct slice *s, bool (*is)(char), struct slice *head)
{
	size_t n = 0;

	while (n < s->n && is(s->p[n]))
		n++;
	*head = slice_make(s->p, n);
	*s = slice_skip(*s, n);
	return n > 0;
}

bool
imap4_tag(struct slice *s, struct slice *tag)
{
	struct slice head;

	if (!cut_while(s, is_tag_char, &head) || head.n > IMAP4_TAG_MAX)
		return false;
	if (!imap4_at_end(*s) && s->p[0] != ' ')
		return false;
	*tag = head;
	return true;
}

bool
imap4_space(struct slice *s)
{
	if (s->n == 0 || s->p[0] != ' ')
		return false;
	*s = slice_skip(*s, 1);
	return true;
}

bool
imap4_at_end(struct slice s)
{
	return s.n == 0 || slice_eq(s, SLICE("\r\n")) ||
	       slice_eq(s, SLICE("\n"));
}

bool
imap4_atom(struct slice *s, struct slice *atom)
{
	return cut_while(s, is_atom_char, atom);
}

/* s stands behind the opening quote. */
static bool
quoted(struct slice *s, char *out, size_t cap, size_t *len)
{
	size_t n = 0, i = 0;

	for (; i < s->n && s->p[i] != '"'; i++) {
		char c = s->p[i];

		if (c == '\\') {
			if (++i == s->n)
				return false;
			c = s->p[i];
			if (c != '"' && c != '\\')
				return false;
		}
		if (c == '\0' || c == '\r' || c == '\n' || n == cap)
			return false;
		out[n++] = c;
	}
	if (i == s->n)
		return false;
	*s = slice_skip(*s, i + 1);
	*len = n;
	return true;
}

/* s stands behind the opening brace. */
static bool
literal(struct slice *s, char *out, size_t cap, size_t *len)
{
	struct slice digits;
	uint64_t n;

	if (!cut_while(s, is_digit, &digits) ||
	    slice_u64(digits, UINT32_MAX, &n) == -1)
		return false;
	if (s->n > 0 && s->p[0] == '+')
		*s = slice_skip(*s, 1);
	if (slice_starts(*s, SLICE("}\r\n")))
		*s = slice_skip(*s, 3);
	else if (slice_starts(*s, SLICE("}\n")))
		*s = slice_skip(*s, 2);
	else
		return false;
	if (n > s->n || n > cap || (n > 0 && memchr(s->p, '\0', n) != NULL))
		return false;
	if (n > 0)
		memcpy(out, s->p, n);
	*s = slice_skip(*s, n);
	*len = n;
	return true;
}

bool
imap4_string(struct slice *s, char *out, size_t cap, size_t *len)
{
	char c;

	if (s->n == 0)
		return false;
	c = s->p[0];
	*s = slice_skip(*s, 1);
	if (c == '"')
		return quoted(s, out, cap, len);
	return c == '{' && literal(s, out, cap, len);
}

bool
imap4_astring(struct slice *s, char *out, size_t cap, size_t *len)
{
	struct slice atom;

	if (s->n > 0 && (s->p[0] == '"' || s->p[0] == '{'))
		return imap4_string(s, out, cap, len);
	if (!imap4_atom(s, &atom) || atom.n > cap)
		return false;
	memcpy(out, atom.p, atom.n);
	*len = atom.n;
	return true;
}

static bool
cut_nil(struct slice *s)
{
	if (s->n < 3 || !slice_caseeq(slice_make(s->p, 3), SLICE("NIL")))
		return false;
	*s = slice_skip(*s, 3);
	return true;
}

bool
imap4_id_params(struct slice *s)
{
	char scratch[IMAP4_ID_VALUE_MAX];
	unsigned int pairs = 0;
	size_t len;

	if (cut_nil(s))
		return true;
	if (s->n == 0 || s->p[0] != '(')
		return false;
	*s = slice_skip(*s, 1);
	while (s->n > 0 && s->p[0] != ')') {
		if (pairs > 0 && !imap4_space(s))
			return false;
		if (++pairs > IMAP4_ID_PAIRS_MAX ||
		    !imap4_string(s, scratch, IMAP4_ID_NAME_MAX, &len) ||
		    !imap4_space(s))
			return false;
		if (!cut_nil(s) &&
		    !imap4_string(s, scratch, sizeof(scratch), &len))
			return false;
	}
	if (s->n == 0)
		return false;
	*s = slice_skip(*s, 1);
	return true;
}
