/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options from a command line.
 */
#include "config.h"

#include "common/option_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

#define WHERE "command line"

struct argv_reader {
	struct option_state *state;
	int argc;
	char *const *argv;
	int next; /* the word to be read */
	struct option_problems *problems;
};

/* text: NULL for an option that stands alone. */
static int
give(struct argv_reader *r, const struct option_def *def, const char *text)
{
	const struct option_given given = { OPTION_ARGV, WHERE, true };

	return option_give(
	    r->state, def, text == NULL ? "true" : text, &given, r->problems);
}

static bool
takes_value(const struct argv_reader *r, const struct option_def *def)
{
	return option_target(option_table_of(r->state), def)->type->arg != NULL;
}

/* The word behind an option that needs one; NULL with a problem. */
static const char *
next_word(struct argv_reader *r, const struct option_def *def)
{
	const struct option_def *target =
	    option_target(option_table_of(r->state), def);

	if (r->next < r->argc)
		return r->argv[r->next++];
	option_problems_add(r->problems, WHERE ": %s: needs a value (%s)",
	    def->name, def->arg == NULL ? target->type->arg : def->arg);
	return NULL;
}

static int
read_long(struct argv_reader *r, const char *word)
{
	const struct option_table *table = option_table_of(r->state);
	const char *equals = strchr(word, '=');
	struct slice name = equals == NULL
				? slice_str(word)
				: slice_make(word, (size_t)(equals - word));
	const struct option_def *several[2];
	const struct option_def *def = option_find_prefix(table, name, several);
	const char *text = equals == NULL ? NULL : equals + 1;
	char shown[OPTION_SHOWN_MAX];

	if (several[0] != NULL) {
		option_problems_add(r->problems,
		    WHERE ": option %s is ambiguous: \"%s\" or \"%s\"?",
		    option_shown(name, shown), several[0]->name,
		    several[1]->name);
		return -1;
	}
	if (def == NULL)
		return option_unknown(table, WHERE, name, r->problems);
	if (text == NULL && takes_value(r, def)) {
		text = next_word(r, def);
		if (text == NULL)
			return -1;
	}
	return give(r, def, text);
}

/* "-dqt30": letters up to the first that takes a value. */
static int
read_letters(struct argv_reader *r, const char *word)
{
	const struct option_table *table = option_table_of(r->state);
	const struct option_def *def;
	const char *text;
	int ret = 0;

	for (; *word != '\0'; word++) {
		def = option_find_letter(table, *word);
		if (def == NULL) {
			option_unknown(
			    table, WHERE, slice_make(word, 1), r->problems);
			return -1;
		}
		if (!takes_value(r, def)) {
			if (give(r, def, NULL) == -1)
				ret = -1;
			continue;
		}
		text = word[1] != '\0' ? word + 1 : next_word(r, def);
		if (text == NULL || give(r, def, text) == -1)
			ret = -1;
		break;
	}
	return ret;
}

int
option_read_argv(struct option_state *state, int argc, char *const argv[],
    int *first, struct option_problems *problems)
{
	struct argv_reader r = { state, argc, argv, 1, problems };
	int ret = 0;

	option_reading(state);
	while (r.next < argc) {
		const char *word = argv[r.next];

		if (word[0] != '-' || word[1] == '\0')
			break;
		r.next++;
		if (strcmp(word, "--") == 0)
			break;
		if ((word[1] == '-' ? read_long(&r, word + 2)
				    : read_letters(&r, word + 1)) == -1)
			ret = -1;
	}
	*first = r.next < argc ? r.next : argc;
	return ret;
}
