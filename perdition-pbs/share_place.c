/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_place - see the header.
 */
#include "config.h"

#include "perdition-pbs/share_place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/addr.h"

#include "common/banned.h"

static int
invalid(void)
{
	errno = EINVAL;
	return -1;
}

static int
set_host(struct share_place *p, struct slice host)
{
	if (host.n == 0 || host.n >= sizeof(p->host) ||
	    memchr(host.p, '\0', host.n) != NULL)
		return invalid();
	memcpy(p->host, host.p, host.n);
	p->host[host.n] = '\0';
	return 0;
}

/* A name as DNS has it, or an IPv4 address. */
static bool
is_name(struct slice s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || strchr(letters, s.p[i]) == NULL)
			return false;
	return s.n > 0;
}

int
share_place_parse(struct slice text, unsigned int dflt, struct share_place *p)
{
	ptrdiff_t colon = slice_rfind(text, SLICE(":"));
	ptrdiff_t bracket = slice_find(text, ']');
	struct slice host = text;
	struct addr a;
	uint64_t port = dflt;

	if (slice_starts(text, SLICE("/"))) {
		p->port = 0;
		return set_host(p, text);
	}
	if (colon != -1 && colon > bracket) {
		host.n = (size_t)colon;
		if (slice_u64(slice_skip(text, host.n + 1), 65535, &port) ==
			-1 ||
		    port == 0)
			return invalid();
	}
	p->port = (unsigned int)port;
	if (!slice_starts(host, SLICE("[")))
		return is_name(host) ? set_host(p, host) : invalid();
	if (host.p[host.n - 1] != ']')
		return invalid();
	host = slice_make(host.p + 1, host.n - 2);
	if (addr_parse_ip(host, &a) == -1)
		return invalid();
	return set_host(p, host);
}

int
share_id_parse(struct slice text, struct share_id *id)
{
	struct slice ms;

	if (!slice_cut(&text, '-', &ms) ||
	    slice_u64(ms, SHARE_ID_MS_MAX, &id->ms) == -1 ||
	    slice_u64(text, UINT64_MAX, &id->seq) == -1)
		return invalid();
	return 0;
}

size_t
share_id_write(const struct share_id *id, char out[SHARE_ID_MAX])
{
	return (size_t)snprintf(
	    out, SHARE_ID_MAX, "%" PRIu64 "-%" PRIu64, id->ms, id->seq);
}

bool
share_id_before(const struct share_id *a, const struct share_id *b)
{
	return a->ms != b->ms ? a->ms < b->ms : a->seq < b->seq;
}
