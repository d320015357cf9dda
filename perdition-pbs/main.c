/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main - what perdition-pbs was called for.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/generate.h"
#include "perdition-pbs/daemon.h"
#include "perdition-pbs/pbs_config.h"
#include "perdition-pbs/testpattern.h"
#include "perdition-pbs/tools.h"

#include "common/banned.h"

#define PROGRAM "perdition-pbs"

/* Standard output may be full or closed: what was asked for was not given. */
static int
written(int ret)
{
	if (ret != -1 && fflush(stdout) != EOF && !ferror(stdout))
		return 0;
	fprintf(stderr, PROGRAM ": standard output: %s\n", strerror(errno));
	return EX_IOERR;
}

/* The status of a test whose result was, or was not, written. */
static int
tested(int status)
{
	int bad = written(0);

	return bad != 0 ? bad : status;
}

/* For the makers of the manual page and of the sample file only. */
static int
generate(const char *what)
{
	int ret =
	    generate_write(&pbs_options, what == NULL ? "" : what, stdout);

	if (ret == -1 && errno == EINVAL) {
		fprintf(stderr, PROGRAM ": --generate takes man or sample\n");
		return EX_USAGE;
	}
	return written(ret);
}

static int
run_mode(struct pbs_config *c, int argc, char *argv[])
{
	int first = c->first_operand;

	switch ((enum pbs_mode)c->mode) {
	case PBS_LIST:
		return tools_list(c, argc - first, argv + first);
	case PBS_EXPORT:
		return tools_export(c, argc - first);
	case PBS_IMPORT:
		return tools_import(c, argc - first, argv + first);
	case PBS_SETENV:
		return tools_setenv(c, argc - first, argv + first);
	case PBS_INSERT:
	case PBS_REMOVE:
	case PBS_PURGE:
	case PBS_EXPIRE:
		return tools_change(c, argc - first, argv + first);
	case PBS_DAEMON:
		break;
	}
	if (first < argc) {
		fprintf(stderr, PROGRAM ": %s: the daemon takes no arguments\n",
		    argv[first]);
		return EX_USAGE;
	}
	return -1; /* daemon_run() owns the configuration */
}

static int
run(struct pbs_config *c, int argc, char *argv[])
{
	if (c->help)
		return written(option_write_help(&pbs_options, stdout));
	if (c->version) {
		puts(PROGRAM " " PACKAGE_VERSION);
		return written(0);
	}
	if (c->dump_config)
		return written(
		    option_write_dump(&pbs_options, c, true, stdout));
	if (c->test_pattern != NULL)
		return tested(testpattern_run(c));
	return run_mode(c, argc, argv);
}

static void
tell(struct option_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		fprintf(stderr, PROGRAM ": %s\n", problems->v[i]);
	option_problems_clear(problems);
}

int
main(int argc, char *argv[])
{
	struct option_problems problems = { NULL, 0 };
	struct pbs_config config = { 0 };
	int status;

	if (argc > 1 && strcmp(argv[1], "--generate") == 0)
		return generate(argv[2]);
	status = pbs_config_load(&config, argc, argv, &problems);
	tell(&problems);
	if (status == 0)
		status = run(&config, argc, argv);
	else if (config.mode == PBS_SETENV && config.first_operand > 0 &&
		 status != EX_USAGE)
		/* Mail has to go on, if without relaying. */
		status = tools_setenv(NULL, argc - config.first_operand,
		    argv + config.first_operand);
	if (status == -1)
		return daemon_run(&config, argc, argv);
	pbs_config_clear(&config);
	return status;
}
