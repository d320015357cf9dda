/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_join - one server's text from what a database keeps apart.
 */
#ifndef PERDITION_MODULES_MAP_JOIN_H
#define PERDITION_MODULES_MAP_JOIN_H

#include "common/slice.h"
#include "perdition/popmap.h"

/*
 * Appends [USER<delimiter>]HOST[:PORT] to answer.  user and port may be empty.
 * host may be more than a name: one with a delimiter in it is the whole text,
 * for which user and port do not count; one with a port keeps it; port comes
 * before a "?tls=MODE", and behind an IPv6 address, which gets brackets.
 * 0, or -1 with err: an empty host, too long, too many, not a port.
 */
int map_join(struct popmap_answer *answer, struct slice user, struct slice host,
    struct slice port, const char *delimiter, struct popmap_error *err);

#endif
