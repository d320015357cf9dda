/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_file_module - see map_file_module.h.
 */
#include "config.h"

#include "perdition/modules/map_file_module.h"

#include <stdbool.h>
#include <stdlib.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

struct popmap {
	const struct map_file_module *module;
	struct map_file file;
	void *handle;
	bool open; /* handle is in use */
};

static int
fail(struct popmap *map, struct popmap_error *err)
{
	struct popmap_error why = *err;

	return map_error(err, "%s: %.300s", map->file.path, why.msg);
}

static void
close_handle(struct popmap *map)
{
	if (map->open)
		map->module->close(map->handle);
	map->open = false;
}

static int
reopen(void *arg, struct popmap_error *err)
{
	struct popmap *map = arg;

	close_handle(map);
	memset(map->handle, 0, map->module->size);
	if (map->module->open(map->handle, &map->file, err) == -1)
		return fail(map, err);
	map->open = true;
	return 0;
}

static int
begin(struct popmap *map, struct popmap_error *err)
{
	return map_file_begin(&map->file, !map->open, reopen, map, err);
}

void
map_file_module_close(struct popmap **mp)
{
	struct popmap *map = *mp;

	if (map == NULL)
		return;
	close_handle(map);
	map_file_clear(&map->file);
	free(map->handle);
	free(map);
	*mp = NULL;
}

int
map_file_module_open(struct popmap **mp, const struct map_file_module *m,
    const char *options, const char *sysconfdir, struct popmap_error *err)
{
	char *path = map_path(options, sysconfdir, m->default_file, err);
	struct popmap *map = NULL;

	*mp = NULL;
	if (path == NULL)
		return -1;
	map = calloc(1, sizeof(*map));
	if (map == NULL) {
		free(path);
		return map_error(err, "out of memory");
	}
	map->module = m;
	map_file_init(&map->file, path);
	map->handle = calloc(1, m->size);
	if (map->handle == NULL)
		map_error(err, "out of memory");
	if (map->handle == NULL || begin(map, err) == -1) {
		map_file_module_close(&map);
		return -1;
	}
	map_file_end(&map->file);
	*mp = map;
	return 0;
}

/* 1 with answer filled, 0, or -1 with err. */
static int
get(struct popmap *map, struct popmap_text key, struct popmap_answer *answer,
    struct popmap_error *err)
{
	struct popmap_error why;
	char *value = NULL;
	size_t n = 0;
	int ret = map->module->get(
	    map->handle, slice_make(key.p, key.n), &value, &n, err);

	if (ret == -1) {
		close_handle(map);
		return fail(map, err);
	}
	if (ret == 1 &&
	    map_answer_set(answer, slice_make(value, n), &why) == -1)
		ret = map_error(
		    err, "%s: value of a key: %.200s", map->file.path, why.msg);
	free(value);
	return ret;
}

int
map_file_module_lookup(struct popmap *map, const struct popmap_query *query,
    struct popmap_answer *answer, struct popmap_error *err)
{
	int ret;

	answer->n = 0;
	if (begin(map, err) == -1)
		return -1;
	ret = get(map, query->key, answer, err);
	map_file_end(&map->file);
	return ret;
}
