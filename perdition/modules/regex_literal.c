/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regex_literal - see regex_literal.h.
 */
#include "config.h"

#include "perdition/modules/regex_literal.h"

#include <stdbool.h>
#include <string.h>

#include "perdition/modules/regex_scan.h"

#include "common/banned.h"

enum kind { LITERAL, BEGIN, END, OTHER };

struct atom {
	enum kind kind;
	char byte; /* LITERAL */
};

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* Behind the group that begins at re. */
static const char *
skip_group(const char *re)
{
	unsigned int depth = 0;

	do {
		if (*re == '[') {
			re = regex_skip_brackets(re);
			continue;
		}
		if (*re == '(')
			depth++;
		if (*re == ')')
			depth--;
		if (re[0] == '\\' && re[1] != '\0')
			re++;
		if (*re != '\0')
			re++;
	} while (depth > 0 && *re != '\0');
	return re;
}

/* The atom at re, which does not end there; returns what is behind it. */
static const char *
next_atom(const char *re, struct atom *a)
{
	*a = (struct atom){ .kind = OTHER };
	switch (*re) {
	case '^':
		a->kind = BEGIN;
		return re + 1;
	case '$':
		a->kind = END;
		return re + 1;
	case '[':
		return regex_skip_brackets(re);
	case '(':
		return skip_group(re);
	case '.':
		return re + 1;
	case '\\':
		/* \w, \b, \<, \` and their like are glibc's own. */
		if (re[1] == '\0')
			return re + 1;
		if (!is_alnum(re[1]) && strchr("<>`'", re[1]) == NULL)
			a->kind = LITERAL;
		a->byte = re[1];
		return re + 2;
	default:
		a->kind = LITERAL;
		a->byte = *re;
		return re + 1;
	}
}

static bool
is_repeated(const char *behind)
{
	return *behind != '\0' && strchr("*+?{", *behind) != NULL;
}

static const char *
skip_repetition(const char *re)
{
	while (is_repeated(re)) {
		const char *end = *re == '{' ? strchr(re, '}') : re;

		if (end == NULL)
			return re + strlen(re);
		re = end + 1;
	}
	return re;
}

static void
add_suffix(struct regex_literals *l, char byte)
{
	if (l->suffix_n == sizeof(l->suffix))
		memmove(l->suffix, l->suffix + 1, --l->suffix_n);
	l->suffix[l->suffix_n++] = byte;
}

/* The bytes count from the beginning to the end of the expression. */
struct scan {
	bool only_literals; /* and anchors at the ends */
	size_t literals;
};

static void
conclude(
    struct regex_literals *l, const struct scan *s, bool begins, bool ended)
{
	size_t n = begins ? l->prefix_n : l->suffix_n;

	/* Of a longer one not all is kept. */
	l->whole =
	    s->only_literals && (begins || ended) && n == s->literals && n > 0;
	l->exact = l->whole && begins && ended;
}

void
regex_literals(const char *re, struct regex_literals *l)
{
	struct scan s = { .only_literals = true };
	/* "^*" is whatever the library makes of it. */
	bool beginning = *re == '^' && !is_repeated(re + 1), ended = false;
	const bool begins = beginning;
	const char *start = re;

	memset(l, 0, sizeof(*l));
	for (const char *behind; *re != '\0'; re = behind) {
		struct atom a;
		bool sure;

		if (*re == '|') { /* one of several */
			memset(l, 0, sizeof(*l));
			return;
		}
		behind = next_atom(re, &a);
		sure = a.kind == LITERAL && !is_repeated(behind);
		ended = a.kind == END && !is_repeated(behind);
		s.literals += sure;
		if (!sure && !(re == start && begins) &&
		    !(ended && *behind == '\0'))
			s.only_literals = false;
		if (sure)
			add_suffix(l, a.byte);
		else if (!ended)
			l->suffix_n = 0;
		if (re != start)
			beginning = beginning && sure;
		if (beginning && sure && l->prefix_n < sizeof(l->prefix))
			l->prefix[l->prefix_n++] = a.byte;
		behind = skip_repetition(behind);
	}
	if (!ended)
		l->suffix_n = 0;
	conclude(l, &s, begins, ended);
}

bool
regex_literals_match(const struct regex_literals *l, struct slice text)
{
	if (l->exact && text.n != l->prefix_n)
		return false;
	return slice_starts(text, slice_make(l->prefix, l->prefix_n)) &&
	       text.n >= l->suffix_n &&
	       slice_starts(slice_skip(text, text.n - l->suffix_n),
		   slice_make(l->suffix, l->suffix_n));
}
