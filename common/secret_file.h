/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secret_file - a password that the administrator keeps in a file of its own,
 * away from the configuration that others may read.
 */
#ifndef COMMON_SECRET_FILE_H
#define COMMON_SECRET_FILE_H

#include "common/err.h"
#include "common/secret.h"

/*
 * The first line, without its LF or CRLF, into out; no copy of it is left
 * behind.  0, or -1 with err (an errno value; out is empty then): nothing
 * there, too long (EMSGSIZE), a NUL byte (EINVAL), unreadable.
 * file: err begins with path; only a regular file will do, others might wait.
 * fd: read up to the end of the line and no further; stays open.
 */
int secret_read_file(const char *path, struct secret *out, struct err *);
int secret_read_fd(int fd, struct secret *out, struct err *);

#endif
