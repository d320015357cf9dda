/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_read - looking into a database file without ever changing it.
 */
#include "config.h"

#include "perdition-pbs/dbfile.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition-pbs/dbfile_private.h"

#include "common/banned.h"

struct dbfile_reader {
	DB *db;
	DBC *cursor;
	int fd; /* locked */
	char *path;
};

static int
open_handles(struct dbfile_reader *r, unsigned int wait_ms, struct err *err)
{
	struct stat mine, db;
	int ret, fd;

	r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (r->fd == -1 || fstat(r->fd, &mine) == -1)
		return err_set(err, errno, "%s: %s", r->path, strerror(errno));
	if (!S_ISREG(mine.st_mode))
		return err_set(err, EINVAL, "%s: not a file", r->path);
	if (dbfile_flock(r->fd, LOCK_SH, wait_ms) == -1)
		return err_set(
		    err, errno, "%s: locked: %s", r->path, strerror(errno));
	ret = dbfile_handle(&r->db, 0);
	if (ret == 0)
		ret = r->db->open(
		    r->db, NULL, r->path, NULL, DB_HASH, DB_RDONLY, 0);
	if (ret != 0)
		return dbfile_err(err, r->path, "no hash database", ret);
	if (r->db->fd(r->db, &fd) != 0 || fstat(fd, &db) == -1)
		return err_set(err, EIO, "%s: cannot be read", r->path);
	/* Replaced between the two: the lock is on the wrong one. */
	if (mine.st_dev != db.st_dev || mine.st_ino != db.st_ino)
		return err_set(err, ESTALE, "%s: replaced", r->path);
	return 0;
}

struct dbfile_reader *
dbfile_read_open(const char *path, unsigned int wait_ms, struct err *err)
{
	struct dbfile_reader *r;

	for (int tries = 0; tries < 10; tries++) {
		r = calloc(1, sizeof(*r));
		if (r == NULL || (r->path = strdup(path)) == NULL) {
			err_set(err, ENOMEM, "%s", strerror(ENOMEM));
			free(r);
			return NULL;
		}
		r->fd = -1;
		if (open_handles(r, wait_ms, err) == 0)
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
	if (r->cursor != NULL)
		r->cursor->close(r->cursor);
	if (r->db != NULL)
		r->db->close(r->db, DB_NOSYNC);
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
	DBT k, v;
	int ret;

	memset(&k, 0, sizeof(k));
	memset(&v, 0, sizeof(v));
	k.data = (void *)(uintptr_t)key.p; /* only read */
	k.size = (uint32_t)key.n;
	v.data = value;
	v.ulen = DBFILE_VALUE_MAX;
	v.flags = DB_DBT_USERMEM;
	ret = r->db->get(r->db, NULL, &k, &v, 0);
	/* A longer value is none of ours. */
	if (ret == DB_NOTFOUND || ret == DB_BUFFER_SMALL)
		return 0;
	if (ret != 0)
		return dbfile_err(err, r->path, "cannot be read", ret);
	*n = v.size;
	return 1;
}

int
dbfile_each(struct dbfile_reader *r, struct slice *key, struct slice *value,
    struct err *err)
{
	DBT k, v;
	int ret = 0;

	if (r->cursor == NULL)
		ret = r->db->cursor(r->db, NULL, &r->cursor, 0);
	while (ret == 0) {
		memset(&k, 0, sizeof(k));
		memset(&v, 0, sizeof(v));
		ret = r->cursor->get(r->cursor, &k, &v, DB_NEXT);
		if (ret == 0 && k.size <= DBFILE_KEY_MAX &&
		    v.size <= DBFILE_VALUE_MAX) {
			*key = slice_make(k.data, k.size);
			*value = slice_make(v.data, v.size);
			return 1;
		}
	}
	if (ret == DB_NOTFOUND)
		return 0;
	return dbfile_err(err, r->path, "cannot be read", ret);
}
