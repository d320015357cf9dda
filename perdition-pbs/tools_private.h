/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tools_private - what the files of the tools share.
 */
#ifndef PERDITION_PBS_TOOLS_PRIVATE_H
#define PERDITION_PBS_TOOLS_PRIVATE_H

#include "common/err.h"
#include "perdition-pbs/pbs_config.h"
#include "perdition-pbs/relay_file.h"

#define PROGRAM "perdition-pbs"
#define EXIT_NOT_THERE 1

/* Says it on standard error; the exit status for it. */
int tools_fail(const struct err *);

/* The words as keys, malloc'ed; NULL when one is none, and it was said. */
struct relay_key *tools_parse_keys(
    const struct pbs_config *, int argc, char *const args[]);

/* By the daemon, or on the file; the exit status. */
int tools_carry_out(const struct pbs_config *, const struct relay_request *);

#endif
