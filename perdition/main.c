/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main - what perdition was called for: to show something about itself, to
 * play one role of a running perdition, or to be its master.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "perdition/config.h"

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
	if (what != NULL && strcmp(what, "man") == 0)
		return written(option_write_man(&config_options, stdout));
	if (what != NULL && strcmp(what, "sample") == 0)
		return written(option_write_sample(&config_options, stdout));
	fprintf(stderr, "perdition: --generate takes man or sample\n");
	return EX_USAGE;
}

static void
tell(const struct option_problems *problems)
{
	size_t i;

	for (i = 0; i < problems->n; i++)
		fprintf(stderr, "perdition: %s\n", problems->v[i]);
}

static int
run(const struct config *c)
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
	return 0;
}

int
main(int argc, char *argv[])
{
	struct option_problems problems = { NULL, 0 };
	struct config config = { .help = false };
	int ret;

	if (argc > 1 && strcmp(argv[1], "--generate") == 0)
		return generate(argv[2]);
	ret = config_load(&config, argc, argv, &problems);
	if (ret == 0)
		ret = run(&config);
	tell(&problems);
	option_problems_clear(&problems);
	config_clear(&config);
	return ret;
}
