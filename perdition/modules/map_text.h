/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_text - a map's text file, read whole.
 */
#ifndef PERDITION_MODULES_MAP_TEXT_H
#define PERDITION_MODULES_MAP_TEXT_H

#include <stddef.h>

#include "perdition/popmap.h"

#define MAP_TEXT_MAX (16 * 1024 * 1024) /* bytes */

/* malloc'ed, *n bytes; or NULL with err: cannot be read, not a regular file,
 * too large. */
char *map_text_read(const char *path, size_t *n, struct popmap_error *err);

#endif
