/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tools_import - import: what export wrote, here or on another host.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "perdition-pbs/relay_text.h"
#include "perdition-pbs/tools.h"
#include "perdition-pbs/tools_private.h"

#include "common/banned.h"

#define COMPLAINTS_MAX 20u
#define LIFE_MAX (366 * 24 * 60 * 60) /* seconds, as of option timeout */

struct import {
	const char *name; /* of the file */
	int64_t now;
	struct relay_store *entries;
	unsigned long line, bad;
};

/* NULL, or what is wrong with the line. */
static const char *
take_line(struct import *im, struct slice line)
{
	char memory[RELAY_USER_MAX];
	struct relay_entry e;
	struct slice user;
	const char *wrong;

	if (line.n == 0 || line.p[0] == '#')
		return NULL;
	wrong = relay_text_parse(&line, &e, memory, &user);
	if (wrong != NULL)
		return wrong;
	if (line.n > 0)
		return "something behind the user";
	if (e.expires > im->now + LIFE_MAX)
		return "expires more than a year from now";
	if (e.expires <= im->now)
		return NULL; /* it was alive when it was written */
	if (relay_store_touch(im->entries, &e, user, im->now) == -1)
		return strerror(errno);
	return NULL;
}

static void
complain(struct import *im, const char *wrong)
{
	if (++im->bad <= COMPLAINTS_MAX)
		fprintf(stderr, PROGRAM ": %s:%lu: %s\n", im->name, im->line,
		    wrong);
	else if (im->bad == COMPLAINTS_MAX + 1)
		fprintf(stderr, PROGRAM ": %s: and more\n", im->name);
}

/* 0, or an exit status. */
static int
read_lines(struct import *im, FILE *f)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&text, &cap, f)) > 0) {
		const char *wrong = "no newline at the end: cut off?";

		im->line++;
		if (text[n - 1] == '\n')
			wrong = take_line(im, slice_make(text, (size_t)n - 1));
		if (wrong != NULL)
			complain(im, wrong);
	}
	free(text);
	if (ferror(f)) {
		fprintf(
		    stderr, PROGRAM ": %s: %s\n", im->name, strerror(errno));
		return EX_NOINPUT;
	}
	if (im->bad > 0)
		fprintf(stderr, PROGRAM ": nothing was imported\n");
	return im->bad > 0 ? EX_DATAERR : 0;
}

int
tools_import(const struct pbs_config *c, int argc, char *const args[])
{
	struct import im = { .name = "standard input", .now = time(NULL) };
	struct relay_request q = { .op = RELAY_IMPORT };
	FILE *f = stdin;
	int status;

	if (argc > 1) {
		fprintf(stderr, PROGRAM ": takes one file\n");
		return EX_USAGE;
	}
	if (argc == 1) {
		im.name = args[0];
		f = fopen(args[0], "re");
	}
	if (f == NULL) {
		fprintf(stderr, PROGRAM ": %s: %s\n", im.name, strerror(errno));
		return EX_NOINPUT;
	}
	im.entries = relay_store_create();
	status = im.entries == NULL ? EX_OSERR : read_lines(&im, f);
	if (f != stdin)
		fclose(f);
	q.entries = im.entries;
	if (status == 0)
		status = tools_carry_out(c, &q);
	relay_store_destroy(&im.entries);
	return status;
}
