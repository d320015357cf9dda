/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_answer - read one real-server as a popmap writes it:
 * [USER<delimiter>]SERVER[:PORT], where SERVER[:PORT] may be told how to be
 * spoken to: SCHEME://SERVER[:PORT][?tls=MODE] (server_url.h).  The scheme may
 * also stand in front of the user.
 *
 * Pure.  The LAST delimiter parts user and server.  An IPv6 address stands in
 * brackets; without them it is taken when nothing else fits, and then without
 * a port.
 */
#ifndef PERDITION_POPMAP_ANSWER_H
#define PERDITION_POPMAP_ANSWER_H

#include <stdbool.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition/server_url.h"

struct popmap_server { /* slices of the text */
	bool has_user;
	struct slice user; /* any bytes, at most AUTH_USER_MAX */
	struct slice host; /* without brackets; [A-Za-z0-9._-] or an address */
	struct slice
	    port; /* digits or a service's name; empty when not given */
	struct server_url url; /* its rest is of no use */
};

/* 0, or -1 with err: what is wrong, with the text escaped. */
int popmap_answer_parse(struct slice text, const char *delimiter,
    struct popmap_server *, struct err *);

/* Only SERVER[:PORT]: no user, and nothing that says whether there is TLS, as
 * fits what a user has typed. */
int popmap_answer_parse_server(
    struct slice text, struct popmap_server *, struct err *);

#endif
