/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup - from a user's name to the addresses of the real-servers to try.
 *
 * Asks the popmap (query keys in order, the first hit wins) and the resolver,
 * and falls back to the default servers only when the map says that it has no
 * such user, never when it cannot tell.  Never blocks where it has processes
 * that do so for it: then a question is asked again when one has answered.
 */
#ifndef PERDITION_LOOKUP_H
#define PERDITION_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "perdition/config.h"
#include "perdition/maps.h"
#include "perdition/request.h"
#include "perdition/resolve.h"

struct lookup;

struct lookup_settings {
	const struct config *config;       /* borrowed until close */
	const struct resolve_ops *resolve; /* as for resolve_open() */
	/* Where the channels of processes that may block go, as struct watch in
	 * data.ptr; or -1: there are none, and lookup_ask() blocks. */
	int epoll;
	const struct maps_trace *trace; /* NULL: nobody looks on */
};

/* Loads the modules and opens their maps.  0, or -1 with err. */
int lookup_open(struct lookup **, const struct lookup_settings *, struct err *);
void lookup_close(struct lookup **);

/*
 * q->listener is below config->listener_count.  when: its waiter may be NULL
 * without processes.
 * True with a whole answer and q's id; false when there is none yet: it is to
 * be asked again, with the same since, when the waiter is woken.
 */
bool lookup_ask(struct lookup *, const struct lookup_question *q,
    const struct resolve_when *when, struct lookup_answer *);

/* The since of what is asked for the first time now. */
uint64_t lookup_replies(const struct lookup *);

/* For a question that waited in vain. */
void lookup_give_up(
    const struct lookup_question *q, const char *why, struct lookup_answer *);

void lookup_tick(struct lookup *, uint64_t now_ms);
uint64_t lookup_due(const struct lookup *); /* ms; UINT64_MAX for never */

#endif
