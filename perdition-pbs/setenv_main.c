/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * perdition-pbs-setenv - the mode setenv of perdition-pbs, without its
 * libraries while the daemon answers.
 *
 *   perdition-pbs-setenv --lookup_socket PATH [OPTION...] -- PROGRAM [ARG...]
 *
 * asks the daemon through its lookup socket.  When that gives no answer, and
 * for every other command line, perdition-pbs itself runs in place of this
 * one, with the same words and under this name, which chooses its mode.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/addr.h"
#include "perdition-pbs/setenv.h"

#include "common/banned.h"

#define PROGRAM "perdition-pbs-setenv"
#define EXIT_TRY_LATER 111
#define SECONDS 1 /* the daemon answers from memory */

enum verdict { UNKNOWN, NO, YES };

static int
connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = SECONDS };
	size_t len = strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(sun.sun_path))
		return -1;
	memcpy(sun.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* The limit for sending is also that for connecting. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ==
		0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
		0 &&
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The reply ends with the connection; what ends early is no answer. */
static enum verdict
read_verdict(int fd)
{
	char reply[4];
	size_t n = 0;

	while (n < sizeof(reply)) {
		ssize_t got = recv(fd, reply + n, sizeof(reply) - n, 0);

		if (got == -1)
			return UNKNOWN;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (n == 3 && memcmp(reply, "yes", 3) == 0)
		return YES;
	return n == 2 && memcmp(reply, "no", 2) == 0 ? NO : UNKNOWN;
}

static enum verdict
ask(const char *path, const struct addr *client)
{
	char line[4 + ADDR_TEXT_MAX + 1] = "get ";
	size_t n = 4 + addr_write_ip(client, line + 4);
	enum verdict v = UNKNOWN;
	int fd = connect_to(path);

	line[n++] = '\n';
	if (fd == -1)
		return UNKNOWN;
	if (send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n)
		v = read_verdict(fd);
	close(fd);
	return v;
}

static enum verdict
judge(const char *path)
{
	struct addr client;

	if (!setenv_client(&client) || client.scope != 0)
		return NO;
	return ask(path, &client);
}

/* Of PROGRAM, in a command line that is for us; else NULL. */
static char **
program_of(char *argv[])
{
	if (argv[0] == NULL || argv[1] == NULL ||
	    strcmp(argv[1], "--lookup_socket") != 0 || argv[2] == NULL)
		return NULL;
	for (char **p = argv + 3; *p != NULL; p++)
		if (strcmp(*p, "--") == 0)
			return p[1] != NULL ? p + 1 : NULL;
	return NULL;
}

/* Beside this program, wherever that has been installed. */
static void
run_whole(char *argv[])
{
	static const char name[] = "/perdition-pbs";
	char path[4096];
	ssize_t n =
	    readlink("/proc/self/exe", path, sizeof(path) - sizeof(name));
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	if (slash != NULL) {
		memcpy(slash, name, sizeof(name));
		execv(path, argv);
	}
	execv(SBINDIR "/perdition-pbs", argv);
}

int
main(int argc, char *argv[])
{
	char **program = program_of(argv);
	enum verdict v = program != NULL ? judge(argv[2]) : UNKNOWN;

	(void)argc;
	if (v == UNKNOWN) {
		run_whole(argv);
		if (program == NULL) {
			fprintf(stderr, PROGRAM ": perdition-pbs: %s\n",
			    strerror(errno));
			return EXIT_TRY_LATER;
		}
	}
	if (v == YES)
		setenv_allow();
	execvp(program[0], program);
	fprintf(stderr, PROGRAM ": %s: %s\n", program[0], strerror(errno));
	return EXIT_TRY_LATER;
}
