/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_lmdb - LMDB files as Postfix's lmdb: tables are: one file without a
 * directory, no lock file, one unnamed table, and fcntl(2) locks on the file
 * as a whole: shared around each lookup, exclusive around a change.
 *
 * Pages are never written over while one of the two latest states needs them,
 * and the page that names the state comes last: a killed writer leaves the
 * state before or the one after.  Postfix looks for a larger map by itself.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition-pbs/dbfile_private.h"

#include "common/banned.h"

/* No syncs: see dbfile_hash.c.  Not MDB_NOMEMINIT: everybody may read the
 * file, and nobody what our memory held. */
#define FLAGS (MDB_NOSUBDIR | MDB_NOLOCK)
#define WRITER_FLAGS (FLAGS | MDB_NOSYNC | MDB_NOMETASYNC)
#define MODE 0644     /* only of a file that is there already */
#define CHUNK 100000u /* records in one transaction: bounds its memory */

/* The map is address space alone, so it is generous. */
#define RECORD_BYTES 512u
#define CHANGE_BYTES (2u * 4096u)
#define ROOM_BYTES (64u * 1024 * 1024)
#define ADDRESS_MAX (SIZE_MAX / 4)

/* What is taken out is written elsewhere first: for each record its page, and
 * above that as many as the tree is high; what the change before has left free
 * is used again, so that it goes on and on. */
#define DELETIONS 48u
#define DELETION_ROOM (DELETIONS * 4u * 4096u)

struct lmdb {
	MDB_env *env;
	MDB_txn *txn; /* NULL: none */
	MDB_cursor *cursor;
	MDB_dbi dbi;
};

/* Codes stay positive; mdb_strerror() knows errno values and LMDB's own. */
static int
fail(struct err *err, const char *path, const char *what, int ret)
{
	return err_set(err, ret > 0 ? ret : EINVAL, "%s: %s: %s", path, what,
	    mdb_strerror(ret));
}

/*
 * Postfix's locks are a process's own, ours a descriptor's: they exclude each
 * other, and no close elsewhere in this process releases ours.
 */
static int
whole_file(int fd, int operation)
{
	struct flock l = { .l_whence = SEEK_SET };
	int ret;

	l.l_type = (operation & LOCK_UN) != 0   ? F_UNLCK
		   : (operation & LOCK_EX) != 0 ? F_WRLCK
						: F_RDLCK;
	ret = fcntl(
	    fd, (operation & LOCK_NB) != 0 ? F_OFD_SETLK : F_OFD_SETLKW, &l);
	if (ret == -1 && (errno == EACCES || errno == EAGAIN))
		errno = EWOULDBLOCK;
	return ret;
}

static size_t
map_size(uint64_t bytes)
{
	uint64_t want = bytes + ROOM_BYTES;

	want -= want % ROOM_BYTES; /* of whole pages, whatever their size */
	return want > ADDRESS_MAX ? ADDRESS_MAX : (size_t)want;
}

static void
close_env(struct lmdb *l)
{
	if (l->cursor != NULL)
		mdb_cursor_close(l->cursor);
	if (l->txn != NULL)
		mdb_txn_abort(l->txn);
	if (l->env != NULL)
		mdb_env_close(l->env);
	*l = (struct lmdb){ 0 };
}

/* l is zero.  bytes: of the map; 0: as the file says. */
static int
open_env(struct lmdb *l, int fd, const char *path, unsigned int flags,
    uint64_t bytes)
{
	char name[DBFILE_NAME_MAX];
	int ret = mdb_env_create(&l->env);

	if (ret == 0 && bytes > 0)
		ret = mdb_env_set_mapsize(l->env, map_size(bytes));
	if (ret == 0)
		ret = mdb_env_open(
		    l->env, dbfile_name_of(fd, path, name), flags, MODE);
	if (ret == 0)
		ret = mdb_txn_begin(l->env, NULL, flags & MDB_RDONLY, &l->txn);
	if (ret == 0)
		ret = mdb_dbi_open(l->txn, NULL, 0, &l->dbi);
	return ret;
}

static MDB_val
val(struct slice s)
{
	/* LMDB does not write through what it was given to store. */
	return (MDB_val){ s.n, (void *)(uintptr_t)s.p };
}

static int
put(struct lmdb *l, struct slice key, struct slice value)
{
	MDB_val k = val(key), v = val(value);

	return mdb_put(l->txn, l->dbi, &k, &v, 0);
}

/* --- a whole file -------------------------------------------------------- */

static int
commit(struct lmdb *l)
{
	int ret = mdb_txn_commit(l->txn);

	l->txn = NULL;
	return ret;
}

static int
fill_env(struct lmdb *l, dbfile_next *next, void *arg)
{
	struct slice key, value;
	size_t n = 0;
	int ret = mdb_drop(l->txn, l->dbi, 0);

	while (ret == 0 && next(arg, &key, &value)) {
		ret = put(l, key, value);
		if (ret != 0 || ++n % CHUNK != 0)
			continue;
		ret = commit(l);
		if (ret == 0)
			ret = mdb_txn_begin(l->env, NULL, 0, &l->txn);
	}
	return ret == 0 ? commit(l) : ret;
}

/*
 * What an empty file begins with, over what fd has there: two pages that name
 * the state.  Nothing else is touched, so that a reader goes on with the state
 * that it has, and nothing of what it has mapped is cut off.  0, an errno
 * value, or LMDB's own.
 */
static int
write_head(int fd)
{
	int from = memfd_create("lmdb", MFD_CLOEXEC);
	struct lmdb l = { 0 };
	struct stat st = { 0 };
	char *head = NULL;
	int ret = from == -1 ? errno : open_env(&l, from, "", WRITER_FLAGS, 0);

	close_env(&l);
	errno = 0;
	if (ret == 0 && fstat(from, &st) == 0)
		head = malloc((size_t)st.st_size);
	if (ret == 0 &&
	    (head == NULL ||
		pread(from, head, (size_t)st.st_size, 0) != st.st_size ||
		pwrite(fd, head, (size_t)st.st_size, 0) != st.st_size))
		ret = errno == 0 ? EIO : errno;
	free(head);
	if (from != -1)
		close(from);
	return ret;
}

static int
lmdb_empty(int fd, const char *path, struct err *err)
{
	int ret = write_head(fd);

	return ret == 0 ? 0 : fail(err, path, "cannot be emptied", ret);
}

static int
lmdb_fill(int fd, const char *path, const struct dbfile_plan *plan,
    dbfile_next *next, void *arg, struct err *err)
{
	uint64_t bytes = (uint64_t)plan->records * RECORD_BYTES;
	struct lmdb l = { 0 };
	int ret = open_env(&l, fd, path, WRITER_FLAGS, bytes);

	if (ret < 0) { /* LMDB's own: it is something else, or damaged */
		close_env(&l);
		ret = write_head(fd);
		if (ret == 0)
			ret = open_env(&l, fd, path, WRITER_FLAGS, bytes);
	}
	if (ret == 0)
		ret = fill_env(&l, next, arg);
	close_env(&l);
	return ret == 0 ? 0 : fail(err, path, "cannot be built", ret);
}

/* --- changing ------------------------------------------------------------ */

static int
lmdb_open(struct dbfile *f, struct err *err)
{
	struct lmdb *l = calloc(1, sizeof(*l));
	int ret;

	f->handle = l;
	if (l == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	/* It is opened as it stands; a writer's transaction would make one. */
	if (f->st.st_size == 0)
		return fail(err, f->path, "cannot be opened", MDB_INVALID);
	ret = open_env(
	    l, f->fd, f->path, WRITER_FLAGS, 2 * (uint64_t)f->st.st_size);
	if (ret != 0)
		return fail(err, f->path, "cannot be opened", ret);
	mdb_txn_abort(l->txn);
	l->txn = NULL;
	f->roomy = SIZE_MAX; /* it has no layout that could be outgrown */
	return 0;
}

static void
lmdb_close(struct dbfile *f)
{
	close_env(f->handle);
	free(f->handle);
	f->handle = NULL;
}

/* Room in the map comes first: no transaction may run while it is changed. */
static int
grow_map(struct lmdb *l, size_t changes)
{
	MDB_envinfo info;
	MDB_stat st;
	uint64_t used;

	mdb_env_info(l->env, &info);
	mdb_env_stat(l->env, &st);
	used = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
	used += (uint64_t)changes * CHANGE_BYTES + ROOM_BYTES / 4;
	if (used <= info.me_mapsize || info.me_mapsize >= ADDRESS_MAX)
		return 0;
	return mdb_env_set_mapsize(l->env, map_size(2 * used));
}

static int
lmdb_begin(struct dbfile *f, size_t changes)
{
	struct lmdb *l = f->handle;
	int ret = grow_map(l, changes);

	if (ret == 0)
		ret = mdb_txn_begin(l->env, NULL, 0, &l->txn);
	if (ret == 0)
		return 0;
	l->txn = NULL;
	errno = ret > 0 ? ret : ESTALE;
	return -1;
}

static void
lmdb_drop(struct dbfile *f)
{
	struct lmdb *l = f->handle;

	if (l->txn != NULL)
		mdb_txn_abort(l->txn);
	l->txn = NULL;
}

static int
lmdb_put(
    struct dbfile *f, struct slice key, struct slice value, struct err *err)
{
	int ret = put(f->handle, key, value);

	return ret == 0 ? 0 : fail(err, f->path, "cannot be changed", ret);
}

static int
lmdb_del(struct dbfile *f, struct slice key, struct err *err)
{
	struct lmdb *l = f->handle;
	MDB_val k = val(key);
	int ret = mdb_del(l->txn, l->dbi, &k, NULL);

	if (ret == 0 || ret == MDB_NOTFOUND)
		return 0;
	return fail(err, f->path, "cannot be changed", ret);
}

static int
lmdb_write(struct dbfile *f, struct err *err)
{
	int ret = commit(f->handle);

	return ret == 0 ? 0 : fail(err, f->path, "cannot be written", ret);
}

/* --- reading ------------------------------------------------------------- */

static int
lmdb_read_open(struct dbfile_reader *r, struct err *err)
{
	struct lmdb *l = calloc(1, sizeof(*l));
	int ret;

	r->handle = l;
	if (l == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	ret = open_env(l, r->fd, r->path, FLAGS | MDB_RDONLY, 0);
	return ret == 0 ? 0 : fail(err, r->path, "no LMDB database", ret);
}

static void
lmdb_read_close(struct dbfile_reader *r)
{
	close_env(r->handle);
	free(r->handle);
}

static int
lmdb_get(struct dbfile_reader *r, struct slice key,
    char value[DBFILE_VALUE_MAX], size_t *n, struct err *err)
{
	struct lmdb *l = r->handle;
	MDB_val k = val(key), v;
	int ret = mdb_get(l->txn, l->dbi, &k, &v);

	if (ret == MDB_NOTFOUND || (ret == 0 && v.mv_size > DBFILE_VALUE_MAX))
		return 0;
	if (ret != 0)
		return fail(err, r->path, "cannot be read", ret);
	memcpy(value, v.mv_data, v.mv_size);
	*n = v.mv_size;
	return 1;
}

static int
lmdb_each(struct dbfile_reader *r, struct slice *key, struct slice *value,
    struct err *err)
{
	struct lmdb *l = r->handle;
	MDB_val k, v;
	int ret = 0;

	if (l->cursor == NULL)
		ret = mdb_cursor_open(l->txn, l->dbi, &l->cursor);
	if (ret == 0)
		ret = mdb_cursor_get(l->cursor, &k, &v, MDB_NEXT);
	if (ret == MDB_NOTFOUND)
		return 0;
	if (ret != 0)
		return fail(err, r->path, "cannot be read", ret);
	*key = slice_make(k.mv_data, k.mv_size);
	*value = slice_make(v.mv_data, v.mv_size);
	return 1;
}

const struct dbfile_kind dbfile_lmdb = {
	.type = "lmdb",
	.magic_at = sizeof(size_t) + 8, /* behind the head of the first page */
	.magic = 0xBEEFC0DE,
	.lock = whole_file,
	.fill = lmdb_fill,
	.empty = lmdb_empty,
	.deletions = DELETIONS,
	.deletion_room = DELETION_ROOM,
	.open = lmdb_open,
	.close = lmdb_close,
	.begin = lmdb_begin,
	.put = lmdb_put,
	.del = lmdb_del,
	.write = lmdb_write,
	.drop = lmdb_drop,
	.read_open = lmdb_read_open,
	.read_close = lmdb_read_close,
	.get = lmdb_get,
	.each = lmdb_each,
};
