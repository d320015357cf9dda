/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main - what perdition was called for: to show something about itself, to
 * play one role of a running perdition, or to be its master.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "common/generate.h"
#include "common/log.h"
#include "perdition/config.h"
#include "perdition/maps.h"
#include "perdition/master.h"
#include "perdition/role.h"
#include "perdition/route.h"
#include "perdition/tls/tls_memfds.h"

#include "common/banned.h"

/* Standard output may be full or closed: what was asked for was not given. */
static int
written(int ret)
{
	if (ret == -1 || fflush(stdout) == EOF || ferror(stdout)) {
		fprintf(stderr, "perdition: standard output: %s\n",
		    strerror(errno));
		return EX_IOERR;
	}
	return 0;
}

/* For the makers of the manual page and of the sample file only. */
static int
generate(const char *what)
{
	int ret =
	    generate_write(&config_options, what == NULL ? "" : what, stdout);

	if (ret == -1 && errno == EINVAL) {
		fprintf(stderr, "perdition: --generate takes man or sample\n");
		return EX_USAGE;
	}
	return written(ret);
}

/* A client's connection, and not systemd's journal or a terminal. */
static bool
is_connection(int fd)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(ss);

	return getpeername(fd, (struct sockaddr *)&ss, &len) == 0 &&
	       (ss.ss_family == AF_INET || ss.ss_family == AF_INET6);
}

static void
tell(const char *text)
{
	/* Below inetd all three descriptors are the client. */
	if (is_connection(STDERR_FILENO))
		syslog(LOG_MAIL | LOG_ERR, "%s", text);
	else
		fprintf(stderr, "perdition: %s\n", text);
}

/* Nor may what is logged go to the client, before it has another way. */
static void
log_to_syslog(void *arg, int level, struct slice line)
{
	(void)arg;
	syslog(LOG_MAIL | level, "perdition: %.*s", (int)line.n, line.p);
}

static int
serve(struct config *c, int argc, char *argv[])
{
	struct err err;
	struct stat st;
	int status;

	if (!c->inetd_mode && !is_connection(STDIN_FILENO))
		return master_run(c, argc, argv);
	if (fstat(STDIN_FILENO, &st) == -1 || !S_ISSOCK(st.st_mode)) {
		tell("inetd_mode: standard input is not a socket");
		return EX_USAGE;
	}
	status = inetd_run(c, argv[0], &err);
	tell(err.msg);
	return status;
}

/* Those that the configuration names for TLS. */
static int
check_files(const struct config *c)
{
	struct option_problems problems = { NULL, 0 };
	struct tls_passphrase passphrase = { .read = false };
	struct tls_memfds fds;
	int status = tls_memfds_read(&fds, c, &passphrase, &problems);
	size_t i;

	for (i = 0; i < problems.n; i++)
		tell(problems.v[i]);
	option_problems_clear(&problems);
	tls_files_forget(&passphrase);
	tls_memfds_close(&fds);
	return status;
}

/* An open that waits is not a module's to do, but a file can be anywhere. */
static void
maps_take_too_long(int number)
{
	static const char text[] =
	    "perdition: a map does not open within map_timeout\n";

	(void)number;
	/* Whether that can be written or not. */
	_exit(write(STDERR_FILENO, text, sizeof(text) - 1) == -1 ? EX_IOERR
								 : EX_TEMPFAIL);
}

/* Those that look users up, as whom the lookup process is.  No question is
 * asked: a database that is down is no fault of the configuration. */
static int
check_maps(const struct config *c)
{
	struct maps *maps = NULL;
	uint64_t replies = 0;
	struct err err;
	int ret;

	signal(SIGALRM, maps_take_too_long);
	alarm(c->map_timeout == 0 ? 1 : c->map_timeout);
	ret = role_drop(ROLE_LOOKUP, c, &err);
	if (ret == 0)
		ret = maps_open(&maps, c, -1, NULL, &replies, &err);
	alarm(0);
	maps_close(&maps);
	if (ret == 0)
		return 0;
	tell(err.msg);
	return role_exit_status(&err);
}

static int
check(const struct config *c)
{
	int status = check_files(c);
	int maps = check_maps(c); /* all that is wrong, at once */

	return status != 0 ? status : maps;
}

static int
run(struct config *c, int argc, char *argv[])
{
	if (c->help)
		return written(option_write_help(&config_options, stdout));
	if (c->version) {
		puts("perdition " PACKAGE_VERSION);
		return written(0);
	}
	if (c->dump_config)
		return written(
		    option_write_dump(&config_options, c, true, stdout));
	if (c->check_config)
		return check(c);
	if (c->route[0] != '\0') {
		int status = route_show(c, stdout);

		return status == 0 ? written(0) : status;
	}
	return serve(c, argc, argv);
}

/* A service may be started with these closed; what is opened next must not
 * take their place. */
static void
fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9, on all architectures */
#endif
#define CLOEXEC_FLAG 4 /* CLOSE_RANGE_CLOEXEC, Linux 5.11 */
#define USUAL_FILES 1024

/* glibc has had close_range() since 2.34 only. */
static void
keep_descriptors_from_roles(void)
{
	int fd;

	if (syscall(SYS_close_range, (unsigned int)STDERR_FILENO + 1, ~0U,
		CLOEXEC_FLAG) == 0)
		return;
	for (fd = STDERR_FILENO + 1; fd < USUAL_FILES; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int
main(int argc, char *argv[])
{
	struct option_problems problems = { NULL, 0 };
	struct config config = { .help = false };
	size_t i;
	int ret;

	fill_standard_descriptors();
	if (is_connection(STDERR_FILENO))
		log_set_sink(log_to_syslog, NULL);
	if (argc > 1 && strcmp(argv[1], "--role") == 0)
		return role_main(argc, argv);
	/* What a careless parent left open is nothing for the roles. */
	keep_descriptors_from_roles();
	if (argc > 1 && strcmp(argv[1], "--generate") == 0)
		return generate(argv[2]);
	ret = config_load(&config, argc, argv, &problems);
	for (i = 0; i < problems.n; i++)
		tell(problems.v[i]);
	option_problems_clear(&problems);
	if (ret == 0)
		ret = run(&config, argc, argv);
	config_clear(&config);
	return ret;
}
