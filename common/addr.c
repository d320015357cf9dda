/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses as numbers: parse strictly, write one spelling, compare and mask.
 * What decides who may relay mail must not accept an address that another
 * program would read differently (010.0.0.1, 1.2.3, 127.1).
 */
#include "config.h"

#include "common/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/banned.h"

#define V4_PREFIX 96 /* bits of ::ffff:0:0/96 */

static void
set_v4(struct addr *a, const void *four_bytes)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	memcpy(a->ip.s6_addr, mapped, sizeof(mapped));
	memcpy(a->ip.s6_addr + sizeof(mapped), four_bytes, 4);
}

/* Where an address may be meant for one interface only: RFC 4007. */
static bool
has_scope(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip);
}

int
addr_from_sockaddr(struct addr *a, const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	*a = (struct addr){ .port = 0 };
	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in, sa, sizeof(in));
		set_v4(a, &in.sin_addr);
		a->port = ntohs(in.sin_port);
		return 0;
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		a->ip = in6.sin6_addr;
		a->port = ntohs(in6.sin6_port);
		if (has_scope(&a->ip))
			a->scope = in6.sin6_scope_id;
		return 0;
	default:
		errno = EAFNOSUPPORT;
		return -1;
	}
}

socklen_t
addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memset(ss, 0, sizeof(*ss));
	if (addr_is_v4(a)) {
		memcpy(&in.sin_addr, a->ip.s6_addr + 12, 4);
		in.sin_port = htons(a->port);
		memcpy(ss, &in, sizeof(in));
		return sizeof(in);
	}
	in6.sin6_addr = a->ip;
	in6.sin6_port = htons(a->port);
	in6.sin6_scope_id = a->scope;
	memcpy(ss, &in6, sizeof(in6));
	return sizeof(in6);
}

bool
addr_is_loopback(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->ip.s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->ip);
}

bool
addr_same_ip(const struct addr *a, const struct addr *b)
{
	return memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0 &&
	       a->scope == b->scope;
}

static int
invalid(void)
{
	errno = EINVAL;
	return -1;
}

/* Digits of a number from 0 to max in its only spelling. */
static int
parse_number(struct slice s, uint64_t max, uint64_t *v)
{
	if (s.n > 1 && s.p[0] == '0')
		return invalid(); /* octal to inet_aton(3) */
	return slice_u64(s, max, v) == -1 ? invalid() : 0;
}

/*
 * Takes an IPv4 address off the front of *s; false: none is there.  For each
 * login, so by hand: cutting at the dots shows in profiles.
 */
static bool
take_v4(struct slice *s, struct addr *a)
{
	unsigned char bytes[4];
	const char *p = s->p, *end = s->p + s->n;

	for (size_t i = 0; i < 4; i++) {
		const char *first = p;
		unsigned int v = 0;

		while (p < end && p - first < 3 && *p >= '0' && *p <= '9')
			v = v * 10 + (unsigned int)(*p++ - '0');
		/* No octal to inet_aton(3); a dot behind each but the last. */
		if (p == first || v > 255 || (p - first > 1 && *first == '0') ||
		    (i < 3 && (p == end || *p++ != '.')))
			return false;
		bytes[i] = (unsigned char)v;
	}
	set_v4(a, bytes);
	*s = slice_make(p, (size_t)(end - p));
	return true;
}

static int
parse_scope(struct slice s, struct addr *a)
{
	char name[IF_NAMESIZE];
	uint64_t v;

	if (!has_scope(&a->ip) || s.n == 0 || slice_find(s, '\0') != -1)
		return invalid();
	if (parse_number(s, UINT32_MAX, &v) == 0) {
		a->scope = (uint32_t)v;
		return v == 0 ? invalid() : 0;
	}
	if (s.n >= sizeof(name))
		return invalid();
	memcpy(name, s.p, s.n);
	name[s.n] = '\0';
	a->scope = if_nametoindex(name);
	return a->scope == 0 ? invalid() : 0;
}

static int
parse_v6(struct slice s, struct addr *a)
{
	char text[INET6_ADDRSTRLEN];
	struct slice ip;
	bool scoped = slice_cut(&s, '%', &ip);

	if (ip.n >= sizeof(text) || slice_find(ip, '\0') != -1)
		return invalid();
	memcpy(text, ip.p, ip.n);
	text[ip.n] = '\0';
	if (inet_pton(AF_INET6, text, &a->ip) != 1)
		return invalid();
	return scoped ? parse_scope(s, a) : 0;
}

int
addr_parse_ip(struct slice s, struct addr *a)
{
	*a = (struct addr){ .port = 0 };
	if (slice_find(s, ':') != -1)
		return parse_v6(s, a);
	return s.n > 0 && take_v4(&s, a) && s.n == 0 ? 0 : invalid();
}

static int
parse_port(struct slice s, uint16_t *port)
{
	uint64_t v;

	if (parse_number(s, UINT16_MAX, &v) == -1)
		return -1;
	*port = (uint16_t)v;
	return 0;
}

/* s: behind the "["; cut at the "]", and the port behind that, if any. */
static int
parse_bracketed(struct slice s, bool need_port, struct addr *a)
{
	struct slice ip;

	if (!slice_cut(&s, ']', &ip) || slice_find(ip, ':') == -1 ||
	    addr_parse_ip(ip, a) == -1)
		return invalid();
	if (s.n == 0)
		return need_port ? invalid() : 0;
	if (s.p[0] != ':')
		return invalid();
	return parse_port(slice_skip(s, 1), &a->port);
}

int
addr_parse(struct slice s, bool need_port, struct addr *a)
{
	struct slice rest = s;

	*a = (struct addr){ .port = 0 };
	if (s.n == 0)
		return invalid();
	if (s.p[0] == '[')
		return parse_bracketed(slice_skip(s, 1), need_port, a);
	if (!take_v4(&rest, a)) /* IPv6 without brackets? */
		return need_port ? invalid() : addr_parse_ip(s, a);
	if (rest.n == 0)
		return need_port ? invalid() : 0;
	if (rest.p[0] != ':')
		return invalid();
	return parse_port(slice_skip(rest, 1), &a->port);
}

/* n: what snprintf(3) returned; every form fits into ADDR_TEXT_MAX. */
static size_t
written(int n)
{
	assert(n > 0 && n < ADDR_TEXT_MAX);
	return (size_t)n;
}

static size_t
write_v4(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	size_t n = 0;

	for (size_t i = 12; i < 16; i++) {
		n += slice_put_u64(out + n, a->ip.s6_addr[i]);
		out[n++] = '.';
	}
	out[--n] = '\0';
	return n;
}

size_t
addr_write_ip(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN];

	if (addr_is_v4(a))
		return write_v4(a, out);
	inet_ntop(AF_INET6, &a->ip, ip, sizeof(ip));
	if (a->scope == 0)
		return written(snprintf(out, ADDR_TEXT_MAX, "%s", ip));
	return written(
	    snprintf(out, ADDR_TEXT_MAX, "%s%%%u", ip, (unsigned int)a->scope));
}

size_t
addr_write_port(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];
	size_t n;

	if (addr_is_v4(a)) {
		n = write_v4(a, out);
		out[n++] = ':';
		n += slice_put_u64(out + n, a->port);
		out[n] = '\0';
		return n;
	}
	addr_write_ip(a, ip);
	return written(
	    snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", ip, (unsigned int)a->port));
}

size_t
addr_write_full(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	unsigned int g[8];

	if (addr_is_v4(a))
		return write_v4(a, out);
	for (size_t i = 0; i < 8; i++)
		g[i] = (unsigned int)a->ip.s6_addr[2 * i] << 8 |
		       a->ip.s6_addr[2 * i + 1];
	return written(snprintf(out, ADDR_TEXT_MAX, "%x:%x:%x:%x:%x:%x:%x:%x",
	    g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]));
}

/* prefix: of 128; more means all. */
static void
mask_bits(struct in6_addr *ip, unsigned int prefix)
{
	unsigned int whole = prefix / 8;

	if (whole >= sizeof(ip->s6_addr))
		return;
	ip->s6_addr[whole] &= (uint8_t)(0xff00u >> prefix % 8);
	memset(ip->s6_addr + whole + 1, 0, sizeof(ip->s6_addr) - whole - 1);
}

void
addr_mask(struct addr *a, unsigned int v4, unsigned int v6)
{
	if (addr_is_v4(a))
		mask_bits(&a->ip, V4_PREFIX + (v4 < 32 ? v4 : 32));
	else
		mask_bits(&a->ip, v6);
	a->port = 0;
	a->scope = 0;
}

int
addr_net_parse(struct slice s, struct addr_net *net)
{
	struct addr a;
	struct in6_addr masked;
	struct slice ip;
	bool has_prefix = slice_cut(&s, '/', &ip);
	bool v4_text = slice_find(ip, ':') == -1;
	uint64_t prefix = v4_text ? 32 : 128;

	if (addr_parse_ip(ip, &a) == -1 || a.scope != 0 ||
	    (has_prefix && parse_number(s, prefix, &prefix) == -1))
		return invalid();
	net->prefix = (unsigned int)prefix + (v4_text ? V4_PREFIX : 0);
	net->ip = a.ip;
	masked = a.ip;
	mask_bits(&masked, net->prefix);
	if (memcmp(&masked, &net->ip, sizeof(masked)) != 0)
		return invalid();
	return 0;
}

bool
addr_net_has(const struct addr_net *net, const struct addr *a)
{
	unsigned int whole = net->prefix / 8, bits = net->prefix % 8;

	if ((addr_is_v4(a) && net->prefix < V4_PREFIX) ||
	    memcmp(&a->ip, &net->ip, whole) != 0)
		return false;
	return bits == 0 || ((a->ip.s6_addr[whole] ^ net->ip.s6_addr[whole]) &
				(0xff00u >> bits) & 0xffu) == 0;
}
