/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer_trace - a line in the log about who was let in; see the header.
 */
#include "config.h"

#include "perdition-pbs/answer_trace.h"

#include <stdlib.h>
#include <string.h>

#include "common/auth_event.h"
#include "common/log.h"
#include "perdition-pbs/throttle.h"

#include "common/banned.h"

#define SLOTS 8192u /* a power of two; two in one slot are logged too often */

struct answer_trace {
	struct hash_key hash;
	struct throttle lines;
	uint64_t left_out; /* by lines, since one passed */
	struct slot {
		uint64_t sum; /* of address and user; 0: never used */
		uint64_t logged_ms;
	} slots[SLOTS];
};

struct answer_trace *
answer_trace_create(void)
{
	struct answer_trace *t = calloc(1, sizeof(*t));

	if (t != NULL && hash_key_make(&t->hash) == -1)
		answer_trace_destroy(&t);
	return t;
}

void
answer_trace_destroy(struct answer_trace **tp)
{
	free(*tp);
	*tp = NULL;
}

static uint64_t
sum_of(const struct answer_trace *t, const struct addr *client,
    const struct answer_grant *grant)
{
	char text[sizeof(client->ip) + AUTH_USER_MAX];
	size_t n =
	    grant->user.n < AUTH_USER_MAX ? grant->user.n : AUTH_USER_MAX;

	memcpy(text, &client->ip, sizeof(client->ip));
	if (n > 0)
		memcpy(text + sizeof(client->ip), grant->user.p, n);
	return hash_bytes(&t->hash, slice_make(text, sizeof(client->ip) + n)) |
	       1;
}

/* Whether this one is due, and noted as logged. */
static bool
is_due(struct answer_trace *t, uint64_t sum, uint64_t now_ms)
{
	struct slot *slot = &t->slots[sum >> 1 & (SLOTS - 1)];

	if (slot->sum == sum && now_ms - slot->logged_ms < ANSWER_TRACE_MS)
		return false;
	if (!throttle_pass(&t->lines, ANSWER_TRACE_PER_SECOND, now_ms)) {
		t->left_out++;
		return false;
	}
	*slot = (struct slot){ sum, now_ms };
	return true;
}

void
answer_trace(struct answer_trace *t, const char *service,
    const struct addr *client, const struct answer_grant *grant,
    uint64_t now_ms)
{
	struct addr bare = { .ip = client->ip };
	char by[RELAY_TEXT_MAX];

	if (!is_due(t, sum_of(t, client, grant), now_ms))
		return;
	if (t->left_out > 0)
		log_event(LOG_WARNING, "relay-allowed-left-out",
		    LOG_U64("lines", t->left_out));
	t->left_out = 0;
	/* by: the address, or the network around it that is open. */
	relay_key_write(&grant->by, by);
	log_event(LOG_INFO, "relay-allowed", LOG_ADDR("address", &bare),
	    LOG_SLICE("user", grant->user), LOG_STR("by", by),
	    LOG_STR("service", service));
}
