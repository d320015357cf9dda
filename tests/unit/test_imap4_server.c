/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logging in at an IMAP4 real-server.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "perdition/protocol/imap4.h"
#include "perdition/protocol/imap4_status.h"
#include "play.h"

#include "common/banned.h"

#define T1 "P1.00000000 "
#define T2 "P1.00000001 "
#define T3 "P1.00000002 "
#define BOB .user = "bob", .password = "pw"

static const struct server_case cases[] = {
	{ .name = "plain",
	    BOB,
	    .hops = 2,
	    .nonce = 0xdeadbeef,
	    .in = "* OK hello\r\nP3.deadbeef OK in\r\n",
	    .out = "P3.deadbeef LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [] in" },
	{ .name = "what follows is the client's",
	    BOB,
	    .in = "* OK hello\r\n" T1 "OK in\r\n* 5 EXISTS\r\nx",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [] in",
	    .left = "* 5 EXISTS\r\nx" },
	{ .name = "capabilities inside the OK",
	    BOB,
	    .need_capability = true,
	    .in = "* OK [CAPABILITY IMAP4rev1] hello\r\n" T1
		  "OK [CAPABILITY IMAP4rev1 IDLE LOGIN-REFERRALS "
		  "mailbox-referrals X] in\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [IMAP4rev1 IDLE X] in" },
	{ .name = "capabilities untagged before the OK",
	    BOB,
	    .need_capability = true,
	    .in =
		"* OK hello\r\n* capability IMAP4rev1  IDLE\r\n" T1 "OK in\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [IMAP4rev1 IDLE] in" },
	{ .name = "capabilities in an untagged OK",
	    BOB,
	    .need_capability = true,
	    .in = "* OK hello\r\n* OK [CAPABILITY IMAP4rev1 IDLE] x\r\n" T1
		  "OK in\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [IMAP4rev1 IDLE] in" },
	{ .name = "capabilities on demand; those before do not count",
	    BOB,
	    .need_capability = true,
	    .in = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n" T1
		  "OK in\r\n* CAPABILITY IMAP4rev1 IDLE\r\n" T2
		  "OK done\r\n* x\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n" T2 "CAPABILITY\r\n",
	    .end = "ok [IMAP4rev1 IDLE] in",
	    .left = "* x\r\n" },
	{ .name = "not told its capabilities",
	    BOB,
	    .need_capability = true,
	    .in = "* OK hello\r\n" T1 "OK in\r\n" T2 "BAD what\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n" T2 "CAPABILITY\r\n",
	    .end = "ok [] in" },
	{ .name = "lines that are not the answer",
	    BOB,
	    .in = "* OK hello\r\n* 1 FETCH\r\n\r\nP1.00000001 OK no\r\n"
		  "P1.000000000 OK no\r\na NO x\r\n* NO [ALERT] disk\r\n" T1
		  "OK in\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [] in" },
	{ .name = "bare LF, no text",
	    BOB,
	    .in = "* OK\n" T1 "OK\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [] " },
	{ .name = "quoting",
	    .user = "b\"o\\b {5}",
	    .password = "%s p(w\t",
	    .in = "* OK hello\r\n+\r\n" T1 "OK in\r\n",
	    .out = T1 "LOGIN \"b\\\"o\\\\b {5}\" {7}\r\n%s p(w\t\r\n",
	    .end = "ok [] in" },
	{ .name = "literals, with + and no text",
	    .user = "\xc3\xa9",
	    .password = "\xff",
	    .in = "* OK hello\r\n+\r\n+ go\r\n" T1 "OK in\r\n",
	    .out = T1 "LOGIN {2}\r\n\xc3\xa9 {1}\r\n\xff\r\n",
	    .end = "ok [] in" },
	{ .name = "LITERAL+",
	    .user = "\xc3\xa9",
	    .password = "\xff",
	    .in =
		"* OK [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n" T1 "OK in\r\n",
	    .out = T1 "LOGIN {2+}\r\n\xc3\xa9 {1+}\r\n\xff\r\n",
	    .end = "ok [] in" },
	{ .name = "an empty password",
	    .user = "bob",
	    .password = "",
	    .in = "* OK hello\r\n",
	    .out = T1 "LOGIN \"bob\" \"\"\r\n",
	    .end = "more" },
	{ .name = "refused at the literal",
	    .user = "\xc3\xa9",
	    .password = "pw",
	    .in = "* OK hello\r\n" T1 "NO [AUTHENTICATIONFAILED] no 8-bit\r\n",
	    .out = T1 "LOGIN {2}\r\n",
	    .end = "credentials [AUTHENTICATIONFAILED] no 8-bit" },
	{ .name = "OK before all was said",
	    .user = "\xc3\xa9",
	    .password = "pw",
	    .in = "* OK hello\r\n" T1 "OK in\r\n",
	    .out = T1 "LOGIN {2}\r\n",
	    .end = "unusable The server answers before it was asked" },
	{ .name = "+ that nobody waits for",
	    BOB,
	    .in = "* OK hello\r\n+ x\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "unusable The server asks for more than was offered" },
	{ .name = "authorisation id",
	    BOB,
	    .authz = "ann",
	    .in = "* OK hello\r\n+\r\n" T1 "OK in\r\n",
	    .out = T1 "AUTHENTICATE PLAIN\r\nYW5uAGJvYgBwdw==\r\n",
	    .end = "ok [] in" },
	{ .name = "authorisation id, SASL-IR",
	    BOB,
	    .authz = "ann",
	    .in =
		"* OK [CAPABILITY SASL-IR AUTH=PLAIN] hello\r\n" T1 "OK in\r\n",
	    .out = T1 "AUTHENTICATE PLAIN YW5uAGJvYgBwdw==\r\n",
	    .end = "ok [] in" },
	{ .name = "authorisation id, no AUTH=PLAIN",
	    BOB,
	    .authz = "ann",
	    .in = "* OK [CAPABILITY IMAP4rev1] hello\r\n",
	    .out = "",
	    .end = "unusable The server lacks AUTH=PLAIN" },
	{ .name = "early OK to AUTHENTICATE",
	    BOB,
	    .authz = "ann",
	    .in = "* OK hello\r\n" T1 "OK in\r\n",
	    .out = T1 "AUTHENTICATE PLAIN\r\n",
	    .end = "unusable The server answers before it was asked" },
	{ .name = "LOGINDISABLED",
	    BOB,
	    .in = "* OK [CAPABILITY LOGINDISABLED] hello\r\n",
	    .out = "",
	    .end = "unusable The server has logging in disabled" },
	{ .name = "LOGINDISABLED, AUTH=PLAIN",
	    BOB,
	    .in = "* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN] hello\r\n+\r\n" T1
		  "OK in\r\n",
	    .out = T1 "AUTHENTICATE PLAIN\r\nAGJvYgBwdw==\r\n",
	    .end = "ok [] in" },
	/* greetings */
	{ .name = "BYE",
	    BOB,
	    .in = "* BYE [UNAVAILABLE] full\r\n",
	    .out = "",
	    .end = "unusable full" },
	{ .name = "PREAUTH",
	    BOB,
	    .in = "* PREAUTH hi\r\n",
	    .out = "",
	    .end = "unusable The server lets everybody in (PREAUTH)" },
	{ .name = "POP3",
	    BOB,
	    .in = "+OK hi\r\n",
	    .out = "",
	    .end = "unusable The server does not speak IMAP4" },
	{ .name = "SMTP",
	    BOB,
	    .in = "220 hi\r\n",
	    .out = "",
	    .end = "unusable The server does not speak IMAP4" },
	{ .name = "NO",
	    BOB,
	    .in = "* NO hi\r\n",
	    .out = "",
	    .end = "unusable The server does not speak IMAP4" },
	{ .name = "empty",
	    BOB,
	    .in = "\r\n",
	    .out = "",
	    .end = "unusable The server does not speak IMAP4" },
	{ .name = "half",
	    BOB,
	    .in = "* OK hel",
	    .out = "",
	    .end = "more",
	    .left = "* OK hel" },
/* refusals */
#define REFUSED(line, how)                                                     \
	{                                                                      \
		.name = line, BOB, .in = "* OK hello\r\n" line "\r\n",         \
		.out = T1 "LOGIN \"bob\" \"pw\"\r\n", .end = how               \
	}
	REFUSED(T1 "NO wrong", "credentials [] wrong"),
	REFUSED(T1 "no", "credentials [] "),
	REFUSED(T1 "NO [authenticationfailed] x",
	    "credentials [AUTHENTICATIONFAILED] x"),
	REFUSED(T1 "NO [AUTHORIZATIONFAILED] x",
	    "credentials [AUTHORIZATIONFAILED] x"),
	REFUSED(T1 "NO [EXPIRED] x", "credentials [EXPIRED] x"),
	REFUSED(T1 "NO [X-ODD y] [x", "credentials [] (x"),
	REFUSED(T1 "NO [ALERT] x\x01\xc3", "credentials [] x??"),
	REFUSED(T1 "NO [UNAVAILABLE] x", "temporary [UNAVAILABLE] x"),
	REFUSED(T1 "NO [INUSE]x", "temporary [INUSE] x"),
	REFUSED(T1 "NO [LIMIT] x", "temporary [LIMIT] x"),
	REFUSED(T1 "NO [SERVERBUG] x", "temporary [SERVERBUG] x"),
	REFUSED(T1 "NO [PRIVACYREQUIRED] x", "temporary [] x"),
	REFUSED(T1 "NO [REFERRAL imap://in.side/] x", "temporary [] x"),
	REFUSED(T1 "BAD x", "credentials [] x"),
	REFUSED(T1 "BAD [UNAVAILABLE x", "credentials [] (UNAVAILABLE x"),
	REFUSED("* BYE too many", "temporary [] too many"),
	REFUSED("* BYE [UNAVAILABLE] x", "temporary [UNAVAILABLE] x"),
	REFUSED(T1 "WHAT x", "unusable The server does not speak IMAP4"),
	/* STARTTLS */
	{ .name = "STARTTLS from the greeting",
	    BOB,
	    .need_tls = true,
	    .need_capability = true,
	    .in =
		"* OK [CAPABILITY STARTTLS LITERAL+] hello\r\n" T1 "OK go\r\n",
	    .in_tls = T2 "OK [CAPABILITY IMAP4rev1] in\r\n",
	    .out = T1 "STARTTLS\r\n" T2 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "tls ok [IMAP4rev1] in" },
	{ .name = "what was told in clear is forgotten",
	    .user = "\xc3\xa9",
	    .password = "pw",
	    .want_tls = true,
	    .in = "* OK hello\r\n* CAPABILITY STARTTLS LITERAL+ LOGINDISABLED"
		  "\r\n" T1 "OK x\r\n" T2 "OK go\r\n",
	    .in_tls = "+\r\n" T3 "OK in\r\n",
	    .out = T1 "CAPABILITY\r\n" T2 "STARTTLS\r\n" T3
		      "LOGIN {2}\r\n\xc3\xa9 \"pw\"\r\n",
	    .end = "tls ok [] in" },
	{ .name = "wanted, not offered",
	    BOB,
	    .want_tls = true,
	    .in = "* OK hello\r\n* CAPABILITY IMAP4rev1\r\n" T1 "OK x\r\n" T2
		  "OK in\r\n",
	    .out = T1 "CAPABILITY\r\n" T2 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [] in" },
	{ .name = "wanted, capabilities in the OK",
	    BOB,
	    .want_tls = true,
	    .in = "* OK hello\r\n" T1 "OK [CAPABILITY STARTTLS] x\r\n",
	    .out = T1 "CAPABILITY\r\n" T2 "STARTTLS\r\n",
	    .end = "more" },
	{ .name = "needed, not offered",
	    BOB,
	    .need_tls = true,
	    .in = "* OK [CAPABILITY IMAP4rev1] hello\r\n",
	    .out = "",
	    .end = "unusable The server does not offer STARTTLS" },
	{ .name = "needed, CAPABILITY refused",
	    BOB,
	    .need_tls = true,
	    .in = "* OK hello\r\n" T1 "BAD x\r\n",
	    .out = T1 "CAPABILITY\r\n",
	    .end = "unusable The server does not offer STARTTLS" },
	{ .name = "needed, refused",
	    BOB,
	    .need_tls = true,
	    .in = "* OK [CAPABILITY STARTTLS] hello\r\n" T1 "NO x\r\n",
	    .out = T1 "STARTTLS\r\n",
	    .end = "unusable The server refuses STARTTLS" },
	{ .name = "wanted, refused",
	    BOB,
	    .want_tls = true,
	    .in = "* OK [CAPABILITY STARTTLS] hello\r\n" T1 "BAD x\r\n" T2
		  "OK in\r\n",
	    .out = T1 "STARTTLS\r\n" T2 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [] in" },
	{ .name = "BYE instead",
	    BOB,
	    .want_tls = true,
	    .in = "* OK [CAPABILITY STARTTLS] hello\r\n* BYE x\r\n",
	    .out = T1 "STARTTLS\r\n",
	    .end = "unusable x" },
	{ .name = "injection behind the OK",
	    BOB,
	    .want_tls = true,
	    .at_once_only = true,
	    .in = "* OK [CAPABILITY STARTTLS] hello\r\n" T1 "OK go\r\n" T2
		  "OK in\r\n",
	    .out = T1 "STARTTLS\r\n",
	    .end = "unusable The server, or somebody between, sent more behind "
		   "STARTTLS",
	    .left = T2 "OK in\r\n" },
	{ .name = "TLS from the first byte",
	    BOB,
	    .tls = true,
	    .need_tls = true,
	    .in = "* OK [CAPABILITY STARTTLS] hello\r\n" T1 "OK in\r\n",
	    .out = T1 "LOGIN \"bob\" \"pw\"\r\n",
	    .end = "ok [] in" },
};

START_TEST(transcript)
{
	play_server(&protocol_imap4, &cases[_i]);
}
END_TEST

START_TEST(endless)
{
	struct server_case c = { .name = "endless", BOB };
	struct buf *in = buf_create(65536);

	c.out = "";
	c.end = "unusable The server sent too long a line";
	buf_put_str(in, "* OK ");
	while (buf_len(in) < PROTOCOL_INPUT_MAX)
		buf_put_str(in, "x");
	buf_put(in, SLICE("\0"));
	c.in = buf_data(in).p;
	c.at_once_only = true; /* in pieces, some of it would be left */
	c.left = "";
	((char *)(uintptr_t)c.in)[PROTOCOL_INPUT_MAX] = '\0';
	play_server(&protocol_imap4, &c);

	buf_clear(in);
	buf_put_str(in, "* OK x\r\n");
	for (int i = 0; i < 1000; i++)
		buf_put_str(in, "* x\r\n");
	buf_put(in, SLICE("\0"));
	c.in = buf_data(in).p;
	c.out = T1 "LOGIN \"bob\" \"pw\"\r\n";
	c.end = "unusable The server talks without end";
	c.at_once_only = false;
	play_server(&protocol_imap4, &c);
	buf_destroy(&in);
}
END_TEST

static char long_user[AUTH_USER_MAX + 2];

/* What cannot be said is refused before anything is sent. */
START_TEST(unsayable)
{
	static const struct {
		struct slice user, authz, password;
	} bad[] = {
		{ SLICE("b\rb"), SLICE(""), SLICE("pw") },
		{ SLICE("b\nb"), SLICE(""), SLICE("pw") },
		{ SLICE("b\0b"), SLICE(""), SLICE("pw") },
		{ SLICE("bob"), SLICE("a\nb"), SLICE("pw") },
		{ SLICE("bob"), SLICE("a\0b"), SLICE("pw") },
		{ SLICE("bob"), SLICE(""), SLICE("p\r\nw") },
		{ SLICE("bob"), SLICE(""), SLICE("p\0w") },
		{ SLICE(""), SLICE(""), SLICE("pw") },
		{ { long_user, AUTH_USER_MAX + 1 }, SLICE(""), SLICE("pw") },
		{ SLICE("bob"), { long_user, AUTH_USER_MAX + 1 }, SLICE("pw") },
	};
	static const struct protocol *const protocols[] = { &protocol_imap4,
		&protocol_pop3 };

	memset(long_user, 'x', sizeof(long_user));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (size_t k = 0; k < 2; k++) {
			struct secret password = { .n = 0 };
			struct server_login login = { .user = bad[i].user,
				.authz = bad[i].authz,
				.password = &password };

			secret_set(&password, bad[i].password);
			errno = 0;
			ck_assert_ptr_null(protocols[k]->server_create(&login));
			ck_assert_int_eq(errno, EINVAL);
		}
}
END_TEST

/* Everything at its longest fits into what a call may add. */
START_TEST(longest)
{
	static const struct protocol *const protocols[] = { &protocol_imap4,
		&protocol_pop3 };
	static const char *const greetings[] = {
		"* OK [CAPABILITY LITERAL+ SASL-IR AUTH=PLAIN] x\r\n", "+OK\r\n"
	};
	struct buf *out = buf_create(PROTOCOL_OUTPUT_MAX);

	memset(long_user, '"', sizeof(long_user));
	for (int i = 0; i < 4; i++) {
		struct secret password = { .n = sizeof(password.bytes) };
		struct server_login login = {
			.user = { long_user, AUTH_USER_MAX },
			.authz = { long_user, i < 2 ? AUTH_USER_MAX : 0 },
			.password = &password,
		};
		const struct protocol *p = protocols[i % 2];
		struct protocol_server *s;
		struct server_result result;
		size_t used;

		memset(password.bytes, '"', sizeof(password.bytes));
		s = p->server_create(&login);
		buf_clear(out);
		ck_assert_int_eq(p->server_parse(s, slice_str(greetings[i % 2]),
				     &used, &result, out),
		    SERVER_MORE);
		if (i % 2 == 1) {
			buf_clear(out);
			p->server_parse(s,
			    slice_str(i == 1 ? "+\r\n" : "+OK\r\n"), &used,
			    &result, out);
		}
		ck_assert_uint_gt(buf_len(out), 1024);
		ck_assert_uint_le(buf_len(out), PROTOCOL_REPLY_MAX);
		p->server_destroy(&s);
	}
	buf_destroy(&out);
}
END_TEST

/* Too many capabilities: as many as fit, none cut. */
START_TEST(capability_bound)
{
	struct imap4_capability cap;
	struct server_result result = { .ok = true };
	struct buf *b = buf_create(65536);

	for (int i = 0; i < 5000; i++)
		buf_put_str(b, "ABCDEFG ");
	buf_put_str(b, "STARTTLS");
	imap4_capability_parse(&cap, buf_data(b), &result);
	ck_assert(cap.known && cap.starttls && !cap.login_disabled);
	ck_assert_uint_le(result.capability_len, sizeof(result.capability));
	ck_assert_uint_eq(result.capability_len % 8, 7);
	buf_destroy(&b);
}
END_TEST

START_TEST(tags)
{
	char text[IMAP4_TAG_SIZE];

	ck_assert_uint_eq(imap4_write_tag(text, 7, 0xabc), 11);
	ck_assert_str_eq(text, "P7.00000abc");
	ck_assert_uint_eq(imap4_tag_hops(slice_str(text)), 7);
	ck_assert_uint_eq(imap4_write_tag(text, 100000, UINT32_MAX), 13);
	ck_assert_uint_eq(imap4_tag_hops(slice_str(text)), 999);
	ck_assert_uint_eq(imap4_tag_hops(SLICE("")), 0);
	ck_assert_uint_eq(imap4_tag_hops(SLICE("P")), 0);
	ck_assert_uint_eq(imap4_tag_hops(SLICE("P7.00000ABC")), 0);
	ck_assert_uint_eq(imap4_tag_hops(SLICE("P7.00000abc0")), 0);
	ck_assert_uint_eq(imap4_tag_hops(SLICE("p7.00000abc")), 0);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *suite = suite_create("imap4_server");
	TCase *tc = tcase_create("imap4_server");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, transcript, 0, COUNT(cases));
	tcase_add_test(tc, endless);
	tcase_add_test(tc, unsayable);
	tcase_add_test(tc, longest);
	tcase_add_test(tc, capability_bound);
	tcase_add_test(tc, tags);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
