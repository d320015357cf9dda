/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_private - what the three files of dbfile (change, build, read) share.
 */
#ifndef PERDITION_PBS_DBFILE_PRIVATE_H
#define PERDITION_PBS_DBFILE_PRIVATE_H

#include <db.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

/* Every change moves the file's time one second on, which under a flood runs
 * ahead of the clock; not further than a day. */
#define DBFILE_LEAD_MAX (24 * 60 * 60)

/* Records a bucket, a page of 4096, before it is split: never reached, since
 * only half of the room is used (see announce()); 100 of 30 to 50 bytes. */
#define DBFILE_FFACTOR 200

/* A handle without environment; 0, or an errno or DB value. *dbp is set,
 * and has to be closed, even then, unless NULL. */
int dbfile_handle(DB **dbp, uint32_t cache);

/*
 * A name of what fd is open on, for Berkeley DB, which opens by name, several
 * times over: whoever may rename in the directory (root's work may be in
 * another's) cannot slip it another file.  path where there is no /proc.
 */
#define DBFILE_NAME_MAX 32
const char *dbfile_name_of(
    int fd, const char *path, char name[DBFILE_NAME_MAX]);

/* -1, with err set from what a DB function returned. */
int dbfile_err(struct err *, const char *path, const char *what, int ret);

uint32_t dbfile_cache_for(uint64_t bytes);
int dbfile_db_put(DB *, struct slice key, struct slice value);

/* old: the time before the change, seconds; needs the owner. */
void dbfile_raise_mtime(int fd, int64_t old, int64_t now);

#endif
