/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process - becoming an ordinary user.
 */
#ifndef PERDITION_PBS_PROCESS_H
#define PERDITION_PBS_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

/* For good; with n groups more: those that may read the logs.  0, or -1 with
 * err. */
int process_become(uid_t, gid_t, const gid_t *groups, size_t n, struct err *);

#endif
