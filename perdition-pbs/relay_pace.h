/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_pace - how often the database file may change.
 *
 * MTAs learn of a change by the file's time in whole seconds, so each change
 * moves that a second on: more than one a second over long, and it runs away
 * from the clock.  So changes that come thick are joined, at most so many a
 * second; as many as that may come at once, so that on a quiet host nothing
 * waits.  Where the time is far ahead all the same they become fewer, until
 * it gets no further.
 */
#ifndef PERDITION_PBS_RELAY_PACE_H
#define PERDITION_PBS_RELAY_PACE_H

#include <stdint.h>

#define RELAY_PACE_MAX 1000u /* changes a second */

/* Seconds that the file's time may be ahead, for each change a second. */
#define RELAY_PACE_LEAD 30

struct relay_pace {
	unsigned int per_second; /* 1 ... RELAY_PACE_MAX */
	uint64_t due;            /* ms: when the next would be, evenly spread */
};

/* How many ms until a change may be made; 0: now.  now: ms of any clock that
 * is not set.  lead: seconds that the file's time is ahead. */
uint64_t relay_pace_wait(const struct relay_pace *, uint64_t now, int64_t lead);

/* One was made. */
void relay_pace_took(struct relay_pace *, uint64_t now, int64_t lead);

#endif
