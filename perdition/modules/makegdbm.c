/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makegdbm - make a GDBM popmap from text.
 */
#include "config.h"

#include <gdbm.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>

#include "perdition/modules/map_tool.h"

#include "common/banned.h"

/*
 * On some errors, a full disk among them, the library calls this and then
 * ends the process, so it must not return: the temporary file is still there.
 */
static jmp_buf escape;

static void
fatal(const char *text)
{
	(void)text; /* gdbm_errno and errno say more */
	longjmp(escape, 1);
}

static int
fail(struct err *err, const char *what)
{
	int code = errno;

	if (!gdbm_check_syserr(gdbm_errno) || code == 0)
		return err_set(
		    err, EIO, "%s: %s", what, gdbm_strerror(gdbm_errno));
	return err_set(err, code, "%s: %s: %s", what, gdbm_strerror(gdbm_errno),
	    strerror(code));
}

/* Of static storage, for what longjmp(3) may do to automatic variables. */
static struct map_writer {
	GDBM_FILE db;
	bool failed; /* closing it would only fail again */
} writer;

static struct map_writer *
map_create(const char *path, size_t n, struct err *err)
{
	(void)n;
	if (setjmp(escape) == 0)
		writer.db =
		    gdbm_open(path, 0, GDBM_NEWDB | GDBM_CLOEXEC, 0600, fatal);
	if (writer.db != NULL)
		return &writer;
	fail(err, path);
	return NULL;
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
	if (setjmp(escape) != 0 || gdbm_store(w->db, k, v, GDBM_INSERT) != 0)
		return fail(err, "writing");
	return 0;
}

static int
map_close(struct map_writer *w, struct err *err)
{
	if (w->failed)
		return -1;
	if (setjmp(escape) == 0 && gdbm_close(w->db) == 0)
		return 0;
	return fail(err, "writing");
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
