/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_store - who may relay, and until when, in memory.
 *
 * A dense array of entries, found by a hash with a secret key (clients choose
 * their addresses); a list for each second in which some expire, so that only
 * what expires is ever visited; and the user who opened each, whose name is
 * kept once.  An entry takes 60 bytes, 43 beyond its key, and a name 18 and its
 * own length: no operation moves more than a few of them or needs a second copy
 * of anything.
 * Knows neither policy nor disk; the clock is an argument.
 */
#ifndef PERDITION_PBS_RELAY_STORE_H
#define PERDITION_PBS_RELAY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition-pbs/relay_key.h"

/* When what may relay always expires: 9999-12-31, which every MTA can read. */
#define RELAY_FOREVER INT64_C(253402300799)

#define RELAY_STORE_MAX 100000000u /* entries; positions fit 32 bits */

#define RELAY_MARK_MAX 15

struct relay_entry {
	struct relay_key key;
	uint32_t user : 28; /* the store's own: ask relay_store_user() */
	uint32_t mark : 4;  /* the caller's; a touch that changes sets it */
	int64_t expires; /* seconds since the epoch, UTC: dead from then on */
};

struct relay_store;

struct relay_store *relay_store_create(void); /* NULL with errno */
void relay_store_destroy(struct relay_store **);

enum relay_touch {
	RELAY_NEW,      /* the key was not there, or was dead */
	RELAY_LONGER,   /* it was, and lives longer now */
	RELAY_NO_CHANGE /* it lives that long anyway: touching never shortens */
};

/*
 * Adds or prolongs e.  user: whose doing that is (any bytes, cut at 512), or
 * empty: not known; then a living entry keeps the name that it has.  Returns
 * enum relay_touch, or -1 with errno ENOMEM (or ENOSPC: RELAY_STORE_MAX
 * entries).
 */
int relay_store_touch(struct relay_store *, const struct relay_entry *e,
    struct slice user, int64_t now);

/*
 * Where a key is, for those who look at its entry before they touch it: one
 * search for both.  Good until any entry goes; of a key that is not there,
 * until it comes.
 */
struct relay_place {
	uint64_t hash;
	uint32_t id; /* 0: it is not there */
};

struct relay_place relay_store_place(
    const struct relay_store *, const struct relay_key *);
/* The entry, or NULL; valid until the store changes. */
const struct relay_entry *relay_store_get(
    const struct relay_store *, struct relay_place);
/* relay_store_touch() of e, whose key has this place. */
int relay_store_touch_at(struct relay_store *, struct relay_place,
    const struct relay_entry *e, struct slice user, int64_t now);

/* Sets the mark of an entry, if it is there. */
void relay_store_mark(
    struct relay_store *, const struct relay_key *, unsigned int mark);

/* Sets all marks to 0.  O(n): some ms for a million. */
void relay_store_unmark(struct relay_store *);

/* Whether key was there. */
bool relay_store_remove(struct relay_store *, const struct relay_key *);

/* The entry, or NULL; valid until the store changes. */
const struct relay_entry *relay_store_find(
    const struct relay_store *, const struct relay_key *);

/*
 * The narrowest entry that is alive at now and holds ip, itself or a network,
 * with a prefix of `most' bits (128: any) or fewer; or NULL.  Valid until the
 * store changes.
 */
const struct relay_entry *relay_store_cover(const struct relay_store *,
    const struct in6_addr *ip, int most, int64_t now);

/*
 * An entry that expires at `until' or before, the first of those; or NULL.  Not
 * const, as the next: how far it had to look is remembered.
 */
const struct relay_entry *relay_store_due(struct relay_store *, int64_t until);

/* The entry that expires first, whenever that is, or NULL.  O(n) where none did
 * for a day and a half: once, until the clock or a removal comes there. */
const struct relay_entry *relay_store_next(struct relay_store *);

/*
 * Who opened e, or last made it live longer: the name as the client sent it,
 * any bytes; empty when it is not known.  Valid until the store changes.
 */
struct slice relay_store_user(
    const struct relay_store *, const struct relay_entry *e);

/* How many full addresses the user of e has. */
size_t relay_store_addresses(
    const struct relay_store *, const struct relay_entry *e);

/* Of all entries of the user of e the one touched longest ago; NULL when e
 * has no user. */
const struct relay_entry *relay_store_oldest(
    const struct relay_store *, const struct relay_entry *e);

/* Adds delta seconds to every expiry but RELAY_FOREVER: the clock was set.
 * O(n). */
void relay_store_shift(struct relay_store *, int64_t delta);

/* Between these two about n entries come at once, which is quicker if that is
 * known. */
void relay_store_load(struct relay_store *, size_t n);
void relay_store_loaded(struct relay_store *);

/* These keys, n of them, are going to be touched for these users (empty: not
 * known): has what that needs fetched from memory, all at the same time. */
#define RELAY_STORE_FETCH 16
void relay_store_fetch(const struct relay_store *, const struct relay_key *keys,
    const struct slice *users, size_t n);

void relay_store_clear(struct relay_store *);
size_t relay_store_count(const struct relay_store *);
size_t relay_store_bytes(const struct relay_store *); /* of memory held */

/* Entry i of 0 ... count - 1, in no order; valid until the store changes. */
const struct relay_entry *relay_store_at(const struct relay_store *, size_t i);

#endif
