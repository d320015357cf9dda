/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_scratch - a directory with map files for one test.
 */
#ifndef TESTS_MAP_SCRATCH_H
#define TESTS_MAP_SCRATCH_H

#include <stddef.h>

#include "common/slice.h"
#include "perdition/popmap.h"
#include "perdition/popmap_module.h"

/* Seen from where tests run, the build's tests/unit. */
#define BUILT_TOOLS "../../perdition/modules"
#define BUILT_MODULES BUILT_TOOLS "/.libs"
#define TEST_MODULES "./.libs"

extern char scratch[64]; /* its path */

void scratch_make(void);
void scratch_remove(void);

/* The path of a file in it; overwritten after some calls. */
const char *scratch_path(const char *name);
void scratch_write(const char *name, struct slice content);
/* malloc'ed, with a NUL behind its *n bytes. */
char *scratch_read(const char *name, size_t *n);

/*
 * Runs makebdb or its like with text as its input; what it said is in
 * the scratch file "said".  Its exit status.
 */
int scratch_tool(const char *tool, const char *file, struct slice text);

/* The built module of that short name, opened; fails the test otherwise. */
struct popmap_module *scratch_open(const char *module, const char *options);

/*
 * Looks key up with domain_delimiter "@".  Returns the module's result; the
 * servers joined with "|", or the message, are in scratch_said.
 */
int scratch_lookup(struct popmap_module *, struct slice key);
extern char scratch_said[4096];

#endif
