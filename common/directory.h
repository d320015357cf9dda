/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * directory - making those that a service needs and a system does not have
 * yet, /run/perdition after each boot for one.
 */
#ifndef COMMON_DIRECTORY_H
#define COMMON_DIRECTORY_H

#include <sys/types.h>

#include "common/err.h"

/*
 * Makes a directory that is not there, and those above it (mode 0755); only
 * the last one is for uid and gid (-1: as they come).  0, also when it is
 * there; or -1 with err (an errno value; its text begins with dir).
 */
int directory_make(
    const char *dir, mode_t mode, uid_t uid, gid_t gid, struct err *);

/* The same for the one that file is to be in, with mode 0755. */
int directory_make_of(const char *file, uid_t uid, gid_t gid, struct err *);

#endif
