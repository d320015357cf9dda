/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * route - shows where a user would be sent, and why (perdition --route USER).
 *
 * Does what a lookup process does, as the user that it runs as, with the
 * configuration and the maps as they are now; nothing of a running perdition
 * is asked.
 */
#ifndef PERDITION_ROUTE_H
#define PERDITION_ROUTE_H

#include <stdio.h>

#include "perdition/config.h"

/*
 * config->route is the user, route_from and route_to the addresses of a
 * connection ("" where nothing was said).  Gives up root's privileges.
 * Returns the exit status: 0 there is a server, EX_NOUSER there is none,
 * EX_TEMPFAIL it cannot be told now, EX_DATAERR the user names a server badly,
 * EX_USAGE, EX_CONFIG and others with a message on standard error.
 */
int route_show(const struct config *, FILE *out);

#endif
