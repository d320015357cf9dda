/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail_resume - finding a log's place again after a restart, in whatever
 * files rotation has made of it meanwhile.
 */
#ifndef PERDITION_PBS_TAIL_RESUME_H
#define PERDITION_PBS_TAIL_RESUME_H

#include <stddef.h>

#include "common/slice.h"
#include "perdition-pbs/tail_file.h"

/*
 * saved: positions as in tail_save().  current (may be NULL) is the log as it
 * is now: it is set to its saved position, if it has one that still holds,
 * and is left at its first byte otherwise.  out gets at most max other files
 * beside path that hold something unread, newest first: those that were
 * being read (renamed, or copied away before a truncation), and what came
 * between them and current.  Returns how many; the caller owns them.
 */
size_t tail_resume(const char *path, struct slice saved,
    struct tail_file *current, struct tail_file **out, size_t max);

#endif
