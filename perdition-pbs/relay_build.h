/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_build - a whole new database file, written by a child process.
 *
 * A million entries take a second, which the loop does not have.  The child
 * begins with the memory as it was when it began (fork(2) copies nothing but
 * what either side changes afterwards), writes the file, renames it into
 * place and ends.  It holds no descriptor of the daemon's, dies with it, and
 * says nothing but how it went.
 */
#ifndef PERDITION_PBS_RELAY_BUILD_H
#define PERDITION_PBS_RELAY_BUILD_H

#include <uv.h>

#include "common/err.h"
#include "perdition-pbs/relay_file.h"

/* What the child does; as relay_file_write() returns. */
typedef int relay_build_work(void *arg, struct relay_written *, struct err *);

/* On the loop, never from within start: ret as of the work, or -1. */
typedef void relay_build_done(
    void *arg, int ret, const struct relay_written *, const struct err *);

struct relay_build;

/* NULL with err.  arg is borrowed until done has been called. */
struct relay_build *relay_build_start(uv_loop_t *, relay_build_work *work,
    relay_build_done *done, void *arg, struct err *);

/* Ends the child, if it still runs; done is not called any more. */
void relay_build_cancel(struct relay_build **);

#endif
