/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sasl - the mechanisms PLAIN (RFC 4616) and LOGIN, both sides, for any
 * protocol that carries SASL in lines of base64.
 *
 * A small state machine: the protocol reads a line, hands it over and shows
 * the next challenge.  Knows nothing of tags or "+OK".
 */
#ifndef PERDITION_PROTOCOL_SASL_H
#define PERDITION_PROTOCOL_SASL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/secret.h"
#include "common/slice.h"
#include "perdition/protocol/protocol.h"

/* The longest message: authorisation id NUL user NUL password. */
#define SASL_MESSAGE_MAX                                                       \
	(2 * AUTH_USER_MAX + 2 + sizeof(((struct secret *)0)->bytes))
#define SASL_BASE64_MAX ((SASL_MESSAGE_MAX + 2) / 3 * 4)

/*
 * Strict base64 (RFC 4648 section 4): whole groups of four, "=" only at the
 * end, no other byte inside, the unused bits 0.  Returns the bytes written to
 * out, or -1 with errno EBADMSG (not base64) or EMSGSIZE (more than cap).
 */
ssize_t base64_decode(struct slice text, char *out, size_t cap);

/* Append the base64 of s to out.  0, or -1 with errno ENOSPC. */
int base64_put(struct buf *out, struct slice s);

enum sasl_mechanism { SASL_PLAIN, SASL_LOGIN };

/* By name, case-insensitive; false for one we do not have. */
bool sasl_find(struct slice name, enum sasl_mechanism *);

enum sasl_status {
	SASL_CONTINUE,  /* show sasl_challenge(), read another line */
	SASL_DONE,      /* creds are filled */
	SASL_CANCELLED, /* the client said "*" */
	SASL_MALFORMED, /* not base64, NUL or line end in a field, too long ...
			 */
};

/* One exchange; plain data, wiped by sasl_clear(). */
struct sasl {
	enum sasl_mechanism mechanism;
	bool has_user; /* LOGIN: the name has come, the password is next */
	size_t user_len;
	char user[AUTH_USER_MAX];
};

void sasl_init(struct sasl *, enum sasl_mechanism);
void sasl_clear(struct sasl *);

/* Base64 to show behind "+ "; for PLAIN empty. */
struct slice sasl_challenge(const struct sasl *);

/*
 * line: the client's, without its line end.  creds: names and password are
 * set with SASL_DONE only; the other members are left alone.  After any
 * status but SASL_CONTINUE the exchange is over and wiped.
 */
enum sasl_status sasl_response(
    struct sasl *, struct slice line, struct credentials *creds);

/* The same for an initial response, where "=" is the empty one (RFC 4959
 * section 3, RFC 5034 section 4). */
enum sasl_status sasl_initial_response(
    struct sasl *, struct slice line, struct credentials *creds);

/* Our side: append the base64 of a PLAIN message.  0, or -1 (ENOSPC). */
int sasl_put_plain(struct buf *out, struct slice authz, struct slice user,
    struct slice password);

#endif
