/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile - changing a file under its readers: locks, room and times, which
 * are the same for every kind; see the header.
 */
#include "config.h"

#include "perdition-pbs/dbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "perdition-pbs/dbfile_private.h"

#include "common/banned.h"

/* A put may take a page: for its bucket's overflow, or the copy that is
 * written in place of the one that readers have. */
#define PAGE 4096
#define RESERVE_STEP (256 * 1024) /* bytes reserved at once, at least */

/* --- names --------------------------------------------------------------- */

static const struct {
	const char *prefix;
	const struct dbfile_kind *kind; /* NULL: not in this build */
	const char *without;            /* then: what was not there */
} kinds[] = {
	{ "hash:", DBFILE_HASH, "Berkeley DB" },
	{ "lmdb:", DBFILE_LMDB, "LMDB" },
	{ "cdb:", DBFILE_CDB, "TinyCDB" },
};

const struct dbfile_kind *
dbfile_kind_of(const char *name, const char **path, struct err *err)
{
	size_t i = sizeof(kinds) / sizeof(kinds[0]);

	while (--i > 0 &&
	       strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
		continue;
	/* The first, too, of a path alone. */
	*path = name;
	if (strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
		*path += strlen(kinds[i].prefix);
	if (kinds[i].kind == NULL)
		err_set(err, ENOTSUP, "%s: built without %s", name,
		    kinds[i].without);
	return kinds[i].kind;
}

const char *
dbfile_path(const char *name)
{
	const char *path;
	struct err err;

	dbfile_kind_of(name, &path, &err);
	return path;
}

bool
dbfile_changes_in_place(const char *name)
{
	const char *path;
	struct err err;
	const struct dbfile_kind *kind = dbfile_kind_of(name, &path, &err);

	return kind != NULL && kind->open != NULL;
}

int
dbfile_check(const char *name, struct err *err)
{
	const char *path;

	return dbfile_kind_of(name, &path, err) == NULL ? -1 : 0;
}

const char *
dbfile_name_of(int fd, const char *path, char name[DBFILE_NAME_MAX])
{
	snprintf(name, DBFILE_NAME_MAX, "/proc/self/fd/%d", fd);
	return access(name, F_OK) == 0 ? name : path;
}

/* --- locks --------------------------------------------------------------- */

int
dbfile_wait(int (*lock)(int fd, int operation), int fd, int operation,
    unsigned int wait_ms)
{
	for (unsigned int waited = 0;; waited += 2) {
		if (lock(fd, operation | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		if (waited >= wait_ms) {
			errno = EWOULDBLOCK;
			return -1;
		}
		poll(NULL, 0, 2); /* the lock itself has no time limit */
	}
}

int
dbfile_flock(int fd, int operation, unsigned int wait_ms)
{
	return dbfile_wait(flock, fd, operation, wait_ms);
}

static int
same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* To the nanosecond: a write by another leaves the clock's, ours have none. */
static bool
same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* --- changing ------------------------------------------------------------ */

static int
open_handles(struct dbfile *f, const char *name, struct err *err)
{
	const char *path;

	f->kind = dbfile_kind_of(name, &path, err);
	if (f->kind == NULL)
		return -1;
	f->path = strdup(path);
	if (f->path == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	if (f->kind->open == NULL)
		return err_set(
		    err, ENOTSUP, "%s: only ever written whole", name);
	/* Root itself has made it: no link of anybody's. */
	f->fd =
	    open(path, O_RDWR | O_CLOEXEC | (geteuid() == 0 ? O_NOFOLLOW : 0));
	if (f->fd == -1 || fstat(f->fd, &f->st) == -1)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return f->kind->open(f, err);
}

struct dbfile *
dbfile_open(const char *name, struct err *err)
{
	struct dbfile *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		err_set(err, errno, "%s", strerror(errno));
		return NULL;
	}
	f->fd = -1;
	if (open_handles(f, name, err) == -1)
		dbfile_close(&f);
	return f;
}

void
dbfile_close(struct dbfile **fp)
{
	struct dbfile *f = *fp;

	if (f == NULL)
		return;
	if (f->handle != NULL)
		f->kind->close(f);
	if (f->fd != -1)
		close(f->fd);
	free(f->path);
	free(f);
	*fp = NULL;
}

/* Not the owner: a new session sees the change all the same. */
static void
set_mtime(int fd, struct timespec to)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, to };

	if (futimens(fd, t) == -1)
		errno = 0;
}

/* A write beyond the space there is would leave half a change: ask first. */
static int
reserve(struct dbfile *f, size_t changes)
{
	off_t want = f->st.st_size + (off_t)(changes + 4) * PAGE +
		     f->kind->deletion_room;
	struct rlimit lim;
	int ret, error;

	if (changes == 0)
		return 0;
	if (getrlimit(RLIMIT_FSIZE, &lim) == 0 &&
	    lim.rlim_cur != RLIM_INFINITY && (rlim_t)want > lim.rlim_cur) {
		errno = EFBIG;
		return -1;
	}
	if (want <= f->reserved)
		return 0;
	want += RESERVE_STEP;
	/* Holes between the pages written so far need blocks as well, so the
	 * whole range; blocks that are there already cost nothing. */
	ret = fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, want);
	error = errno;
	/* Some file systems take it for a change, even if there was no room. */
	set_mtime(f->fd, f->st.st_mtim);
	errno = error;
	if (ret == -1 && error != EOPNOTSUPP && error != ENOSYS)
		return -1;
	f->reserved = want;
	return 0;
}

int
dbfile_lock(struct dbfile *f, size_t changes)
{
	struct stat st, named;
	int error = 0;

	if (f->kind->lock(f->fd, LOCK_EX | LOCK_NB) == -1)
		return -1;
	if (fstat(f->fd, &st) == -1 || stat(f->path, &named) == -1)
		error = errno;
	else if (!same_inode(&st, &named) || !same_time(&st, &f->st) ||
		 st.st_size != f->st.st_size)
		error = ESTALE;
	else if (reserve(f, changes) == -1 || f->kind->begin(f, changes) == -1)
		error = errno;
	if (error == 0)
		return 0;
	f->kind->lock(f->fd, LOCK_UN);
	errno = error;
	return -1;
}

size_t
dbfile_deletions(const struct dbfile *f)
{
	return f->kind->deletions == 0 ? SIZE_MAX : f->kind->deletions;
}

void
dbfile_unlock(struct dbfile *f)
{
	if (f->kind->drop != NULL)
		f->kind->drop(f);
	f->kind->lock(f->fd, LOCK_UN);
}

int
dbfile_put(
    struct dbfile *f, struct slice key, struct slice value, struct err *err)
{
	return f->kind->put(f, key, value, err);
}

int
dbfile_del(struct dbfile *f, struct slice key, struct err *err)
{
	return f->kind->del(f, key, err);
}

/* --- times --------------------------------------------------------------- */

/* Sendmail compares whole seconds, and reads again only if it is later: so
 * later it becomes, however far ahead it is. */
void
dbfile_raise_mtime(int fd, int64_t old, int64_t now)
{
	int64_t to = old < now ? now : old + 1;

	set_mtime(fd, (struct timespec){ .tv_sec = (time_t)to });
}

/* Readers of the old one are told by that one's time, and remember this one's
 * when they have come here: it need not be later, but other. */
void
dbfile_succeed_mtime(int fd, int64_t old, int64_t now)
{
	dbfile_raise_mtime(
	    fd, old > now + DBFILE_LEAD_MAX ? now - 1 : old, now);
}

int64_t
dbfile_latest(const struct stat *st, int64_t now)
{
	/* The clock's, as a writer leaves it that is killed before it sets the
	 * time: what readers remember may be far ahead of it. */
	if (st->st_mtim.tv_nsec != 0 && st->st_mtime < now + DBFILE_LEAD_COMMON)
		return now + DBFILE_LEAD_COMMON;
	return st->st_mtime;
}

void
dbfile_outdate(int fd, int64_t now)
{
	int64_t to = now + 2 * DBFILE_LEAD_MAX;
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_mtime >= to)
		to = st.st_mtime + 1;
	set_mtime(fd, (struct timespec){ .tv_sec = (time_t)to });
}

void
dbfile_outdate_undo(int fd, const struct stat *was, int64_t now)
{
	struct stat st;

	/* Else it was changed meanwhile, and its time set anew. */
	if (fstat(fd, &st) == 0 && st.st_mtime >= now + 2 * DBFILE_LEAD_MAX)
		set_mtime(fd, was->st_mtim);
}

/* --- the end of a change ------------------------------------------------- */

/* As it is left. */
static int
let_readers_in(struct dbfile *f, struct err *err)
{
	if (fstat(f->fd, &f->st) == -1)
		return err_set(err, errno, "%s: %s", f->path, strerror(errno));
	f->kind->lock(f->fd, LOCK_UN);
	return 0;
}

int
dbfile_commit(struct dbfile *f, int64_t now, struct err *err)
{
	int64_t old = f->st.st_mtime;

	if (f->kind->write(f, err) == -1)
		return -1; /* closing may write: not without the lock */
	dbfile_raise_mtime(f->fd, old, now);
	return let_readers_in(f, err);
}

int
dbfile_commit_part(struct dbfile *f, struct err *err)
{
	struct timespec old = f->st.st_mtim;

	if (f->kind->write(f, err) == -1)
		return -1;
	set_mtime(f->fd, old);
	return let_readers_in(f, err);
}

int64_t
dbfile_lead(const struct dbfile *f, int64_t now)
{
	return f->st.st_mtime > now ? f->st.st_mtime - now : 0;
}

bool
dbfile_roomy(const struct dbfile *f, size_t records)
{
	return records <= f->roomy;
}
