/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generate - the parts of the documentation that are made from the table of
 * options.
 */
#ifndef COMMON_GENERATE_H
#define COMMON_GENERATE_H

#include <stdio.h>

#include "common/option.h"

/*
 * what: "man" (the OPTIONS section) or "sample" (a configuration file).  Places
 * are written as a system installs them (/etc, /var), whatever this build was
 * configured for.  0, or -1 with errno (EINVAL: neither of the two).
 */
int generate_write(const struct option_table *, const char *what, FILE *);

#endif
