/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process - becoming a daemon and an ordinary user; see the header.
 */
#include "config.h"

#include "perdition-pbs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/banned.h"

/* The parent's part: the child's word, or its status. */
static void
await_child(pid_t child, int fd)
{
	int status;
	char c;
	ssize_t n;

	do
		n = read(fd, &c, 1);
	while (n == -1 && errno == EINTR);
	if (n == 1)
		_exit(0);
	while (waitpid(child, &status, 0) == -1)
		if (errno != EINTR)
			_exit(EX_OSERR);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE);
}

int
process_background(struct err *err)
{
	int fd[2];
	pid_t child;

	fflush(NULL);
	if (pipe2(fd, O_CLOEXEC) == -1)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	child = fork();
	if (child == -1) {
		err_set(err, errno, "fork: %s", strerror(errno));
		close(fd[0]);
		close(fd[1]);
		return -1;
	}
	if (child > 0) {
		close(fd[1]);
		await_child(child, fd[0]);
	}
	close(fd[0]);
	setsid();
	return fd[1];
}

void
process_ready(int fd)
{
	int null;

	if (fd == -1)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	if (write(fd, "", 1) == -1)
		errno = 0; /* the parent was killed: nobody waits */
	close(fd);
}

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
process_make_dir(
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
process_make_dir_of(const char *file, uid_t uid, gid_t gid, struct err *err)
{
	const char *slash = strrchr(file, '/');
	char *dir;
	int ret;

	if (slash == NULL || slash == file)
		return 0;
	dir = strndup(file, (size_t)(slash - file));
	if (dir == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	ret = process_make_dir(dir, 0755, uid, gid, err);
	free(dir);
	return ret;
}

int
process_become(
    uid_t uid, gid_t gid, const gid_t *groups, size_t n, struct err *err)
{
	if (setgroups(n, groups) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		return err_set(err, errno,
		    "cannot become user %u, group %u: %s", (unsigned int)uid,
		    (unsigned int)gid, strerror(errno));
	/* It must not have worked by half. */
	if (uid != 0 && setuid(0) == 0)
		return err_set(err, EPERM, "root could be had back");
	return 0;
}

int
process_write_pid(const char *path, uid_t uid, gid_t gid, struct err *err)
{
	int fd = open(path,
	    O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct stat st;
	int ret;

	if (fd == -1)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		close(fd);
		return err_set(
		    err, EEXIST, "%s: exists and is another file", path);
	}
	ret = ftruncate(fd, 0);
	if (ret == 0)
		ret = dprintf(fd, "%ld\n", (long)getpid());
	if (ret < 0 || (uid != (uid_t)-1 && fchown(fd, uid, gid) == -1)) {
		err_set(err, errno, "%s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}
