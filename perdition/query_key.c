/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query_key - see query_key.h.
 */
#include "config.h"

#include "perdition/query_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "perdition/username.h"

#include "common/banned.h"

#define VALUE_MAX ADDR_TEXT_MAX

static struct slice
ip_text(const struct addr *a, char mem[VALUE_MAX])
{
	return slice_make(mem, addr_write_ip(a, mem));
}

static struct slice
port_text(const struct addr *a, char mem[VALUE_MAX])
{
	int n = snprintf(mem, VALUE_MAX, "%u", (unsigned int)a->port);

	return slice_make(mem, n > 0 ? (size_t)n : 0);
}

/* What the escape \c stands for; false when it is none. */
static bool
value_of(char c, const struct query_key_values *v, char mem[VALUE_MAX],
    struct slice *out)
{
	struct slice local, domain;

	username_split(v->user, v->delimiter, &local, &domain);
	switch (c) {
	case 'U':
		*out = v->user;
		return true;
	case 'u':
		*out = local;
		return true;
	case 'D':
		*out = slice_str(v->delimiter);
		return true;
	case 'd':
		*out = domain;
		return true;
	case 'i':
		*out = ip_text(v->client, mem);
		return true;
	case 'p':
		*out = port_text(v->client, mem);
		return true;
	case 'I':
		*out = ip_text(v->local, mem);
		return true;
	case 'P':
		*out = port_text(v->local, mem);
		return true;
	case '\\':
		*out = SLICE("\\");
		return true;
	default:
		return false;
	}
}

long
query_key_expand(
    const char *format, const struct query_key_values *v, char *out, size_t cap)
{
	char mem[VALUE_MAX];
	size_t n = 0;

	for (const char *p = format; *p != '\0'; p++) {
		struct slice s = slice_make(p, 1);

		if (p[0] == '\\' && value_of(p[1], v, mem, &s))
			p++;
		if (s.n > cap - n) {
			errno = ENAMETOOLONG;
			return -1;
		}
		if (s.n > 0)
			memcpy(out + n, s.p, s.n);
		n += s.n;
	}
	return (long)n;
}
