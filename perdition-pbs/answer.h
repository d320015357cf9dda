/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer - what MTAs ask over a Unix socket, and what they are told.
 *
 * Each protocol is a function from bytes to bytes, in a file of its own:
 *   policy     Postfix: SMTPD access policy delegation (SMTPD_POLICY_README)
 *   socketmap  Sendmail's socket map and Postfix's socketmap_table(5)
 *   lookup     a line for Exim's ${readsocket}, and for scripts
 * They know neither sockets nor the store.  Whatever is not understood never
 * lets anyone relay.
 */
#ifndef PERDITION_PBS_ANSWER_H
#define PERDITION_PBS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/slice.h"
#include "perdition-pbs/relay_key.h"

#define ANSWER_REQUEST_MAX 16384 /* bytes of the longest in any protocol */
#define ANSWER_REPLY_MAX 1200    /* bytes of the longest reply */
#define ANSWER_HEADER_MAX 64     /* bytes of a header field's name */
#define ANSWER_USER_MAX 802      /* bytes of a user, quoted */

/* Why a client may relay. */
struct answer_grant {
	struct relay_key by; /* the entry: its address or a network */
	struct slice user;   /* whose login that was; empty: not known */
};

/* Whom to ask, and how to understand and tell it; borrows all. */
struct answer_source {
	/* Whether client may relay now, with *grant filled if so, whose user
	 * is valid until the next call. */
	bool (*may_relay)(
	    void *arg, const struct addr *client, struct answer_grant *grant);
	void *arg;
	const char *prefix; /* option prefix, in lower case */
	const char *header; /* option policy_header; empty: none */
};

struct answer_protocol {
	const char *name; /* for the log */
	bool once;        /* the connection ends with the first reply */
	size_t request_max;
	/*
	 * Replies to the first request in `in' (at most request_max bytes);
	 * out has room for ANSWER_REPLY_MAX.  Returns how many bytes the
	 * request has; 0, and nothing written: it is not complete; -1
	 * (EBADMSG): this is no request, the connection has to go.
	 */
	ssize_t (*answer)(
	    const struct answer_source *, struct slice in, struct buf *out);
};

extern const struct answer_protocol answer_policy;
extern const struct answer_protocol answer_socketmap;
extern const struct answer_protocol answer_lookup;

/* --- what the protocols share -------------------------------------------- */

/* text is an address, and it may relay. */
bool answer_may_relay(const struct answer_source *, struct slice text,
    struct answer_grant *grant);

/*
 * The user between double quotes, as log_quote() writes it, cut at 200 bytes:
 * a header's line has 998 at most (RFC 5322 section 2.1.1).  Whatever he has
 * called himself, it is printable ASCII and ends no line.  Returns what it has
 * written.
 */
struct slice answer_quote_user(struct slice user, char out[ANSWER_USER_MAX]);

#endif
