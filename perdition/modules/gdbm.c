/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdbm - popmap module: a GDBM file made by makegdbm.
 *
 * The option is the file's path; the default is popmap.gdbm.db.
 */
#include "config.h"

#include <gdbm.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>

#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_file.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define DEFAULT_FILE "popmap.gdbm.db"

extern const struct popmap_ops popmap_module;

struct popmap {
	struct map_file file;
	GDBM_FILE db;
};

/*
 * On some errors, a file cut short among them, the library calls this and
 * then ends the process, so it must not return.  It hands over nothing but a
 * text, hence the file-scope variables; one call runs at a time.
 */
static jmp_buf escape;
static const char *escape_text;

static void
fatal(const char *text)
{
	escape_text = text;
	longjmp(escape, 1);
}

static void
close_db(struct popmap *map)
{
	if (map->db != NULL)
		gdbm_close(map->db);
	map->db = NULL;
}

static int
open_db(void *arg, struct popmap_error *err)
{
	struct popmap *map = arg;
	close_db(map);
	if (setjmp(escape) != 0)
		return map_error(err, "%s: %s", map->file.path, escape_text);
	/* map_file holds the lock.  Not mapped: a file that is cut short
	 * under us would be SIGBUS. */
	map->db = gdbm_open(map->file.path, 0,
	    GDBM_READER | GDBM_NOLOCK | GDBM_NOMMAP | GDBM_CLOEXEC, 0, fatal);
	if (map->db == NULL)
		return map_error(
		    err, "%s: %s", map->file.path, gdbm_strerror(gdbm_errno));
	return 0;
}

static void
map_close(struct popmap **mp)
{
	if (*mp == NULL)
		return;
	close_db(*mp);
	map_file_clear(&(*mp)->file);
	free(*mp);
	*mp = NULL;
}

static int
map_open(struct popmap **mp, const char *options, const char *sysconfdir,
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
		map_close(mp);
		return -1;
	}
	map_file_end(&(*mp)->file);
	return 0;
}

/* 1 with answer filled, 0, or -1 with err. */
static int
get(struct popmap *map, struct popmap_text text, struct popmap_answer *answer,
    struct popmap_error *err)
{
	struct popmap_error why;
	datum key, value;
	int ret = 1;

	if (text.n > INT_MAX)
		return 0;
	/* The library takes a key that is not const and does not change it. */
	key.dptr = (char *)(uintptr_t)text.p;
	key.dsize = (int)text.n;
	if (setjmp(escape) != 0) {
		close_db(map);
		return map_error(err, "%s: %s", map->file.path, escape_text);
	}
	value = gdbm_fetch(map->db, key);
	if (value.dptr == NULL) {
		gdbm_error code = gdbm_errno;

		if (code == GDBM_ITEM_NOT_FOUND)
			return 0;
		close_db(map);
		return map_error(
		    err, "%s: %s", map->file.path, gdbm_strerror(code));
	}
	if (map_answer_set(answer, slice_make(value.dptr, (size_t)value.dsize),
		&why) == -1)
		ret = map_error(
		    err, "%s: value of a key: %.200s", map->file.path, why.msg);
	free(value.dptr);
	return ret;
}

static int
map_lookup(struct popmap *map, const struct popmap_query *query,
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
	.name = "gdbm",
	.flags = POPMAP_QUICK | POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = map_open,
	.lookup = map_lookup,
	.close = map_close,
};
