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
#include "perdition/modules/map_file.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define DEFAULT_FILE "popmap.bdb.db"

extern const struct popmap_ops popmap_module;

struct popmap {
	struct map_file file;
	DB *db;
	char detail[256]; /* the library's own words on the last error */
};

static void
keep_detail(const DB_ENV *env, const char *prefix, const char *msg)
{
	struct popmap *map = env->app_private;
	size_t n = strlen(msg);

	(void)prefix;
	if (map == NULL)
		return;
	if (n >= sizeof(map->detail))
		n = sizeof(map->detail) - 1;
	memcpy(map->detail, msg, n);
	map->detail[n] = '\0';
}

static int
fail(struct popmap *map, int code, struct popmap_error *err)
{
	return map_error(err, "%s: %s%s%s", map->file.path, db_strerror(code),
	    map->detail[0] == '\0' ? "" : ": ", map->detail);
}

static void
close_db(struct popmap *map)
{
	if (map->db == NULL)
		return;
	/* A page whose checksum is wrong puts the library into a panic, in
	 * which it would not even free what it holds. */
	map->db->dbenv->set_flags(map->db->dbenv, DB_NOPANIC, 1);
	map->db->close(map->db, DB_NOSYNC);
	map->db = NULL;
}

static int
open_db(void *arg, struct popmap_error *err)
{
	struct popmap *map = arg;
	int code;

	close_db(map);
	map->detail[0] = '\0';
	code = db_create(&map->db, NULL, 0);
	if (code != 0) {
		map->db = NULL;
		return fail(map, code, err);
	}
	map->db->dbenv->app_private = map;
	map->db->set_errcall(map->db, keep_detail);
	/* Not mapped: a file that is cut short under us would be SIGBUS. */
	code = map->db->open(map->db, NULL, map->file.path, NULL, DB_UNKNOWN,
	    DB_RDONLY | DB_NOMMAP, 0);
	if (code == 0)
		return 0;
	close_db(map);
	return fail(map, code, err);
}

static void
bdb_close(struct popmap **mp)
{
	if (*mp == NULL)
		return;
	close_db(*mp);
	map_file_clear(&(*mp)->file);
	free(*mp);
	*mp = NULL;
}

static int
bdb_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	char *path = map_path(options, sysconfdir, DEFAULT_FILE, err);

	*mp = NULL;
	if (path == NULL)
		return -1;
	*mp = calloc(1, sizeof(**mp));
	if (*mp == NULL) {
		free(path);
		return map_error(err, "out of memory");
	}
	map_file_init(&(*mp)->file, path);
	if (map_file_begin(&(*mp)->file, true, open_db, *mp, err) == -1) {
		bdb_close(mp);
		return -1;
	}
	map_file_end(&(*mp)->file);
	return 0;
}

/* 1 with answer filled, 0, or -1 with the handle of no more use. */
static int
get(struct popmap *map, struct popmap_text text, struct popmap_answer *answer,
    struct popmap_error *err)
{
	DBT key = { .size = (u_int32_t)text.n };
	DBT value = { .flags = DB_DBT_MALLOC };
	int code, ret = 1;

	/* The library takes a key that is not const and does not change it. */
	key.data = (void *)(uintptr_t)text.p;
	map->detail[0] = '\0';
	code = map->db->get(map->db, NULL, &key, &value, 0);
	if (code == DB_NOTFOUND)
		return 0;
	if (code != 0) {
		close_db(map);
		return fail(map, code, err);
	}
	if (map_answer_set(answer, slice_make(value.data, value.size), err) ==
	    -1) {
		struct popmap_error why = *err;

		ret = map_error(
		    err, "%s: value of a key: %.200s", map->file.path, why.msg);
	}
	free(value.data);
	return ret;
}

static int
bdb_lookup(struct popmap *map, const struct popmap_query *query,
    struct popmap_answer *answer, struct popmap_error *err)
{
	int ret;

	answer->n = 0;
	if (map_file_begin(&map->file, map->db == NULL, open_db, map, err) ==
	    -1)
		return -1;
	ret = get(map, query->key, answer, err);
	map_file_end(&map->file);
	return ret;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "bdb",
	.flags = POPMAP_QUICK | POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = bdb_open,
	.lookup = bdb_lookup,
	.close = bdb_close,
};
