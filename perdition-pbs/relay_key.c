/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_key - addresses and networks as the MTAs spell them; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/banned.h"

#define V4_BITS 96 /* of a mapped address, before its IPv4 part */

static struct addr
key_addr(const struct relay_key *k)
{
	return (struct addr){ .ip = k->ip };
}

void
relay_key_make(
    struct relay_key *k, const struct addr *a, unsigned int v4, unsigned int v6)
{
	struct addr masked;

	memset(k, 0, sizeof(*k));
	k->prefix = (uint8_t)(addr_is_v4(a) ? v4 + V4_BITS : v6);
	k->ip = a->ip;
	if (!relay_key_is_net(k))
		return;
	masked = *a;
	addr_mask(&masked, v4, v6);
	k->ip = masked.ip;
}

size_t
relay_key_write(const struct relay_key *k, char out[RELAY_TEXT_MAX])
{
	struct addr a = key_addr(k);
	size_t n = addr_write_ip(&a, out);

	if (relay_key_is_net(k)) {
		out[n++] = '/';
		n += slice_put_u64(
		    out + n, addr_is_v4(&a) ? k->prefix - V4_BITS : k->prefix);
		out[n] = '\0';
	}
	return n;
}

/* 31 + 5 + 64 bytes at most: nothing is cut. */
static void
add(struct relay_spellings *s, const char *prefix, const char *kind,
    const char *text)
{
	const char *const parts[] = { prefix, kind, text };
	char *out = s->text[s->n++];
	size_t n = 0;

	for (size_t i = 0; i < 3; i++) {
		size_t len = strnlen(parts[i], RELAY_TEXT_MAX - 1 - n);

		memcpy(out + n, parts[i], len);
		n += len;
	}
	out[n] = '\0';
}

/* 203.0.113 or 2001:db8:9:0, if the mask is at a group's border. */
static bool
write_cut(const struct relay_key *k, char out[ADDR_TEXT_MAX])
{
	struct addr a = key_addr(k);
	bool v4 = addr_is_v4(&a);
	unsigned int bits = v4 ? k->prefix - V4_BITS : k->prefix;
	unsigned int groups = v4 ? bits / 8 : bits / 16;
	char sep = v4 ? '.' : ':';
	char *p = out;

	if (bits % (v4 ? 8 : 16) != 0)
		return false;
	addr_write_full(&a, out);
	while (groups > 0 && (p = strchr(p, sep)) != NULL) {
		groups--;
		if (groups == 0)
			*p = '\0';
		p++;
	}
	return true;
}

/* Exim's net64-… asks for all groups with all digits, and dots for colons. */
static void
write_exim(const struct relay_key *k, char out[ADDR_TEXT_MAX])
{
	const uint8_t *b = k->ip.s6_addr;
	size_t n = 0;

	for (int i = 0; i < 16; i += 2)
		n += (size_t)snprintf(out + n, ADDR_TEXT_MAX - n, "%02x%02x%s",
		    b[i], b[i + 1], i < 14 ? "." : "");
	snprintf(out + n, ADDR_TEXT_MAX - n, "/%d", k->prefix);
}

size_t
relay_key_spellings_max(const struct relay_key *k, const char *prefix)
{
	struct addr a = key_addr(k);

	if (addr_is_v4(&a))
		return relay_key_is_net(k) ? 2 : 1;
	return relay_key_is_net(k) || prefix[0] != '\0' ? 3 : 2;
}

void
relay_key_spell(
    const struct relay_key *k, const char *prefix, struct relay_spellings *s)
{
	struct addr a = key_addr(k);
	char text[RELAY_TEXT_MAX], other[ADDR_TEXT_MAX];

	s->n = 0;
	relay_key_write(k, text);
	add(s, prefix, "", text);
	if (relay_key_is_net(k)) {
		if (write_cut(k, other))
			add(s, prefix, "", other);
		if (!addr_is_v4(&a)) {
			write_exim(k, other);
			add(s, prefix, "", other);
		}
		return;
	}
	if (addr_is_v4(&a))
		return;
	addr_write_full(&a, other);
	if (strcmp(text, other) != 0)
		add(s, prefix, "", other);
	/* A map of Sendmail's own puts its prefix before $&{client_addr},
	 * which reads "IPv6:…"; FEATURE(drac) asks without as well. */
	if (prefix[0] != '\0')
		add(s, prefix, "ipv6:", other);
}

int
relay_key_parse(struct slice text, const char *prefix, struct relay_key *k)
{
	struct slice p = slice_str(prefix);
	struct addr_net net;
	struct addr a;

	if (p.n > 0 && text.n > p.n && slice_caseeq(slice_make(text.p, p.n), p))
		text = slice_skip(text, p.n);
	memset(k, 0, sizeof(*k));
	if (slice_find(text, '/') == -1) {
		if (addr_parse_ip(text, &a) == -1 || a.scope != 0) {
			errno = EINVAL;
			return -1;
		}
		relay_key_make(k, &a, 32, 128);
		return 0;
	}
	if (addr_net_parse(text, &net) == -1)
		return -1;
	k->ip = net.ip;
	k->prefix = (uint8_t)net.prefix;
	a = key_addr(k);
	if (k->prefix < (addr_is_v4(&a) ? V4_BITS + RELAY_V4_MASK_MIN
					: RELAY_V6_MASK_MIN)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}
