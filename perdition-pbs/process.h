/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process - becoming a daemon and an ordinary user.
 */
#ifndef PERDITION_PBS_PROCESS_H
#define PERDITION_PBS_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

/*
 * Goes into the background (with its directory).  The parent stays until the
 * child calls process_ready() (and exits 0) or ends (and exits with its
 * status), so that who starts the daemon learns whether it runs.  Returns in
 * the child alone: the descriptor for process_ready(), or -1 with err.
 */
int process_background(struct err *);

/* Tells the parent, and lets go of the terminal.  fd: -1 does nothing. */
void process_ready(int fd);

/*
 * Makes a directory that is not there, and those above it; only the last one
 * is for uid and gid (or -1).  0, or -1 with err.
 */
int process_make_dir(const char *dir, mode_t mode, uid_t, gid_t, struct err *);
int process_make_dir_of(const char *file, uid_t, gid_t, struct err *);

/* For good; with n groups more: those that may read the logs.  0, or -1 with
 * err. */
int process_become(uid_t, gid_t, const gid_t *groups, size_t n, struct err *);

/* 0, or -1 with err. */
int process_write_pid(const char *path, uid_t, gid_t, struct err *);

#endif
