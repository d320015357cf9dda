/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makebdb - make a Berkeley DB popmap from text.
 *
 * Pages carry checksums, so that a reader is told of a damaged file instead
 * of being misled by it.
 */
#include "config.h"

#include <db.h>
#include <errno.h>
#include <limits.h>

#include "perdition/modules/map_tool.h"

#include "common/banned.h"

static int
fail(struct err *err, const char *what, int code)
{
	return err_set(err, code, "%s: %s", what, db_strerror(code));
}

/* What the library would tell standard error; db_strerror() is enough. */
static void
hush(const DB_ENV *env, const char *prefix, const char *text)
{
	(void)env;
	(void)prefix;
	(void)text;
}

static struct map_writer *
bdb_create(const char *path, size_t n, struct err *err)
{
	DB *db;
	int code = db_create(&db, NULL, 0);

	if (code != 0) {
		fail(err, "db_create", code);
		return NULL;
	}
	db->set_errcall(db, hush);
	code = db->set_flags(db, DB_CHKSUM);
	if (code == 0 && n > 0 && n <= UINT_MAX)
		code = db->set_h_nelem(db, (u_int32_t)n);
	if (code == 0)
		code = db->open(db, NULL, path, NULL, DB_HASH,
		    DB_CREATE | DB_TRUNCATE, 0600);
	if (code == 0)
		return (struct map_writer *)db;
	fail(err, path, code);
	db->close(db, DB_NOSYNC);
	return NULL;
}

static DBT
bdb_text(struct slice s)
{
	/* The library takes what is not const and does not change it. */
	return (DBT){ .data = (void *)(uintptr_t)s.p, .size = (u_int32_t)s.n };
}

static int
bdb_put(
    struct map_writer *w, struct slice key, struct slice value, struct err *err)
{
	DB *db = (DB *)w;
	DBT k = bdb_text(key), v = bdb_text(value);
	int code = db->put(db, NULL, &k, &v, DB_NOOVERWRITE);

	return code == 0 ? 0 : fail(err, "writing", code);
}

static int
bdb_close(struct map_writer *w, struct err *err)
{
	DB *db = (DB *)w;
	int code = db->close(db, 0);

	return code == 0 ? 0 : fail(err, "writing", code);
}

int
main(int argc, char *argv[])
{
	static const struct map_tool tool = {
		.program = "makebdb",
		.default_file = "popmap.bdb.db",
		.create = bdb_create,
		.put = bdb_put,
		.close = bdb_close,
	};

	return map_tool_main(&tool, argc, argv);
}
