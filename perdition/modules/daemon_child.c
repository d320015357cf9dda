/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_child - see daemon_child.h.
 */
#include "config.h"

#include "perdition/modules/daemon_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

#define POLL_MS 5

/* --- in the child, between fork and exec: async-signal-safe calls only -- */

/* A role's channels come from its master, and are not close-on-exec. */
static void
mark_descriptors(void)
{
	long max;

#if defined(SYS_close_range) && defined(CLOSE_RANGE_CLOEXEC)
	if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
#endif
	max = sysconf(_SC_OPEN_MAX);
	for (int fd = 3; fd < max; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* What we ignore, the programme would ignore too. */
static void
reset_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* report: gets the errno value of what did not work. */
static void
become(char *const argv[], int fd, int report, pid_t parent)
{
	int code;

	/* Out of the way of 0 and 1, where they may be. */
	fd = fcntl(fd, F_DUPFD, 3);
	report = fcntl(report, F_DUPFD, 3);
	if (report == -1)
		_exit(1);
	if (fd != -1 && setpgid(0, 0) == 0 &&
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) {
		if (getppid() != parent) /* it died before the line above */
			_exit(1);
		reset_signals();
		if (dup2(fd, 0) != -1 && dup2(fd, 1) != -1) {
			mark_descriptors();
			execv(argv[0], argv);
		}
	}
	code = errno;
	(void)!write(report, &code, sizeof(code));
	_exit(1);
}

/* --- in the parent ------------------------------------------------------ */

/* 0 when the programme is executed, or the errno value of why not. */
static int
read_report(int fd)
{
	int code = 0;
	ssize_t n;

	do
		n = read(fd, &code, sizeof(code));
	while (n == -1 && errno == EINTR);
	return n == (ssize_t)sizeof(code) ? code : 0;
}

int
daemon_child_start(
    char *const argv[], pid_t *pid, int *fd, struct popmap_error *err)
{
	int pair[2] = { -1, -1 }, report[2] = { -1, -1 };
	pid_t parent = getpid(), child = 0;
	int code;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1 ||
	    pipe2(report, O_CLOEXEC) == -1 || (child = fork()) == -1) {
		code = errno;
		child = 0;
		goto out;
	}
	if (child == 0)
		become(argv, pair[1], report[1], parent);
	(void)setpgid(child, child); /* whoever is first */
	close(report[1]);
	report[1] = -1;
	code = read_report(report[0]);
out:
	for (int i = 0; i < 2; i++) {
		if (report[i] != -1)
			close(report[i]);
	}
	if (pair[1] != -1)
		close(pair[1]);
	*pid = child;
	*fd = pair[0];
	if (code == 0)
		return 0;
	if (*fd != -1)
		close(*fd);
	*fd = -1;
	daemon_child_stop(pid, 0);
	return map_error(
	    err, "%.200s cannot be started: %s", argv[0], strerror(code));
}

/* Until we have waited for it, no other process can have its number. */
void
daemon_child_stop(pid_t *pid, unsigned int grace_ms)
{
	pid_t child = *pid;

	*pid = 0;
	if (child <= 0)
		return;
	if (grace_ms > 0)
		(void)kill(-child, SIGTERM);
	for (unsigned int ms = 0; ms < grace_ms; ms += POLL_MS) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(P_PID, (id_t)child, &info,
			WEXITED | WNOHANG | WNOWAIT) == -1 ||
		    info.si_pid == child)
			break;
		(void)poll(NULL, 0, POLL_MS);
	}
	(void)kill(-child, SIGKILL);
	(void)kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
		continue;
}
