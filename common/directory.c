/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * directory - making directories; see the header.
 */
#include "config.h"

#include "common/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

/* Those above it that are missing, as the directories of a system are. */
static void
make_parents(const char *dir)
{
	char *path = strdup(dir);
	char *p = path;

	while (p != NULL && (p = strchr(p + 1, '/')) != NULL) {
		*p = '\0';
		if (mkdir(path, 0755) == -1 && errno != EEXIST)
			break; /* making dir itself will say it */
		*p = '/';
	}
	free(path);
}

/* The directory just made; not by name, which who owns the one above it may
 * have given to something else. */
static int
give_dir(const char *dir, uid_t uid, gid_t gid)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int ret, error;

	if (fd == -1)
		return -1;
	ret = fchown(fd, uid, gid);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

int
directory_make(
    const char *dir, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
	struct stat st;

	if (stat(dir, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		return err_set(err, ENOTDIR, "%s: not a directory", dir);
	}
	make_parents(dir);
	if (mkdir(dir, mode) == -1 ||
	    (uid != (uid_t)-1 && give_dir(dir, uid, gid) == -1))
		return err_set(err, errno, "%s: %s", dir, strerror(errno));
	return 0;
}

int
directory_make_of(const char *file, uid_t uid, gid_t gid, struct err *err)
{
	const char *slash = strrchr(file, '/');
	char *dir;
	int ret;

	if (slash == NULL || slash == file)
		return 0;
	dir = strndup(file, (size_t)(slash - file));
	if (dir == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	ret = directory_make(dir, 0755, uid, gid, err);
	free(dir);
	return ret;
}
