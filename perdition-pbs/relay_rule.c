/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_rule - which keys a login from an address opens; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_rule.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

#define V4_BITS 96 /* of a mapped address, before its IPv4 part */
#define MAPPED 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff

/* No client connects from these: unspecified, multicast and reserved
 * (RFC 5735, RFC 4291), and link-local IPv6, which names another machine on
 * each link. */
static const struct addr_net nobody[] = {
	{ { { { MAPPED, 0, 0, 0, 0 } } }, 96 + 8 },
	{ { { { MAPPED, 224, 0, 0, 0 } } }, 96 + 3 },
	{ { { { 0 } } }, 128 },
	{ { { { 0xff } } }, 8 },
	{ { { { 0xfe, 0x80 } } }, 10 },
};

static const struct addr_net loopback[] = {
	{ { { { MAPPED, 127, 0, 0, 0 } } }, 96 + 8 },
	{ { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } } }, 128 },
};

/* One /64 of these holds all of IPv4 (RFC 6052, RFC 8215) or all clients of a
 * Teredo server (RFC 4380): a login speaks for no neighbour there. */
static const struct addr_net crowded[] = {
	{ { { { 0x00, 0x64, 0xff, 0x9b } } }, 96 },
	{ { { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 } } }, 48 },
	{ { { { 0x20, 0x01, 0x00, 0x00 } } }, 32 },
};

/* Whether the first bits of two addresses, as many as both prefixes have, are
 * alike.  For each login and network, nearly all of which differ. */
static bool
begin_alike(const struct addr_net *net, const struct relay_key *k)
{
	unsigned int bits = net->prefix < k->prefix ? net->prefix : k->prefix;
	uint64_t a[2], b[2];

	memcpy(a, &net->ip, sizeof(a));
	memcpy(b, &k->ip, sizeof(b));
	if (bits <= 64)
		return bits == 0 || be64toh(a[0] ^ b[0]) >> (64 - bits) == 0;
	return a[0] == b[0] && be64toh(a[1] ^ b[1]) >> (128 - bits) == 0;
}

/* Whether the two share an address: then one holds the other. */
static bool
overlaps(const struct addr_net *net, const struct relay_key *k)
{
	struct addr a = { .ip = k->ip };
	struct addr_net wide = { .ip = k->ip, .prefix = k->prefix };

	if (!begin_alike(net, k))
		return false;
	if (net->prefix <= k->prefix)
		return addr_net_has(net, &a);
	a.ip = net->ip;
	return addr_net_has(&wide, &a);
}

static bool
any_overlaps(const struct addr_net *v, size_t n, const struct relay_key *k)
{
	for (size_t i = 0; i < n; i++)
		if (overlaps(&v[i], k))
			return true;
	return false;
}

bool
relay_rule_allows(const struct relay_rule *r, const struct relay_key *k)
{
	if (any_overlaps(nobody, sizeof(nobody) / sizeof(nobody[0]), k))
		return false;
	if (!r->allow_loopback &&
	    any_overlaps(loopback, sizeof(loopback) / sizeof(loopback[0]), k))
		return false;
	return !any_overlaps(r->never, r->never_n, k);
}

static int
compare(const void *a, const void *b)
{
	const struct relay_key *x = a, *y = b;
	int d = memcmp(&x->ip, &y->ip, sizeof(x->ip));

	return d != 0 ? d : (int)x->prefix - (int)y->prefix;
}

void
relay_rule_sort(struct relay_key *v, size_t n)
{
	if (n > 0)
		qsort(v, n, sizeof(*v), compare);
}

bool
relay_rule_is_always(const struct relay_rule *r, const struct relay_key *k)
{
	/* A reload asks this for each of them. */
	return r->always_n > 0 &&
	       bsearch(k, r->always, r->always_n, sizeof(*k), compare) != NULL;
}

bool
relay_rule_always_has(const struct relay_rule *r, const struct addr *a)
{
	for (size_t i = 0; i < r->always_n; i++) {
		struct addr_net net = { .ip = r->always[i].ip,
			.prefix = r->always[i].prefix };

		if (addr_net_has(&net, a))
			return true;
	}
	return false;
}

size_t
relay_rule_split(const struct addr_net *net, struct relay_key *out)
{
	struct addr a = { .ip = net->ip };
	bool v4 = addr_is_v4(&a) && net->prefix >= V4_BITS;
	unsigned int step = v4 ? 8 : 16;
	unsigned int least =
	    v4 ? V4_BITS + RELAY_V4_MASK_MIN : RELAY_V6_MASK_MIN;
	unsigned int to = (net->prefix + step - 1) / step * step;
	unsigned int bits, octet;

	to = to < least ? least : to;
	bits = to - net->prefix;
	if (bits > 8)
		return 0;
	for (unsigned int i = 0; out != NULL && i < 1u << bits; i++) {
		memset(&out[i], 0, sizeof(out[i]));
		out[i].ip = net->ip;
		out[i].prefix = (uint8_t)to;
		/* The bits in question end at an octet's border. */
		octet = to / 8 - 1;
		out[i].ip.s6_addr[octet] |= (uint8_t)i;
	}
	return (size_t)1 << bits;
}

size_t
relay_rule_keys(const struct relay_rule *r, const struct addr *a, bool all,
    struct relay_key out[RELAY_RULE_KEYS])
{
	size_t n = 0;

	relay_key_make(&out[n], a, 32, 128);
	if (!all && (a->scope != 0 || !relay_rule_allows(r, &out[n])))
		return 0;
	n++;
	if (addr_is_v4(a) ? r->v4_mask == 32 : r->v6_mask == 128)
		return n;
	relay_key_make(&out[n], a, r->v4_mask, r->v6_mask);
	if (relay_key_is_net(&out[n]) &&
	    (all || (relay_rule_allows(r, &out[n]) &&
			!any_overlaps(crowded,
			    sizeof(crowded) / sizeof(crowded[0]), &out[n]))))
		n++;
	return n;
}
