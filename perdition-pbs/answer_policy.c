/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer_policy - Postfix's SMTPD access policy delegation.
 *
 * A request is lines NAME=VALUE up to an empty one; the reply is one such
 * line and an empty one.  Postfix asks about each recipient, where
 * smtpd_relay_restrictions names us, and is told OK or DUNNO (no opinion: the
 * next restriction decides).  It asks once a message, at DATA, where
 * smtpd_data_restrictions names us: PREPEND puts a header into the message
 * but permits nothing, so that the two cannot be had in one reply, and in
 * reply to each recipient it would put in one header for each.
 */
#include "config.h"

#include "perdition-pbs/answer.h"

#include <errno.h>
#include <string.h>

#include "common/banned.h"

/* What we read of a request; the other attributes, some twenty of them by
 * now, are skipped. */
struct policy_request {
	struct slice request, client_address, protocol_state;
};

static const struct {
	struct slice name;
	size_t offset;
} attributes[] = {
	{ { "request", 7 }, offsetof(struct policy_request, request) },
	{ { "client_address", 14 },
	    offsetof(struct policy_request, client_address) },
	{ { "protocol_state", 14 },
	    offsetof(struct policy_request, protocol_state) },
};

/* false: the line is no attribute, or the second of its name. */
static bool
take_attribute(struct policy_request *r, struct slice line)
{
	struct slice name, value = line;

	if (!slice_cut(&value, '=', &name))
		return false;
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]);
	     i++) {
		struct slice *field;

		if (!slice_eq(name, attributes[i].name))
			continue;
		field = (struct slice *)((char *)r + attributes[i].offset);
		if (field->p != NULL)
			return false;
		*field = value;
	}
	return true;
}

/* As for struct answer_protocol. */
static ssize_t
parse(struct slice in, struct policy_request *r)
{
	struct slice rest = in;

	memset(r, 0, sizeof(*r));
	for (;;) {
		ptrdiff_t n = slice_find(rest, '\n');
		struct slice line;

		if (n == -1)
			return 0;
		line = slice_make(rest.p, (size_t)n);
		rest = slice_skip(rest, (size_t)n + 1);
		if (line.n == 0)
			break;
		if (!take_attribute(r, line))
			return -1;
	}
	return slice_eq(r->request, SLICE("smtpd_access_policy"))
		   ? (ssize_t)(in.n - rest.n)
		   : -1;
}

static void
prepend(const struct answer_source *s, const struct policy_request *r,
    const struct answer_grant *grant, struct buf *out)
{
	char user[ANSWER_USER_MAX], by[RELAY_TEXT_MAX];

	buf_put_str(out, "action=PREPEND ");
	buf_put_str(out, s->header);
	buf_put_str(out, ": user=");
	buf_put(out, answer_quote_user(grant->user, user));
	buf_put_str(out, " address=");
	buf_put(out, r->client_address);
	if (relay_key_is_net(&grant->by)) {
		relay_key_write(&grant->by, by);
		buf_put_str(out, " network=");
		buf_put_str(out, by);
	}
	buf_put_str(out, "\n\n");
}

static ssize_t
answer(const struct answer_source *s, struct slice in, struct buf *out)
{
	struct policy_request r;
	struct answer_grant grant;
	ssize_t n = parse(in, &r);
	bool may, data;

	if (n == -1)
		errno = EBADMSG;
	if (n <= 0)
		return n;
	data = slice_eq(r.protocol_state, SLICE("DATA"));
	may = (!data || s->header[0] != '\0') &&
	      answer_may_relay(s, r.client_address, &grant);
	if (may && data)
		prepend(s, &r, &grant, out);
	else
		buf_put_str(out, may ? "action=OK\n\n" : "action=DUNNO\n\n");
	return n;
}

const struct answer_protocol answer_policy = {
	.name = "policy",
	.request_max = ANSWER_REQUEST_MAX,
	.answer = answer,
};
