/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * positions - how far each source of logins has been read, by its name.
 *
 * A small table of bytes that only the source itself understands.  Knows
 * neither sources nor disk.
 */
#ifndef PERDITION_PBS_POSITIONS_H
#define PERDITION_PBS_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"

#define POSITIONS_MAX 512       /* sources */
#define POSITION_NAME_MAX 1024  /* bytes of a name: "log:/var/log/mail.log" */
#define POSITION_BYTES_MAX 1024 /* bytes of a position */

struct positions;

/* What is told of a position to be kept; an empty one: to be forgotten. */
typedef void positions_saver(
    void *arg, struct slice name, struct slice position);

struct positions *positions_create(void); /* NULL with errno */
void positions_destroy(struct positions **);
void positions_clear(struct positions *); /* forgets all */

/*
 * Remembers position (copied) for name, in place of an earlier one; an empty
 * one forgets the name.  0, or -1 with errno EMSGSIZE (longer than the limits
 * above), ENOSPC (POSITIONS_MAX others are there) or ENOMEM: then what was
 * remembered stays.
 */
int positions_set(struct positions *, struct slice name, struct slice position);

/* Empty: none.  Valid until the table changes, as is what at gives. */
struct slice positions_get(const struct positions *, struct slice name);

/* Number i of all, from 0 on, in no order.  false: there are no more. */
bool positions_at(const struct positions *, size_t i, struct slice *name,
    struct slice *position);

#endif
