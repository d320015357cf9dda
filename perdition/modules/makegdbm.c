/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makegdbm - make a GDBM popmap from text.
 */
#include "config.h"

#include <gdbm.h>
#include <errno.h>
#include <limits.h>

#include "perdition/modules/map_tool.h"

#include "common/banned.h"

/* The library ends the process on some errors unless it can tell somebody;
 * once told, it returns the error as usual. */
static void
told(const char *text)
{
	(void)text;
}

static int
fail(struct err *err, const char *what)
{
	return err_set(err, EIO, "%s: %s", what, gdbm_strerror(gdbm_errno));
}

static struct map_writer *
map_create(const char *path, size_t n, struct err *err)
{
	GDBM_FILE db =
	    gdbm_open(path, 0, GDBM_NEWDB | GDBM_CLOEXEC, 0600, told);

	(void)n;
	if (db == NULL)
		fail(err, path);
	return (struct map_writer *)db;
}

static int
map_put(
    struct map_writer *w, struct slice key, struct slice value, struct err *err)
{
	/* The library takes what is not const and does not change it. */
	datum k = { .dptr = (char *)(uintptr_t)key.p, .dsize = (int)key.n };
	datum v = { .dptr = (char *)(uintptr_t)value.p, .dsize = (int)value.n };

	if (key.n > INT_MAX || value.n > INT_MAX)
		return err_set(err, EMSGSIZE, "line too long");
	if (gdbm_store((GDBM_FILE)w, k, v, GDBM_INSERT) != 0)
		return fail(err, "writing");
	return 0;
}

static int
map_close(struct map_writer *w, struct err *err)
{
	return gdbm_close((GDBM_FILE)w) == 0 ? 0 : fail(err, "writing");
}

int
main(int argc, char *argv[])
{
	static const struct map_tool tool = {
		.program = "makegdbm",
		.default_file = "popmap.gdbm.db",
		.create = map_create,
		.put = map_put,
		.close = map_close,
	};

	return map_tool_main(&tool, argc, argv);
}
