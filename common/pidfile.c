/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pidfile - the number of the process; see the header.
 */
#include "config.h"

#include "common/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

/* O_NONBLOCK: or a FIFO would wait for its reader. */
#define OPEN_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

static int
fail(struct err *err, int error, const char *path)
{
	return err_set(err, error, "%s: %s", path, strerror(error));
}

static int
write_pid(int fd, uid_t uid, gid_t gid)
{
	if (ftruncate(fd, 0) == -1 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
		return -1;
	return uid == (uid_t)-1 ? 0 : fchown(fd, uid, gid);
}

int
pidfile_write(const char *path, uid_t uid, gid_t gid, struct err *err)
{
	struct stat st;
	int fd, ret = 0;

	if (path[0] == '\0')
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | OPEN_FLAGS, 0644);
	if (fd == -1)
		return fail(err, errno, path);
	if (fstat(fd, &st) == -1) {
		ret = fail(err, errno, path);
	} else if (S_ISCHR(st.st_mode)) {
		ret = 0;
	} else if (!S_ISREG(st.st_mode) || st.st_nlink != 1) {
		ret = err_set(
		    err, EEXIST, "%s: exists and is another file", path);
	} else if (write_pid(fd, uid, gid) == -1) {
		ret = fail(err, errno, path);
		/* Half a number would be another process. */
		(void)unlink(path);
	}
	close(fd);
	return ret;
}

void
pidfile_remove(const char *path)
{
	char text[32] = "";
	ssize_t n;
	int fd;

	if (path[0] == '\0')
		return;
	fd = open(path, O_RDONLY | OPEN_FLAGS);
	if (fd == -1)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	/* Where it cannot be removed, the next start overwrites it. */
	if (n > 0 && strtol(text, NULL, 10) == (long)getpid())
		(void)unlink(path);
}
