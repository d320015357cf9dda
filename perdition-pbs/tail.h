/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail - follows a log by name, whatever becomes of its file.
 *
 * A renamed file is read on for as long as somebody still writes to it,
 * beside its successor.  Has no handles of its own: logs.h tells it when to
 * look and when to read.
 */
#ifndef PERDITION_PBS_TAIL_H
#define PERDITION_PBS_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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
 * inotify: a descriptor of inotify(7), borrowed, on which the files and the
 * log's directory are watched.  NULL with err: no memory; otherwise err->code
 * is 0, or tells that there is a file which cannot be read: that is tried
 * again at each look.
 */
struct tail *tail_create(
    int inotify, const char *path, struct slice saved, struct err *);
void tail_destroy(struct tail **);

/*
 * The place where path ends now (or will begin, while there is none), as a
 * saved position.  Returns the length.
 */
size_t tail_mark(const char *path, char out[TAIL_SAVE_MAX]);

/* So that names that come and go in dir are told.  0, or -1 with errno. */
int tail_watch_dir(int inotify, const char *dir);

/* Brings the list of files in line with what the name stands for. */
void tail_look(struct tail *);

/*
 * Reads, oldest file first, at most *budget bytes, which is lowered by what
 * was read.  now: milliseconds of any clock that never goes back.  true:
 * there may be more.
 */
bool tail_read(struct tail *, struct tail_buffer *, size_t *budget,
    uint64_t now, const struct tail_reader *);

const char *tail_path(const struct tail *);
bool tail_is_watch(const struct tail *, int wd); /* of one of its files */
/* Whether the file is one that it follows; in *named, if it has the name. */
bool tail_has(const struct tail *, dev_t, ino_t, bool *named);

/*
 * Gives up a file that it follows, which has another log's name by now: p is
 * where that one goes on.
 */
void tail_give_up(struct tail *, dev_t, ino_t, struct tail_position *p);

/* Whether the name is gone, and nothing has been written for an hour to what
 * had it. */
bool tail_is_gone(const struct tail *, uint64_t now);

/* Where it stands; returns the length, never 0. */
size_t tail_save(struct tail *, char out[TAIL_SAVE_MAX]);

/* Whether it stands elsewhere than at the last tail_save(). */
bool tail_moved(const struct tail *);

#endif
