/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makedb_server - a popmap's text for one server, taken apart into what
 * a database keeps in columns or attributes.
 */
#ifndef PERDITION_MODULES_MAKEDB_SERVER_H
#define PERDITION_MODULES_MAKEDB_SERVER_H

#include <stddef.h>

#include "common/slice.h"
#include "perdition/popmap.h"

struct makedb_server {
	struct slice user, port; /* of the text; empty: there is none */
	/* [SCHEME://]HOST[?tls=MODE]; an IPv6 address in its brackets */
	size_t name_len;
	char name[POPMAP_USER_MAX + POPMAP_SERVER_MAX];
};

/*
 * Of "[USER<delimiter>]SERVER[:PORT]", as popmap(5) has it.  NULL with s
 * filled, or what is wrong.  Whether it is a sound server is for perdition to
 * say.
 */
const char *makedb_server_split(
    struct makedb_server *s, struct slice text, struct slice delimiter);

static inline struct slice
makedb_server_name(const struct makedb_server *s)
{
	return slice_make(s->name, s->name_len);
}

#endif
