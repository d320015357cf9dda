/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regex_index - which of many expressions a text could match at all.
 *
 * Each is filed under what a text must begin or end with (regex_literal.h),
 * whichever is longer.  A search is one binary search for each length that
 * occurs, instead of a look at every expression; those about which nothing is
 * sure are always candidates.
 */
#ifndef PERDITION_MODULES_REGEX_INDEX_H
#define PERDITION_MODULES_REGEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"
#include "perdition/modules/regex_literal.h"

struct regex_index;

/* For n expressions; NULL with errno. */
struct regex_index *regex_index_create(size_t n);
void regex_index_destroy(struct regex_index **);

/* Once for each, by its number from 0, in order; literals is borrowed until
 * finish. */
void regex_index_add(
    struct regex_index *, size_t number, const struct regex_literals *);
/* 0, or -1 with errno. */
int regex_index_finish(struct regex_index *);

#define REGEX_LISTS_MAX (2 * REGEX_LITERAL_MAX + 1)

/* The candidates for one text, in the order of their numbers. */
struct regex_candidates {
	size_t n;
	struct {
		const size_t *next, *end;
	} list[REGEX_LISTS_MAX];
};
void regex_index_find(
    const struct regex_index *, struct slice text, struct regex_candidates *);
/* False when there are no more. */
bool regex_index_next(struct regex_candidates *, size_t *number);

#endif
