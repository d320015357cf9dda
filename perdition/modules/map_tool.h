/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_tool - what makebdb and its like have in common: text in, a database
 * file out, put in place by rename(2) once it is complete and on the disk.
 */
#ifndef PERDITION_MODULES_MAP_TOOL_H
#define PERDITION_MODULES_MAP_TOOL_H

#include <stddef.h>

#include "common/err.h"
#include "common/slice.h"

struct map_writer; /* an open database of the tool's own kind */

struct map_tool {
	const char *program;      /* "makebdb" */
	const char *default_file; /* in sysconfdir/perdition */
	/* path exists, is empty and ours alone; n entries will follow.
	 * NULL with err. */
	struct map_writer *(*create)(const char *path, size_t n, struct err *);
	int (*put)(struct map_writer *, struct slice key, struct slice value,
	    struct err *);
	/* Writes out and frees, also after a put that failed, whose err then
	 * holds.  0, or -1 with err. */
	int (*close)(struct map_writer *, struct err *);
};

/* The program's main; returns its exit status (sysexits). */
int map_tool_main(const struct map_tool *, int argc, char *argv[]);

#endif
