/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tools - list, insert, remove, purge, expire, export, import and setenv: short
 * programs that know no event loop.
 */
#ifndef PERDITION_PBS_TOOLS_H
#define PERDITION_PBS_TOOLS_H

#include "perdition-pbs/pbs_config.h"

/*
 * args: argc words, what follows the options.  Each returns an exit status,
 * with what went wrong said on standard error.
 */

/* One line an entry, by expiry: ADDRESS EXPIRES (date) SECONDS-LEFT and, where
 * it is known, "USER"; or JSON, see relay_text.h.  With args only what concerns
 * those addresses; status 1 when there is nothing. */
int tools_list(const struct pbs_config *, int argc, char *const args[]);

/* The same in the form of relay_text.h, by expiry, and without what may relay
 * always. */
int tools_export(const struct pbs_config *, int argc);

/* Of a file, or of standard input, in the same form; empty lines and those that
 * begin with # are left out.  A line that is wrong, or an entry that the rules
 * forbid, and nothing is imported. */
int tools_import(const struct pbs_config *, int argc, char *const args[]);

/* insert, remove, purge, expire: through the daemon when one keeps this
 * database, else on the file. */
int tools_change(const struct pbs_config *, int argc, char *const args[]);

/* Runs args in place of this program; returns only when that fails (111, as
 * tcpserver's programs say "try later").  config NULL: it was bad; then
 * nobody relays, but mail goes on. */
int tools_setenv(const struct pbs_config *, int argc, char *const args[]);

#endif
