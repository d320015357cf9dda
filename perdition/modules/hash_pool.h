/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hash_pool - which of a pool's servers a key belongs to.
 *
 * Pure.  Weighted rendezvous hashing (Thaler, Ravishankar 1998): each server
 * draws as many numbers for a key as its weight is, and the servers rank by
 * the highest that each drew.  So a server gets its share by weight, one that
 * comes or goes moves only the keys that it wins or won, and nothing depends
 * on the order of servers or on the host: only integers are compared.
 *
 * Of a server's name and the number i from 0 below its weight, with H the
 * SipHash-2-4 under the key of 16 zero bytes, and i as four bytes, the least
 * significant first:
 *
 *	drawn = mix(H(key) xor H(name, NUL, i))
 *
 * mix(x): x ^= x >> 33; x *= 0xff51afd7ed558ccd; x ^= x >> 33;
 * x *= 0xc4ceb9fe1a85ec53; x ^= x >> 33.  Of equal numbers the one of the
 * lesser name wins.
 */
#ifndef PERDITION_MODULES_HASH_POOL_H
#define PERDITION_MODULES_HASH_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"
#include "perdition/popmap.h"

#define HASH_WEIGHT_MAX 1000u
/* Of all servers together: each costs a multiplication or two a lookup. */
#define HASH_WEIGHTS_MAX 100000u

struct hash_pool;

struct hash_pool *hash_pool_create(void); /* NULL with errno */
void hash_pool_destroy(struct hash_pool **);

/* name: what is hashed.  server: what is answered.  Both are copied.  0, or -1
 * with err: name is there already, weights too high. */
int hash_pool_add(struct hash_pool *, struct slice name, struct slice server,
    unsigned int weight, bool down, struct popmap_error *);
size_t hash_pool_count(const struct hash_pool *);

/*
 * The first servers for the key that are not down, at most max (and
 * POPMAP_SERVERS_MAX), with the best first.  How many; 0: all are down.
 */
size_t hash_pool_find(const struct hash_pool *, struct slice key, size_t max,
    struct slice *servers);

#endif
