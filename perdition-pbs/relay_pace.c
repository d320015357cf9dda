/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_pace - a bucket of changes, which a leading time makes smaller.
 */
#include "config.h"

#include "perdition-pbs/relay_pace.h"

#include "common/banned.h"

#define SECOND 1000u /* ms */

/* ms between two: even up to half of the lead allowed, a second beyond it all,
 * and rising in between. */
static uint64_t
interval(const struct relay_pace *p, int64_t lead)
{
	int64_t most = (int64_t)RELAY_PACE_LEAD * p->per_second;
	uint64_t least = SECOND / p->per_second;

	if (lead <= most / 2)
		return least;
	if (lead >= most)
		return SECOND;
	return least + (SECOND - least) * (uint64_t)(lead - most / 2) /
			   (uint64_t)(most - most / 2);
}

uint64_t
relay_pace_wait(const struct relay_pace *p, uint64_t now, int64_t lead)
{
	/* What may be had in advance: a second's worth. */
	uint64_t until = now + SECOND - interval(p, lead);

	return p->due <= until ? 0 : p->due - until;
}

void
relay_pace_took(struct relay_pace *p, uint64_t now, int64_t lead)
{
	p->due = (p->due > now ? p->due : now) + interval(p, lead);
}
