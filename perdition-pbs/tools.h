/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tools - list, insert, remove, purge, expire and setenv: short programs that
 * know no event loop.
 */
#ifndef PERDITION_PBS_TOOLS_H
#define PERDITION_PBS_TOOLS_H

#include "perdition-pbs/pbs_config.h"

/*
 * args: argc words, what follows the options.  Each returns an exit status,
 * with what went wrong said on standard error.
 */

/* One line an entry, by expiry: ADDRESS EXPIRES (date) SECONDS-LEFT.  With
 * args only what concerns those addresses; status 1 when there is nothing. */
int tools_list(const struct pbs_config *, int argc, char *const args[]);

/* insert, remove, purge, expire: through the daemon when one keeps this
 * database, else on the file. */
int tools_change(const struct pbs_config *, int argc, char *const args[]);

/* Runs args in place of this program; returns only when that fails (111, as
 * tcpserver's programs say "try later").  config NULL: it was bad; then
 * nobody relays, but mail goes on. */
int tools_setenv(const struct pbs_config *, int argc, char *const args[]);

#endif
