/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_file - see map_file.h.
 */
#include "config.h"

#include "perdition/modules/map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

/* A writer in place keeps its lock for milliseconds.  We are in a process
 * that may block, but a user waits. */
#define LOCK_TRIES 40
#define LOCK_WAIT_MS 25

/* Two changes within the clock's tick leave the same time stamp, so a file
 * that changed this short a time ago is read anew each time. */
#define SETTLED_S 2

#define OPEN_TRIES 8 /* against a name that is replaced all the time */

void
map_file_init(struct map_file *f, char *path)
{
	memset(f, 0, sizeof(*f));
	f->path = path;
	f->fd = -1;
}

void
map_file_clear(struct map_file *f)
{
	if (f->fd != -1)
		close(f->fd);
	free(f->path);
	map_file_init(f, NULL);
}

/* Whether the name still belongs to the file that we hold, so that a handle
 * opened by name reads what is locked. */
static bool
is_current(const struct map_file *f)
{
	struct stat named, held;

	return stat(f->path, &named) == 0 && fstat(f->fd, &held) == 0 &&
	       named.st_dev == held.st_dev && named.st_ino == held.st_ino;
}

static int
open_anew(struct map_file *f, struct popmap_error *err)
{
	struct stat st;

	if (f->fd != -1)
		close(f->fd);
	f->known = false;
	/* O_NONBLOCK: a FIFO of that name must not hang us. */
	f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd == -1)
		return map_error(err, "%s: %s", f->path, strerror(errno));
	if (fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	close(f->fd);
	f->fd = -1;
	return map_error(err, "%s: not a regular file", f->path);
}

static int
lock(struct map_file *f, struct popmap_error *err)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(f->fd, LOCK_SH | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return 0; /* a file system without locks */
		poll(NULL, 0, LOCK_WAIT_MS);
	}
	return map_error(
	    err, "%s: locked by a program that changes it", f->path);
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
unchanged(const struct map_file *f, const struct stat *now)
{
	const struct stat *was = &f->stamp;

	return f->known && was->st_dev == now->st_dev &&
	       was->st_ino == now->st_ino && was->st_size == now->st_size &&
	       same_time(&was->st_mtim, &now->st_mtim) &&
	       same_time(&was->st_ctim, &now->st_ctim);
}

/* The inode's change time, for utimes(2) cannot set that one back. */
static bool
settled(const struct stat *st)
{
	time_t age = time(NULL) - st->st_ctim.tv_sec;

	return age > SETTLED_S || age < -SETTLED_S;
}

void
map_file_end(struct map_file *f)
{
	if (f->fd != -1)
		flock(f->fd, LOCK_UN);
}

/* Locks the current file.  1: what was read of it is out of date, 0, -1. */
static int
hold(struct map_file *f, struct popmap_error *err)
{
	struct stat now;
	int changed;

	if ((f->fd == -1 || !is_current(f)) && open_anew(f, err) == -1)
		return -1;
	if (lock(f, err) == -1)
		return -1;
	if (fstat(f->fd, &now) == -1) {
		map_file_end(f);
		return map_error(err, "%s: %s", f->path, strerror(errno));
	}
	changed = !unchanged(f, &now);
	f->stamp = now;
	f->known = settled(&now);
	return changed;
}

int
map_file_begin(struct map_file *f, bool stale, map_file_reopen *reopen,
    void *arg, struct popmap_error *err)
{
	for (int i = 0; i < OPEN_TRIES; i++) {
		int changed = hold(f, err);
		bool ok = true;

		if (changed == -1)
			return -1;
		if (stale || changed == 1)
			ok = reopen(arg, err) == 0;
		/* What is wrong with a file that is gone is no matter. */
		if (is_current(f)) {
			if (ok)
				return 0;
			f->known = false;
			map_file_end(f);
			return -1;
		}
		f->known = false;
		map_file_end(f);
	}
	return map_error(err, "%s: replaced again and again", f->path);
}
