/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server_url - see server_url.h.
 */
#include "config.h"

#include "perdition/server_url.h"

#include <errno.h>

#include "common/banned.h"

#define QUERY "?tls="

static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') &&
		    !(s.p[i] >= 'A' && s.p[i] <= 'Z') && s.p[i] != '_')
			return false;
	return true;
}

/* Takes ?tls=MODE from the end.  1, 0 when there is none, or -1 with err. */
static int
cut_mode(struct server_url *u, struct err *err)
{
	ptrdiff_t at = slice_rfind(u->rest, SLICE(QUERY));
	struct slice word;

	if (at == -1)
		return 0;
	word = slice_skip(u->rest, (size_t)at + strlen(QUERY));
	if (!is_word(word)) /* part of a user's name */
		return 0;
	if (!tls_mode_find(word, &u->tls))
		return err_set(err, EINVAL,
		    "tls=%.*s: not none, starttls_optional, starttls or "
		    "implicit",
		    word.n > 40 ? 40 : (int)word.n, word.p);
	u->rest = slice_make(u->rest.p, (size_t)at);
	return 1;
}

/* Takes the scheme from the beginning; what is not one of ours is none. */
static void
cut_scheme(struct server_url *u, bool *implicit)
{
	struct slice rest = u->rest, name;

	*implicit = false;
	if (!slice_cut(&rest, ':', &name) || !slice_starts(rest, SLICE("//")))
		return;
	u->protocol = protocol_find(name, implicit);
	if (u->protocol == NULL)
		return;
	u->rest = slice_skip(rest, 2);
	if (u->rest.n > 0 && u->rest.p[u->rest.n - 1] == '/')
		u->rest.n--;
}

int
server_url_parse(struct slice text, struct server_url *u, struct err *err)
{
	bool implicit;
	int mode;

	*u = (struct server_url){ .tls = TLS_NONE, .rest = text };
	mode = cut_mode(u, err);
	if (mode == -1)
		return -1;
	cut_scheme(u, &implicit);
	if (implicit && mode == 1 && u->tls != TLS_IMPLICIT)
		return err_set(err, EINVAL,
		    "tls=%s: the scheme says TLS from the first byte",
		    tls_mode_name(u->tls));
	u->has_tls = implicit || mode == 1;
	if (implicit)
		u->tls = TLS_IMPLICIT;
	return 0;
}

enum tls_mode
server_url_mode(const struct server_url *u, enum tls_mode usual)
{
	if (u->has_tls)
		return u->tls;
	if (u->protocol != NULL && usual == TLS_IMPLICIT)
		return TLS_STARTTLS;
	return usual;
}

uint16_t
server_url_port(const struct server_url *u, enum tls_mode mode,
    const struct protocol *protocol, uint16_t outgoing_port)
{
	if (u->protocol == NULL && outgoing_port != 0)
		return outgoing_port;
	return mode == TLS_IMPLICIT ? protocol->tls_port : protocol->port;
}
