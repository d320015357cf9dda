/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generate - writes from a copy of the table whose defaults name the usual
 * places, so that the text does not depend on --prefix.
 */
#include "config.h"

#include "common/generate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

#define OPTIONS_MAX 256

static const struct {
	const char *ours, *usual;
} places[] = {
	{ MODULEDIR, "/usr/lib/perdition" },
	{ SYSCONFDIR, "/etc" },
	{ LOCALSTATEDIR, "/var" },
};

/* A copy of text with the usual place in front; NULL when it names none. */
static char *
usual_place(const char *text)
{
	char *out;
	size_t i;
	size_t n;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		n = strlen(places[i].ours);
		if (strncmp(text, places[i].ours, n) == 0 &&
		    (text[n] == '\0' || text[n] == '/'))
			return asprintf(&out, "%s%s", places[i].usual,
				   text + n) == -1
				   ? NULL
				   : out;
	}
	return NULL;
}

int
generate_write(const struct option_table *options, const char *what, FILE *f)
{
	struct option_def defs[OPTIONS_MAX];
	char *copies[OPTIONS_MAX];
	struct option_table table = *options;
	size_t n = 0;
	size_t made = 0;
	int ret = -1;

	for (; options->defs[n].name != NULL; n++) {
		if (n == OPTIONS_MAX - 1) {
			errno = E2BIG;
			return -1;
		}
		defs[n] = options->defs[n];
		copies[n] =
		    defs[n].dflt == NULL ? NULL : usual_place(defs[n].dflt);
		if (copies[n] != NULL)
			defs[n].dflt = copies[n];
	}
	made = n;
	defs[n].name = NULL;
	table.defs = defs;
	if (strcmp(what, "man") == 0)
		ret = option_write_man(&table, f);
	else if (strcmp(what, "sample") == 0)
		ret = option_write_sample(&table, f);
	else
		errno = EINVAL;
	for (n = 0; n < made; n++)
		free(copies[n]);
	return ret;
}
