/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects do not overlap, are zero when they are given out, and the memory
 * goes back; spares are kept while they are needed and no longer.
 */
#include "config.h"

#include "perdition/slab.h"

#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "perdition/spares.h"
#include "tests/lib/check_run.h"
#include "tests/lib/loop_fake.h"

#include "common/banned.h"

#define OBJECTS 1000

static const size_t sizes[] = { 1, 16, 600, 4000, SLAB_OBJECT_MAX };

static size_t
count_of(const unsigned char *p, int byte, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += p[i] == byte;
	return n;
}

static void
fill(void **object, size_t i, size_t size)
{
	ck_assert_ptr_nonnull(object[i]);
	ck_assert_uint_eq((uintptr_t)object[i] % 16, 0);
	ck_assert_uint_eq(count_of(object[i], 0, size), size);
	memset(object[i], (int)(i % 255) + 1, size);
}

static void
is_whole(void **object, size_t i, size_t size)
{
	ck_assert_uint_eq(count_of(object[i], (int)(i % 255) + 1, size), size);
}

START_TEST(objects)
{
	static void *object[OBJECTS];
	size_t size = sizes[_i], most;
	struct slab_pool *p = slab_pool_create(size);

	ck_assert_ptr_nonnull(p);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < OBJECTS; i++) {
			object[i] = slab_alloc(p);
			fill(object, i, size);
		}
		most = slab_pool_bytes(p);
		ck_assert_uint_ge(most, OBJECTS * size);
		/* Every other one: those that stay are untouched, and the
		 * places are used again. */
		for (size_t i = 0; i < OBJECTS; i += 2)
			slab_free(p, object[i]);
		for (size_t i = 1; i < OBJECTS; i += 2)
			is_whole(object, i, size);
		for (size_t i = 0; i < OBJECTS; i += 2) {
			object[i] = slab_alloc(p);
			fill(object, i, size);
		}
		ck_assert_uint_eq(slab_pool_bytes(p), most);
		for (size_t i = 0; i < OBJECTS; i++) {
			is_whole(object, i, size);
			slab_free(p, object[i]);
		}
		ck_assert_uint_le(slab_pool_bytes(p), 65536);
	}
	slab_free(p, NULL);
	slab_pool_destroy(&p);
	ck_assert_ptr_null(p);
	slab_pool_destroy(&p);
}
END_TEST

START_TEST(bad_sizes)
{
	ck_assert_ptr_null(slab_pool_create(0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(slab_pool_create(SLAB_OBJECT_MAX + 1));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* --- spares -------------------------------------------------------------- */

#define STORM 100

static void
storm(struct spares *s, int n)
{
	struct buf *buf[STORM];
	void *block[STORM];

	for (int i = 0; i < n; i++) {
		buf[i] = spares_buf(s);
		block[i] = spares_block(s);
		ck_assert_ptr_nonnull(buf[i]);
		ck_assert_ptr_nonnull(block[i]);
		ck_assert_uint_eq(buf_len(buf[i]), 0);
		for (int k = 0; k < 32; k++)
			ck_assert_int_eq(((char *)block[i])[k], 0);
		memset(block[i], 's', 32);
		ck_assert_int_eq(buf_put_str(buf[i], "secret"), 0);
	}
	for (int i = 0; i < n; i++) {
		spares_buf_return(s, &buf[i]);
		ck_assert_ptr_null(buf[i]);
		spares_block_return(s, block[i]);
	}
}

START_TEST(go_when_nobody_needs_them)
{
	struct loop *loop = loop_create();
	struct spares *s = spares_create(loop, 64, 32);

	ck_assert_ptr_nonnull(s);
	storm(s, STORM);
	ck_assert_uint_eq(spares_count(s), 2 * STORM);
	/* What is needed in each second stays. */
	for (int i = 0; i < 4; i++) {
		storm(s, 10);
		loop_fake_pass(loop, 1000);
	}
	ck_assert_uint_eq(spares_count(s), 20);
	loop_fake_pass(loop, 3000);
	ck_assert_uint_eq(spares_count(s), 0);
	/* And again. */
	storm(s, 3);
	ck_assert_uint_eq(spares_count(s), 6);
	loop_fake_pass(loop, 3000);
	ck_assert_uint_eq(spares_count(s), 0);
	storm(s, 3);
	spares_destroy(&s);
	loop_fake_settle(loop);
	loop_destroy(&loop);
}
END_TEST

START_TEST(no_more_than_a_shelf)
{
	static struct buf *buf[1000];
	struct loop *loop = loop_create();
	struct spares *s = spares_create(loop, 64, 32);

	for (int i = 0; i < 1000; i++)
		buf[i] = spares_buf(s);
	for (int i = 0; i < 1000; i++)
		spares_buf_return(s, &buf[i]);
	ck_assert_uint_lt(spares_count(s), 1000);
	spares_buf_return(s, &buf[0]); /* there is none */
	spares_destroy(&s);
	spares_destroy(&s);
	loop_fake_settle(loop);
	loop_destroy(&loop);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("slab");

	tcase_add_loop_test(t, objects, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(t, bad_sizes);
	tcase_add_test(t, go_when_nobody_needs_them);
	tcase_add_test(t, no_more_than_a_shelf);
	return check_run("slab", t);
}
