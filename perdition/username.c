/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * username - strip or add a domain, then lower case.
 *
 * Folding is for ASCII alone: a byte above 0x7f belongs to a character that
 * the real-server may tell apart, whatever locale we happen to run in.
 */
#include "config.h"

#include "perdition/username.h"

#include <errno.h>
#include <string.h>

#include "common/banned.h"

bool
username_split(struct slice user, const char *delimiter, struct slice *local,
    struct slice *domain)
{
	struct slice d = slice_str(delimiter);
	ptrdiff_t at = d.n == 0 ? -1 : slice_rfind(user, d);

	if (at == -1) {
		*local = user;
		*domain = slice_make("", 0);
		return false;
	}
	*local = slice_make(user.p, (size_t)at);
	*domain = slice_skip(user, (size_t)at + d.n);
	return true;
}

static void
lower(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
	}
}

/* Appends to out at *n; false when it does not fit. */
static bool
append(char *out, size_t cap, size_t *n, struct slice s)
{
	if (s.n > cap - *n)
		return false;
	if (s.n > 0)
		memcpy(out + *n, s.p, s.n);
	*n += s.n;
	return true;
}

/*
 * A name that has a domain keeps it: add_domain is for those who left it
 * out.  After strip_domain in the same state the domain is thus replaced.
 */
static bool
wants_domain(
    const struct config *config, enum name_state state, struct slice user)
{
	struct slice local, domain;

	return (config->add_domain & state) != 0 &&
	       !username_split(user, config->domain_delimiter, &local, &domain);
}

long
username_rewrite(const struct config *config, enum name_state state,
    struct slice user, const char *domain, char *out, size_t cap)
{
	struct slice local, rest;
	struct slice add = slice_str(config->explicit_domain);
	size_t n = 0;

	if (add.n == 0)
		add = slice_str(domain);
	if ((config->strip_domain & state) != 0) {
		username_split(user, config->domain_delimiter, &local, &rest);
		user = local;
	}
	if (!append(out, cap, &n, user))
		goto too_long;
	if (add.n > 0 && wants_domain(config, state, user) &&
	    (!append(out, cap, &n, slice_str(config->domain_delimiter)) ||
		!append(out, cap, &n, add)))
		goto too_long;
	if ((config->lower_case & state) != 0)
		lower(out, n);
	return (long)n;
too_long:
	errno = ENAMETOOLONG;
	return -1;
}
