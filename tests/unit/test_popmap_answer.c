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

/* mode of ssl_mode, and what comes of it; host NULL: bad */
static const struct {
	struct slice text;
	enum tls_mode usual;
	const char *user, *host, *port;
	const char *protocol; /* of the scheme; NULL: none */
	enum tls_mode mode;
	uint16_t default_port; /* for IMAP4, outgoing_port being 99 */
} urls[] = {
	{ SLICE("h"), TLS_NONE, NULL, "h", "", NULL, TLS_NONE, 99 },
	{ SLICE("h"), TLS_STARTTLS, NULL, "h", "", NULL, TLS_STARTTLS, 99 },
	{ SLICE("imaps://h"), TLS_NONE, NULL, "h", "", "imap4", TLS_IMPLICIT,
	    993 },
	{ SLICE("IMAP4S://h/"), TLS_NONE, NULL, "h", "", "imap4", TLS_IMPLICIT,
	    993 },
	{ SLICE("imaps://h:1?tls=implicit"), TLS_NONE, NULL, "h", "1", "imap4",
	    TLS_IMPLICIT, 993 },
	{ SLICE("pop3s://u@h"), TLS_NONE, "u", "h", "", "pop3", TLS_IMPLICIT,
	    993 },
	{ SLICE("u@imaps://h:2"), TLS_NONE, "u", "h", "2", "imap4",
	    TLS_IMPLICIT, 993 },
	{ SLICE("u@d@imap://h?tls=starttls"), TLS_NONE, "u@d", "h", "", "imap4",
	    TLS_STARTTLS, 143 },
	{ SLICE("imap://h"), TLS_STARTTLS_OPTIONAL, NULL, "h", "", "imap4",
	    TLS_STARTTLS_OPTIONAL, 143 },
	/* never in clear where the site has TLS, unless it is said */
	{ SLICE("imap://h"), TLS_IMPLICIT, NULL, "h", "", "imap4", TLS_STARTTLS,
	    143 },
	{ SLICE("imap://h?tls=none"), TLS_IMPLICIT, NULL, "h", "", "imap4",
	    TLS_NONE, 143 },
	{ SLICE("h:7?tls=starttls_optional"), TLS_NONE, NULL, "h", "7", NULL,
	    TLS_STARTTLS_OPTIONAL, 99 },
	{ SLICE("u@[::1]:7?tls=Implicit"), TLS_NONE, "u", "::1", "7", NULL,
	    TLS_IMPLICIT, 99 },
	{ SLICE("imaps://[::1]"), TLS_NONE, NULL, "::1", "", "imap4",
	    TLS_IMPLICIT, 993 },
	/* a user's name may look like it */
	{ SLICE("a?tls=none@h"), TLS_STARTTLS, "a?tls=none", "h", "", NULL,
	    TLS_STARTTLS, 99 },

	{ SLICE("imaps://h?tls=none"), TLS_NONE, NULL, NULL, NULL, NULL,
	    TLS_NONE, 0 },
	{ SLICE("u@imaps://h?tls=starttls"), TLS_NONE, NULL, NULL, NULL, NULL,
	    TLS_NONE, 0 },
	{ SLICE("h?tls=yes"), TLS_NONE, NULL, NULL, NULL, NULL, TLS_NONE, 0 },
	{ SLICE("h?tls="), TLS_NONE, NULL, NULL, NULL, NULL, TLS_NONE, 0 },
	{ SLICE("h?ssl=none"), TLS_NONE, NULL, NULL, NULL, NULL, TLS_NONE, 0 },
	{ SLICE("http://h"), TLS_NONE, NULL, NULL, NULL, NULL, TLS_NONE, 0 },
	{ SLICE("imaps://imaps://h"), TLS_NONE, NULL, NULL, NULL, NULL,
	    TLS_NONE, 0 },
	{ SLICE("imaps://u@imap://h"), TLS_NONE, NULL, NULL, NULL, NULL,
	    TLS_NONE, 0 },
	{ SLICE("imaps://"), TLS_NONE, NULL, NULL, NULL, NULL, TLS_NONE, 0 },
	{ SLICE("imaps://h/x"), TLS_NONE, NULL, NULL, NULL, NULL, TLS_NONE, 0 },
};

START_TEST(url)
{
	struct popmap_server s;
	struct err err = { .msg = "" };
	int ret = popmap_answer_parse(urls[_i].text, "@", &s, &err);
	enum tls_mode mode;

	if (urls[_i].host == NULL) {
		ck_assert_int_eq(ret, -1);
		ck_assert_uint_gt(strlen(err.msg), 0);
		return;
	}
	ck_assert_msg(ret == 0, "%s", err.msg);
	ck_assert(slice_eq(s.host, slice_str(urls[_i].host)));
	ck_assert(slice_eq(s.port, slice_str(urls[_i].port)));
	ck_assert_int_eq(s.has_user, urls[_i].user != NULL);
	if (s.has_user)
		ck_assert(slice_eq(s.user, slice_str(urls[_i].user)));
	ck_assert_int_eq(s.url.protocol != NULL, urls[_i].protocol != NULL);
	if (s.url.protocol != NULL)
		ck_assert_str_eq(s.url.protocol->name, urls[_i].protocol);
	mode = server_url_mode(&s.url, urls[_i].usual);
	ck_assert_int_eq(mode, urls[_i].mode);
	ck_assert_uint_eq(server_url_port(&s.url, mode, &protocol_imap4, 99),
	    urls[_i].default_port);
}
END_TEST

/* Who may type a server's name may not turn TLS off. */
START_TEST(no_url_from_users)
{
	static const char *const typed[] = { "imap://h", "h?tls=none",
		"imaps://h", "h:143?tls=none", "[::1]?tls=none" };
	struct popmap_server s;
	struct err err;

	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++)
		ck_assert_int_eq(
		    popmap_answer_parse_server(slice_str(typed[i]), &s, &err),
		    -1);
}
END_TEST

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
	tcase_add_loop_test(t, url, 0, (int)(sizeof(urls) / sizeof(urls[0])));
	tcase_add_test(t, no_url_from_users);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
