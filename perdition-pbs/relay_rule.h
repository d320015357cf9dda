/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_rule - which keys a login from an address opens, if any.
 *
 * A login always opens the full address, because most MTAs ask for nothing
 * else, and with a mask its network too.  Whatever the network would let in
 * beside a `never' address stays shut, and so does one that unrelated clients
 * share.  And which may relay always, without any login.  Knows nothing of time
 * or storage.
 */
#ifndef PERDITION_PBS_RELAY_RULE_H
#define PERDITION_PBS_RELAY_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"
#include "perdition-pbs/relay_key.h"

#define RELAY_RULE_KEYS 2

struct relay_rule {
	const struct addr_net *never; /* the administrator's; borrowed */
	size_t never_n;
	const struct relay_key *always; /* relay_rule_sort()ed; borrowed */
	size_t always_n;
	bool allow_loopback;
	unsigned int v4_mask, v6_mask; /* of 32, of 128 (full: no network) */
};

/*
 * The keys that belong to an address, the address itself first: what an
 * insertion opens or (all: true) what a removal shuts, forbidden or not.
 * Returns how many; 0: never authorised (a `never' network, loopback, an
 * address that no client can have).
 */
size_t relay_rule_keys(const struct relay_rule *, const struct addr *, bool all,
    struct relay_key out[RELAY_RULE_KEYS]);

/* Whether nothing that is never authorised lies in k. */
bool relay_rule_allows(const struct relay_rule *, const struct relay_key *k);

/* Whether k is one of the keys of always, and whether an address lies in one.
 */
bool relay_rule_is_always(const struct relay_rule *, const struct relay_key *k);
bool relay_rule_always_has(const struct relay_rule *, const struct addr *);

/*
 * MTAs that cut what they look up at dots and colons find a network only at
 * such a border, so one that may relay always becomes several of the next
 * narrower border: 192.0.2.64/26 as 64 addresses, 10.0.0.0/8 as 256 /16.
 * Returns how many keys, written to out unless that is NULL; 0: it would be
 * more than RELAY_SPLIT_MAX (wider than /8 or /24, or 9 to 15 bits short of a
 * border of IPv6, which is every 16).
 */
#define RELAY_SPLIT_MAX 256
size_t relay_rule_split(const struct addr_net *, struct relay_key *out);

/* Puts the keys of always into the order in which they are looked for. */
void relay_rule_sort(struct relay_key *v, size_t n);

#endif
