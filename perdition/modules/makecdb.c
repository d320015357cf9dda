/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makecdb - make a constant database (cdb) popmap from text.
 */
#include "config.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "perdition/modules/map_tool.h"

#include "common/banned.h"

struct map_writer {
	struct cdb_make make;
	int fd;
};

static int
fail(struct err *err, const char *what)
{
	int code = errno;

	return err_set(err, code, "%s: %s", what, strerror(code));
}

static struct map_writer *
map_create(const char *path, size_t n, struct err *err)
{
	struct map_writer *w = calloc(1, sizeof(*w));

	(void)n;
	if (w == NULL) {
		fail(err, path);
		return NULL;
	}
	w->fd = open(path, O_RDWR | O_CLOEXEC);
	if (w->fd != -1 && cdb_make_start(&w->make, w->fd) == 0)
		return w;
	fail(err, path);
	if (w->fd != -1)
		close(w->fd);
	free(w);
	return NULL;
}

/* No key comes twice, or the text would have been refused. */
static int
map_put(
    struct map_writer *w, struct slice key, struct slice value, struct err *err)
{
	if (key.n > INT_MAX || value.n > INT_MAX)
		return err_set(err, EMSGSIZE, "line too long");
	errno = EFBIG; /* should the library not say: 4 GiB are the limit */
	if (cdb_make_add(&w->make, key.p, (unsigned int)key.n, value.p,
		(unsigned int)value.n) != 0)
		return fail(err, "writing");
	return 0;
}

static int
map_close(struct map_writer *w, struct err *err)
{
	int ret = 0;

	errno = EFBIG;
	if (cdb_make_finish(&w->make) != 0)
		ret = fail(err, "writing");
	if (close(w->fd) == -1 && ret == 0)
		ret = fail(err, "writing");
	free(w);
	return ret;
}

int
main(int argc, char *argv[])
{
	static const struct map_tool tool = {
		.program = "makecdb",
		.default_file = "popmap.cdb",
		.create = map_create,
		.put = map_put,
		.close = map_close,
	};

	return map_tool_main(&tool, argc, argv);
}
