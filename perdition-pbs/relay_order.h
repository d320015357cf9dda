/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_order - the order in which a new hash file takes its records quickest.
 *
 * Millions of records in any order make a hash file out of pages that are
 * fetched again for each of them.  Put in by the page where they belong, they
 * go in several times as fast.  Where a record belongs is guessed as Berkeley
 * DB's default does it; a wrong guess would cost time only.
 */
#ifndef PERDITION_PBS_RELAY_ORDER_H
#define PERDITION_PBS_RELAY_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "perdition-pbs/relay_store.h"

/* One record: an entry of the store, and which of its spellings. */
#define RELAY_ORDER_ENTRY(v) ((v) >> 2)
#define RELAY_ORDER_SPELLING(v) ((v)&3)

/*
 * All records of store, *n of them, which is max at most; malloc'ed.  NULL: so
 * few that any order will do, or no memory for it.
 */
uint32_t *relay_order_make(
    const struct relay_store *, const char *prefix, size_t max, size_t *n);

#endif
