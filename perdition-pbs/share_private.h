/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_private - what share.c, share_write.c and share_read.c share.
 */
#ifndef PERDITION_PBS_SHARE_PRIVATE_H
#define PERDITION_PBS_SHARE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "perdition-pbs/relay_store.h"
#include "perdition-pbs/share.h"

#define SHARE_RING 65536u /* fresh news; a power of 2 */
#define MS 1000           /* of a second */

/* What has just happened here, told in this order. */
struct share_fresh {
	struct relay_key key;
	enum share_kind kind;
	int64_t at; /* mono */
};

struct share {
	struct relay *relay;
	struct share_clock clock;
	int64_t wall, mono; /* ms, as of share_refresh() */
	bool up;
	unsigned int mark; /* of entries that the others know */
	bool any_known;    /* something was read since mark is new */
	bool tell_all;     /* the others have asked for it */
	int64_t tell_next; /* mono: not before that */
	bool missed;       /* the others are to tell all once more */
	bool asked;        /* and it is on its way to them */

	struct share_fresh *ring;
	uint32_t head, tail;

	/* Looking for what the others do not know: first shuts, then entries,
	 * each from the end; the next position is one less. */
	bool looking, long_too;
	size_t look_shuts, look_entries;

	/* Whose "expires" is when: removals read from the log (its ms), and
	 * those that were not read back yet (mono ms). */
	struct relay_store *shuts, *unsaid;
	int64_t shut_all, unsaid_all; /* the same of all; INT64_MIN: none */
	int64_t ahead; /* the log's clock less mono, when last seen */

	struct {
		struct share_change change;
		const struct share_message *message;
	} read[RELAY_STORE_FETCH];
};

/* First in all that is called from outside: one time for all that it does. */
void share_refresh(struct share *);

/* Begins to look for all that the others do not know. */
void share_look(struct share *);

/* Into shuts or unsaid: that k was shut at `at'; what is older than `old' is of
 * no use. */
void share_remember(struct relay_store *shuts, const struct relay_key *k,
    int64_t at, int64_t old);

/* Whether it is time to begin telling all that is known here to who asked, and
 * the beginning. */
bool share_tell_all_is_due(const struct share *, int64_t mono);
void share_tell_all_if_due(struct share *);

#endif
