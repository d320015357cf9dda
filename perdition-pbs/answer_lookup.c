/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer_lookup - a question in one line, for Exim's ${readsocket} and for
 * scripts.
 *
 *   get ADDRESS    yes | no: what a condition of Exim's takes as it is
 *   user ADDRESS   "NAME", or "" when it may not relay or that is not known
 *   relay ADDRESS  no | yes | yes "NAME": both in one answer, for setenv
 *
 * Exim reads up to the end of the connection, which the reply ends therefore;
 * a newline behind it would be part of it, and no condition's value.
 * Asked about a message that came by no connection, ADDRESS is empty: no.
 */
#include "config.h"

#include "perdition-pbs/answer.h"

#include <errno.h>

#include "common/banned.h"

#define LINE_MAX_BYTES 256 /* with its newline */

static void
put_yes_or_no(struct buf *out, const struct answer_grant *grant)
{
	buf_put_str(out, grant != NULL ? "yes" : "no");
}

static void
put_user(struct buf *out, const struct answer_grant *grant)
{
	char text[ANSWER_USER_MAX];
	struct slice user = grant != NULL ? grant->user : SLICE("");

	buf_put(out, answer_quote_user(user, text));
}

static void
put_both(struct buf *out, const struct answer_grant *grant)
{
	put_yes_or_no(out, grant);
	if (grant == NULL || grant->user.n == 0)
		return;
	buf_put_str(out, " ");
	put_user(out, grant);
}

static const struct {
	struct slice name;
	/* grant: NULL when the client may not relay. */
	void (*put)(struct buf *out, const struct answer_grant *);
} verbs[] = {
	{ { "get", 3 }, put_yes_or_no },
	{ { "user", 4 }, put_user },
	{ { "relay", 5 }, put_both },
};

static ssize_t
answer(const struct answer_source *s, struct slice in, struct buf *out)
{
	ptrdiff_t nl = slice_find(in, '\n');
	struct answer_grant grant;
	struct slice verb, address;

	if (nl == -1)
		return 0;
	address = slice_make(in.p, (size_t)nl);
	slice_cut(&address, ' ', &verb);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		bool may;

		if (!slice_eq(verb, verbs[i].name))
			continue;
		may = answer_may_relay(s, address, &grant);
		verbs[i].put(out, may ? &grant : NULL);
		return nl + 1;
	}
	errno = EBADMSG;
	return -1;
}

const struct answer_protocol answer_lookup = {
	.name = "lookup",
	.once = true,
	.request_max = LINE_MAX_BYTES,
	.answer = answer,
};
