/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logs - all the log files that are followed, by name and by pattern.
 *
 * Told by inotify(7) at once; once a second it looks itself, for what
 * inotify cannot tell (network file systems, symbolic links, a directory
 * that is not there yet).  However much there is to read, each turn of the
 * loop takes a bounded part of it.
 *
 * The position of each log is kept under "log:PATH"; "logs:PATTERN" says that
 * a pattern was in force, so that a log which is not known and matches it
 * came later and is read from its first byte.
 */
#ifndef PERDITION_PBS_LOGS_H
#define PERDITION_PBS_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/positions.h"
#include "perdition-pbs/tail_file.h"

#define LOGS_MAX 256 /* at once; of further matches the log tells */

struct logs_config {
	/* Absolute paths; with *, ? or [ in them patterns as of glob(7).
	 * A match whose name begins with that of another log in the same
	 * directory (mail.log.1, mail.log-20261122.gz) is taken for what
	 * rotation made of that one.  Borrowed. */
	char *const *paths;
	size_t n;
	struct tail_reader reader; /* called from the loop */
};

struct logs;

/*
 * Before anything that takes time: where the logs end now is put into marks,
 * for those that turn out to be new, so that no line that comes between this
 * and logs_create() is missed.
 */
void logs_mark(const struct logs_config *, struct positions *marks);

/*
 * Goes on at the positions of known (of an earlier process; or NULL), else
 * of marks.  Both are borrowed for this call.  NULL with err: a log that was
 * named (not found by a pattern) is there and cannot be read.
 */
struct logs *logs_create(uv_loop_t *, const struct logs_config *,
    const struct positions *known, const struct positions *marks, struct err *);
void logs_destroy(struct logs **); /* the loop must turn once more */

void logs_reopen(struct logs *);       /* look again, now */
bool logs_behind(const struct logs *); /* more is there to be read */
bool logs_moved(const struct logs *);  /* since the last logs_save() */

/* Whether a position kept under this name is of one that is followed. */
bool logs_knows(const struct logs *, struct slice name);

/* Calls fn for the path of each log that is there, once or more. */
void logs_each(const struct logs_config *,
    void (*fn)(void *arg, const char *path), void *arg);

/* Tells save of what moved. */
void logs_save(struct logs *, positions_saver *save, void *arg);

#endif
