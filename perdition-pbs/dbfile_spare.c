/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_spare - an empty file that is kept for the time when there is no room
 * for a new one; see the header.
 */
#include "config.h"

#include "perdition-pbs/dbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "perdition-pbs/dbfile_private.h"

#include "common/banned.h"

#define SPARE "empty"
#define LOCK_WAIT_MS 20 /* for readers; no longer, what is over must go */

char *
dbfile_beside(const char *path, const char *suffix)
{
	const char *slash = strrchr(path, '/');
	int dir = slash == NULL ? 0 : (int)(slash + 1 - path);
	char *name;

	if (asprintf(&name, "%.*s.%s.%s", dir, path, path + dir, suffix) == -1)
		return NULL;
	return name;
}

static int
fail(struct err *err, const char *path)
{
	int error = errno;

	return err_set(err, error, "%s: %s", path, strerror(error));
}

static bool
no_record(void *arg, struct slice *key, struct slice *value)
{
	(void)arg;
	(void)key;
	(void)value;
	return false;
}

static int
make(const char *name, const struct dbfile_plan *plan, struct err *err)
{
	struct dbfile_builder *b = dbfile_build_begin(name, 0, err);

	return b == NULL ? -1
			 : dbfile_build_finish(&b, plan, no_record, NULL, err);
}

int
dbfile_keep_spare(const char *name, uid_t uid, gid_t gid, struct err *err)
{
	struct dbfile_plan plan = { .uid = uid, .gid = gid };
	const char *path;
	const struct dbfile_kind *kind = dbfile_kind_of(name, &path, err);
	char *spare = NULL, *spare_name = NULL;
	int ret = -1;

	if (kind == NULL)
		return -1;
	spare = dbfile_beside(path, SPARE);
	if (spare == NULL ||
	    asprintf(&spare_name, "%s:%s", kind->type, spare) == -1) {
		spare_name = NULL;
		errno = ENOMEM;
		fail(err, path);
	} else {
		ret = make(spare_name, &plan, err);
	}
	free(spare_name);
	free(spare);
	return ret;
}

/* --- its use ------------------------------------------------------------- */

/* One of another kind may be left there, if that of the file was changed. */
static bool
is_of_kind(const struct dbfile_kind *kind, int fd)
{
	uint32_t magic;

	return pread(fd, &magic, sizeof(magic), kind->magic_at) ==
		   (ssize_t)sizeof(magic) &&
	       magic == kind->magic;
}

/* The spare, or -1; its time is for the place of a file whose time was old. */
static int
open_spare(
    const struct dbfile_kind *kind, const char *spare, int64_t old, int64_t now)
{
	int fd = open(spare, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		close(fd);
		return -1;
	}
	if (!is_of_kind(kind, fd)) {
		unlink(spare);
		close(fd);
		return -1;
	}
	dbfile_succeed_mtime(fd, old, now);
	return fd;
}

/* The file itself; was: as it was before. */
static int
empty_in_place(const struct dbfile_kind *kind, const char *path, int fd,
    const struct stat *was, int64_t now, struct err *err)
{
	bool locked = kind->lock != NULL &&
		      dbfile_wait(kind->lock, fd, LOCK_EX, LOCK_WAIT_MS) == 0;
	int ret = kind->empty(fd, path, err);

	if (ret == 0)
		dbfile_raise_mtime(fd, dbfile_latest(was, now), now);
	if (locked)
		kind->lock(fd, LOCK_UN);
	return ret;
}

/* fd: on the file; -1: it can be removed or replaced at best. */
static int
shut(const struct dbfile_kind *kind, const char *path, const char *spare,
    int fd, int64_t now, struct err *err)
{
	struct stat st = { .st_mtime = now - 1 };
	int spare_fd, ret = -1;

	if (fd != -1 && fstat(fd, &st) == 0)
		dbfile_outdate(fd, now);
	spare_fd = open_spare(kind, spare, st.st_mtime, now);
	if (spare_fd != -1)
		ret = rename(spare, path);
	if (ret == -1)
		ret = unlink(path);
	if (ret == -1 && errno == ENOENT)
		ret = 0;
	if (ret == -1)
		fail(err, path);
	if (ret == 0 && fd != -1) {
		dbfile_outdate(fd, now);
	} else if (fd != -1) {
		dbfile_outdate_undo(fd, &st, now);
		ret = empty_in_place(kind, path, fd, &st, now, err);
	}
	if (spare_fd != -1)
		close(spare_fd);
	return ret;
}

int
dbfile_shut(const char *name, struct err *err)
{
	const char *path;
	const struct dbfile_kind *kind = dbfile_kind_of(name, &path, err);
	char *spare;
	int fd, ret;

	if (kind == NULL)
		return -1;
	spare = dbfile_beside(path, SPARE);
	if (spare == NULL)
		return fail(err, path);
	fd = open(path, O_RDWR | O_CLOEXEC | (geteuid() == 0 ? O_NOFOLLOW : 0));
	ret = shut(kind, path, spare, fd, time(NULL), err);
	if (fd != -1)
		close(fd);
	free(spare);
	return ret;
}
