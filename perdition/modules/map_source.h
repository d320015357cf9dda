/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_source - the text that makebdb and its like are fed, checked.
 *
 * "KEY:[USER<delimiter>]SERVER[:PORT][,...]" a line; empty lines and those
 * that begin with '#' are skipped; a backslash in front of ':', '#' or
 * another backslash in the key makes that a byte of the key.  White space
 * around key and value is left out.
 */
#ifndef PERDITION_MODULES_MAP_SOURCE_H
#define PERDITION_MODULES_MAP_SOURCE_H

#include <stddef.h>
#include <stdio.h>

#include "common/slice.h"

struct map_entry {
	struct slice key, value; /* into the source's text */
	unsigned long line;
};

struct map_source {
	char *text;
	struct map_entry *v; /* sorted by key */
	size_t n;
};

/*
 * Reads fd to its end.  name is fd's in messages, which go to errors, one
 * "name:line: text" each, for every bad line and every repeated key up to a
 * number.  0 with source filled; else nothing is left allocated, and 1: the
 * text is bad, -1: it could not be read.
 */
int map_source_read(
    struct map_source *, int fd, const char *name, FILE *errors);
void map_source_clear(struct map_source *);

#endif
