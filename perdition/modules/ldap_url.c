/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_url - see ldap_url.h.
 */
#include "config.h"

#include "perdition/modules/ldap_url.h"

#include <stdlib.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

static const struct {
	struct slice text;
	enum ldap_scheme scheme;
} schemes[] = {
	{ SLICE("ldap://"), LDAP_SCHEME_PLAIN },
	{ SLICE("ldaps://"), LDAP_SCHEME_TLS },
	{ SLICE("ldapi://"), LDAP_SCHEME_LOCAL },
};

char *
ldap_url_decode(struct slice s, const char *what, struct popmap_error *err)
{
	char *out = malloc(s.n + 1);
	size_t n = 0;

	if (out == NULL) {
		map_error(err, "out of memory");
		return NULL;
	}
	while (s.n > 0) {
		char c = s.p[0];
		size_t used = 1;

		if (c == '%') {
			used = 3;
			if (!slice_percent(s, &c))
				goto bad;
		}
		if (c == '\0')
			goto bad;
		out[n++] = c;
		s = slice_skip(s, used);
	}
	out[n] = '\0';
	return out;
bad:
	explicit_bzero(out, n);
	free(out);
	map_error(err,
	    "%s: behind a percent sign there must be two hexadecimal digits, "
	    "and not 00",
	    what);
	return NULL;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice
ldap_url_trim(struct slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = slice_skip(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* The index of the scheme with which s begins, or -1. */
static int
find_scheme(struct slice s)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = schemes[i].text.n;

		if (s.n >= n &&
		    slice_caseeq(slice_make(s.p, n), schemes[i].text))
			return (int)i;
	}
	return -1;
}

/* Where the next URL begins, or the end. */
static size_t
url_length(struct slice s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (is_space(s.p[i - 1]) && find_scheme(slice_skip(s, i)) != -1)
			return i;
	}
	return s.n;
}

int
ldap_url_next(struct slice *text, enum ldap_scheme *scheme, struct slice *hosts,
    struct slice *rest, struct popmap_error *err)
{
	struct slice url = ldap_url_trim(*text);
	int i = find_scheme(url);

	if (url.n == 0)
		return 0;
	if (i == -1)
		return map_error(err,
		    "not an LDAP URL: [VERSION:]ldap://SERVER/BASE?"
		    "USER,HOST,PORT?SCOPE?FILTER (also ldaps://, ldapi://)");
	*text = slice_skip(url, url_length(url));
	url.n -= text->n;
	*scheme = schemes[i].scheme;
	*rest = slice_skip(url, schemes[i].text.n);
	slice_cut(rest, '/', hosts);
	*rest = ldap_url_trim(*rest);
	*hosts = ldap_url_trim(*hosts);
	if (slice_find(*hosts, '?') != -1)
		return map_error(
		    err, "a slash is missing in front of a question mark");
	return 1;
}
