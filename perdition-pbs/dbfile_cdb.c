/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_cdb - constant databases: Postfix's cdb:, Exim's cdb lookup.  Nobody
 * locks them and nobody can change them; each change is a whole new file.
 */
#include "config.h"

#include <cdb.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perdition-pbs/dbfile_private.h"

#include "common/banned.h"

#define HEAD_BYTES 2048
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define MAGIC ((uint32_t)HEAD_BYTES << 8) /* its bytes are 0, 8, 0 and 0 */
#else
#define MAGIC HEAD_BYTES
#endif

struct look {
	struct cdb cdb;
	unsigned int at; /* of the walk through all */
	bool walking;
};

/* TinyCDB says what is wrong with a file by EPROTO, and ENOMEM also where a
 * file would grow beyond the format's 4 GiB. */
static int
fail(struct err *err, const char *path, const char *what)
{
	int error = errno == 0 || errno == EPROTO ? EINVAL : errno;

	return err_set(err, error, "%s: %s: %s", path, what,
	    error == EINVAL ? "damaged" : strerror(error));
}

static int
cdb_fill(int fd, const char *path, const struct dbfile_plan *plan,
    dbfile_next *next, void *arg, struct err *err)
{
	struct cdb_make make;
	struct slice key, value;
	struct err ignored;
	int ret = 0;

	(void)plan;
	errno = 0;
	if (lseek(fd, 0, SEEK_SET) == -1 || cdb_make_start(&make, fd) == -1)
		return fail(err, path, "cannot be built");
	while (ret == 0 && next(arg, &key, &value))
		if (cdb_make_add(&make, key.p, (unsigned int)key.n, value.p,
			(unsigned int)value.n) != 0)
			ret = fail(err, path, "cannot be built");
	/* In any case: it frees what the above took. */
	if (cdb_make_finish(&make) != 0)
		ret = fail(ret == 0 ? err : &ignored, path, "cannot be built");
	return ret;
}

/*
 * The head alone makes it empty: 256 times the place of a table, here its own
 * end, and its size, here 0, both of four bytes, the lowest first.  The rest
 * stays, for those that have it mapped.
 */
static int
cdb_empty(int fd, const char *path, struct err *err)
{
	unsigned char head[HEAD_BYTES] = { 0 };

	for (size_t i = 0; i < sizeof(head); i += 8)
		head[i + 1] = HEAD_BYTES >> 8;
	errno = 0;
	return pwrite(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head)
		   ? 0
		   : fail(err, path, "cannot be emptied");
}

/* --- reading ------------------------------------------------------------- */

static int
cdb_read_open(struct dbfile_reader *r, struct err *err)
{
	struct look *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	errno = 0;
	if (cdb_init(&l->cdb, r->fd) != 0) {
		free(l);
		return fail(err, r->path, "no constant database");
	}
	r->handle = l;
	return 0;
}

static void
cdb_read_close(struct dbfile_reader *r)
{
	struct look *l = r->handle;

	cdb_free(&l->cdb);
	free(l);
}

static int
cdb_look_up(struct dbfile_reader *r, struct slice key,
    char value[DBFILE_VALUE_MAX], size_t *n, struct err *err)
{
	struct look *l = r->handle;
	int ret = key.n > UINT_MAX
		      ? 0
		      : cdb_find(&l->cdb, key.p, (unsigned int)key.n);

	if (ret == 0 || (ret > 0 && cdb_datalen(&l->cdb) > DBFILE_VALUE_MAX))
		return 0;
	*n = cdb_datalen(&l->cdb);
	if (ret == -1 || cdb_readdata(&l->cdb, value) != 0)
		return fail(err, r->path, "cannot be read");
	return 1;
}

static int
cdb_each(struct dbfile_reader *r, struct slice *key, struct slice *value,
    struct err *err)
{
	struct look *l = r->handle;
	const void *k, *v;
	int ret;

	if (!l->walking)
		cdb_seqinit(&l->at, &l->cdb);
	l->walking = true;
	ret = cdb_seqnext(&l->at, &l->cdb);
	if (ret == 0)
		return 0;
	k = ret == -1 ? NULL : cdb_getkey(&l->cdb);
	v = ret == -1 ? NULL : cdb_getdata(&l->cdb);
	if (k == NULL || v == NULL)
		return fail(err, r->path, "cannot be read");
	*key = slice_make(k, cdb_keylen(&l->cdb));
	*value = slice_make(v, cdb_datalen(&l->cdb));
	return 1;
}

const struct dbfile_kind dbfile_cdb = {
	.type = "cdb",
	/* Where the first table is; the others have zeros there. */
	.magic_at = 0,
	.magic = MAGIC,
	.fill = cdb_fill,
	.empty = cdb_empty,
	.read_open = cdb_read_open,
	.read_close = cdb_read_close,
	.get = cdb_look_up,
	.each = cdb_each,
};
