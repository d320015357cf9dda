/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cdb - popmap module: a constant database made by makecdb.
 *
 * The option is the file's path; the default is popmap.cdb.  The library would
 * map the file, and one that is cut short under us would be SIGBUS, so it is
 * given the descriptor that holds the lock, and reads from that.
 */
#include "config.h"

#include <cdb.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_file_module.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define TABLES 256
#define TABLES_SIZE (TABLES * 8) /* where each table is, and its slots */
#define SLOT_SIZE 8
#define VALUE_MAX 65536 /* bytes; more than any answer takes */

extern const struct popmap_ops popmap_module;

struct handle {
	int fd; /* map_file's */
};

static int
damaged(struct popmap_error *err)
{
	return map_error(err, "damaged or cut short; make it anew");
}

static int
fail(struct popmap_error *err)
{
	if (errno == EIO || errno == EPROTO || errno == EINVAL)
		return damaged(err);
	return map_error(err, "%s", strerror(errno));
}

static void
nothing_close(void *handle)
{
	(void)handle; /* the descriptor is not ours */
}

/*
 * The tables are behind the records, so a file that was cut short lacks one;
 * and a search, which ends after all slots of a table, cannot be long.
 */
static int
tables_open(void *handle, const struct map_file *file, struct popmap_error *err)
{
	struct handle *h = handle;
	unsigned char tables[TABLES_SIZE];
	struct stat st;

	h->fd = file->fd;
	if (fstat(h->fd, &st) == -1 || lseek(h->fd, 0, SEEK_SET) == -1)
		return map_error(err, "%s", strerror(errno));
	if (cdb_bread(h->fd, tables, sizeof(tables)) < 0)
		return fail(err);
	for (size_t i = 0; i < TABLES; i++) {
		uint64_t at = cdb_unpack(tables + 8 * i);
		uint64_t slots = cdb_unpack(tables + 8 * i + 4);

		if (slots > 0 && (at < TABLES_SIZE || at + slots * SLOT_SIZE >
							  (uint64_t)st.st_size))
			return damaged(err);
	}
	return 0;
}

static int
record_get(void *handle, struct slice key, char **value, size_t *n,
    struct popmap_error *err)
{
	const struct handle *h = handle;
	unsigned int size;
	int ret;

	if (key.n > UINT_MAX)
		return 0;
	ret = cdb_seek(h->fd, key.p, (unsigned int)key.n, &size);
	if (ret == 0)
		return 0;
	if (ret < 0)
		return fail(err);
	if (size > VALUE_MAX)
		return damaged(err);
	*value = malloc(size + 1);
	if (*value == NULL)
		return map_error(err, "out of memory");
	if (cdb_bread(h->fd, *value, (int)size) == 0) {
		*n = size;
		return 1;
	}
	free(*value);
	*value = NULL;
	return fail(err);
}

static int
map_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	static const struct map_file_module module = {
		.default_file = "popmap.cdb",
		.size = sizeof(struct handle),
		.open = tables_open,
		.get = record_get,
		.close = nothing_close,
	};

	return map_file_module_open(mp, &module, options, sysconfdir, err);
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "cdb",
	.flags = MAP_FILE_FLAGS,
	.open = map_open,
	.lookup = map_file_module_lookup,
	.close = map_file_module_close,
};
