/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target for the configuration file: the syntax reads any bytes to their
 * end, and a file that is good, dumped and read again, gives the same dump.
 */
#include "config.h"

#include <stdlib.h>

#include "common/fuzz.h"
#include "common/option.h"

#include "common/banned.h"

struct fuzz_config {
	bool flag;
	unsigned int number, seconds, choice, set;
	char *text, *path;
	struct option_list list;
};

#define FIELD(name) offsetof(struct fuzz_config, name)

static const struct option_names choices[] = {
	{ "never", 0 },
	{ "fail", 1 },
	{ "always", 3 },
	{ NULL, 0 },
};

static const struct option_names bits[] = {
	{ "none", 0 },
	{ "one", 1 },
	{ "two", 2 },
	{ "both", 3 },
	{ "four", 4 },
	{ NULL, 0 },
};

static const struct option_def defs[] = {
	{ .name = "flag",
	    .letter = 'f',
	    .type = &option_bool,
	    .offset = FIELD(flag) },
	{ .name = "number",
	    .letter = 'n',
	    .type = &option_uint,
	    .offset = FIELD(number),
	    .dflt = "5",
	    .min = 1,
	    .max = 65535 },
	{ .name = "seconds",
	    .type = &option_seconds,
	    .offset = FIELD(seconds),
	    .dflt = "30m" },
	{ .name = "choice",
	    .type = &option_enum,
	    .offset = FIELD(choice),
	    .dflt = "never",
	    .names = choices },
	{ .name = "set",
	    .letter = 's',
	    .type = &option_set,
	    .offset = FIELD(set),
	    .dflt = "",
	    .names = bits },
	{ .name = "text",
	    .letter = 't',
	    .type = &option_string,
	    .offset = FIELD(text),
	    .dflt = "" },
	{ .name = "path", .type = &option_path, .offset = FIELD(path) },
	{ .name = "list",
	    .letter = 'l',
	    .type = &option_strings,
	    .offset = FIELD(list),
	    .dflt = "x" },
	{ .name = "texte",
	    .letter = 'T',
	    .type = &option_string,
	    .alias_of = "text",
	    .flags = OPTION_DEPRECATED },
	{ .name = NULL },
};

static const struct option_table table = { defs, "fuzz",
	sizeof(struct fuzz_config) };

static void
check_syntax(struct slice text)
{
	unsigned int line = 1, last = 0;
	size_t left = text.n;
	struct option_line out;
	struct err err;
	int got;

	while ((got = option_line_next(&text, &line, &out, &err)) == 1) {
		if (text.n >= left || out.line <= last || line < out.line ||
		    strlen(out.key) != out.key_len ||
		    strlen(out.value) != out.value_len ||
		    out.key_len + out.value_len > left ||
		    (out.value_line == 0 && out.value_len != 0))
			abort();
		left = text.n;
		last = out.line;
		option_line_clear(&out);
	}
	if (text.n != 0 || (got == -1 && line <= last))
		abort();
}

/* The dump of what text says, or NULL when it is not good; malloc'ed. */
static char *
dump_of(struct slice text, size_t *n)
{
	struct option_problems problems = { 0 };
	struct fuzz_config config;
	struct option_state *state = option_state_create(&table, &config);
	char *dump = NULL;
	FILE *f = open_memstream(&dump, n);
	bool good;

	if (state == NULL || f == NULL)
		exit(1);
	good = option_read_text(state, text, "fuzz", &problems) == 0 &&
	       option_apply_defaults(state, &problems) == 0;
	if (good != (problems.n == 0))
		abort();
	if (good && option_write_dump(&table, &config, true, f) == -1)
		abort();
	fclose(f);
	option_state_destroy(&state);
	option_clear(&table, &config);
	option_problems_clear(&problems);
	if (!good) {
		free(dump);
		return NULL;
	}
	return dump;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make((const char *)data, size);
	char *once, *twice;
	size_t n, m;

	check_syntax(text);
	once = dump_of(text, &n);
	if (once == NULL)
		return 0;
	twice = dump_of(slice_make(once, n), &m);
	if (twice == NULL || n != m || memcmp(once, twice, n) != 0)
		abort();
	free(once);
	free(twice);
	return 0;
}
