/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_private - what relay.c and relay_remote.c share: single keys, with
 * journal and sinks, but no news.
 */
#ifndef PERDITION_PBS_RELAY_PRIVATE_H
#define PERDITION_PBS_RELAY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition-pbs/relay.h"

/* As relay_store_touch(); makes room first. */
int relay_touch(struct relay *, const struct relay_entry *e, struct slice user,
    int64_t now);
/* place: of e's key. */
int relay_touch_at(struct relay *, struct relay_place place,
    const struct relay_entry *e, struct slice user, int64_t now);
/* Whether e is wrong by the rules as they are now, and the slices that remove
 * such have not come to it yet: as good as none. */
bool relay_is_stale(const struct relay *, const struct relay_entry *e);
void relay_drop(struct relay *, const struct relay_key *k);
void relay_all_changed(struct relay *);
size_t relay_clear(struct relay *); /* as relay_purge() */

/* Takes the oldest away when the user of k has too many by now. */
void relay_limit_user(struct relay *, const struct relay_key *k);

/* As relay_rule_keys(), of an address or a network. */
size_t relay_keys_of(const struct relay *, const struct relay_key *k, bool all,
    struct relay_key out[RELAY_RULE_KEYS]);

#endif
