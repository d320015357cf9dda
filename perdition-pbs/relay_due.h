/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_due - which of millions is due first: a timing wheel (Varghese and
 * Lauck, 1987).
 *
 * A list for each second (or whatever the owner counts in) of the next day and
 * a half, around which later times go on; so what is due later than before is
 * moved, which is what every login of a known address does, by a few writes,
 * however many there are.  What is kept has a number (its id, 1 and up, without
 * gaps); the owner knows each one's time.
 */
#ifndef PERDITION_PBS_RELAY_DUE_H
#define PERDITION_PBS_RELAY_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "perdition-pbs/chunks.h"

struct relay_due {
	int64_t (*when)(void *owner, uint32_t id); /* as it was told */
	void *owner;
	uint32_t *first;     /* of each list, or 0 */
	uint64_t *used;      /* a bit for each list that is not empty */
	struct chunks links; /* the neighbours of each id */
	size_t n;            /* ids in lists: all that are due ever */
	int64_t shift;       /* by which all times have been shifted */
	int64_t from;        /* none is due before */
	int64_t resume;      /* nor from there to here, but for those added */
	size_t below;        /* since: so many are due before resume */
};

/* when and owner are set, the rest is 0.  0, or -1 with errno ENOMEM. */
int relay_due_init(struct relay_due *);
void relay_due_clear(struct relay_due *); /* forgets all ids */
void relay_due_free(struct relay_due *);

/* Room for ids below n.  0, or -1 with errno ENOMEM. */
int relay_due_reserve(struct relay_due *, size_t n);
void relay_due_trim(struct relay_due *, size_t n);

/* There is room for id.  when: of any clock. */
void relay_due_add(struct relay_due *, uint32_t id, int64_t when);
void relay_due_add_never(struct relay_due *, uint32_t id);

/* when: as it was added, and shifted since; any, if it is never due. */
void relay_due_remove(struct relay_due *, uint32_t id, int64_t when);

/* What was id has become `to', which is not in use. */
void relay_due_rename(
    struct relay_due *, uint32_t id, uint32_t to, int64_t when);

/* The owner adds delta to the times of all that are due ever. */
void relay_due_shift(struct relay_due *, int64_t delta);

/*
 * One of those that are due first, if that is at `until' or before; or 0. Looks
 * once at all in the lists of the seconds that have not been looked at; beyond
 * a whole turn of the wheel, at all there are.
 */
uint32_t relay_due_until(struct relay_due *, int64_t until);

/* The same whenever it is; 0: none ever is. */
uint32_t relay_due_first(struct relay_due *);
bool relay_due_is_never(const struct relay_due *, uint32_t id);

/* Has what moving id needs fetched from memory: id's own part; then, when that
 * has come, those of its neighbours. */
void relay_due_fetch(const struct relay_due *, uint32_t id);
void relay_due_fetch_beside(const struct relay_due *, uint32_t id);

size_t relay_due_bytes(const struct relay_due *);

#endif
