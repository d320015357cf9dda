/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_file_module - what modules that look a key up in a database file have in
 * common: when to open the file, and what a value becomes.
 *
 * Knows no library: a module hands in what its own one does.
 */
#ifndef PERDITION_MODULES_MAP_FILE_MODULE_H
#define PERDITION_MODULES_MAP_FILE_MODULE_H

#include <stddef.h>

#include "common/slice.h"
#include "perdition/modules/map_file.h"
#include "perdition/popmap.h"

/* The answer depends on nothing but the key. */
#define MAP_FILE_FLAGS (POPMAP_QUICK | POPMAP_ANY_CLIENT | POPMAP_ANY_PORT)

/*
 * All are called under the file's lock, but for close.  What they say in err
 * needs no path.
 */
struct map_file_module {
	const char *default_file; /* in sysconfdir */
	size_t size;              /* of a handle: the library's state */
	/* handle is zeroed.  0; or -1 with err and nothing to be closed. */
	int (*open)(void *handle, const struct map_file *file,
	    struct popmap_error *err);
	/* 1 with *value malloc'ed, *n bytes; 0 no such key; -1 with err: the
	 * handle is then closed. */
	int (*get)(void *handle, struct slice key, char **value, size_t *n,
	    struct popmap_error *err);
	void (*close)(void *handle);
};

/* popmap_ops.open for m, which stays; the other two are popmap_ops' own. */
int map_file_module_open(struct popmap **, const struct map_file_module *m,
    const char *options, const char *sysconfdir, struct popmap_error *);
int map_file_module_lookup(struct popmap *, const struct popmap_query *,
    struct popmap_answer *, struct popmap_error *);
void map_file_module_close(struct popmap **);

#endif
