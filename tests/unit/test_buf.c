/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The byte queue and the secret: bounds, and that what was consumed is gone
 * from memory.  free(3) is wrapped by the linker, to look at memory that is
 * about to be returned.
 */
#include "config.h"

#include "common/buf.h"

#include <errno.h>
#include <signal.h>

#include "common/secret.h"
#include "tests/lib/check_run.h"
#include "common/banned.h"

static const char *watched; /* must hold no '#' when it is freed */
static size_t watched_size;
static bool seen_freed, seen_secret;

void __real_free(void *p);
void __wrap_free(void *p);

void
__wrap_free(void *p)
{
	if (watched != NULL && (char *)p <= watched &&
	    (size_t)(watched - (char *)p) < 256) {
		seen_freed = true;
		seen_secret = memchr(watched, '#', watched_size) != NULL;
		watched = NULL;
	}
	__real_free(p);
}

static bool
holds(const struct buf *b, struct slice s)
{
	return slice_eq(buf_data(b), s);
}

START_TEST(queues)
{
	struct buf *b = buf_create(8);

	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(buf_space(b), 8);
	ck_assert_int_eq(buf_put(b, SLICE("abcdef")), 0);
	buf_consume(b, 4);
	ck_assert_uint_eq(buf_space(b), 6);
	/* Fits only after the data was moved. */
	ck_assert_int_eq(buf_put_str(b, "ghijkl"), 0);
	ck_assert(holds(b, SLICE("efghijkl")));
	ck_assert_uint_eq(buf_space(b), 0);
	ck_assert_int_eq(buf_put(b, SLICE("")), 0);
	ck_assert(!buf_overflowed(b));
	buf_truncate(b, 3);
	ck_assert(holds(b, SLICE("efg")));
	buf_truncate(b, 3);
	buf_consume(b, 0);
	ck_assert(holds(b, SLICE("efg")));
	buf_consume(b, 3);
	ck_assert_uint_eq(buf_len(b), 0);
	buf_destroy(&b);
	ck_assert_ptr_null(b);
	buf_destroy(&b);
}
END_TEST

START_TEST(overflows)
{
	struct buf *b = buf_create(4);

	ck_assert_int_eq(buf_put(b, SLICE("abc")), 0);
	errno = 0;
	ck_assert_int_eq(buf_put(b, SLICE("de")), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert(holds(b, SLICE("abc")));
	ck_assert(buf_overflowed(b));
	/* Stays so, however much is taken out. */
	buf_consume(b, 3);
	ck_assert_int_eq(buf_put(b, SLICE("x")), 0);
	ck_assert(buf_overflowed(b));
	buf_clear(b);
	ck_assert(!buf_overflowed(b));
	ck_assert_int_eq(buf_put(b, slice_make("", SIZE_MAX)), -1);
	buf_destroy(&b);
	errno = 0;
	ck_assert_ptr_null(buf_create(SIZE_MAX));
	ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

static const struct {
	uint64_t v;
	struct slice text;
} numbers[] = {
	{ 0, SLICE("0") },
	{ 9, SLICE("9") },
	{ 10, SLICE("10") },
	{ 1000000, SLICE("1000000") },
	{ UINT64_MAX, SLICE("18446744073709551615") },
};

START_TEST(puts_numbers)
{
	struct buf *b = buf_create(20);

	ck_assert_int_eq(buf_put_u64(b, numbers[_i].v), 0);
	ck_assert(holds(b, numbers[_i].text));
	buf_destroy(&b);
	b = buf_create(numbers[_i].text.n - 1);
	ck_assert_int_eq(buf_put_u64(b, numbers[_i].v), -1);
	ck_assert(buf_overflowed(b));
	buf_destroy(&b);
}
END_TEST

START_TEST(reads)
{
	struct buf *b = buf_create(8);
	char *room;

	ck_assert_uint_eq(buf_reserve(b, &room), 8);
	memcpy(room, "abcdef", 6);
	buf_commit(b, 6);
	buf_consume(b, 5);
	ck_assert_uint_eq(buf_reserve(b, &room), 7);
	ck_assert_ptr_eq(room, buf_data(b).p + 1);
	buf_commit(b, 0); /* nothing came */
	ck_assert(holds(b, SLICE("f")));
	ck_assert_uint_eq(buf_reserve(b, &room), 7);
	memcpy(room, "ghijklm", 7);
	buf_commit(b, 7);
	ck_assert(holds(b, SLICE("fghijklm")));
	ck_assert_uint_eq(buf_reserve(b, &room), 0);
	buf_destroy(&b);
}
END_TEST

START_TEST(commits_no_more_than_room)
{
	struct buf *b = buf_create(8);
	char *room;

	buf_reserve(b, &room);
	buf_commit(b, 9);
}
END_TEST

START_TEST(consumes_no_more_than_there_is)
{
	struct buf *b = buf_create(8);

	buf_put(b, SLICE("ab"));
	buf_consume(b, 3);
}
END_TEST

/* A ruler of '#' in all of the buffer; returns where it is in memory. */
static const char *
fill(struct buf *b, size_t n)
{
	char *room;

	buf_clear(b);
	ck_assert_uint_ge(buf_reserve(b, &room), n);
	memset(room, '#', n);
	buf_commit(b, n);
	return room;
}

START_TEST(wipes)
{
	struct buf *b = buf_create(64);
	const char *mem = fill(b, 64);
	char *room;

	buf_consume(b, 10);
	ck_assert_ptr_null(memchr(mem, '#', 10));
	buf_truncate(b, 20);
	ck_assert_ptr_null(memchr(mem + 30, '#', 34));
	ck_assert_uint_eq(buf_len(b), 20);
	/* The move to the front leaves nothing where the data was. */
	ck_assert_uint_eq(buf_reserve(b, &room), 44);
	ck_assert_ptr_eq(buf_data(b).p, mem);
	ck_assert_ptr_null(memchr(mem + 20, '#', 44));
	buf_clear(b);
	ck_assert_ptr_null(memchr(mem, '#', 64));

	/* The same when old and new place do not overlap. */
	ck_assert_ptr_eq(fill(b, 64), mem);
	buf_consume(b, 60);
	buf_reserve(b, &room);
	ck_assert_ptr_null(memchr(mem + 4, '#', 60));
	buf_destroy(&b);
}
END_TEST

START_TEST(wipes_before_free)
{
	struct buf *b = buf_create(64);

	watched = fill(b, 64);
	watched_size = 64;
	buf_consume(b, 7);
	buf_destroy(&b);
	ck_assert(seen_freed);
	ck_assert(!seen_secret);
}
END_TEST

START_TEST(keeps_secret)
{
	static char longest[sizeof(((struct secret *)0)->bytes) + 1];
	struct secret secret = { .n = 0 };
	struct slice s = { longest, sizeof(longest) - 1 };

	memset(longest, '#', sizeof(longest));
	ck_assert_int_eq(secret_set(&secret, s), 0);
	ck_assert(slice_eq(secret_get(&secret), s));
	/* A shorter one leaves nothing of the longer. */
	ck_assert_int_eq(secret_set(&secret, SLICE("a\0b")), 0);
	ck_assert(slice_eq(secret_get(&secret), SLICE("a\0b")));
	ck_assert_ptr_null(memchr(&secret, '#', sizeof(secret)));
	errno = 0;
	ck_assert_int_eq(
	    secret_set(&secret, slice_make(longest, sizeof(longest))), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(secret_set(&secret, s), 0);
	secret_clear(&secret);
	ck_assert_uint_eq(secret.n, 0);
	ck_assert_ptr_null(memchr(&secret, '#', sizeof(secret)));
	ck_assert_int_eq(secret_set(&secret, slice_make(NULL, 0)), 0);
	ck_assert_uint_eq(secret_get(&secret).n, 0);
	secret_wipe(NULL, 0);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("buf");

	tcase_add_test(tc, queues);
	tcase_add_test(tc, overflows);
	tcase_add_loop_test(tc, puts_numbers, 0, COUNT(numbers));
	tcase_add_test(tc, reads);
	tcase_add_test_raise_signal(tc, commits_no_more_than_room, SIGABRT);
	tcase_add_test_raise_signal(
	    tc, consumes_no_more_than_there_is, SIGABRT);
	tcase_add_test(tc, wipes);
	tcase_add_test(tc, wipes_before_free);
	tcase_add_test(tc, keeps_secret);
	return check_run("buf", tc);
}
