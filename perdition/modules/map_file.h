/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_file - follow a database file that others replace or change.
 *
 * A map is replaced by rename(2) (makebdb and its like) or written to in place
 * by its own library's tools.  Every read happens between begin and end,
 * under a shared flock(2), which such writers respect, so no read sees half
 * of a change; begin has the library open anew what is out of date.
 */
#ifndef PERDITION_MODULES_MAP_FILE_H
#define PERDITION_MODULES_MAP_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "perdition/popmap.h"

struct map_file {
	char *path;
	int fd;     /* holds the lock; -1 when not open */
	bool known; /* stamp is of a file whose content was read */
	struct stat stamp;
};

/* Takes path (malloc'ed).  Opens nothing yet. */
void map_file_init(struct map_file *, char *path);
void map_file_clear(struct map_file *);

/*
 * Locks the file that bears the name now.  reopen(arg) is called when it is
 * not, or may not be, what was there at the last begin, or when stale says
 * that there is no handle: the library opens f->path anew, 0 or -1 with err.
 * 0, or -1 with err naming the path; then no end must follow.
 */
typedef int map_file_reopen(void *arg, struct popmap_error *);
int map_file_begin(struct map_file *, bool stale, map_file_reopen *, void *arg,
    struct popmap_error *);
void map_file_end(struct map_file *);

#endif
