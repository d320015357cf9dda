/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_place - where a Redis server is, as option redis_server names it, and
 * the place of an entry in a stream.  Pure.
 */
#ifndef PERDITION_PBS_SHARE_PLACE_H
#define PERDITION_PBS_SHARE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"

#define SHARE_HOST_MAX 256

struct share_place {
	char host[SHARE_HOST_MAX]; /* a name, an address, or a path */
	unsigned int port;         /* 0: a Unix socket */
};

/*
 * "redis1:6379", "redis1" (then port is dflt), "192.0.2.7", "[2001:db8::1]",
 * "[2001:db8::1]:6379", "/run/redis.sock".  0, or -1 with errno EINVAL.
 */
int share_place_parse(
    struct slice text, unsigned int dflt, struct share_place *);

/* "1526919030474-55": ms on Redis' clock, and a number within. */
struct share_id {
	uint64_t ms, seq;
};

#define SHARE_ID_MAX 48 /* bytes of its text, with NUL */

/* Whoever writes to a stream may choose an id: with times up to this, none that
 * is reckoned with overflows. */
#define SHARE_ID_MS_MAX (INT64_MAX / 2)

/* 0, or -1: no id, or of a time beyond SHARE_ID_MS_MAX. */
int share_id_parse(struct slice text, struct share_id *);
size_t share_id_write(const struct share_id *, char out[SHARE_ID_MAX]);
bool share_id_before(const struct share_id *, const struct share_id *);

#endif
