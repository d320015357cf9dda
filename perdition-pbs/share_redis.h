/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis - the log of share.h in a Redis stream.
 *
 * Two connections to one server: one writes (XADD) and asks, the other waits
 * for what comes (XREAD BLOCK).  Whatever happens to them, nothing here waits
 * for Redis: it is tried again, first at once and at last each second, and
 * said once.
 */
#ifndef PERDITION_PBS_SHARE_REDIS_H
#define PERDITION_PBS_SHARE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/err.h"
#include "perdition-pbs/pbs_config.h"
#include "perdition-pbs/relay.h"
#include "perdition-pbs/share.h"

struct share_redis;

/*
 * Reads passwords and certificates, so before privileges are dropped; config
 * (its redis_... options) and relay are borrowed.  NULL with err.
 */
struct share_redis *share_redis_create(const struct pbs_config *,
    struct relay *, const struct share_clock *, struct err *);

/* From now on, on loop.  0, or -1 with errno. */
int share_redis_start(struct share_redis *, uv_loop_t *loop);

/* At the end of each turn of the loop: sends what there is to say. */
void share_redis_flush(struct share_redis *);

/* Whether it reads what came while this host was away. */
bool share_redis_behind(const struct share_redis *);

void share_redis_stop(struct share_redis *); /* the loop must turn once more */
void share_redis_destroy(struct share_redis **); /* after that */

#endif
