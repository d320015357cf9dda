/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis_none - share_redis of a perdition-pbs that was built without
 * hiredis: there is none.
 */
#include "config.h"

#include <errno.h>

#include "perdition-pbs/share_redis.h"

#include "common/banned.h"

struct share_redis *
share_redis_create(const struct pbs_config *c, struct relay *relay,
    const struct share_clock *clock, struct err *err)
{
	(void)c;
	(void)relay;
	(void)clock;
	err_set(err, ENOSYS,
	    "redis_server: this perdition-pbs was built without hiredis");
	return NULL;
}

int
share_redis_start(struct share_redis *s, uv_loop_t *loop)
{
	(void)s;
	(void)loop;
	return 0;
}

void
share_redis_flush(struct share_redis *s)
{
	(void)s;
}

void
share_redis_stop(struct share_redis *s)
{
	(void)s;
}

void
share_redis_destroy(struct share_redis **sp)
{
	*sp = NULL;
}

bool
share_redis_behind(const struct share_redis *s)
{
	(void)s;
	return false;
}
