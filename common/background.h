/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * background - a service leaves the terminal that it was started from, once
 * whoever started it has learnt whether it runs.
 */
#ifndef COMMON_BACKGROUND_H
#define COMMON_BACKGROUND_H

#include "common/err.h"

/*
 * Forks.  In the child: 0, *report is a descriptor for background_report() and
 * the session is new.  The parent does not return: it ends with the status
 * that is reported or, without a report, with that of the child (EX_SOFTWARE
 * if that was killed).  -1 with err (an errno value): still in the foreground.
 */
int background_fork(int *report, struct err *);

/*
 * How the start ended, 0 or an exit status, to the parent; with 0, standard
 * input, output and error are let go of.  *report becomes -1; nothing is done
 * when it is.
 */
void background_report(int *report, int status);

#endif
