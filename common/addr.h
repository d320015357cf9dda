/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addr - one canonical form for an IP address, with or without a port.
 *
 * IPv4 is held mapped into IPv6 (RFC 4291 section 2.5.5.2), so that an
 * address compares equal however it was written or received.  Resolves
 * nothing.
 */
#ifndef COMMON_ADDR_H
#define COMMON_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/slice.h"

#define ADDR_TEXT_MAX 64 /* holds every form written here, with its NUL */

struct addr {
	struct in6_addr ip; /* IPv4 mapped */
	uint16_t port;      /* host order; 0: none */
	uint32_t scope;     /* interface of a link-local address, or 0 */
};

struct addr_net {
	struct in6_addr ip;  /* host bits are 0 */
	unsigned int prefix; /* of 128; an IPv4 network has 96 added */
};

/* 0, or -1 with errno EAFNOSUPPORT (neither AF_INET nor AF_INET6). */
int addr_from_sockaddr(struct addr *, const struct sockaddr *);

/*
 * For connect(2) and bind(2): AF_INET for an IPv4 address, AF_INET6 for any
 * other.  Returns the length to pass along.
 */
socklen_t addr_to_sockaddr(const struct addr *, struct sockaddr_storage *);

static inline bool
addr_is_v4(const struct addr *a)
{
	return IN6_IS_ADDR_V4MAPPED(&a->ip);
}

bool addr_is_loopback(const struct addr *); /* 127.0.0.0/8, ::1 */
/* Whatever the ports; a link-local address on another interface differs. */
bool addr_same_ip(const struct addr *, const struct addr *);

/*
 * Strict: dotted quad of four decimal numbers without leading zeros, or the
 * forms of RFC 4291 section 2.2 (with %scope by number or interface name);
 * no brackets, no port, nothing around.  0, or -1 with errno EINVAL.
 */
int addr_parse_ip(struct slice, struct addr *);

/*
 * The same with ":PORT" behind, IPv6 in brackets; the brackets may be left
 * out in parsing only where need_port is false and no port is given.
 */
int addr_parse(struct slice, bool need_port, struct addr *);

/*
 * Each writes text with its NUL and returns its length without it.
 * ip:   192.0.2.1 or 2001:db8::1 (RFC 5952), %scope by number behind it
 * port: 192.0.2.1:143 or [2001:db8::1]:143, also for port 0
 * full: 192.0.2.1 or 2001:db8:0:0:0:0:0:1, the spelling of Sendmail's keys;
 *       no scope
 */
size_t addr_write_ip(const struct addr *, char out[ADDR_TEXT_MAX]);
size_t addr_write_port(const struct addr *, char out[ADDR_TEXT_MAX]);
size_t addr_write_full(const struct addr *, char out[ADDR_TEXT_MAX]);

/* Clears the host bits; v4 is a prefix of 32, v6 one of 128; port and scope
 * are cleared too. */
void addr_mask(struct addr *, unsigned int v4, unsigned int v6);

/* "192.0.2.0/24", "2001:db8::/32", or an address alone.  0, or -1 EINVAL
 * (malformed, or host bits set). */
int addr_net_parse(struct slice, struct addr_net *);
/* An IPv4 address is in IPv4 networks only: ::/0 means IPv6. */
bool addr_net_has(const struct addr_net *, const struct addr *);

/* Keyed hash (SipHash-2-4) for tables whose keys an attacker chooses. */
struct hash_key {
	uint64_t k0, k1; /* random, from getrandom(2) */
};
int hash_key_make(struct hash_key *); /* 0, or -1 with errno */
uint64_t hash_bytes(const struct hash_key *, struct slice);

/*
 * SipHash-1-3, with half of the work, for tables that nobody sees from outside:
 * as the tables of Python and Rust, and of Linux for short keys.  Not for what
 * is stored.
 */
uint64_t hash_quick(const struct hash_key *, struct slice);

#endif
