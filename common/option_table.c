/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding an option by what somebody called it.  Knows no values.
 */
#include "config.h"

#include "common/option_internal.h"

#include <string.h>

#include "common/banned.h"

#define NAME_MAX_LEN 64 /* bytes; no option's name is longer */

static char
fold(char c)
{
	return c == '-' ? '_' : c;
}

static bool
name_starts(const char *name, struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (name[i] == '\0' || fold(name[i]) != fold(s.p[i]))
			return false;
	}
	return true;
}

static bool
name_is(const char *name, struct slice s)
{
	return name_starts(name, s) && name[s.n] == '\0';
}

const struct option_def *
option_find(const struct option_table *table, struct slice name)
{
	const struct option_def *def;

	for (def = table->defs; def->name != NULL; def++) {
		if (name_is(def->name, name))
			return def;
	}
	return NULL;
}

const struct option_def *
option_find_letter(const struct option_table *table, char letter)
{
	const struct option_def *def;

	for (def = table->defs; def->name != NULL; def++) {
		if (def->letter == letter && letter != '\0')
			return def;
	}
	return NULL;
}

const struct option_def *
option_find_key(const struct option_table *table, struct slice key)
{
	return key.n == 1 ? option_find_letter(table, key.p[0])
			  : option_find(table, key);
}

const struct option_def *
option_target(const struct option_table *table, const struct option_def *def)
{
	const struct option_def *target;

	if (def->alias_of == NULL)
		return def;
	target = option_find(table, slice_str(def->alias_of));
	return target == NULL ? def : target;
}

const struct option_def *
option_find_prefix(const struct option_table *table, struct slice name,
    const struct option_def *several[2])
{
	const struct option_def *def = option_find(table, name);
	const struct option_def *found = NULL;

	several[0] = several[1] = NULL;
	if (def != NULL || name.n == 0)
		return def;
	for (def = table->defs; def->name != NULL; def++) {
		if (!name_starts(def->name, name) ||
		    (def->flags & OPTION_HIDDEN) != 0)
			continue;
		if (found == NULL) {
			found = def;
		} else if (option_target(table, found) !=
			   option_target(table, def)) {
			several[0] = found;
			several[1] = def;
			return NULL;
		}
	}
	return found;
}

static size_t
min3(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/*
 * Levenshtein's distance, counting two neighbours that changed places as one
 * (restricted Damerau): what fingers do to a name.  Both are of at most
 * NAME_MAX_LEN bytes.
 */
static size_t
distance(struct slice a, struct slice b)
{
	size_t rows[3][NAME_MAX_LEN + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2], *spare;
	size_t i, j;

	for (j = 0; j <= b.n; j++)
		last[j] = before[j] = j;
	for (i = 1; i <= a.n; i++) {
		row[0] = i;
		for (j = 1; j <= b.n; j++) {
			char ac = fold(a.p[i - 1]), bc = fold(b.p[j - 1]);

			row[j] = min3(last[j] + 1, row[j - 1] + 1,
			    last[j - 1] + (ac == bc ? 0 : 1));
			if (i > 1 && j > 1 && ac == fold(b.p[j - 2]) &&
			    fold(a.p[i - 2]) == bc && before[j - 2] < row[j])
				row[j] = before[j - 2] + 1;
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[b.n];
}

const char *
option_nearest(const struct option_table *table, struct slice name)
{
	const struct option_def *def;
	const char *nearest = NULL;
	/* A third of the name may be wrong; more is another word. */
	size_t best = 2 + name.n / 3;

	if (name.n < 2 || name.n > NAME_MAX_LEN)
		return NULL;
	for (def = table->defs; def->name != NULL; def++) {
		struct slice s = slice_str(def->name);
		size_t d;

		if ((def->flags & OPTION_HIDDEN) != 0 || s.n > NAME_MAX_LEN)
			continue;
		d = distance(name, s);
		if (d < best && d < s.n) {
			best = d;
			nearest = def->name;
		}
	}
	return nearest;
}
