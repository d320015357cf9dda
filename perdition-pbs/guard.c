/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard - reading in a child; see the header.
 */
#include "config.h"

#include "perdition-pbs/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/banned.h"

static _Noreturn void
work_in_child(const struct guard_work *w, int fd)
{
	static const struct rlimit none = { 0, 0 };
	FILE *out = fdopen(fd, "w");
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	/* Its last words are for nobody: an SMTP server's standard error may
	 * be the client. */
	if (null != -1)
		dup2(null, STDERR_FILENO);
	setrlimit(RLIMIT_CORE, &none);
	/* Where a page says that there are millions of others, Berkeley DB
	 * makes them up and puts them into a temporary file. */
	setrlimit(RLIMIT_FSIZE, &none);
	signal(SIGXFSZ, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	alarm(w->seconds);
	if (out == NULL)
		_exit(1);
	w->read(w->arg, out);
	_exit(fflush(out) == EOF ? 1 : 0);
}

int
guard_run(const struct guard_work *w, struct err *err)
{
	int fd[2];
	FILE *in;
	pid_t child;

	if (pipe2(fd, O_CLOEXEC) == -1)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	in = fdopen(fd[0], "r");
	fflush(NULL); /* or the child would write it again */
	child = in == NULL ? -1 : fork();
	if (child == -1) {
		err_set(err, errno, "fork: %s", strerror(errno));
		close(fd[1]);
		if (in != NULL)
			fclose(in);
		else
			close(fd[0]);
		return -1;
	}
	if (child == 0)
		work_in_child(w, fd[1]);
	close(fd[1]);
	w->take(w->arg, in);
	fclose(in);
	while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
		continue;
	return 0;
}
