/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * perdition-pbs-setenv - the mode setenv of perdition-pbs, without its
 * libraries while the daemon answers.
 *
 *   perdition-pbs-setenv --lookup_socket PATH [OPTION...] -- PROGRAM [ARG...]
 *
 * asks the daemon through its lookup socket.  When that gives no answer, and
 * for every other command line, perdition-pbs itself runs in place of this
 * one, with the same words but for a PATH that was tried, and under this name,
 * which chooses its mode.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "perdition-pbs/setenv.h"

#include "common/banned.h"

#define PROGRAM "perdition-pbs-setenv"
#define EXIT_TRY_LATER 111

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

static enum setenv_verdict
judge(const char *path, char user[SETENV_USER_MAX])
{
	struct addr client;

	if (!setenv_client(&client))
		return SETENV_NO;
	return setenv_ask(path, &client, user);
}

int
main(int argc, char *argv[])
{
	static char none[] = "";
	char user[SETENV_USER_MAX] = "";
	char **program = program_of(argv);
	enum setenv_verdict v = SETENV_UNKNOWN;

	(void)argc;
	setenv_drop_user();
	if (program != NULL) {
		v = judge(argv[2], user);
		argv[2] = none; /* nobody asks in vain twice */
	}
	if (v == SETENV_UNKNOWN) {
		run_whole(argv);
		if (program == NULL) {
			fprintf(stderr, PROGRAM ": perdition-pbs: %s\n",
			    strerror(errno));
			return EXIT_TRY_LATER;
		}
	}
	if (v == SETENV_YES)
		setenv_allow(user);
	execvp(program[0], program);
	fprintf(stderr, PROGRAM ": %s: %s\n", program[0], strerror(errno));
	return EXIT_TRY_LATER;
}
