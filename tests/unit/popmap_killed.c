/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A popmap module for tests whose process is killed while it opens, once for
 * each byte of the file that its options name.
 */
#include "perdition/popmap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct popmap_ops popmap_module;

static int
killed_open(struct popmap **map, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	int fd = open(options, O_WRONLY | O_CLOEXEC);
	struct stat st;

	(void)sysconfdir;
	(void)err;
	*map = NULL;
	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	if (st.st_size > 0 && ftruncate(fd, st.st_size - 1) == 0)
		raise(SIGKILL);
	close(fd);
	return 0;
}

static int
killed_lookup(struct popmap *map, const struct popmap_query *q,
    struct popmap_answer *a, struct popmap_error *err)
{
	(void)map;
	(void)q;
	(void)a;
	(void)err;
	return 0;
}

static void
killed_close(struct popmap **map)
{
	*map = NULL;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "killed",
	.flags = POPMAP_QUICK,
	.open = killed_open,
	.lookup = killed_lookup,
	.close = killed_close,
};
