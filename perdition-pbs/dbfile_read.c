/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_read - looking into a file without ever changing it.
 */
#include "config.h"

#include "perdition-pbs/dbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition-pbs/dbfile_private.h"

#include "common/banned.h"

static int
open_handles(struct dbfile_reader *r, const char *name, unsigned int wait_ms,
    struct err *err)
{
	const char *path;
	struct stat st;

	r->kind = dbfile_kind_of(name, &path, err);
	if (r->kind == NULL)
		return -1;
	r->path = strdup(path);
	if (r->path == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (r->fd == -1 || fstat(r->fd, &st) == -1)
		return err_set(err, errno, "%s: %s", r->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: not a file", r->path);
	if (r->kind->lock != NULL &&
	    dbfile_wait(r->kind->lock, r->fd, LOCK_SH, wait_ms) == -1)
		return err_set(
		    err, errno, "%s: locked: %s", r->path, strerror(errno));
	return r->kind->read_open(r, err);
}

struct dbfile_reader *
dbfile_read_open(const char *name, unsigned int wait_ms, struct err *err)
{
	struct dbfile_reader *r;

	for (int tries = 0; tries < 10; tries++) {
		r = calloc(1, sizeof(*r));
		if (r == NULL) {
			err_set(err, ENOMEM, "%s", strerror(ENOMEM));
			return NULL;
		}
		r->fd = -1;
		if (open_handles(r, name, wait_ms, err) == 0)
			return r;
		dbfile_read_close(&r);
		if (err->code != ESTALE)
			return NULL;
	}
	return NULL;
}

void
dbfile_read_close(struct dbfile_reader **rp)
{
	struct dbfile_reader *r = *rp;

	if (r == NULL)
		return;
	if (r->handle != NULL)
		r->kind->read_close(r);
	if (r->fd != -1)
		close(r->fd);
	free(r->path);
	free(r);
	*rp = NULL;
}

int
dbfile_get(struct dbfile_reader *r, struct slice key,
    char value[DBFILE_VALUE_MAX], size_t *n, struct err *err)
{
	return r->kind->get(r, key, value, n, err);
}

int
dbfile_each(struct dbfile_reader *r, struct slice *key, struct slice *value,
    struct err *err)
{
	int ret;

	while ((ret = r->kind->each(r, key, value, err)) == 1)
		if (key->n <= DBFILE_KEY_MAX && value->n <= DBFILE_VALUE_MAX)
			break;
	return ret;
}
