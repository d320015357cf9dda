/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_auth - the headers of nginx's protocol for its mail proxy
 * (auth_http), as popmap(5) tells them.
 *
 * Pure: bytes in, bytes out.
 */
#ifndef PERDITION_MODULES_HTTP_AUTH_H
#define PERDITION_MODULES_HTTP_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition/popmap.h"

/*
 * "NAME: VALUE" as curl_slist_append(3) takes it, malloc'ed; NULL when there is
 * no memory.  In the value space, '%', control and 8-bit bytes become %xx, so
 * that it can neither end the header nor begin another.
 */
char *http_auth_header(const char *name, struct slice value);

/* What Auth-Protocol says for popmap_query.protocol. */
const char *http_auth_protocol(const char *name);

struct http_value { /* of one header */
	bool given, twice, long_one;
	size_t n;
	char text[POPMAP_USER_MAX + 1];
};

struct http_reply { /* plain data; zeroed before the first line */
	struct http_value status, server, port, user, error_code;
	bool folded;
	uint32_t ttl; /* as popmap_answer.ttl */
};

/* One line of a response's head, with or without its CRLF. */
void http_reply_line(struct http_reply *, struct slice line);

/*
 * What a whole response means, as popmap_ops.lookup returns it.
 * code: HTTP's, as 200.
 */
int http_reply_answer(const struct http_reply *, long code,
    const char *delimiter, struct popmap_answer *, struct popmap_error *);

#endif
