/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail - follows a log by name, whatever becomes of its file.
 *
 * Told by inotify(7) at once; once a second it looks itself, for what
 * inotify cannot tell (network file systems, symbolic links, a directory
 * that is not there yet).  A renamed file is read on for as long as somebody
 * still writes to it, beside its successor.
 */
#ifndef PERDITION_PBS_TAIL_H
#define PERDITION_PBS_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/tail_file.h"

/* What tail_save() writes at most. */
#define TAIL_FILES_MAX 5 /* the log and those it was, still written to */
#define TAIL_SAVE_MAX (TAIL_FILES_MAX * sizeof(struct tail_position))

struct tail;

/*
 * saved: what tail_save() gave an earlier process: goes on exactly there, in
 * files that were renamed or copied away too.  Empty: begins at the end of
 * the file that is there now, or with the first byte of one that comes later.
 * fn is called from the loop, never from here.  NULL with err: there is a
 * file, and it cannot be read.
 */
struct tail *tail_create(uv_loop_t *, const char *path, struct slice saved,
    tail_line *fn, void *arg, struct err *);
/*
 * For the first start: the place where path ends now (or will begin, while
 * there is none), as a saved position, so that no line that comes between
 * this and tail_create() is missed.  Returns the length.
 */
size_t tail_mark(const char *path, char out[TAIL_SAVE_MAX]);

void tail_destroy(struct tail **); /* the loop must turn once more */

void tail_reopen(struct tail *); /* look again, now */

/* Where it stands; returns the length. */
size_t tail_save(struct tail *, char out[TAIL_SAVE_MAX]);

/* Whether it stands elsewhere than at the last tail_save(). */
bool tail_moved(const struct tail *);

#endif
