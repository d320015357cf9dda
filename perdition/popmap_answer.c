/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_answer - see popmap_answer.h.
 */
#include "config.h"

#include "perdition/popmap_answer.h"

#include <errno.h>
#include <string.h>

#include "common/addr.h"
#include "common/auth_event.h"
#include "common/log.h"
#include "perdition/request.h"
#include "perdition/username.h"

#include "common/banned.h"

#define SERVICE_MAX 32 /* bytes; RFC 6335 section 5.1 has 15 */

/* The text may be the client's: escaped, and cut to fit a message. */
static int
bad(struct err *err, struct slice text, const char *why)
{
	char quoted[256];
	long n;

	if (text.n > 60)
		text.n = 60;
	n = log_quote(text, quoted, sizeof(quoted));
	return err_set(
	    err, EINVAL, "%.*s: %s", n > 0 ? (int)n : 0, quoted, why);
}

static bool
is_ip(struct slice s)
{
	struct addr a;

	return addr_parse_ip(s, &a) == 0;
}

/* "[ADDRESS]" or "[ADDRESS]:PORT". */
static int
parse_bracketed(struct slice text, struct popmap_server *out, struct err *err)
{
	struct slice rest = slice_skip(text, 1);

	if (!slice_cut(&rest, ']', &out->host))
		return bad(err, text, "no closing bracket");
	if (!is_ip(out->host))
		return bad(err, text, "not an IP address in the brackets");
	if (rest.n == 0)
		return 0;
	out->port = slice_skip(rest, 1);
	if (rest.p[0] != ':' || out->port.n == 0)
		return bad(err, text, "not a port behind the brackets");
	return 0;
}

static int
parse_plain(struct slice text, struct popmap_server *out, struct err *err)
{
	struct slice rest = text;

	if (is_ip(text)) { /* IPv6 without brackets */
		out->host = text;
		return 0;
	}
	if (slice_cut(&rest, ':', &out->host)) {
		out->port = rest;
		if (rest.n == 0)
			return bad(err, text, "no port behind the colon");
	}
	if (out->host.n == 0)
		return bad(err, text, "no server's name");
	if (out->host.n >= LOOKUP_HOST_MAX)
		return bad(err, text, "server's name too long");
	if (!slice_is_word(out->host, "._-"))
		return bad(err, text, "not a server's name");
	return 0;
}

int
popmap_answer_parse_server(
    struct slice text, struct popmap_server *out, struct err *err)
{
	uint64_t port;
	int ret;

	memset(out, 0, sizeof(*out));
	if (text.n > 0 && text.p[0] == '[')
		ret = parse_bracketed(text, out, err);
	else
		ret = parse_plain(text, out, err);
	if (ret == -1 || out->port.n == 0)
		return ret;
	if (slice_u64(out->port, 65535, &port) == 0)
		return port > 0 ? 0 : bad(err, text, "port 0");
	if (out->port.n > SERVICE_MAX || !slice_is_word(out->port, "_-+.") ||
	    slice_is_word(slice_make(out->port.p, 1), "") == false)
		return bad(err, text, "not a port");
	for (size_t i = 0; i < out->port.n; i++) {
		if (out->port.p[i] < '0' || out->port.p[i] > '9')
			return 0;
	}
	return bad(err, text, "port above 65535");
}

/*
 * Where the server begins in a text that ends in "[...]" or "[...]:PORT", or
 * -1: a zone behind '%' may hold what is a delimiter elsewhere.
 */
static ptrdiff_t
find_bracketed(struct slice text)
{
	ptrdiff_t open = slice_rfind(text, SLICE("["));
	ptrdiff_t close = slice_rfind(text, SLICE("]"));

	if (open == -1 || close < open)
		return -1;
	if ((size_t)close + 1 < text.n && text.p[close + 1] != ':')
		return -1;
	return open;
}

static bool
split(struct slice text, const char *delimiter, struct slice *user,
    struct slice *server)
{
	struct slice d = slice_str(delimiter);
	ptrdiff_t open = find_bracketed(text);

	if (open < (ptrdiff_t)d.n || d.n == 0 ||
	    !slice_eq(slice_make(text.p + open - d.n, d.n), d))
		return username_split(text, delimiter, user, server);
	*user = slice_make(text.p, (size_t)open - d.n);
	*server = slice_skip(text, (size_t)open);
	return true;
}

/* USER<delimiter>SCHEME://SERVER.  0, or -1 with err. */
static int
scheme_behind_user(
    struct slice *server, struct server_url *url, struct err *err)
{
	struct server_url own;

	if (url->protocol != NULL)
		return 0; /* a second one fits no server's name */
	if (server_url_parse(*server, &own, err) == -1)
		return -1;
	if (own.protocol == NULL)
		return 0;
	*server = own.rest;
	if (url->has_tls && own.has_tls && own.tls != url->tls)
		return err_set(err, EINVAL,
		    "tls=%s: the scheme says TLS from the first byte",
		    tls_mode_name(url->tls));
	own.tls = url->has_tls ? url->tls : own.tls;
	own.has_tls = own.has_tls || url->has_tls;
	*url = own;
	return 0;
}

int
popmap_answer_parse(struct slice text, const char *delimiter,
    struct popmap_server *out, struct err *err)
{
	struct slice user, server;
	struct server_url url;
	bool has_user;

	if (server_url_parse(text, &url, err) == -1)
		return -1;
	text = url.rest;
	if (find_bracketed(text) == 0) { /* no user; the zone is no server */
		has_user = false;
		server = text;
		user = SLICE("");
	} else {
		has_user = split(text, delimiter, &user, &server);
		if (!has_user)
			server = text;
	}
	if (has_user && scheme_behind_user(&server, &url, err) == -1)
		return -1;
	if (popmap_answer_parse_server(server, out, err) == -1)
		return -1;
	out->url = url;
	if (!has_user || user.n == 0)
		return 0;
	if (user.n > AUTH_USER_MAX)
		return bad(err, text, "user's name too long");
	out->has_user = true;
	out->user = user;
	return 0;
}
