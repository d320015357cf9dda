/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sql_row - a row's columns joined to a server as popmap.h has it.
 *
 * User<delimiter>server:port.  What the text comes to is checked by who asked.
 */
#include "config.h"

#include "perdition/modules/sql_map.h"

#include <stdio.h>
#include <string.h>

#include "common/addr.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

struct joined {
	char text[sizeof(((struct popmap_answer *)0)->server[0].text)];
	size_t n;
	bool failed;
};

static void
put(struct joined *j, struct slice s)
{
	if (s.n > sizeof(j->text) - j->n) {
		j->failed = true;
		return;
	}
	if (s.n > 0)
		memcpy(j->text + j->n, s.p, s.n);
	j->n += s.n;
}

/* A column of fixed width is filled up with blanks. */
static struct slice
trim(struct slice s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = slice_skip(s, 1);
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* A number column that must not be NULL has a 0 for none. */
static bool
is_port(struct slice s)
{
	return s.n > 0 && !slice_eq(s, SLICE("0"));
}

/* The port goes in front of what says how to speak TLS. */
static void
put_server(struct joined *j, struct slice server, struct slice port)
{
	struct slice rest = server, host;
	struct addr addr;

	slice_cut(&rest, '?', &host);
	if (slice_find(host, ':') != -1 && addr_parse_ip(host, &addr) == 0) {
		put(j, SLICE("["));
		put(j, host);
		put(j, SLICE("]"));
	} else {
		put(j, host);
	}
	if (is_port(port)) {
		put(j, SLICE(":"));
		put(j, port);
	}
	put(j, slice_skip(server, host.n));
}

int
sql_row_add(struct popmap_answer *a, const struct sql_row *row,
    const char *delimiter, struct popmap_error *err)
{
	struct slice server = trim(row->server);
	struct joined j = { .n = 0 };

	if (server.n == 0)
		return 0;
	if (row->user.n > POPMAP_USER_MAX)
		return map_error(
		    err, "a user longer than %d bytes", POPMAP_USER_MAX);
	if (row->user.n > 0 && delimiter[0] != '\0') {
		put(&j, row->user);
		put(&j, slice_str(delimiter));
	}
	put_server(&j, server, trim(row->port));
	if (j.failed)
		return map_error(err,
		    "user, server and port longer than %zu "
		    "bytes",
		    sizeof(j.text));
	return map_answer_add(a, slice_make(j.text, j.n), err);
}
