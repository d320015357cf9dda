/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_words - a module's option text as words.
 *
 * White space parts words.  In single quotes every byte is literal; in double
 * quotes and outside of quotes a backslash makes the next byte literal.
 * Nothing else is special: no variables, no patterns, no comments.
 */
#ifndef PERDITION_MODULES_MAP_WORDS_H
#define PERDITION_MODULES_MAP_WORDS_H

#include <stddef.h>

#include "common/slice.h"
#include "perdition/popmap.h"

#define MAP_WORDS_MAX 64

struct map_words {
	size_t n;
	char *word[MAP_WORDS_MAX + 1]; /* a NULL behind the last, as execv(3)
					* wants it */
	char *text;                    /* what they point into */
	size_t size;
};

/* 0, or -1 with err and nothing to clear: an open quote, too many words. */
int map_words_split(
    struct map_words *, const char *text, struct popmap_error *);
void map_words_clear(struct map_words *); /* wipes */

/* "NAME=VALUE", with a name of lower-case letters and underscores: true with
 * *name and the NUL-terminated *value. */
bool map_words_pair(const char *word, struct slice *name, const char **value);

#endif
