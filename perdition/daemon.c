/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon - what being a background service of this system takes.
 */
#include "config.h"

#include "perdition/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "common/banned.h"

static void __attribute__((noreturn)) wait_for_report(int fd)
{
	unsigned char status;
	ssize_t n;

	do
		n = read(fd, &status, 1);
	while (n == -1 && errno == EINTR);
	/* An end without a report: killed, and not by us. */
	_exit(n == 1 ? status : EX_SOFTWARE);
}

int
daemon_fork(int *report, struct err *err)
{
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) == -1)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (pid == -1) {
		err_set(err, errno, "fork: %s", strerror(errno));
		close(fd[0]);
		close(fd[1]);
		return -1;
	}
	if (pid > 0) {
		close(fd[1]);
		wait_for_report(fd[0]);
	}
	close(fd[0]);
	setsid();
	*report = fd[1];
	return 0;
}

void
daemon_report(int *report, int status)
{
	unsigned char byte = (unsigned char)status;
	int null;
	ssize_t n;

	if (*report == -1)
		return;
	if (status == 0) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null != -1) {
			dup2(null, STDIN_FILENO);
			dup2(null, STDOUT_FILENO);
			dup2(null, STDERR_FILENO);
			if (null > STDERR_FILENO)
				close(null);
		}
	}
	do
		n = write(*report, &byte, 1);
	while (n == -1 && errno == EINTR);
	close(*report);
	*report = -1;
}

static void
make_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir;

	if (slash == NULL || slash == path)
		return;
	dir = strndup(path, (size_t)(slash - path));
	if (dir != NULL)
		(void)mkdir(dir, 0755);
	free(dir);
}

int
daemon_pid_write(const char *path, struct err *err)
{
	char text[32];
	int fd;
	int n;

	if (path[0] == '\0')
		return 0;
	/* Through no link that somebody else has laid there. */
	fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1 && errno == ENOENT) {
		make_directory(path);
		fd = open(path,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	}
	if (fd == -1)
		return err_set(
		    err, errno, "pid_file %s: %s", path, strerror(errno));
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (write(fd, text, (size_t)n) != n) {
		err_set(err, errno, "pid_file %s: %s", path, strerror(errno));
		close(fd);
		(void)unlink(path);
		return -1;
	}
	close(fd);
	return 0;
}

void
daemon_pid_remove(const char *path)
{
	char text[32] = "";
	ssize_t n;
	int fd;

	if (path[0] == '\0')
		return;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0 && strtol(text, NULL, 10) == (long)getpid())
		(void)unlink(path);
}

#ifdef HAVE_SYSTEMD

void
daemon_notify_ready(void)
{
	(void)sd_notifyf(
	    0, "READY=1\nMAINPID=%d\nSTATUS=serving", (int)getpid());
}

void
daemon_notify_reloading(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

void
daemon_notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1\nSTATUS=waiting for open sessions");
}

#else

void
daemon_notify_ready(void)
{
}

void
daemon_notify_reloading(void)
{
}

void
daemon_notify_stopping(void)
{
}

#endif
