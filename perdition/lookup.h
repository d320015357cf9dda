/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup - from a user's name to the addresses of the real-servers to try.
 *
 * Asks the popmap (query keys in order, the first hit wins) and the resolver,
 * and falls back to the default servers only when the map says that it has no
 * such user, never when it cannot tell.  Blocks; for lookup processes only.
 */
#ifndef PERDITION_LOOKUP_H
#define PERDITION_LOOKUP_H

#include <stdint.h>

#include "common/err.h"
#include "perdition/config.h"
#include "perdition/request.h"
#include "perdition/resolve.h"

struct lookup;

/*
 * Loads the module and opens its map.  config is borrowed until close.
 * ops: as for resolve_create().  0, or -1 with err.
 */
int lookup_open(struct lookup **, const struct config *,
    const struct resolve_ops *ops, struct err *);
void lookup_close(struct lookup **);

/*
 * q->listener is below config->listener_count.  now_ms: monotonic.  Always
 * gives a whole answer with q's id.
 */
void lookup_ask(struct lookup *, const struct lookup_question *q,
    uint64_t now_ms, struct lookup_answer *);

#endif
