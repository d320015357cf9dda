/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * testpattern - showing an administrator what the patterns make of a log.
 */
#ifndef PERDITION_PBS_TESTPATTERN_H
#define PERDITION_PBS_TESTPATTERN_H

#include "perdition-pbs/pbs_config.h"

/*
 * One line on standard output for each line of option test_pattern's file:
 *   NUMBER: login pattern=NAME address=ADDRESS user="USER" time=TIME
 *   NUMBER: end ...  (the same, of a session's end)
 *   NUMBER: no, WHY
 * and the totals.  An exit status: 1 when there was no login; with what is
 * wrong said on standard error.
 */
int testpattern_run(const struct pbs_config *);

#endif
