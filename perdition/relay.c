/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay - the session after its login: bytes both ways until either side ends.
 *
 * What the login needed is gone by then; a session that idles here is what
 * most sessions of a mail proxy are, so it holds next to nothing.  Its one
 * timer is not touched by traffic: when it fires it looks whether anything has
 * happened.
 */
#include "config.h"

#include "perdition/session_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#include "common/banned.h"

#define LINGER_MS 60000 /* for the server to end after the client has */

static struct identity *
identity_create(const struct session *s)
{
	const struct login *l = s->login;
	const struct candidate *c = &l->candidate[l->next - 1];
	char server[AUTH_SERVER_MAX];
	const char *form = strchr(c->host, ':') == NULL ? "%s:%" PRIu16 :
	                                                  "[%s]:%" PRIu16;
	int n = strchr(c->host, ':') == NULL ?
	    snprintf(server, sizeof(server), "%s:%" PRIu16, c->host,
	        c->addr.port) :
	    snprintf(server, sizeof(server), "[%s]:%" PRIu16, c->host,
	        c->addr.port);
	size_t server_len = (size_t)n;
	struct identity *id;
	char *p;

	(void)form;
	if (n < 0 || server_len >= sizeof(server))
		return NULL;
	id = malloc(sizeof(*id) + l->creds.user_len + l->creds.authz_len +
	    server_len);
	if (id == NULL)
		return NULL;
	id->user_len = (uint16_t)l->creds.user_len;
	id->authz_len = (uint16_t)l->creds.authz_len;
	id->server_len = (uint16_t)server_len;
	id->has_authz = l->creds.has_authz;
	p = id->bytes;
	memcpy(p, l->creds.user, l->creds.user_len);
	p += l->creds.user_len;
	memcpy(p, l->creds.authz, l->creds.authz_len);
	p += l->creds.authz_len;
	memcpy(p, server, server_len);
	return id;
}
