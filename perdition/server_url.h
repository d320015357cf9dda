/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server_url - what may stand around a real-server's name: the protocol in
 * front of it and the TLS mode behind it, SCHEME://...?tls=MODE.
 *
 * For text that administrators write (popmap, outgoing_server); never for what
 * a user types, who could turn TLS off.  Pure.
 */
#ifndef PERDITION_SERVER_URL_H
#define PERDITION_SERVER_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition/protocol/protocol.h"
#include "perdition/tls/tls_mode.h"

struct server_url {
	const struct protocol *protocol; /* of the scheme; NULL: none given */
	bool has_tls;                    /* the scheme, or ?tls=, says it */
	enum tls_mode tls;
	struct slice rest; /* of the text, what is between them */
};

/* 0, or -1 with err: no such mode, or one that is not the scheme's. */
int server_url_parse(struct slice text, struct server_url *, struct err *);

/*
 * The mode to be used.  usual: of ssl_mode.  A scheme without TLS ("imap://")
 * is not in clear where the site's real-servers have TLS from the first byte:
 * STARTTLS is required there, unless ?tls= says otherwise.
 */
enum tls_mode server_url_mode(const struct server_url *, enum tls_mode usual);

/*
 * The port where the text has none.  outgoing_port: of the option, or 0; it is
 * for servers that are written without a scheme.
 */
uint16_t server_url_port(const struct server_url *, enum tls_mode mode,
    const struct protocol *protocol, uint16_t outgoing_port);

#endif
