/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_remote - what other hosts say of entries, done here.
 *
 * They are no authority: the rules of this host apply, and nothing of theirs
 * lives longer than this host's timeout.  Sinks hear of the changes, but not
 * as news, which would go back to where they came from.
 *
 * An entry's mark (relay_store.h) tells whether the other hosts know of it as
 * it is: the mark they gave it, or another.
 */
#ifndef PERDITION_PBS_RELAY_REMOTE_H
#define PERDITION_PBS_RELAY_REMOTE_H

#include <stdint.h>

#include "common/slice.h"
#include "perdition-pbs/relay.h"

/* Clocks of hosts count seconds apart: a difference up to that is none. */
#define RELAY_REMOTE_SLACK 2 /* s */

struct relay_remote {
	struct relay_key key;
	int64_t expires;
	struct slice user;
	unsigned int mark;
};

/* Opens or prolongs; what lives as long already is only marked.  RELAY_FLOOD
 * and RELAY_HANDED are no answers. */
enum relay_verdict relay_remote_open(
    struct relay *, const struct relay_remote *, int64_t now);

/* Others know of k as it was when it was to expire at `expires': marks what
 * has not been prolonged since. */
void relay_remote_told(struct relay *, const struct relay_key *k,
    int64_t expires, unsigned int mark);

/*
 * Shuts k, which another host did at `when', unless it was opened anew since.
 * mark: what others know, they knew before.  How many entries went.
 */
size_t relay_remote_shut(struct relay *, const struct relay_key *k,
    int64_t when, unsigned int mark, int64_t now);
/* The same for all.  O(n). */
size_t relay_remote_shut_all(
    struct relay *, int64_t when, unsigned int mark, int64_t now);

/* When e was opened, at least if a login did that; INT64_MIN when it lives
 * longer than any login lets it. */
int64_t relay_remote_opened(
    const struct relay *, const struct relay_entry *e, int64_t now);

#endif
