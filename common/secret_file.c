/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secret_file - see the header.
 */
#include "config.h"

#include "common/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

/* Up to the newline or the end, at most cap bytes; the count, or -1. */
static ssize_t
read_line(int fd, char *text, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t got = read(fd, text + n, 1); /* no byte behind it */

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		if (got == 0 || text[n] == '\n')
			break;
		n++;
	}
	return (ssize_t)n;
}

int
secret_read_fd(int fd, struct secret *out, struct err *err)
{
	char text[sizeof(out->bytes) + 2]; /* one for CR, one to be too long */
	ssize_t n = read_line(fd, text, sizeof(text));
	struct slice line = slice_make(text, n == -1 ? 0 : (size_t)n);
	int ret = 0;

	secret_clear(out);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (n == -1)
		ret = err_set(err, errno, "%s", strerror(errno));
	else if (line.n == 0)
		ret = err_set(err, ENODATA, "nothing in the first line");
	else if (slice_find(line, '\0') != -1)
		ret = err_set(err, EINVAL, "a NUL byte in the first line");
	else if (secret_set(out, line) == -1)
		ret = err_set(err, EMSGSIZE,
		    "the first line has more than %zu bytes",
		    sizeof(out->bytes));
	secret_wipe(text, sizeof(text));
	return ret;
}

int
secret_read_file(const char *path, struct secret *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int ret;

	secret_clear(out);
	if (fd == -1)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		ret = err_set(err, EINVAL, "not a regular file");
	else
		ret = secret_read_fd(fd, out, err);
	close(fd);
	return ret == 0 ? 0 : err_prefix(err, "%s", path);
}
