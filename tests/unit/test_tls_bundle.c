/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pieces into a block and out again, and what is no such block. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "perdition/tls/tls_bundle.h"
#include "tests/lib/check_run.h"

#include "common/banned.h"

START_TEST(there_and_back)
{
	struct tls_bundle b = { NULL, 0, 0 };
	char large[50000];
	struct slice rest, piece;
	enum tls_piece type;
	int fd;

	memset(large, 'x', sizeof(large));
	ck_assert_int_eq(tls_bundle_add(&b, TLS_PIECE_PAIR, SLICE("a")), 0);
	ck_assert_int_eq(
	    tls_bundle_add(&b, TLS_PIECE_BY_NAME, slice_make(NULL, 0)), 0);
	ck_assert_int_eq(
	    tls_bundle_add(&b, TLS_PIECE_KEY, slice_make(large, sizeof(large))),
	    0);
	fd = tls_bundle_to_memfd(&b);
	ck_assert_int_ne(fd, -1);
	tls_bundle_clear(&b);
	ck_assert_ptr_null(b.p);
	/* Nobody can change it any more. */
	ck_assert_int_eq((int)pwrite(fd, "y", 1, 0), -1);
	ck_assert_ptr_eq(
	    mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
	    MAP_FAILED);
	ck_assert_int_eq(tls_bundle_map(fd, &rest), 0);
	ck_assert(tls_bundle_same(fd, fd));
	ck_assert(!tls_bundle_same(fd, -1));
	ck_assert(tls_bundle_same(-1, -1));
	struct slice all = rest;

	ck_assert_int_eq(tls_bundle_next(&rest, &type, &piece), 1);
	ck_assert_int_eq(type, TLS_PIECE_PAIR);
	ck_assert(slice_eq(piece, SLICE("a")));
	ck_assert_int_eq(tls_bundle_next(&rest, &type, &piece), 1);
	ck_assert_int_eq(type, TLS_PIECE_BY_NAME);
	ck_assert_uint_eq(piece.n, 0);
	ck_assert_int_eq(tls_bundle_next(&rest, &type, &piece), 1);
	ck_assert(slice_eq(piece, slice_make(large, sizeof(large))));
	ck_assert_int_eq(tls_bundle_next(&rest, &type, &piece), 0);
	tls_bundle_unmap(&all);
	close(fd);
}
END_TEST

START_TEST(damaged)
{
	static const struct slice bad[] = {
		SLICE("\1"),
		SLICE("\1\0\0\0\1\0\0"),
		SLICE("\1\0\0\0\1\0\0\0"),
		SLICE("\0\0\0\0\0\0\0\0"),
		SLICE("\143\0\0\0\0\0\0\0"),
		SLICE("\1\0\0\0\377\377\377\377x"),
	};

	for (int i = 0; i < COUNT(bad); i++) {
		struct slice rest = bad[i], piece;
		enum tls_piece type;

		errno = 0;
		ck_assert_int_eq(tls_bundle_next(&rest, &type, &piece), -1);
		ck_assert_int_eq(errno, EBADMSG);
	}
}
END_TEST

START_TEST(empty)
{
	struct tls_bundle b = { NULL, 0, 0 };
	struct slice all;
	int fd = tls_bundle_to_memfd(&b);

	ck_assert_int_eq(tls_bundle_map(fd, &all), 0);
	ck_assert_uint_eq(all.n, 0);
	tls_bundle_unmap(&all);
	close(fd);
	ck_assert_int_eq(tls_bundle_map(-1, &all), -1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("tls_bundle");

	tcase_add_test(t, there_and_back);
	tcase_add_test(t, damaged);
	tcase_add_test(t, empty);
	return check_run("tls_bundle", t);
}
