/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_filter - see ldap_filter.h.
 */
#include "config.h"

#include "perdition/modules/ldap_filter.h"

#include <stdlib.h>

#include "perdition/modules/ldap_url.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

#define WIDTH_MAX 1000

/* What is made; p is NULL while its size is being found. */
struct text {
	char *p;
	size_t n;
};

/* A "%[-][WIDTH][.PRECISION]s". */
struct spec {
	bool left;
	size_t width, precision;
};

static void
put(struct text *out, char c)
{
	if (out->p != NULL)
		out->p[out->n] = c;
	out->n++;
}

/* All but what is harmless to every parser of filters. */
static void
put_escaped(struct text *out, char c)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char byte = (unsigned char)c;

	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("@._-", c) != NULL)) {
		put(out, c);
		return;
	}
	put(out, '\\');
	put(out, hex[byte >> 4]);
	put(out, hex[byte & 15]);
}

static void
put_key(struct text *out, const struct spec *spec, struct slice key)
{
	size_t pad;

	if (key.n > spec->precision)
		key.n = spec->precision;
	pad = spec->width > key.n ? spec->width - key.n : 0;
	for (size_t i = 0; !spec->left && i < pad; i++)
		put_escaped(out, ' ');
	for (size_t i = 0; i < key.n; i++)
		put_escaped(out, key.p[i]);
	for (size_t i = 0; spec->left && i < pad; i++)
		put_escaped(out, ' ');
}

/* Digits at s[*at], which moves behind them; false: above the limit. */
static bool
number(struct slice s, size_t *at, size_t *value)
{
	*value = 0;
	for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at) {
		*value = *value * 10 + (size_t)(s.p[*at] - '0');
		if (*value > WIDTH_MAX)
			return false;
	}
	return true;
}

/* How long the spec is with which s begins, or 0. */
static size_t
read_spec(struct slice s, struct spec *spec)
{
	size_t at = 1;

	memset(spec, 0, sizeof(*spec));
	spec->precision = SIZE_MAX;
	if (at < s.n && s.p[at] == '-') {
		spec->left = true;
		at++;
	}
	if (!number(s, &at, &spec->width))
		return 0;
	if (at < s.n && s.p[at] == '.') {
		at++;
		if (!number(s, &at, &spec->precision))
			return 0;
	}
	return at < s.n && s.p[at] == 's' ? at + 1 : 0;
}

/* How many keys are in the filter, or -1 with err. */
static int
expand(struct text *out, struct slice form, struct slice key,
    struct popmap_error *err)
{
	int keys = 0;

	out->n = 0;
	while (form.n > 0) {
		struct spec spec;
		size_t n = 1;
		char c = form.p[0];

		if (c == '\0')
			return map_error(err, "filter: a NUL byte");
		if (c != '%') {
			put(out, c);
		} else if (form.n > 1 && form.p[1] == '%') {
			put(out, '%');
			n = 2;
		} else if ((n = read_spec(form, &spec)) > 0) {
			put_key(out, &spec, key);
			keys++;
		} else if (slice_percent(form, &c) && c != '\0') {
			put(out, c);
			n = 3;
		} else {
			return map_error(err,
			    "filter: behind a percent sign there must be s, "
			    "another one, or two hexadecimal digits");
		}
		form = slice_skip(form, n);
	}
	return keys;
}

char *
ldap_filter_make(struct slice form, struct slice key, struct popmap_error *err)
{
	struct text out = { .p = NULL };

	if (expand(&out, form, key, err) == -1)
		return NULL;
	out.p = calloc(1, out.n + 1);
	if (out.p == NULL)
		map_error(err, "out of memory");
	else
		expand(&out, form, key, err);
	return out.p;
}

/* Parentheses in values are escaped as \28 and \29. */
static bool
balanced(const char *filter)
{
	long depth = 0;

	for (; *filter != '\0' && depth >= 0; filter++) {
		if (*filter == '(')
			depth++;
		else if (*filter == ')')
			depth--;
	}
	return depth == 0;
}

int
ldap_filter_check(struct slice form, struct popmap_error *err)
{
	struct text none = { .p = NULL };
	int keys = expand(&none, form, SLICE("x"), err);
	char *trial;
	int ret = 0;

	if (keys == -1)
		return -1;
	if (keys == 0)
		return map_error(err,
		    "filter: no %%s in it, so all users would get the same "
		    "answer");
	trial = ldap_filter_make(form, SLICE("x"), err);
	if (trial == NULL)
		return -1;
	if (!balanced(trial))
		ret = map_error(err, "filter: parentheses do not match");
	free(trial);
	return ret;
}
