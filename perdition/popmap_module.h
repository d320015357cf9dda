/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_module - find, load and ask one popmap module, or a map library of
 * perdition 2.2 (see popmap_legacy.h).
 */
#ifndef PERDITION_POPMAP_MODULE_H
#define PERDITION_POPMAP_MODULE_H

#include "common/err.h"
#include "perdition/popmap.h"

struct popmap_module;

/*
 * The file that option map_library means, malloc'ed, or NULL with err:
 * a short name ("regex") is DIR/popmap_regex.so; a path is that file; a name
 * of perdition 2.2 (".../libperditiondb_gdbm.so.0") whose file is not there
 * is our module for the same kind of map.
 */
char *popmap_module_find(const char *library, const char *dir, struct err *);

/*
 * What the module says of itself (popmap_ops.flags; none for a map library of
 * perdition 2.2).  Loads the file and lets it go.  0, or -1 with err.
 */
int popmap_module_flags(const char *path, unsigned int *flags, struct err *);

/*
 * Load the file and open its map with options (map_library_opt; NULL is "").
 * sysconfdir: where default files are.  0, or -1 with err naming the file.
 */
int popmap_module_open(struct popmap_module **, const char *path,
    const char *options, const char *sysconfdir, struct err *);
void popmap_module_close(struct popmap_module **);

/* As popmap_ops.lookup: 1, 0, or -1 with err.  What the module left is
 * checked before it is handed on. */
int popmap_module_lookup(struct popmap_module *, const struct popmap_query *,
    struct popmap_answer *, struct err *);

#endif
