/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spares - what logins need and give back, kept for the next ones.
 *
 * A login's buffers are large and needed for milliseconds.  Between two logins
 * they wait here; what nobody has asked for during a second goes back to the
 * system, so that a storm leaves nothing behind.
 */
#ifndef PERDITION_SPARES_H
#define PERDITION_SPARES_H

#include <stddef.h>

#include "common/buf.h"
#include "perdition/loop.h"

struct spares;

/* buf_size, block_size: bytes of a buffer and of a block.  NULL with errno. */
struct spares *spares_create(struct loop *, size_t buf_size, size_t block_size);
void spares_destroy(struct spares **); /* before its loop; accepts NULL */

struct buf *spares_buf(struct spares *);                /* empty; NULL */
void spares_buf_return(struct spares *, struct buf **); /* wipes; NULL: none */
void *spares_block(struct spares *);                    /* zeroed; NULL */
void spares_block_return(struct spares *, void *);      /* wipes */

/* Something else was freed, a session say: once much was, or all is quiet, the
 * heap gives back what it can. */
void spares_freed(struct spares *);

/* How many lie there now, of both kinds. */
size_t spares_count(const struct spares *);

#endif
