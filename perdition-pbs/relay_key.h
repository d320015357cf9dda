/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_key - what may relay: one address or one network, and how the MTAs
 * spell it.
 *
 * No two MTAs ask for an IPv6 address in the same words, so a key has several
 * spellings in the database; the first is the canonical one.  All are in
 * lower case, since Sendmail folds what it asks for, and without a NUL.
 * Knows nothing of databases or time.
 */
#ifndef PERDITION_PBS_RELAY_KEY_H
#define PERDITION_PBS_RELAY_KEY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/addr.h"
#include "common/slice.h"

#define RELAY_PREFIX_MAX 32 /* bytes of option prefix, with its NUL */
#define RELAY_TEXT_MAX 128  /* any spelling with its NUL */
#define RELAY_SPELLINGS 3   /* at most, of one key */

/* Wider networks are never one household's or one office's. */
#define RELAY_V4_MASK_MIN 16
#define RELAY_V6_MASK_MIN 32

struct relay_key {
	struct in6_addr ip; /* IPv4 mapped; host bits are 0 */
	uint8_t prefix;     /* of 128: an IPv4 network has 96 added */
};

struct relay_spellings {
	size_t n;
	char text[RELAY_SPELLINGS][RELAY_TEXT_MAX];
};

/* v4 is a prefix of 32, v6 one of 128. */
void relay_key_make(
    struct relay_key *, const struct addr *, unsigned int v4, unsigned int v6);

static inline bool
relay_key_eq(const struct relay_key *a, const struct relay_key *b)
{
	return a->prefix == b->prefix &&
	       memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

static inline bool
relay_key_is_net(const struct relay_key *k)
{
	return k->prefix < 128;
}

/*
 * prefix: in lower case already.  An address:
 *   203.0.113.77
 *   2001:db8::1, 2001:db8:0:0:0:0:0:1 (once, where both are equal) and,
 *   where a prefix is in use, prefix "ipv6:" 2001:db8:0:0:0:0:0:1
 * A network:
 *   203.0.113.0/24 and, as Sendmail's access_db and Postfix cut, 203.0.113
 *   2001:db8:9::/64, cut 2001:db8:9:0, and 2001.0db8.…/64 for Exim
 * A mask that is not at a group's border has no cut form.
 */
void relay_key_spell(
    const struct relay_key *, const char *prefix, struct relay_spellings *);

/* How many these are at most, without spelling them. */
size_t relay_key_spellings_max(const struct relay_key *, const char *prefix);

/* The first spelling alone, without any prefix; returns its length. */
size_t relay_key_write(const struct relay_key *, char out[RELAY_TEXT_MAX]);

/*
 * An address or network in any form that addr.h reads, with or without
 * prefix (in any case) before it.  0, or -1 with errno EINVAL (malformed, host
 * bits set, network too wide).
 */
int relay_key_parse(struct slice text, const char *prefix, struct relay_key *);

#endif
