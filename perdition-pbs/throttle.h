/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle - so many lines a second about what anybody can cause.
 *
 * A flood of events must not become a flood of lines.  The clock is an
 * argument.
 */
#ifndef PERDITION_PBS_THROTTLE_H
#define PERDITION_PBS_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

struct throttle {
	uint64_t since_ms; /* when the second began in which n were counted */
	unsigned int n;
};

/* Whether this one is among the first max of its second. */
static inline bool
throttle_pass(struct throttle *t, unsigned int max, uint64_t now_ms)
{
	if (now_ms - t->since_ms >= 1000) {
		t->since_ms = now_ms;
		t->n = 0;
	}
	if (t->n >= max)
		return false;
	t->n++;
	return true;
}

#endif
