/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer_trace - a line in the log about who was let in, so that spam that was
 * relayed can be traced to an account.
 *
 * An MTA asks for each recipient: of one address and user there is a line a
 * minute at most, and of all together ANSWER_TRACE_PER_SECOND.
 */
#ifndef PERDITION_PBS_ANSWER_TRACE_H
#define PERDITION_PBS_ANSWER_TRACE_H

#include <stdint.h>

#include "common/addr.h"
#include "perdition-pbs/answer.h"

#define ANSWER_TRACE_MS 60000
#define ANSWER_TRACE_PER_SECOND 1000

struct answer_trace;

struct answer_trace *answer_trace_create(void); /* NULL with errno */
void answer_trace_destroy(struct answer_trace **);

/* service: the protocol's name; now_ms: of a monotonic clock.  O(1). */
void answer_trace(struct answer_trace *, const char *service,
    const struct addr *client, const struct answer_grant *, uint64_t now_ms);

#endif
