/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inetd - one session on descriptor 0, and no master.
 *
 * This process lays the channels, starts a lookup and a log process, and then
 * becomes the worker itself.  When it ends, so do the channels, and the other
 * two with them.
 */
#include "config.h"

#include "perdition/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "common/msg.h"
#include "perdition/request.h"
#include "perdition/role.h"
#include "perdition/shared.h"
#include "perdition/tls/tls_memfds.h"

#include "common/banned.h"

#define READY_WAIT_MS 30000
#define FDS_MAX (ROLE_FD_FIRST + 1)
#define HIGH_FD 64 /* above all numbers that roles use here */

struct inetd {
	const char *arg0;
	int config, secret, shared;
	struct tls_memfds tls;
	int log[2], lookup[2]; /* to read, to write; lookup's end, ours */
	int none[2];           /* stands where a master's channel would */
};

static int
make_memfd(const struct config *c, bool secrets)
{
	int fd = memfd_create("perdition-config", MFD_CLOEXEC);
	int copy = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	FILE *f = copy == -1 ? NULL : fdopen(copy, "w");
	int ret;

	if (f == NULL)
		return -1;
	ret = config_write_role(c, secrets, f);
	if (fclose(f) != 0 || ret == -1)
		return -1;
	return fd;
}

static int
read_tls(struct inetd *in, const struct config *c, struct err *err)
{
	struct option_problems problems = { NULL, 0 };
	struct tls_passphrase passphrase = { .read = false };
	int ret = 0;

	/* Not for each connection anew. */
	log_set_level(LOG_WARNING);
	if (tls_memfds_read(&in->tls, c, &passphrase, &problems) != 0)
		ret = err_set(
		    err, EINVAL, "%s", problems.n > 0 ? problems.v[0] : "TLS");
	option_problems_clear(&problems);
	tls_files_forget(&passphrase);
	return ret;
}

static int
prepare(struct inetd *in, const struct config *c, struct err *err)
{
	struct shared *shared = shared_create(&in->shared);

	if (shared == NULL || msg_pair(in->log) == -1 ||
	    msg_pair(in->lookup) == -1 || msg_pair(in->none) == -1)
		return err_set(err, errno, "channels: %s", strerror(errno));
	shared_detach(&shared);
	if (read_tls(in, c, err) == -1)
		return -1;
	in->config = make_memfd(c, false);
	in->secret = make_memfd(c, true);
	if (in->config == -1 || in->secret == -1)
		return err_set(
		    err, errno, "configuration in memory: %s", strerror(errno));
	return 0;
}

/* Gives fds[i] the number i, for i from ROLE_FD_CONFIG on, past exec; where it
 * is -1 there is none. */
static int
lay_out(const int fds[FDS_MAX], int n)
{
	int high[FDS_MAX];
	int i;

	for (i = ROLE_FD_CONFIG; i < n; i++) {
		high[i] =
		    fds[i] == -1 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
		if (high[i] == -1 && fds[i] != -1)
			return -1;
	}
	for (i = ROLE_FD_CONFIG; i < n; i++) {
		if (high[i] == -1)
			close(i);
		else if (dup2(high[i], i) == -1)
			return -1;
	}
	return 0;
}

static void
execute(const struct inetd *in, enum role role, const char *option)
{
	const char *args[] = { "perdition", "--role", role_name(role), option,
		option == NULL ? NULL : "1", NULL };

	execv("/proc/self/exe", (char *const *)args);
	execv(in->arg0, (char *const *)args);
}

static void __attribute__((noreturn))
be_helper(const struct inetd *in, enum role role, int control)
{
	int fds[FDS_MAX] = {
		[ROLE_FD_CONFIG] =
		    role == ROLE_LOOKUP ? in->secret : in->config,
		[ROLE_FD_CONTROL] = control,
		[ROLE_FD_LOG] = in->log[role != ROLE_LOG],
		[ROLE_FD_SHARED] = in->shared,
		[ROLE_FD_TLS_KEYS] = -1,
		[ROLE_FD_TLS_TRUST] = -1,
		[ROLE_FD_TICKETS] = -1,
		[ROLE_FD_FIRST] = in->lookup[0],
	};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int i;

	/* The client is on these, and must see its connection end. */
	for (i = 0; null != -1 && i < 3; i++)
		dup2(null, i);
	if (null != -1 &&
	    lay_out(fds, role == ROLE_LOOKUP ? FDS_MAX : ROLE_FD_FIRST) == 0)
		execute(in, role, role == ROLE_LOOKUP ? "--slots" : NULL);
	_exit(EX_OSERR);
}

/* Its control channel stays open in this process, past exec: its end is how
 * the helper learns of ours.  The descriptor, or -1. */
static int
start_helper(const struct inetd *in, enum role role, struct err *err)
{
	int pair[2];
	int fd;
	pid_t pid;

	if (msg_pair(pair) == -1)
		return err_set(
		    err, errno, "control channel: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		be_helper(in, role, pair[1]);
	close(pair[1]);
	fd = pid == -1 ? -1 : fcntl(pair[0], F_DUPFD, HIGH_FD);
	close(pair[0]);
	if (fd == -1)
		err_set(err, errno, "starting %s: %s", role_name(role),
		    strerror(errno));
	return fd;
}

static int
wait_ready(int fd, enum role role, struct err *err)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct msg_reader r;
	struct slice why;
	char packet[1024];
	unsigned int type;
	ssize_t n = -1;

	if (poll(&pfd, 1, READY_WAIT_MS) == 1)
		n = msg_recv(fd, packet, sizeof(packet));
	if (n < 1)
		return err_set(
		    err, ETIMEDOUT, "%s does not start", role_name(role));
	msg_read_init(&r, slice_make(packet, (size_t)n));
	type = msg_get_u16(&r);
	if (type == CONTROL_READY)
		return 0;
	why = type == CONTROL_FAILED ? msg_get_slice(&r) : SLICE("?");
	return err_set(
	    err, ECHILD, "%s: %.*s", role_name(role), (int)why.n, why.p);
}

/* Returns only on failure. */
static void
become_worker(const struct inetd *in, struct err *err)
{
	const int fds[FDS_MAX] = {
		[ROLE_FD_CONFIG] = in->config,
		[ROLE_FD_CONTROL] = in->none[0],
		[ROLE_FD_LOG] = in->log[1],
		[ROLE_FD_SHARED] = in->shared,
		[ROLE_FD_TLS_KEYS] = in->tls.keys,
		[ROLE_FD_TLS_TRUST] = in->tls.trust,
		[ROLE_FD_TICKETS] = -1,
		[ROLE_FD_FIRST] = in->lookup[1],
	};

	if (lay_out(fds, FDS_MAX) == 0)
		execute(in, ROLE_INETD, NULL);
	err_set(err, errno, "starting the worker: %s", strerror(errno));
}

static int
start_all(const struct inetd *in, struct err *err)
{
	int log;
	int lookup;

	/* Nobody waits for the helpers' ends: they outlive this process. */
	signal(SIGCHLD, SIG_DFL);
	log = start_helper(in, ROLE_LOG, err);
	lookup = log == -1 ? -1 : start_helper(in, ROLE_LOOKUP, err);
	if (lookup == -1 || wait_ready(log, ROLE_LOG, err) == -1 ||
	    wait_ready(lookup, ROLE_LOOKUP, err) == -1)
		return -1;
	become_worker(in, err);
	return -1;
}

int
inetd_run(struct config *c, const char *arg0, struct err *err)
{
	struct inetd in = { .arg0 = arg0 };

	if (prepare(&in, c, err) == 0)
		start_all(&in, err);
	config_clear(c);
	return role_exit_status(err);
}
