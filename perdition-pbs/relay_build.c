/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_build - writing a whole file in a child; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_build.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/banned.h"

/* One write(2) of it is whole: it is shorter than PIPE_BUF. */
struct report {
	int ret;
	struct relay_written written;
	struct err err;
};

struct relay_build {
	uv_poll_t poll;
	int fd; /* the report comes here */
	pid_t child;
	relay_build_done *done;
	void *arg;
};

/* The daemon's locks and sockets are not to outlive it in here; the pipe is
 * moved to where standard input was. */
static void
keep_only(int fd)
{
	static const int none[] = { STDOUT_FILENO, STDERR_FILENO };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct rlimit lim;

	dup2(fd, STDIN_FILENO);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (null != -1)
			dup2(null, none[i]);
	if (close_range(STDERR_FILENO + 1, ~0u, 0) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0)
		for (int i = STDERR_FILENO + 1; i < (int)lim.rlim_cur; i++)
			close(i);
}

static _Noreturn void
work_in_child(relay_build_work *work, void *arg, int fd, pid_t parent)
{
	struct report r;

	memset(&r, 0, sizeof(r));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it was quicker */
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_IGN); /* a terminal's or a killall's: not ours */
	keep_only(fd);
	r.ret = work(arg, &r.written, &r.err);
	_exit(write(STDIN_FILENO, &r, sizeof(r)) == sizeof(r) ? 0 : 1);
}

static void
on_closed(uv_handle_t *h)
{
	struct relay_build *b = h->data;

	close(b->fd);
	free(b);
}

static void
reap(struct relay_build *b)
{
	while (waitpid(b->child, NULL, 0) == -1 && errno == EINTR)
		continue;
	uv_close((uv_handle_t *)&b->poll, on_closed);
}

static void
on_report(uv_poll_t *p, int status, int events)
{
	struct relay_build *b = p->data;
	relay_build_done *done = b->done;
	struct report r;
	void *arg = b->arg;

	(void)status;
	(void)events;
	if (read(b->fd, &r, sizeof(r)) != sizeof(r)) {
		r = (struct report){ .ret = -1 };
		err_set(&r.err, EIO, "the process that writes the file died");
	}
	reap(b); /* it has said its last word: no wait */
	done(arg, r.ret, &r.written, &r.err);
}

static struct relay_build *
watch(uv_loop_t *loop, int fd)
{
	struct relay_build *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->fd = fd;
	b->poll.data = b;
	if (uv_poll_init(loop, &b->poll, fd) != 0) {
		free(b);
		return NULL;
	}
	return b;
}

struct relay_build *
relay_build_start(uv_loop_t *loop, relay_build_work *work,
    relay_build_done *done, void *arg, struct err *err)
{
	struct relay_build *b;
	pid_t parent = getpid();
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) == -1) {
		err_set(err, errno, "pipe: %s", strerror(errno));
		return NULL;
	}
	b = watch(loop, fd[0]);
	if (b == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		close(fd[0]);
		close(fd[1]);
		return NULL;
	}
	b->done = done;
	b->arg = arg;
	b->child = fork();
	if (b->child == 0)
		work_in_child(work, arg, fd[1], parent);
	close(fd[1]);
	if (b->child == -1) {
		/* EAGAIN would be somebody's lock: see dbfile.h. */
		err_set(err, errno == EAGAIN ? ENOMEM : errno, "fork: %s",
		    strerror(errno));
		uv_close((uv_handle_t *)&b->poll, on_closed);
		return NULL;
	}
	uv_poll_start(&b->poll, UV_READABLE | UV_DISCONNECT, on_report);
	return b;
}

void
relay_build_cancel(struct relay_build **bp)
{
	struct relay_build *b = *bp;

	if (b == NULL)
		return;
	*bp = NULL;
	uv_poll_stop(&b->poll);
	kill(b->child, SIGKILL);
	reap(b);
}
