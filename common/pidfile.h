/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pidfile - the file by which scripts find the process to signal.
 */
#ifndef COMMON_PIDFILE_H
#define COMMON_PIDFILE_H

#include <sys/types.h>

#include "common/err.h"

/*
 * Writes the number of this process, for uid and gid (-1: as they come).  What
 * stands there must be a file with that one name: not a link that somebody has
 * laid, and nothing that a write would wait for.  /dev/null, say, is left
 * alone, and "" is no file at all.  0, or -1 with err (an errno value; its
 * text begins with path).
 */
int pidfile_write(const char *path, uid_t uid, gid_t gid, struct err *);

/* Only while it holds the number of this process. */
void pidfile_remove(const char *path);

#endif
