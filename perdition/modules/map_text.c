/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_text - see map_text.h.
 */
#include "config.h"

#include "perdition/modules/map_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

static int
read_all(int fd, const char *path, char *mem, size_t cap, size_t *n,
    struct popmap_error *err)
{
	*n = 0;
	while (*n < cap) {
		ssize_t got = read(fd, mem + *n, cap - *n);

		if (got == 0)
			return 0;
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return map_error(err, "%s: %s", path, strerror(errno));
		*n += (size_t)got;
	}
	return map_error(err, "%s: grew while it was read", path);
}

char *
map_text_read(const char *path, size_t *n, struct popmap_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char *mem = NULL;

	if (fd == -1) {
		map_error(err, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		map_error(err, "%s: not a regular file", path);
		goto out;
	}
	if (st.st_size > MAP_TEXT_MAX) {
		map_error(err, "%s: larger than %d bytes", path, MAP_TEXT_MAX);
		goto out;
	}
	/* One byte more, so that the end of file is seen. */
	mem = malloc((size_t)st.st_size + 1);
	if (mem == NULL) {
		map_error(err, "%s: out of memory", path);
		goto out;
	}
	if (read_all(fd, path, mem, (size_t)st.st_size + 1, n, err) == -1) {
		free(mem);
		mem = NULL;
	}
out:
	close(fd);
	return mem;
}
