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
#include "perdition/modules/map_file_module.h"
#include "perdition/popmap.h"

#include "common/banned.h"

extern const struct popmap_ops popmap_module;

struct handle {
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
handle_close(void *handle)
{
	struct handle *h = handle;

	gdbm_close(h->db);
}

static int
handle_open(void *handle, const struct map_file *file, struct popmap_error *err)
{
	struct handle *h = handle;

	if (setjmp(escape) != 0)
		return map_error(err, "%s", escape_text);
	/* map_file holds the lock.  Not mapped: a file that is cut short
	 * under us would be SIGBUS. */
	h->db = gdbm_open(file->path, 0,
	    GDBM_READER | GDBM_NOLOCK | GDBM_NOMMAP | GDBM_CLOEXEC, 0, fatal);
	if (h->db == NULL)
		return map_error(err, "%s", gdbm_strerror(gdbm_errno));
	return 0;
}

static int
handle_get(void *handle, struct slice text, char **value, size_t *n,
    struct popmap_error *err)
{
	struct handle *h = handle;
	datum key, found;

	if (text.n > INT_MAX)
		return 0;
	/* The library takes a key that is not const and does not change it. */
	key.dptr = (char *)(uintptr_t)text.p;
	key.dsize = (int)text.n;
	if (setjmp(escape) != 0)
		return map_error(err, "%s", escape_text);
	found = gdbm_fetch(h->db, key);
	if (found.dptr == NULL && gdbm_errno == GDBM_ITEM_NOT_FOUND)
		return 0;
	if (found.dptr == NULL)
		return map_error(err, "%s", gdbm_strerror(gdbm_errno));
	*value = found.dptr;
	*n = (size_t)found.dsize;
	return 1;
}

static int
map_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	static const struct map_file_module module = {
		.default_file = "popmap.gdbm.db",
		.size = sizeof(struct handle),
		.open = handle_open,
		.get = handle_get,
		.close = handle_close,
	};

	return map_file_module_open(mp, &module, options, sysconfdir, err);
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "gdbm",
	.flags = MAP_FILE_FLAGS,
	.open = map_open,
	.lookup = map_file_module_lookup,
	.close = map_file_module_close,
};
