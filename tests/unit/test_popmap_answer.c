/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * [USER<delimiter>]SERVER[:PORT] as maps write it, and as they must not.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>

#include "perdition/popmap_answer.h"

#include "common/banned.h"

#define S100                                                                   \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"                   \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"

static const struct {
	struct slice text;
	const char *delimiter;
	const char *user, *host, *port; /* user NULL: none; host NULL: bad */
} cases[] = {
	{ SLICE("mail.example"), "@", NULL, "mail.example", "" },
	{ SLICE("mail_1-x.example:143"), "@", NULL, "mail_1-x.example", "143" },
	{ SLICE("192.0.2.1"), "@", NULL, "192.0.2.1", "" },
	{ SLICE("192.0.2.1:pop3s"), "@", NULL, "192.0.2.1", "pop3s" },
	{ SLICE("bob@h:1"), "@", "bob", "h", "1" },
	{ SLICE("bob@ex.org@h"), "@", "bob@ex.org", "h", "" },
	{ SLICE("a[b]@h:65535"), "@", "a[b]", "h", "65535" },
	{ SLICE("bob::h:1"), "::", "bob", "h", "1" },
	{ SLICE("@h"), "@", NULL, "h", "" },
	{ SLICE("[2001:db8::1]"), "@", NULL, "2001:db8::1", "" },
	{ SLICE("[2001:db8::1]:143"), "@", NULL, "2001:db8::1", "143" },
	{ SLICE("bob@[::1]:imap"), "@", "bob", "::1", "imap" },
	{ SLICE("bob@2001:db8::1"), "@", "bob", "2001:db8::1", "" },
	{ SLICE("[fe80::1%1]:143"), "%", NULL, "fe80::1%1", "143" },
	{ SLICE("bob%[fe80::1%1]:143"), "%", "bob", "fe80::1%1", "143" },
	{ SLICE("b\0b@h"), "@", "b\0b", "h", "" },
	{ SLICE("bob@h"), "", NULL, NULL, NULL },

	{ SLICE(""), "@", NULL, NULL, NULL },
	{ SLICE("bob@"), "@", NULL, NULL, NULL },
	{ SLICE("h:"), "@", NULL, NULL, NULL },
	{ SLICE(":143"), "@", NULL, NULL, NULL },
	{ SLICE("h:0"), "@", NULL, NULL, NULL },
	{ SLICE("h:65536"), "@", NULL, NULL, NULL },
	{ SLICE("h:-1"), "@", NULL, NULL, NULL },
	{ SLICE("h:1 "), "@", NULL, NULL, NULL },
	{ SLICE("h:1:2"), "@", NULL, NULL, NULL },
	{ SLICE("h h"), "@", NULL, NULL, NULL },
	{ SLICE("h\r\nQUIT"), "@", NULL, NULL, NULL },
	{ SLICE("h\0"), "@", NULL, NULL, NULL },
	{ SLICE("h/x"), "@", NULL, NULL, NULL },
	{ SLICE("[::1"), "@", NULL, NULL, NULL },
	{ SLICE("[::1]143"), "@", NULL, NULL, NULL },
	{ SLICE("[::1]:"), "@", NULL, NULL, NULL },
	{ SLICE("[h]:143"), "@", NULL, NULL, NULL },
	{ SLICE("[]"), "@", NULL, NULL, NULL },
	{ SLICE("[]"), "[]", NULL, NULL, NULL },
	{ SLICE("\xc3\xa4.example"), "@", NULL, NULL, NULL },
	{ SLICE(S100 S100 S100), "@", NULL, NULL, NULL },
	{ SLICE(S100 S100 S100 S100 S100 S100 "@h"), "@", NULL, NULL, NULL },
};

START_TEST(parse)
{
	struct popmap_server s;
	struct err err = { .msg = "" };
	int ret =
	    popmap_answer_parse(cases[_i].text, cases[_i].delimiter, &s, &err);

	if (cases[_i].host == NULL) {
		ck_assert_int_eq(ret, -1);
		ck_assert_uint_gt(strlen(err.msg), 0);
		for (const char *p = err.msg; *p != '\0'; p++)
			ck_assert(*p >= 0x20 && *p < 0x7f);
		return;
	}
	ck_assert_msg(ret == 0, "%s", err.msg);
	ck_assert_int_eq(s.has_user, cases[_i].user != NULL);
	if (cases[_i].user != NULL)
		ck_assert(memcmp(s.user.p, cases[_i].user, s.user.n) == 0);
	ck_assert(slice_eq(s.host, slice_str(cases[_i].host)));
	ck_assert(slice_eq(s.port, slice_str(cases[_i].port)));
}
END_TEST

START_TEST(server_has_no_user)
{
	struct popmap_server s;
	struct err err;

	ck_assert_int_eq(
	    popmap_answer_parse_server(SLICE("a@h"), &s, &err), -1);
	ck_assert_int_eq(popmap_answer_parse_server(SLICE("h:1"), &s, &err), 0);
	ck_assert(!s.has_user);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("popmap_answer");
	TCase *t = tcase_create("popmap_answer");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, parse, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, server_has_no_user);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
