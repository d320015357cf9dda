/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slab - many objects of one size, close together.
 *
 * For what lives long and is small: from malloc() each would lie between
 * things that come and go, and hold their pages when those are gone.  The
 * memory of a slab goes back to the system with its last object.
 */
#ifndef PERDITION_SLAB_H
#define PERDITION_SLAB_H

#include <stddef.h>

struct slab_pool;

/* size: bytes of an object, at most SLAB_OBJECT_MAX.  NULL with errno. */
#define SLAB_OBJECT_MAX 4096
struct slab_pool *slab_pool_create(size_t size);
void slab_pool_destroy(struct slab_pool **); /* no object may be left */

void *slab_alloc(struct slab_pool *);        /* zeroed; NULL with errno */
void slab_free(struct slab_pool *, void *p); /* accepts NULL */

/* Bytes that the pool has from the system. */
size_t slab_pool_bytes(const struct slab_pool *);

#endif
