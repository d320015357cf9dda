/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps - the popmaps of a configuration, asked in order.
 *
 * A map is asked for each key in turn, then the next map; the first answer
 * wins.  A map that cannot tell ends the search, unless map_fallthrough lets
 * it go on; but then too "no such user" is only said when every map said so.
 * Quick maps are asked where the caller is; for the others there are processes
 * that may wait, and what they answer may be kept (popmap_cache).
 */
#ifndef PERDITION_MAPS_H
#define PERDITION_MAPS_H

#include <stdint.h>

#include "common/err.h"
#include "perdition/config.h"
#include "perdition/memo.h"
#include "perdition/popmap.h"

struct maps;

/* Where --route looks on: one call a question to a map. */
struct maps_trace {
	void (*asked)(void *arg, const char *map, struct popmap_text key,
	    uint64_t took_ns, int result, const struct popmap_answer *,
	    const struct err *);
	void *arg;
};

/*
 * Loads the modules and opens their maps.  config and trace (may be NULL) are
 * borrowed until close.  epoll: where the processes' channels go; or -1: there
 * are none, every map is asked where the caller is, and it waits.
 * replies: as for memo_create().
 * 0, or -1 with err.
 */
int maps_open(struct maps **, const struct config *, int epoll,
    const struct maps_trace *, uint64_t *replies, struct err *);
void maps_close(struct maps **);
size_t maps_count(const struct maps *);

/* How long a map, or the resolver, may take. */
unsigned int maps_limit_ms(const struct config *);

#define MAPS_WAIT 2

/*
 * query: all but key and timeout_ms, which are set here; keys: n of them, in
 * order.  since, w: as for memo_get().
 * 1 with answer filled, 0 no map has it, -1 with err, or MAPS_WAIT.
 */
int maps_ask(struct maps *, struct popmap_query *query,
    const struct popmap_text *keys, size_t n, uint64_t now_ms, uint64_t since,
    struct memo_waiter *w, struct popmap_answer *, struct err *);

void maps_tick(struct maps *, uint64_t now_ms);
uint64_t maps_due(const struct maps *); /* ms; UINT64_MAX for never */

#endif
