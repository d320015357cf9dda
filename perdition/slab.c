/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slab - pieces of memory that are aligned to their own size, so that an
 * object's address tells its slab.
 */
#include "config.h"

#include "perdition/slab.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/banned.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define SLAB_SIZE 65536u /* bytes, a power of two */
#define ALIGN 16u

struct object {
	struct object *next;
};

struct slab {
	struct slab *prev, *next; /* of those with room */
	struct object *free;      /* given back */
	uint32_t used;            /* living objects */
	uint32_t fresh;           /* never given out yet: from here on */
};

struct slab_pool {
	size_t size; /* of an object, rounded up */
	uint32_t capacity;
	struct slab *room; /* the slabs that are not full */
	size_t slabs;
};

#define FIRST ((sizeof(struct slab) + ALIGN - 1) / ALIGN * ALIGN)

struct slab_pool *
slab_pool_create(size_t size)
{
	struct slab_pool *p;

	if (size == 0 || size > SLAB_OBJECT_MAX) {
		errno = EINVAL;
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->size = (size + ALIGN - 1) / ALIGN * ALIGN;
	p->capacity = (uint32_t)((SLAB_SIZE - FIRST) / p->size);
	return p;
}

static void
unmap(void *p, size_t n)
{
	if (n > 0)
		munmap(p, n);
}

/* SLAB_SIZE bytes at a multiple of it: cut out of twice as many. */
static void *
map_aligned(void)
{
	char *p = mmap(NULL, 2 * (size_t)SLAB_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = (SLAB_SIZE - ((uintptr_t)p & (SLAB_SIZE - 1))) % SLAB_SIZE;
	unmap(p, before);
	unmap(p + before + SLAB_SIZE, SLAB_SIZE - before);
	return p + before;
}

static void
link_slab(struct slab_pool *p, struct slab *s)
{
	s->prev = NULL;
	s->next = p->room;
	if (s->next != NULL)
		s->next->prev = s;
	p->room = s;
}

static void
unlink_slab(struct slab_pool *p, struct slab *s)
{
	if (s->next != NULL)
		s->next->prev = s->prev;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		p->room = s->next;
}

static struct slab *
add_slab(struct slab_pool *p)
{
	struct slab *s = map_aligned();

	if (s == NULL)
		return NULL;
	p->slabs++;
	link_slab(p, s);
	return s;
}

static void
release_slab(struct slab_pool *p, struct slab *s)
{
	unlink_slab(p, s);
	UNPOISON(s, SLAB_SIZE); /* the next owner of the place */
	munmap(s, SLAB_SIZE);
	p->slabs--;
}

void
slab_pool_destroy(struct slab_pool **pp)
{
	struct slab_pool *p = *pp;

	if (p == NULL)
		return;
	while (p->room != NULL)
		release_slab(p, p->room);
	free(p);
	*pp = NULL;
}

void *
slab_alloc(struct slab_pool *p)
{
	struct slab *s = p->room != NULL ? p->room : add_slab(p);
	void *object;

	if (s == NULL)
		return NULL;
	if (s->free != NULL) {
		object = s->free;
		UNPOISON(object, p->size);
		s->free = s->free->next;
		memset(object, 0, p->size);
	} else { /* as the system gave it: zero */
		object = (char *)s + FIRST + s->fresh++ * p->size;
	}
	if (++s->used == p->capacity)
		unlink_slab(p, s);
	return object;
}

void
slab_free(struct slab_pool *pool, void *p)
{
	struct slab *s =
	    (struct slab *)((uintptr_t)p & ~(uintptr_t)(SLAB_SIZE - 1));
	struct object *o = p;

	if (p == NULL)
		return;
	if (s->used-- == pool->capacity)
		link_slab(pool, s);
	o->next = s->free;
	s->free = o;
	POISON(o, pool->size); /* a late use is a report, as with free() */
	/* One stays for who comes next. */
	if (s->used == 0 && pool->slabs > 1)
		release_slab(pool, s);
}

size_t
slab_pool_bytes(const struct slab_pool *p)
{
	return p->slabs * SLAB_SIZE;
}
