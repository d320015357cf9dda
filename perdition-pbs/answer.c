/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer - what the protocols share; see the header.
 */
#include "config.h"

#include "perdition-pbs/answer.h"

#include "common/log.h"

#include "common/banned.h"

#define USER_MAX ((ANSWER_USER_MAX - 2) / 4) /* bytes; each may take four */

bool
answer_may_relay(const struct answer_source *s, struct slice text,
    struct answer_grant *grant)
{
	struct addr client;

	return addr_parse_ip(text, &client) == 0 &&
	       s->may_relay(s->arg, &client, grant);
}

struct slice
answer_quote_user(struct slice user, char out[ANSWER_USER_MAX])
{
	long n;

	if (user.n > USER_MAX)
		user.n = USER_MAX;
	n = log_quote(user, out, ANSWER_USER_MAX);
	return slice_make(out, n == -1 ? 0 : (size_t)n);
}
