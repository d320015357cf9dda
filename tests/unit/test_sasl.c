/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Base64 and the SASL mechanisms.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "perdition/protocol/sasl.h"

#include "common/banned.h"

static const struct {
	struct slice text;
	size_t cap;
	struct slice bytes;
	int err; /* 0: bytes come out */
} base64_cases[] = {
	{ SLICE(""), 8, SLICE(""), 0 },
	{ SLICE("Zg=="), 8, SLICE("f"), 0 },
	{ SLICE("Zm8="), 8, SLICE("fo"), 0 },
	{ SLICE("Zm9v"), 8, SLICE("foo"), 0 },
	{ SLICE("Zm9vYmFy"), 8, SLICE("foobar"), 0 },
	{ SLICE("Zm9v"), 3, SLICE("foo"), 0 },
	{ SLICE("AGEA/w=="), 8, SLICE("\0a\0\xff"), 0 },
	{ SLICE("+/+/"), 8, SLICE("\xfb\xff\xbf"), 0 },
	{ SLICE("Zm9v"), 2, SLICE(""), EMSGSIZE },
	{ SLICE("Zg"), 8, SLICE(""), EBADMSG },
	{ SLICE("Zg="), 8, SLICE(""), EBADMSG },
	{ SLICE("="), 8, SLICE(""), EBADMSG },
	{ SLICE("===="), 8, SLICE(""), EBADMSG },
	{ SLICE("Z==="), 8, SLICE(""), EBADMSG },
	{ SLICE("Zg==Zg=="), 8, SLICE(""), EBADMSG }, /* "=" inside */
	{ SLICE("Z=g="), 8, SLICE(""), EBADMSG },
	{ SLICE("Zh=="), 8, SLICE(""), EBADMSG }, /* unused bits */
	{ SLICE("Zm9="), 8, SLICE(""), EBADMSG },
	{ SLICE("Zm 9"), 8, SLICE(""), EBADMSG },
	{ SLICE("Zm\r\n"), 8, SLICE(""), EBADMSG },
	{ SLICE("Zm9\0"), 8, SLICE(""), EBADMSG },
	{ SLICE("Zm-_"), 8, SLICE(""), EBADMSG },
};

START_TEST(base64)
{
	char out[16];
	ssize_t n;

	errno = 0;
	n = base64_decode(base64_cases[_i].text, out, base64_cases[_i].cap);
	if (base64_cases[_i].err != 0) {
		ck_assert_int_eq(n, -1);
		ck_assert_int_eq(errno, base64_cases[_i].err);
		return;
	}
	ck_assert_int_eq(n, (ssize_t)base64_cases[_i].bytes.n);
	ck_assert_mem_eq(out, base64_cases[_i].bytes.p, (size_t)n);
}
END_TEST

START_TEST(base64_round)
{
	char bytes[256], back[256];
	struct buf *b = buf_create(1024);

	for (size_t n = 0; n <= sizeof(bytes); n++) {
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(i * 37 + n);
		buf_clear(b);
		ck_assert_int_eq(base64_put(b, slice_make(bytes, n)), 0);
		ck_assert_uint_eq(buf_len(b), (n + 2) / 3 * 4);
		ck_assert_int_eq(
		    base64_decode(buf_data(b), back, sizeof(back)), (int)n);
		ck_assert_mem_eq(back, bytes, n);
	}
	buf_destroy(&b);
	b = buf_create(3);
	ck_assert_int_eq(base64_put(b, SLICE("a")), -1);
	buf_destroy(&b);
}
END_TEST

#define A16 "aaaaaaaaaaaaaaaa"
#define A256 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
#define A512 A256 A256
#define A1024 A512 A512

/* Before base64. */
static const struct {
	struct slice message;
	enum sasl_status status;
	struct slice authz, user, password;
} plain_cases[] = {
	{ SLICE("\0bob\0pw"), SASL_DONE, SLICE(""), SLICE("bob"), SLICE("pw") },
	{ SLICE("ann\0bob\0p w "), SASL_DONE, SLICE("ann"), SLICE("bob"),
	    SLICE("p w ") },
	{ SLICE("\0\xc3\xa9\0\xff"), SASL_DONE, SLICE(""), SLICE("\xc3\xa9"),
	    SLICE("\xff") },
	{ SLICE(A512 "\0" A512 "\0" A1024), SASL_DONE, SLICE(A512), SLICE(A512),
	    SLICE(A1024) },
	{ .message = SLICE(A512 "a\0" A512 "\0" A512),
	    .status = SASL_MALFORMED },
	{ .message = SLICE("\0" A512 "a\0" A512), .status = SASL_MALFORMED },
	{ .message = SLICE("\0bob\0" A1024 "a"), .status = SASL_MALFORMED },
	{ .message = SLICE(A1024 A1024 A1024 "\0b\0p"),
	    .status = SASL_MALFORMED },
	{ .message = SLICE(""), .status = SASL_MALFORMED },
	{ .message = SLICE("\0"), .status = SASL_MALFORMED },
	{ .message = SLICE("bob\0pw"), .status = SASL_MALFORMED },
	{ .message = SLICE("\0\0pw"), .status = SASL_MALFORMED },
	{ .message = SLICE("\0bob\0"), .status = SASL_MALFORMED },
	{ .message = SLICE("\0bob\0pw\0"), .status = SASL_MALFORMED },
	{ .message = SLICE("\0bob\0p\0w"), .status = SASL_MALFORMED },
	{ .message = SLICE("\0bob\r\nX\0pw"), .status = SASL_MALFORMED },
	{ .message = SLICE("\0bob\0p\nw"), .status = SASL_MALFORMED },
	{ .message = SLICE("a\rb\0bob\0pw"), .status = SASL_MALFORMED },
};

START_TEST(plain)
{
	struct credentials creds = { .hops = 7 };
	struct buf *b = buf_create(8192);
	struct sasl s;

	sasl_init(&s, SASL_PLAIN);
	ck_assert_uint_eq(sasl_challenge(&s).n, 0);
	base64_put(b, plain_cases[_i].message);
	ck_assert_int_eq(sasl_response(&s, buf_data(b), &creds),
	    (int)plain_cases[_i].status);
	ck_assert_uint_eq(creds.hops, 7);
	ck_assert(slice_eq(
	    slice_make(creds.user, creds.user_len), plain_cases[_i].user));
	ck_assert(slice_eq(
	    slice_make(creds.authz, creds.authz_len), plain_cases[_i].authz));
	ck_assert(
	    slice_eq(secret_get(&creds.password), plain_cases[_i].password));
	ck_assert_int_eq(creds.has_authz, plain_cases[_i].authz.n > 0);
	buf_destroy(&b);
}
END_TEST

START_TEST(plain_put)
{
	struct credentials creds = { .hops = 0 };
	struct buf *b = buf_create(SASL_BASE64_MAX);
	struct sasl s;

	ck_assert_int_eq(
	    sasl_put_plain(b, SLICE(A512), SLICE(A512), SLICE(A1024)), 0);
	ck_assert_uint_eq(buf_len(b), SASL_BASE64_MAX);
	sasl_init(&s, SASL_PLAIN);
	ck_assert_int_eq(sasl_response(&s, buf_data(b), &creds), SASL_DONE);
	ck_assert_uint_eq(creds.password.n, 1024);
	buf_clear(b);
	ck_assert_int_eq(
	    sasl_put_plain(b, SLICE(A512), SLICE(A512), SLICE(A1024 "a")), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_uint_eq(buf_len(b), 0);
	buf_destroy(&b);
}
END_TEST

START_TEST(login)
{
	struct credentials creds = { .has_authz = true, .authz_len = 3 };
	struct sasl s;

	sasl_init(&s, SASL_LOGIN);
	ck_assert(slice_eq(sasl_challenge(&s), SLICE("VXNlcm5hbWU6")));
	ck_assert_int_eq(
	    sasl_response(&s, SLICE("Ym9i"), &creds), SASL_CONTINUE);
	ck_assert(slice_eq(sasl_challenge(&s), SLICE("UGFzc3dvcmQ6")));
	ck_assert_int_eq(sasl_response(&s, SLICE("cHc="), &creds), SASL_DONE);
	ck_assert(
	    slice_eq(slice_make(creds.user, creds.user_len), SLICE("bob")));
	ck_assert(slice_eq(secret_get(&creds.password), SLICE("pw")));
	ck_assert(!creds.has_authz);
}
END_TEST

static const struct {
	enum sasl_mechanism mechanism;
	bool initial;
	struct slice lines[2];
	enum sasl_status status;
} refused_cases[] = {
	{ SASL_PLAIN, false, { SLICE("*") }, SASL_CANCELLED },
	{ SASL_LOGIN, false, { SLICE("*") }, SASL_CANCELLED },
	{ SASL_LOGIN, false, { SLICE("Ym9i"), SLICE("*") }, SASL_CANCELLED },
	{ SASL_PLAIN, true, { SLICE("*") }, SASL_MALFORMED },
	{ SASL_PLAIN, true, { SLICE("=") }, SASL_MALFORMED },
	{ SASL_PLAIN, false, { SLICE("=") }, SASL_MALFORMED },
	{ SASL_LOGIN, true, { SLICE("=") }, SASL_MALFORMED },
	{ SASL_LOGIN, false, { SLICE("") }, SASL_MALFORMED },
	{ SASL_LOGIN, false, { SLICE("Ym9i"), SLICE("") }, SASL_MALFORMED },
	{ SASL_LOGIN, false, { SLICE("AGI=") }, SASL_MALFORMED },
	{ SASL_LOGIN, false, { SLICE("Ym9i"), SLICE("cA==cA==") },
	    SASL_MALFORMED },
};

START_TEST(refused)
{
	struct credentials creds = { .hops = 0 }, none = { .hops = 0 };
	struct slice second = refused_cases[_i].lines[1];
	enum sasl_status status;
	struct sasl s, clear;

	sasl_init(&clear, SASL_PLAIN);
	sasl_init(&s, refused_cases[_i].mechanism);
	status =
	    (refused_cases[_i].initial ? sasl_initial_response : sasl_response)(
		&s, refused_cases[_i].lines[0], &creds);
	if (second.p != NULL) {
		ck_assert_int_eq(status, SASL_CONTINUE);
		status = sasl_response(&s, second, &creds);
	}
	ck_assert_int_eq(status, (int)refused_cases[_i].status);
	ck_assert_mem_eq(&creds, &none, sizeof(creds));
	ck_assert_mem_eq(&s, &clear, sizeof(s));
}
END_TEST

START_TEST(find)
{
	enum sasl_mechanism m;

	ck_assert(sasl_find(SLICE("plain"), &m) && m == SASL_PLAIN);
	ck_assert(sasl_find(SLICE("Login"), &m) && m == SASL_LOGIN);
	ck_assert(!sasl_find(SLICE(""), &m));
	ck_assert(!sasl_find(SLICE("PLAIN\0"), &m));
	ck_assert(!sasl_find(SLICE("CRAM-MD5"), &m));
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *suite = suite_create("sasl");
	TCase *tc = tcase_create("sasl");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, base64, 0, COUNT(base64_cases));
	tcase_add_test(tc, base64_round);
	tcase_add_loop_test(tc, plain, 0, COUNT(plain_cases));
	tcase_add_test(tc, plain_put);
	tcase_add_test(tc, login);
	tcase_add_loop_test(tc, refused, 0, COUNT(refused_cases));
	tcase_add_test(tc, find);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
