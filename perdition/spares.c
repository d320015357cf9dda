/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spares - two stacks and the second in which they are watched.
 */
#include "config.h"

#include "perdition/spares.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

#include "common/banned.h"

#define SHELF_MAX 256 /* of a kind; the rest is freed at once */
#define WATCH_MS 1000 /* unused for so long: not needed */
#define STORM 64      /* so many freed between two looks: holes in the heap */

/* The last one that was put there is the next to be taken. */
struct shelf {
	void *item[SHELF_MAX];
	size_t n;
	size_t low; /* fewest there were since the last look: nobody needed
		       them */
};

struct spares {
	struct loop_timer timer; /* first: it outlives the rest */
	struct shelf bufs, blocks;
	size_t buf_size, block_size;
	size_t freed; /* by others, since the last look */
	bool watching;
};

static void *
take(struct shelf *s)
{
	if (s->n == 0)
		return NULL;
	s->n--;
	if (s->low > s->n)
		s->low = s->n;
	return s->item[s->n];
}

static bool
put(struct shelf *s, void *item)
{
	if (s->n == SHELF_MAX)
		return false;
	s->item[s->n++] = item;
	return true;
}

/* The n that lie there longest. */
static void
drop(struct shelf *s, size_t n, void (*free_item)(void *))
{
	for (size_t i = 0; i < n; i++)
		free_item(s->item[i]);
	memmove(s->item, s->item + n, (s->n - n) * sizeof(s->item[0]));
	s->n -= n;
	s->low = s->n;
}

static void
free_buf(void *item)
{
	struct buf *b = item;

	buf_destroy(&b);
}

size_t
spares_count(const struct spares *s)
{
	return s->bufs.n + s->blocks.n;
}

static void
look(struct loop_timer *t)
{
	struct spares *s = (struct spares *)t;
	size_t freed = s->freed + s->bufs.low + s->blocks.low;

	drop(&s->bufs, s->bufs.low, free_buf);
	drop(&s->blocks, s->blocks.low, free);
	s->freed = 0;
	s->watching = spares_count(s) > 0;
	if (s->watching)
		loop_timer_start(&s->timer, WATCH_MS);
	if (!s->watching || freed >= STORM)
		(void)malloc_trim(0);
}

static void
watch(struct spares *s)
{
	if (s->watching)
		return;
	s->watching = true;
	s->bufs.low = s->bufs.n;
	s->blocks.low = s->blocks.n;
	loop_timer_start(&s->timer, WATCH_MS);
}

struct spares *
spares_create(struct loop *loop, size_t buf_size, size_t block_size)
{
	struct spares *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->buf_size = buf_size;
	s->block_size = block_size;
	loop_timer_open(loop, &s->timer, look);
	return s;
}

static void
timer_closed(struct loop_timer *t)
{
	free(t);
}

void
spares_destroy(struct spares **sp)
{
	struct spares *s = *sp;

	if (s == NULL)
		return;
	drop(&s->bufs, s->bufs.n, free_buf);
	drop(&s->blocks, s->blocks.n, free);
	loop_timer_close(&s->timer, timer_closed); /* frees s */
	*sp = NULL;
}

struct buf *
spares_buf(struct spares *s)
{
	struct buf *b = take(&s->bufs);

	return b != NULL ? b : buf_create(s->buf_size);
}

void
spares_buf_return(struct spares *s, struct buf **bp)
{
	if (*bp == NULL)
		return;
	buf_clear(*bp);
	if (!put(&s->bufs, *bp))
		buf_destroy(bp);
	*bp = NULL;
	watch(s);
}

void
spares_freed(struct spares *s)
{
	s->freed++;
	watch(s);
}

void *
spares_block(struct spares *s)
{
	void *block = take(&s->blocks);

	return block != NULL ? block : calloc(1, s->block_size);
}

void
spares_block_return(struct spares *s, void *block)
{
	secret_wipe(block, s->block_size);
	if (!put(&s->blocks, block))
		free(block);
	watch(s);
}
