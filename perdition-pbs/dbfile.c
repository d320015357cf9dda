/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile - changing a Berkeley DB hash file under its readers; see the header.
 */
#include "config.h"

#include "perdition-pbs/dbfile.h"

#include <db.h>
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

/* A put may take a page for its bucket's overflow. */
#define PAGE 4096
#define RESERVE_STEP (256 * 1024) /* bytes reserved at once, at least */

struct dbfile {
	DB *db;
	int fd; /* our own on the same inode: for the lock and the time */
	char *path;
	struct stat st;       /* as we left it */
	off_t reserved;       /* bytes of disk that are ours for certain */
	size_t records_roomy; /* the layout takes so many */
	uint32_t cache;       /* bytes */
};

/*
 * The file is a copy which every start makes anew, and readers wait while
 * it is locked: what matters is that they see whole changes (the page cache
 * does that), not that the disk has them yet.  dbfile_build_finish()
 * syncs new files itself before they get their name.
 */
static int
no_fsync(int fd)
{
	(void)fd;
	return 0;
}

int
dbfile_handle(DB **dbp, uint32_t cache)
{
	int ret;

	db_env_set_func_fsync(no_fsync);
	ret = db_create(dbp, NULL, 0);
	if (ret != 0)
		return ret;
	(*dbp)->set_errfile(*dbp, NULL); /* we say it ourselves, once */
	(*dbp)->set_errcall(*dbp, NULL);
	if (cache > 0)
		ret = (*dbp)->set_cachesize(*dbp, 0, cache, 1);
	return ret;
}

/* db_strerror() knows errno values and DB's own; codes stay positive. */
int
dbfile_err(struct err *err, const char *path, const char *what, int ret)
{
	return err_set(err, ret > 0 ? ret : EIO, "%s: %s: %s", path, what,
	    db_strerror(ret));
}

int
dbfile_flock(int fd, int operation, unsigned int wait_ms)
{
	for (unsigned int waited = 0;; waited += 2) {
		if (flock(fd, operation | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		if (waited >= wait_ms) {
			errno = EWOULDBLOCK;
			return -1;
		}
		poll(NULL, 0, 2); /* flock(2) itself has no time limit */
	}
}

uint32_t
dbfile_cache_for(uint64_t bytes)
{
	/* Larger than the file, so that no page goes out before its sync;
	 * memory is taken only as pages are used. */
	uint64_t cache = 2 * bytes + 32u * 1024 * 1024;

	return cache > 0xf0000000u ? 0xf0000000u : (uint32_t)cache;
}

const char *
dbfile_name_of(int fd, const char *path, char name[DBFILE_NAME_MAX])
{
	snprintf(name, DBFILE_NAME_MAX, "/proc/self/fd/%d", fd);
	return access(name, F_OK) == 0 ? name : path;
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

static int
open_handles(struct dbfile *f, struct err *err)
{
	struct stat st;
	DB_HASH_STAT *hs = NULL;
	char name[DBFILE_NAME_MAX];
	int ret, fd;

	/* Root itself has made it: no link of anybody's. */
	f->fd = open(
	    f->path, O_RDWR | O_CLOEXEC | (geteuid() == 0 ? O_NOFOLLOW : 0));
	if (f->fd == -1 || fstat(f->fd, &f->st) == -1)
		return err_set(err, errno, "%s: %s", f->path, strerror(errno));
	f->cache = dbfile_cache_for((uint64_t)f->st.st_size);
	ret = dbfile_handle(&f->db, f->cache);
	if (ret == 0)
		ret = f->db->open(f->db, NULL,
		    dbfile_name_of(f->fd, f->path, name), NULL, DB_HASH, 0, 0);
	if (ret != 0)
		return dbfile_err(err, f->path, "cannot be opened", ret);
	if (f->db->fd(f->db, &fd) != 0 || fstat(fd, &st) == -1 ||
	    !same_inode(&st, &f->st))
		return err_set(
		    err, ESTALE, "%s: replaced while it was opened", f->path);
	ret = f->db->stat(f->db, NULL, &hs, DB_FAST_STAT);
	if (ret != 0)
		return dbfile_err(err, f->path, "cannot be read", ret);
	/* Half of the buckets: see announce(). */
	f->records_roomy =
	    hs->hash_buckets < 2
		? 0
		: (size_t)(hs->hash_buckets / 2 - 1) * hs->hash_ffactor;
	free(hs);
	return 0;
}

struct dbfile *
dbfile_open(const char *path, struct err *err)
{
	struct dbfile *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		err_set(err, errno, "%s", strerror(errno));
		return NULL;
	}
	f->fd = -1;
	f->path = strdup(path);
	if (f->path == NULL || open_handles(f, err) == -1)
		dbfile_close(&f);
	return f;
}

void
dbfile_close(struct dbfile **fp)
{
	struct dbfile *f = *fp;

	if (f == NULL)
		return;
	/* What was put but not committed must not reach the file now, when
	 * nobody holds the lock. */
	if (f->db != NULL)
		f->db->close(f->db, DB_NOSYNC);
	if (f->fd != -1)
		close(f->fd);
	free(f->path);
	free(f);
	*fp = NULL;
}

/* A write beyond the space there is would leave half a change: ask first. */
static int
reserve(struct dbfile *f, size_t changes)
{
	off_t want = f->st.st_size + (off_t)(changes + 4) * PAGE;
	struct rlimit lim;

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
	if (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, want) == -1 &&
	    errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	f->reserved = want;
	return 0;
}

int
dbfile_lock(struct dbfile *f, size_t changes)
{
	struct stat st, named;
	int error = 0;

	if (flock(f->fd, LOCK_EX | LOCK_NB) == -1)
		return -1;
	if (fstat(f->fd, &st) == -1 || stat(f->path, &named) == -1)
		error = errno;
	else if (!same_inode(&st, &named) || !same_time(&st, &f->st) ||
		 st.st_size != f->st.st_size ||
		 (uint64_t)st.st_size > f->cache / 2 + f->cache / 4)
		error = ESTALE;
	else if (reserve(f, changes) == -1)
		error = errno;
	if (error == 0)
		return 0;
	flock(f->fd, LOCK_UN);
	errno = error;
	return -1;
}

void
dbfile_unlock(struct dbfile *f)
{
	flock(f->fd, LOCK_UN);
}

static DBT
dbt(struct slice s)
{
	DBT t;

	memset(&t, 0, sizeof(t));
	/* Berkeley DB does not write through data it was given to store. */
	t.data = (void *)(uintptr_t)s.p;
	t.size = (uint32_t)s.n;
	return t;
}

int
dbfile_db_put(DB *db, struct slice key, struct slice value)
{
	DBT k = dbt(key), v = dbt(value);

	return db->put(db, NULL, &k, &v, 0);
}

int
dbfile_put(
    struct dbfile *f, struct slice key, struct slice value, struct err *err)
{
	int ret = dbfile_db_put(f->db, key, value);

	return ret == 0 ? 0
			: dbfile_err(err, f->path, "cannot be changed", ret);
}

int
dbfile_del(struct dbfile *f, struct slice key, struct err *err)
{
	DBT k = dbt(key);
	int ret = f->db->del(f->db, NULL, &k, 0);

	if (ret == 0 || ret == DB_NOTFOUND)
		return 0;
	return dbfile_err(err, f->path, "cannot be changed", ret);
}

/* Sendmail compares whole seconds, and reads again only if it is later. */
void
dbfile_raise_mtime(int fd, int64_t old, int64_t now)
{
	int64_t lead = old - now;
	int64_t to = old + 1;
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = 0 } };

	if (lead < 0)
		to = now;
	else if (lead >= DBFILE_LEAD_MAX)
		to = old; /* no further: the clock will catch up */
	t[1].tv_sec = (time_t)to;
	/* Not the owner: a new session sees the change all the same. */
	if (futimens(fd, t) == -1)
		errno = 0;
}

int
dbfile_commit(struct dbfile *f, int64_t now, struct err *err)
{
	int64_t old = f->st.st_mtime;
	int ret = f->db->sync(f->db, 0);

	dbfile_raise_mtime(f->fd, old, now);
	if (fstat(f->fd, &f->st) == -1 && ret == 0)
		ret = errno;
	flock(f->fd, LOCK_UN);
	return ret == 0 ? 0
			: dbfile_err(err, f->path, "cannot be written", ret);
}

int64_t
dbfile_lead(const struct dbfile *f, int64_t now)
{
	return f->st.st_mtime > now ? f->st.st_mtime - now : 0;
}

bool
dbfile_roomy(const struct dbfile *f, size_t records)
{
	return records <= f->records_roomy;
}
