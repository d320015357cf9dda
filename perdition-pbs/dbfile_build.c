/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_build - a whole new database file, renamed into place.
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

#define MODE 0644 /* Sendmail judges by the mode bits alone */

/* A rewriter of the file itself has to wait for its readers, if for no more
 * than a moment where it must not wait. */
#define LOCK_WAIT_MS 20

struct dbfile_builder {
	const struct dbfile_kind *kind;
	char *path;
	const struct dbfile_plan *plan;
	dbfile_next *next;
	void *arg;
	struct err *err;
	char *tmp;  /* the other name */
	int tmp_fd; /* on it, locked against a second builder; -1: in place */
	int old_fd; /* on what has the name now, or -1 */
	unsigned int wait_ms;
	struct stat old;
};

static int
fail(struct dbfile_builder *b, const char *path, int error)
{
	return err_set(b->err, error, "%s: %s", path, strerror(error));
}

/* One name, so that a killed builder leaves one file at most and the next one
 * takes it over. */
static char *
tmp_name(const char *path)
{
	return dbfile_beside(path, "new");
}

static int
fill(struct dbfile_builder *b, int fd, const char *path)
{
	return b->kind->fill(fd, path, b->plan, b->next, b->arg, b->err);
}

/* The new file, empty and locked.  0, or -1 with errno. */
static int
open_tmp(struct dbfile_builder *b, unsigned int wait_ms)
{
	struct stat st, named;

	for (int tries = 0; tries < 100; tries++) {
		/* Nobody else's before it has the name: who can open a file can
		 * lock it. */
		b->tmp_fd = open(
		    b->tmp, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (b->tmp_fd == -1)
			return -1;
		if (dbfile_flock(b->tmp_fd, LOCK_EX, wait_ms) == -1)
			return -1;
		/* Whoever held it has renamed it meanwhile: it is the real
		 * file now, not ours to empty. */
		if (fstat(b->tmp_fd, &st) == 0 && stat(b->tmp, &named) == 0 &&
		    st.st_dev == named.st_dev && st.st_ino == named.st_ino) {
			if (S_ISREG(st.st_mode) && st.st_nlink == 1)
				return ftruncate(b->tmp_fd, 0);
			unlink(b->tmp); /* it is something else, too */
		}
		close(b->tmp_fd);
		b->tmp_fd = -1;
	}
	errno = EBUSY;
	return -1;
}

static void
set_owner(struct dbfile_builder *b, int fd)
{
	uid_t uid = b->plan->uid;
	gid_t gid = b->plan->gid;

	if (uid == (uid_t)-1 && b->old_fd != -1) {
		uid = b->old.st_uid;
		gid = b->old.st_gid;
	}
	/* Only root can; anyone else made a file of its own. */
	if (uid != (uid_t)-1 && fchown(fd, uid, gid) == -1)
		errno = 0;
}

/*
 * Sendmail's open sessions look at the inode they have, under their lock.  So
 * that none is left with the old one by a kill in here, its time goes up first;
 * and if the lock was not to be had, once more behind the rename, for those
 * that have looked in between.
 */
static int
rename_over(struct dbfile_builder *b, int64_t now)
{
	struct stat was = b->old;
	bool locked = b->old_fd != -1 && b->kind->lock != NULL &&
		      b->kind->lock(b->old_fd, LOCK_EX | LOCK_NB) == 0;
	int ret;

	if (b->old_fd != -1 && fstat(b->old_fd, &was) == 0)
		dbfile_outdate(b->old_fd, now);
	ret = rename(b->tmp, b->path);
	if (ret == -1)
		fail(b, b->path, errno);
	if (b->old_fd != -1 && ret == 0)
		dbfile_outdate(b->old_fd, now);
	else if (b->old_fd != -1)
		dbfile_outdate_undo(b->old_fd, &was, now);
	if (locked)
		b->kind->lock(b->old_fd, LOCK_UN);
	return ret;
}

/* The new one is later than the old one, too. */
static int
publish(struct dbfile_builder *b)
{
	int64_t now = time(NULL), old = now - 1;

	/* It may have been changed while this one was made. */
	if (b->old_fd != -1 && fstat(b->old_fd, &b->old) == 0)
		old = b->old.st_mtime;
	set_owner(b, b->tmp_fd);
	dbfile_succeed_mtime(b->tmp_fd, old, now);
	/* The name must not lead to an empty file after a power failure. */
	if (fdatasync(b->tmp_fd) == -1 || fchmod(b->tmp_fd, MODE) == -1)
		return fail(b, b->tmp, errno);
	return rename_over(b, now);
}

static int
rewrite_in_place(struct dbfile_builder *b)
{
	int64_t old = dbfile_latest(&b->old, time(NULL));
	int ret;

	if (b->kind->lock == NULL)
		return err_set(b->err, EACCES,
		    "%s: files of type %s need a directory that may be "
		    "written to",
		    b->path, b->kind->type);
	if (b->plan->in_place != NULL)
		*b->plan->in_place = true;
	if (dbfile_wait(b->kind->lock, b->old_fd, LOCK_EX, b->wait_ms) == -1)
		return fail(b, b->path, errno);
	ret = fill(b, b->old_fd, b->path);
	if (ret == -1)
		err_prefix(b->err, "torn");
	dbfile_raise_mtime(b->old_fd, old, time(NULL));
	b->kind->lock(b->old_fd, LOCK_UN);
	return ret;
}

static int
is_denied(int error)
{
	return error == EACCES || error == EPERM || error == EROFS;
}

void
dbfile_build_cancel(struct dbfile_builder **bp)
{
	struct dbfile_builder *b = *bp;

	if (b == NULL)
		return;
	if (b->tmp_fd != -1) {
		unlink(b->tmp);
		close(b->tmp_fd);
	}
	if (b->old_fd != -1)
		close(b->old_fd);
	free(b->path);
	free(b->tmp);
	free(b);
	*bp = NULL;
}

struct dbfile_builder *
dbfile_build_begin(const char *name, unsigned int wait_ms, struct err *err)
{
	struct dbfile_builder *b = calloc(1, sizeof(*b));
	const char *path;
	bool ok = false;

	if (b == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	b->err = err;
	b->wait_ms = wait_ms > LOCK_WAIT_MS ? wait_ms : LOCK_WAIT_MS;
	b->tmp_fd = b->old_fd = -1;
	b->kind = dbfile_kind_of(name, &path, err);
	if (b->kind == NULL)
		goto out;
	b->path = strdup(path);
	b->tmp = tmp_name(path);
	if (b->path == NULL || b->tmp == NULL) {
		fail(b, path, ENOMEM);
		goto out;
	}
	if (open_tmp(b, wait_ms) == -1) {
		int error = errno;

		if (b->tmp_fd != -1) /* it is another's */
			close(b->tmp_fd);
		b->tmp_fd = -1;
		if (!is_denied(error) || access(path, W_OK) == -1) {
			fail(b, b->tmp, error);
			goto out;
		}
	}
	ok = true;
out:
	if (!ok)
		dbfile_build_cancel(&b);
	return b;
}

int
dbfile_build_finish(struct dbfile_builder **bp, const struct dbfile_plan *plan,
    dbfile_next *next, void *arg, struct err *err)
{
	struct dbfile_builder *b = *bp;
	int ret = -1;

	b->plan = plan;
	b->next = next;
	b->arg = arg;
	b->err = err;
	if (plan->in_place != NULL)
		*plan->in_place = false;
	b->old_fd = open(b->path, O_RDWR | O_CLOEXEC);
	if (b->old_fd != -1 && fstat(b->old_fd, &b->old) == -1) {
		fail(b, b->path, errno);
	} else if (b->tmp_fd != -1) {
		ret = fill(b, b->tmp_fd, b->tmp);
		if (ret == 0)
			ret = publish(b);
		if (ret == 0) { /* the name is gone: nothing to unlink */
			close(b->tmp_fd);
			b->tmp_fd = -1;
		}
	} else if (b->old_fd == -1) {
		fail(b, b->path, errno);
	} else {
		ret = rewrite_in_place(b);
	}
	dbfile_build_cancel(bp);
	return ret;
}
