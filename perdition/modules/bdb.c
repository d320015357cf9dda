/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bdb - popmap module: a Berkeley DB file made by makebdb.
 *
 * Any access method is read.  The option is the file's path; the default is
 * popmap.bdb.db.  The library's view of the file is private to us (no
 * environment), so it is opened anew whenever the file has changed.
 */
#include "config.h"

#include <db.h>
#include <errno.h>
#include <stdlib.h>

#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_file_module.h"
#include "perdition/popmap.h"

#include "common/banned.h"

extern const struct popmap_ops popmap_module;

struct handle {
	DB *db;
	char detail[256]; /* the library's own words on the last error */
};

static void
keep_detail(const DB_ENV *env, const char *prefix, const char *msg)
{
	struct handle *h = env->app_private;
	size_t n = strlen(msg);

	(void)prefix;
	if (h == NULL)
		return;
	if (n >= sizeof(h->detail))
		n = sizeof(h->detail) - 1;
	memcpy(h->detail, msg, n);
	h->detail[n] = '\0';
}

static int
fail(const struct handle *h, int code, struct popmap_error *err)
{
	return map_error(err, "%s%s%s", db_strerror(code),
	    h->detail[0] == '\0' ? "" : ": ", h->detail);
}

static void
bdb_close(void *handle)
{
	struct handle *h = handle;

	/* A page whose checksum is wrong puts the library into a panic, in
	 * which it would not even free what it holds. */
	h->db->dbenv->set_flags(h->db->dbenv, DB_NOPANIC, 1);
	h->db->close(h->db, DB_NOSYNC);
}

static int
bdb_open(void *handle, const struct map_file *file, struct popmap_error *err)
{
	struct handle *h = handle;
	int code = db_create(&h->db, NULL, 0);

	if (code != 0)
		return fail(h, code, err);
	h->db->dbenv->app_private = h;
	h->db->set_errcall(h->db, keep_detail);
	/* Not mapped: a file that is cut short under us would be SIGBUS. */
	code = h->db->open(h->db, NULL, file->path, NULL, DB_UNKNOWN,
	    DB_RDONLY | DB_NOMMAP, 0);
	if (code == 0)
		return 0;
	bdb_close(h);
	return fail(h, code, err);
}

static int
bdb_get(void *handle, struct slice text, char **value, size_t *n,
    struct popmap_error *err)
{
	struct handle *h = handle;
	DBT key = { .size = (u_int32_t)text.n };
	DBT found = { .flags = DB_DBT_MALLOC };
	int code;

	/* The library takes a key that is not const and does not change it. */
	key.data = (void *)(uintptr_t)text.p;
	h->detail[0] = '\0';
	code = h->db->get(h->db, NULL, &key, &found, 0);
	if (code == DB_NOTFOUND)
		return 0;
	if (code != 0)
		return fail(h, code, err);
	*value = found.data;
	*n = found.size;
	return 1;
}

static int
map_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	static const struct map_file_module module = {
		.default_file = "popmap.bdb.db",
		.size = sizeof(struct handle),
		.open = bdb_open,
		.get = bdb_get,
		.close = bdb_close,
	};

	return map_file_module_open(mp, &module, options, sysconfdir, err);
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "bdb",
	.flags = MAP_FILE_FLAGS,
	.open = map_open,
	.lookup = map_file_module_lookup,
	.close = map_file_module_close,
};
