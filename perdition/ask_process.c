/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask_process - see ask_process.h.
 */
#include "config.h"

#include "perdition/ask_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "common/msg.h"

#include "common/banned.h"

#define CHANNEL 3 /* above the standard descriptors */
#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9, on all architectures */
#endif

static void
log_nothing(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* Else an old kernel would leave workers' channels open here, and nobody
 * would see the lookup process die. */
static void
close_others(void)
{
	long most;

	if (syscall(SYS_close_range, (unsigned int)CHANNEL + 1, ~0U, 0) == 0)
		return;
	most = sysconf(_SC_OPEN_MAX);
	for (int fd = CHANNEL + 1; fd < most; fd++)
		close(fd);
}

static void
be_alone(int channel, pid_t parent, const char *name)
{
	char title[16]; /* prctl(2): what more there is is cut */

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before that */
		_exit(0);
	if (snprintf(title, sizeof(title), "popmap %s", name) > 0)
		prctl(PR_SET_NAME, title);
	/* The lookup process's way to the log is not ours to use. */
	log_set_sink(log_nothing, NULL);
	if (channel != CHANNEL && dup2(channel, CHANNEL) == -1)
		_exit(1);
	close_others();
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
}

/* Waits; 0 when nobody asks any more. */
static size_t
next_request(char *in)
{
	ssize_t n;

	do
		n = recv(CHANNEL, in, MSG_MAX, 0);
	while (n == -1 && errno == EINTR);
	return n < 0 ? 0 : (size_t)n;
}

static void
serve_all(const struct ask_ops *ops, void *state, char *in, char *out)
{
	size_t n;

	while ((n = next_request(in)) > 0) {
		struct msg_writer w;

		msg_write_init(&w, out, MSG_MAX);
		ops->serve(state, slice_make(in, n), &w);
		if (w.failed || msg_send(CHANNEL, slice_make(out, w.n)) == -1)
			return;
	}
}

static void
tell_failed(const struct err *err)
{
	char text[1 + sizeof(err->msg)];
	int n =
	    snprintf(text, sizeof(text), "%c%s", ASK_PROCESS_FAILED, err->msg);

	if (n > 0)
		msg_send(CHANNEL, slice_make(text, (size_t)n));
}

static void __attribute__((noreturn)) run(const struct ask_ops *ops, void *arg)
{
	static const char ready[] = { ASK_PROCESS_READY };
	struct err err;
	void *state = NULL;
	char *in = malloc(MSG_MAX), *out = malloc(MSG_MAX);
	int ret = -1;

	if (in == NULL || out == NULL)
		err_set(&err, ENOMEM, "out of memory");
	else
		ret = ops->open(arg, &state, &err);
	if (ret == -1) {
		tell_failed(&err);
		_exit(1);
	}
	if (msg_send(CHANNEL, slice_make(ready, sizeof(ready))) == 0)
		serve_all(ops, state, in, out);
	ops->close(state);
	/* Not exit(3): what is to be done at the end is the parent's. */
	_exit(0);
}

int
ask_process_start(const struct ask_ops *ops, void *arg, pid_t *pid)
{
	pid_t parent = getpid();
	int pair[2], saved;

	if (msg_pair(pair) == -1)
		return -1;
	*pid = fork();
	if (*pid == 0) {
		be_alone(pair[1], parent, ops->name);
		run(ops, arg);
	}
	saved = errno;
	close(pair[1]);
	if (*pid != -1)
		return pair[0];
	close(pair[0]);
	errno = saved;
	return -1;
}
