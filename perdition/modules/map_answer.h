/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_answer - what the modules that come with perdition share about texts.
 */
#ifndef PERDITION_MODULES_MAP_ANSWER_H
#define PERDITION_MODULES_MAP_ANSWER_H

#include "common/slice.h"
#include "perdition/popmap.h"

/* Formats msg, cut if too long; always returns -1. */
int map_error(struct popmap_error *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The next of several servers in a text "server,server": *list gets the
 * rest.  White space around it is left out.  False at the end of the list.
 */
bool map_answer_next(struct slice *list, struct slice *server);

/*
 * A value as a database holds it (maybe with NUL or newline at its end)
 * into answer.  0, or -1 with err: empty, too long, too many servers.
 */
int map_answer_set(
    struct popmap_answer *, struct slice value, struct popmap_error *);

/* Appends one server's text.  0, or -1 with err. */
int map_answer_add(
    struct popmap_answer *, struct slice server, struct popmap_error *);

/*
 * The file that option text names, or the default one in sysconfdir.
 * malloc'ed, or NULL with err.
 */
char *map_path(const char *options, const char *sysconfdir, const char *name,
    struct popmap_error *);

#endif
