/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_answer - what Redis answers, taken apart.  Pure.
 */
#ifndef PERDITION_PBS_SHARE_ANSWER_H
#define PERDITION_PBS_SHARE_ANSWER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition-pbs/share_place.h"

enum share_error {
	SHARE_NO_ERROR,
	SHARE_ERROR_FULL,    /* it takes no more for now: memory, or its disk */
	SHARE_ERROR_REPLICA, /* it may not be written to: ask another */
	SHARE_ERROR_BUSY,    /* not yet, or not now: LOADING, BUSY ... */
	SHARE_ERROR_COMMAND, /* of this command: unknown, or not permitted */
	SHARE_ERROR_OTHER    /* wrong password, wrong type ... */
};

enum share_error share_answer_error(const redisReply *);
struct slice share_answer_text(
    const redisReply *); /* of an error or a string */

/* TIME: ms since the epoch, or -1. */
int64_t share_answer_time(const redisReply *);

/* XRANGE and XREVRANGE: the id of the first entry.  1, 0: no entry, -1: odd. */
int share_answer_first(const redisReply *, struct share_id *);

/* SENTINEL get-master-addr-by-name: 1, 0: it knows no such name, -1: odd. */
int share_answer_master(const redisReply *, struct share_place *);

/* XREAD of one stream: how many entries (0: none came), and the i-th; false:
 * no entry as ours are, but its id is set if it has one. */
struct share_stored {
	struct share_id id;
	struct slice from, changes;
};
size_t share_answer_entries(const redisReply *);
bool share_answer_entry(const redisReply *, size_t i, struct share_stored *);

#endif
