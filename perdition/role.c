/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * role - the common beginning of worker, lookup and log processes.
 */
#include "config.h"

#include "perdition/role.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/log_role.h"
#include "perdition/logq.h"
#include "perdition/lookup_role.h"
#include "perdition/request.h"
#include "perdition/tls/tls_ctx.h"
#include "perdition/tls/tls_mem.h"
#include "perdition/worker.h"

#include "common/banned.h"

#define CONFIG_MAX (4 * 1024 * 1024)

static const char *const names[ROLE_COUNT] = {
	[ROLE_WORKER] = "worker",
	[ROLE_LOOKUP] = "lookup",
	[ROLE_LOG] = "log",
	[ROLE_INETD] = "inetd",
};

const char *
role_name(enum role role)
{
	return names[role];
}

int
role_exit_status(const struct err *err)
{
	switch (err->code) {
	case ENOENT:
	case ENOTDIR:
		return EX_NOINPUT;
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case EINVAL:
	case ENOEXEC:
		return EX_CONFIG;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
		return EX_OSERR;
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EROFS:
		return EX_IOERR;
	default:
		return EX_UNAVAILABLE;
	}
}

static int
send_control(enum request_type type, struct slice text)
{
	char packet[sizeof(struct err) + 16];
	struct msg_writer w;

	msg_write_init(&w, packet, sizeof(packet));
	msg_put_u16(&w, (uint16_t)type);
	if (type == CONTROL_FAILED)
		msg_put_slice(&w, text);
	if (w.failed)
		return -1;
	return msg_send(ROLE_FD_CONTROL, slice_make(packet, w.n));
}

void
role_ready(void)
{
	(void)send_control(CONTROL_READY, slice_make(NULL, 0));
}

static void
ignore_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE,
		SIGTERM, SIGUSR1, SIGUSR2 };
	struct sigaction sa = { .sa_handler = SIG_IGN };
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		sigaction(ignored[i], &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The descriptor is shared with other roles: its offset is not to be used. */
static int
read_config(struct config *c, struct err *err)
{
	struct option_problems problems = { NULL, 0 };
	struct stat st;
	void *text;
	int ret;

	if (fstat(ROLE_FD_CONFIG, &st) == -1)
		return err_set(
		    err, errno, "configuration: %s", strerror(errno));
	if (st.st_size < 1 || st.st_size > CONFIG_MAX)
		return err_set(err, EINVAL, "configuration: %lld bytes",
		    (long long)st.st_size);
	text = mmap(
	    NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, ROLE_FD_CONFIG, 0);
	if (text == MAP_FAILED)
		return err_set(
		    err, errno, "configuration: %s", strerror(errno));
	ret = config_load_text(
	    c, slice_make(text, (size_t)st.st_size), &problems);
	if (ret == -1)
		err_set(err, EINVAL, "%s",
		    problems.n > 0 ? problems.v[0] : "configuration: bad");
	option_problems_clear(&problems);
	munmap(text, (size_t)st.st_size);
	close(ROLE_FD_CONFIG);
	return ret;
}

void
role_log_level(const struct config *c)
{
	if (c->quiet)
		log_set_level(LOG_ERR);
	else
		log_set_level(c->debug ? LOG_DEBUG : LOG_INFO);
}

/* What is logged between here and the run function goes the same way. */
static int
confine(enum role role, const struct config *c, struct err *err)
{
	struct logq *q = NULL;
	int ret;

	if (role != ROLE_LOG)
		q = logq_open(ROLE_FD_LOG);
	if (q != NULL)
		logq_install(q);
	ret = role_drop(role, c, err);
	if (ret == 0 && (role == ROLE_WORKER || role == ROLE_INETD))
		ret = role_sandbox(err);
	logq_close(&q);
	return ret;
}

static int
run_log(const struct config *c, struct err *err)
{
	struct log_role *lr = log_role_open(c, err);
	int ret;

	if (lr == NULL)
		return -1;
	ret = confine(ROLE_LOG, c, err);
	if (ret == 0)
		ret = log_role_run(lr, err);
	log_role_close(&lr);
	return ret;
}

/*
 * Workers go first: a lookup or log process that is woken does not take the
 * processor from the worker that has just woken it, and finds more to do when
 * its turn comes.  Saves 5 to 10 of 100 of a login's CPU; nothing is lost where
 * it cannot be had.
 */
static void
stand_back(void)
{
	const struct sched_param none = { .sched_priority = 0 };

	if (sched_setscheduler(0, SCHED_BATCH, &none) == -1)
		log_event(LOG_DEBUG, "confine",
		    LOG_STR("skipped", "SCHED_BATCH"),
		    LOG_STR("reason", strerror(errno)));
}

static int
run(enum role role, const struct config *c, unsigned int number,
    struct err *err)
{
	if (role == ROLE_LOG || role == ROLE_LOOKUP)
		stand_back();
	if (role == ROLE_LOG)
		return run_log(c, err);
	if (confine(role, c, err) == -1)
		return -1;
	switch (role) {
	case ROLE_WORKER:
		return worker_role_run(c, number, err);
	case ROLE_LOOKUP:
		return lookup_role_run(c, number, err);
	default:
		return worker_role_run_inetd(c, 0, err);
	}
}

/* While OpenSSL can still read its own configuration. */
static int
prepare_tls(enum role role, struct err *err)
{
	if (role != ROLE_WORKER && role != ROLE_INETD)
		return 0;
	if (tls_mem_install() == -1)
		return err_set(
		    err, EBUSY, "OpenSSL's memory is in use already");
	return tls_init(err);
}

/* Once: the master says it where it is to be said, unless there is none. */
static void
tell_failure(enum role role, const struct err *err)
{
	struct logq *q = NULL;

	if (send_control(CONTROL_FAILED, slice_str(err->msg)) == 0 &&
	    role != ROLE_INETD)
		return;
	if (role != ROLE_LOG)
		q = logq_open(ROLE_FD_LOG);
	if (q != NULL)
		logq_install(q);
	log_event(LOG_ERR, "role-failed", LOG_STR("role", names[role]),
	    LOG_STR("text", err->msg));
	logq_close(&q);
}

/* --role NAME [--slot N | --slots N] */
static int
parse_args(int argc, char *argv[], enum role *role, unsigned int *number)
{
	uint64_t n = 0;
	int i;

	if (argc != 3 && argc != 5)
		return -1;
	if (argc == 5 &&
	    ((strcmp(argv[3], "--slot") != 0 &&
		 strcmp(argv[3], "--slots") != 0) ||
		slice_u64(slice_str(argv[4]), WORKER_SLOTS, &n) == -1))
		return -1;
	*number = (unsigned int)n;
	for (i = 0; i < ROLE_COUNT; i++) {
		if (strcmp(argv[2], names[i]) == 0) {
			*role = (enum role)i;
			return 0;
		}
	}
	return -1;
}

int
role_main(int argc, char *argv[])
{
	struct config c = { .help = false };
	struct err err = { .code = 0 };
	unsigned int number;
	enum role role;
	struct stat st;
	int ret;

	if (parse_args(argc, argv, &role, &number) == -1 ||
	    fstat(ROLE_FD_CONTROL, &st) == -1 || !S_ISSOCK(st.st_mode)) {
		fprintf(
		    stderr, "perdition: --role is for perdition's own use\n");
		return EX_USAGE;
	}
	/* Executed by way of /proc/self/exe, it would be called "exe". */
	prctl(PR_SET_NAME, "perdition");
	ignore_signals();
	ret = prepare_tls(role, &err);
	if (ret == 0)
		ret = read_config(&c, &err);
	if (ret == 0) {
		role_log_level(&c);
		ret = run(role, &c, number, &err);
	}
	config_clear(&c);
	if (ret == 0)
		return 0;
	tell_failure(role, &err);
	return role_exit_status(&err);
}
