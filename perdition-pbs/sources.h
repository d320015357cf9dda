/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sources - everything that lines of logs come from, as one.
 *
 * Which sources there are is decided here alone; the daemon sees lines, and
 * positions to be kept for the next start.
 */
#ifndef PERDITION_PBS_SOURCES_H
#define PERDITION_PBS_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/pbs_config.h"
#include "perdition-pbs/positions.h"
#include "perdition-pbs/tail_file.h"

#define SOURCES_GROUPS_MAX 32

struct sources;

/*
 * Before anything that takes time, and before root is given up: from now on no
 * line is missed.  What c names is borrowed until sources_destroy().  The
 * reader (copied) is told of each line and end (with its arg), once, of the end
 * of standard input: from the loop, never from here.  NULL with err.
 */
struct sources *sources_create(const struct pbs_config *c,
    const struct tail_reader *, void (*end)(void *arg), struct err *);
void sources_destroy(struct sources **); /* the loop must turn once more */

/* The groups that may read what is to be read; at most SOURCES_GROUPS_MAX. */
size_t sources_groups(const struct sources *, gid_t groups[SOURCES_GROUPS_MAX]);

/*
 * Goes on where known (of an earlier process, or NULL) says.  0, or -1 with
 * err: something that was asked for by name cannot be read.
 */
int sources_start(
    struct sources *, uv_loop_t *, const struct positions *known, struct err *);

void sources_reopen(struct sources *); /* look again at names, now */

/* At the end: reads what is there of that which no position is kept of, without
 * waiting for more, and tells nobody if that was all. */
void sources_drain(struct sources *);

/* More is there to be read than a turn of the loop takes. */
bool sources_behind(const struct sources *);

/*
 * Where they stand: whether it is elsewhere than at the last sources_save(),
 * which tells save of what has changed.
 */
bool sources_moved(const struct sources *);
void sources_save(struct sources *, positions_saver *save, void *arg);

/* Whether a position kept under this name is of a source that there is. */
bool sources_knows(const struct sources *, struct slice name);

#endif
