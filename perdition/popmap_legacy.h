/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_legacy - map libraries made for perdition 2.2.
 *
 * They export dbserver_get or dbserver_get2, and maybe dbserver_init and
 * dbserver_fini, and find system_uname, peername and sockname in the program
 * that loads them.  They are called for one query at a time.
 */
#ifndef PERDITION_POPMAP_LEGACY_H
#define PERDITION_POPMAP_LEGACY_H

#include <stdbool.h>

#include "common/err.h"
#include "perdition/popmap.h"

struct popmap_legacy;

/* Whether the object that dlopen(3) gave is such a library. */
bool popmap_legacy_is(void *dl);

/*
 * Calls its dbserver_init.  dl and path are borrowed until close; options is
 * copied.  0, or -1 with err.
 */
int popmap_legacy_open(struct popmap_legacy **, void *dl, const char *path,
    const char *options, struct err *);
void popmap_legacy_close(struct popmap_legacy **);

/* As popmap_ops.lookup: 1, 0, or -1 with err. */
int popmap_legacy_lookup(struct popmap_legacy *, const struct popmap_query *,
    struct popmap_answer *, struct err *);

#endif
