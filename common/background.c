/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * background - leaving the terminal; see the header.
 */
#include "config.h"

#include "common/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/banned.h"

static void __attribute__((noreturn)) await_report(pid_t child, int fd)
{
	unsigned char byte;
	int status;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n == -1 && errno == EINTR);
	if (n == 1)
		_exit(byte);
	while (waitpid(child, &status, 0) == -1)
		if (errno != EINTR)
			_exit(EX_OSERR);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE);
}

int
background_fork(int *report, struct err *err)
{
	int fd[2];
	pid_t child;

	/* Or both would write what waits there. */
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
		await_report(child, fd[0]);
	}
	close(fd[0]);
	setsid();
	*report = fd[1];
	return 0;
}

static void
leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

void
background_report(int *report, int status)
{
	unsigned char byte = (unsigned char)status;
	ssize_t n;

	if (*report == -1)
		return;
	if (status == 0)
		leave_terminal();
	do
		n = write(*report, &byte, 1);
	while (n == -1 && errno == EINTR);
	/* Any other error: the parent was killed, nobody waits. */
	close(*report);
	*report = -1;
}
