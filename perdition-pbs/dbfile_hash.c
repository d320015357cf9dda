/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_hash - Berkeley DB hash files: Sendmail's hash, Postfix's hash:,
 * Exim's dbmnz.
 */
#include "config.h"

#include <db.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "perdition-pbs/dbfile_private.h"

#include "common/banned.h"

#define RECORDS_MIN 1000
#define RECORD_BYTES 80 /* on disk, generously */
#define MODE 0644       /* only of a file that is there already */

/* Records a bucket, a page of 4096, before it is split: never reached, since
 * only half of the room is used (see announce()); 100 of 30 to 50 bytes. */
#define FFACTOR 200

#define BULK_RECORDS 4096u
#define BULK_BYTES                                                             \
	(BULK_RECORDS *                                                        \
	    (DBFILE_KEY_MAX + DBFILE_VALUE_MAX + 4 * sizeof(uint32_t)))

struct changer {
	DB *db;
	uint32_t cache; /* bytes */
};

struct look {
	DB *db;
	DBC *cursor;
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

/*
 * Larger than the file, so that no page goes out before its sync, or than all
 * pages that the changes under one lock can touch, a hundred megabytes; memory
 * is taken only as pages are used.  For a whole file the first alone: with less
 * it takes three times as long.
 */
#define CACHE_MAX (160u * 1024 * 1024)
#define CACHE_MAX_WHOLE 0xf0000000u

static uint32_t
cache_for(uint64_t bytes, uint32_t max)
{
	uint64_t cache = 2 * bytes + 32u * 1024 * 1024;

	return cache > max ? max : (uint32_t)cache;
}

/* A handle without environment; 0, or an errno or DB value.  *dbp is set, and
 * has to be closed, even then, unless NULL. */
static int
make_handle(DB **dbp, uint32_t cache)
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
static int
fail(struct err *err, const char *path, const char *what, int ret)
{
	return err_set(err, ret > 0 ? ret : EIO, "%s: %s: %s", path, what,
	    db_strerror(ret));
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

static int
db_put(DB *db, struct slice key, struct slice value)
{
	DBT k = dbt(key), v = dbt(value);

	return db->put(db, NULL, &k, &v, 0);
}

/* --- a whole file -------------------------------------------------------- */

/*
 * Splitting buckets moves records between pages, and that is where a killed
 * writer loses keys most often; so the file gets its buckets at once.
 * Berkeley DB makes 2^n of them from the records announced, counts those that
 * come on top of these, and begins to split at FFACTOR a bucket: with one
 * bucket more than 2^(n-1) announced, half of them are room.
 */
static uint32_t
announce(size_t records)
{
	uint64_t half = 1;

	while ((half - 1) * FFACTOR < records && half < (1u << 24))
		half *= 2;
	return (uint32_t)(half * FFACTOR + FFACTOR);
}

/* Many records in one call, which takes half of the time. */
static int
put_all(DB *db, dbfile_next *next, void *arg)
{
	char *memory = malloc(BULK_BYTES);
	struct slice key, value;
	bool more = true;
	int ret = memory == NULL ? ENOMEM : 0;

	while (ret == 0 && more) {
		DBT bulk = { .data = memory,
			.ulen = BULK_BYTES,
			.flags = DB_DBT_USERMEM | DB_DBT_BULK };
		void *at;

		DB_MULTIPLE_WRITE_INIT(at, &bulk);
		for (unsigned int n = 0; n < BULK_RECORDS; n++) {
			more = next(arg, &key, &value);
			if (!more)
				break;
			DB_MULTIPLE_KEY_WRITE_NEXT(
			    at, &bulk, key.p, key.n, value.p, value.n);
			if (at == NULL) /* longer than ours are */
				ret = ENOSPC;
			if (ret != 0)
				break;
		}
		if (ret == 0)
			ret = db->put(db, NULL, &bulk, NULL, DB_MULTIPLE_KEY);
	}
	free(memory);
	return ret;
}

static int
hash_fill(int fd, const char *path, const struct dbfile_plan *plan,
    dbfile_next *next, void *arg, struct err *err)
{
	char name[DBFILE_NAME_MAX];
	size_t records = plan->records + plan->records / 2;
	DB *db = NULL;
	int ret, closed;

	if (records < RECORDS_MIN)
		records = RECORDS_MIN;
	ret = make_handle(
	    &db, cache_for((uint64_t)records * RECORD_BYTES, CACHE_MAX_WHOLE));
	if (ret == 0)
		ret = db->set_pagesize(db, 4096);
	if (ret == 0)
		ret = db->set_h_ffactor(db, FFACTOR);
	if (ret == 0)
		ret = db->set_h_nelem(db, announce(records));
	if (ret == 0)
		ret = db->open(db, NULL, dbfile_name_of(fd, path, name), NULL,
		    DB_HASH, DB_CREATE | DB_TRUNCATE, MODE);
	if (ret == 0)
		ret = put_all(db, next, arg);
	if (db != NULL) {
		closed = db->close(db, ret == 0 ? 0 : DB_NOSYNC);
		if (ret == 0)
			ret = closed;
	}
	return ret == 0 ? 0 : fail(err, path, "cannot be built", ret);
}

/* Nobody maps it: readers take it for a missing one. */
static int
hash_empty(int fd, const char *path, struct err *err)
{
	return ftruncate(fd, 0) == -1
		   ? fail(err, path, "cannot be emptied", errno)
		   : 0;
}

/* --- changing ------------------------------------------------------------ */

static int
measure(struct dbfile *f, DB *db, struct err *err)
{
	DB_HASH_STAT *hs = NULL;
	struct stat st;
	int ret, fd;

	if (db->fd(db, &fd) != 0 || fstat(fd, &st) == -1 ||
	    st.st_dev != f->st.st_dev || st.st_ino != f->st.st_ino)
		return err_set(
		    err, ESTALE, "%s: replaced while it was opened", f->path);
	ret = db->stat(db, NULL, &hs, DB_FAST_STAT);
	if (ret != 0)
		return fail(err, f->path, "cannot be read", ret);
	/* Half of the buckets: see announce(). */
	f->roomy = hs->hash_buckets < 2
		       ? 0
		       : (size_t)(hs->hash_buckets / 2 - 1) * hs->hash_ffactor;
	free(hs);
	return 0;
}

static int
hash_open(struct dbfile *f, struct err *err)
{
	struct changer *c = calloc(1, sizeof(*c));
	char name[DBFILE_NAME_MAX];
	int ret;

	f->handle = c;
	if (c == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	c->cache = cache_for((uint64_t)f->st.st_size, CACHE_MAX);
	ret = make_handle(&c->db, c->cache);
	if (ret == 0)
		ret = c->db->open(c->db, NULL,
		    dbfile_name_of(f->fd, f->path, name), NULL, DB_HASH, 0, 0);
	if (ret != 0)
		return fail(err, f->path, "cannot be opened", ret);
	return measure(f, c->db, err);
}

static void
hash_close(struct dbfile *f)
{
	struct changer *c = f->handle;

	/* Without an environment this writes what was put, whatever the flag
	 * says; the lock is still held then. */
	if (c->db != NULL)
		c->db->close(c->db, DB_NOSYNC);
	free(c);
	f->handle = NULL;
}

/* It must have stayed well below the cache; see cache_for(). */
static int
hash_begin(struct dbfile *f, size_t changes)
{
	const struct changer *c = f->handle;

	(void)changes;
	if (c->cache == CACHE_MAX ||
	    (uint64_t)f->st.st_size <= c->cache / 2 + c->cache / 4)
		return 0;
	errno = ESTALE;
	return -1;
}

static int
hash_put(
    struct dbfile *f, struct slice key, struct slice value, struct err *err)
{
	struct changer *c = f->handle;
	int ret = db_put(c->db, key, value);

	return ret == 0 ? 0 : fail(err, f->path, "cannot be changed", ret);
}

static int
hash_del(struct dbfile *f, struct slice key, struct err *err)
{
	struct changer *c = f->handle;
	DBT k = dbt(key);
	int ret = c->db->del(c->db, NULL, &k, 0);

	if (ret == 0 || ret == DB_NOTFOUND)
		return 0;
	return fail(err, f->path, "cannot be changed", ret);
}

static int
hash_write(struct dbfile *f, struct err *err)
{
	struct changer *c = f->handle;
	int ret = c->db->sync(c->db, 0);

	return ret == 0 ? 0 : fail(err, f->path, "cannot be written", ret);
}

/* --- reading ------------------------------------------------------------- */

static int
hash_read_open(struct dbfile_reader *r, struct err *err)
{
	struct look *l = calloc(1, sizeof(*l));
	struct stat mine, db;
	int ret, fd;

	r->handle = l;
	if (l == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	ret = make_handle(&l->db, 0);
	if (ret == 0)
		ret = l->db->open(
		    l->db, NULL, r->path, NULL, DB_HASH, DB_RDONLY, 0);
	if (ret != 0)
		return fail(err, r->path, "no hash database", ret);
	if (l->db->fd(l->db, &fd) != 0 || fstat(fd, &db) == -1 ||
	    fstat(r->fd, &mine) == -1)
		return err_set(err, EIO, "%s: cannot be read", r->path);
	/* Replaced between the two: the lock is on the wrong one. */
	if (mine.st_dev != db.st_dev || mine.st_ino != db.st_ino)
		return err_set(err, ESTALE, "%s: replaced", r->path);
	return 0;
}

static void
hash_read_close(struct dbfile_reader *r)
{
	struct look *l = r->handle;

	if (l->cursor != NULL)
		l->cursor->close(l->cursor);
	if (l->db != NULL)
		l->db->close(l->db, DB_NOSYNC);
	free(l);
}

static int
hash_get(struct dbfile_reader *r, struct slice key,
    char value[DBFILE_VALUE_MAX], size_t *n, struct err *err)
{
	struct look *l = r->handle;
	DBT k = dbt(key), v;
	int ret;

	memset(&v, 0, sizeof(v));
	v.data = value;
	v.ulen = DBFILE_VALUE_MAX;
	v.flags = DB_DBT_USERMEM;
	ret = l->db->get(l->db, NULL, &k, &v, 0);
	if (ret == DB_NOTFOUND || ret == DB_BUFFER_SMALL)
		return 0;
	if (ret != 0)
		return fail(err, r->path, "cannot be read", ret);
	*n = v.size;
	return 1;
}

static int
hash_each(struct dbfile_reader *r, struct slice *key, struct slice *value,
    struct err *err)
{
	struct look *l = r->handle;
	DBT k, v;
	int ret = 0;

	if (l->cursor == NULL)
		ret = l->db->cursor(l->db, NULL, &l->cursor, 0);
	memset(&k, 0, sizeof(k));
	memset(&v, 0, sizeof(v));
	if (ret == 0)
		ret = l->cursor->get(l->cursor, &k, &v, DB_NEXT);
	if (ret == DB_NOTFOUND)
		return 0;
	if (ret != 0)
		return fail(err, r->path, "cannot be read", ret);
	*key = slice_make(k.data, k.size);
	*value = slice_make(v.data, v.size);
	return 1;
}

const struct dbfile_kind dbfile_hash = {
	.type = "hash",
	.magic_at = 12, /* of the first page; it has the machine's order */
	.magic = 0x061561,
	.lock = flock,
	.fill = hash_fill,
	.empty = hash_empty,
	.open = hash_open,
	.close = hash_close,
	.begin = hash_begin,
	.put = hash_put,
	.del = hash_del,
	.write = hash_write,
	.read_open = hash_read_open,
	.read_close = hash_read_close,
	.get = hash_get,
	.each = hash_each,
};
