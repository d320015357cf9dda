/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dialogue with a POP3 client before its login, logging in at a POP3
 * real-server, and the protocols by name.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>

#include "perdition/protocol/pop3.h"
#include "play.h"

#include "common/banned.h"

#define OK_LINE .ok_line = "You are so in"
#define CAPA "+OK Capability list follows\r\n"
#define CODES "RESP-CODES\r\nAUTH-RESP-CODE\r\n"
#define WRONG "-ERR [AUTH] Wrong user name or password\r\n"
#define PRIVACY "-ERR Logging in needs TLS\r\n"
#define UNKNOWN "-ERR Unknown command, or one for after the login\r\n"
#define USER "+OK Now the password\r\n"
#define USER_BAD "-ERR USER takes a name\r\n"
#define PASS_BAD "-ERR PASS takes a password\r\n"
#define FIRST "-ERR USER comes first\r\n"
#define MALFORMED "-ERR AUTH got a malformed response\r\n"
#define CONTROL "-ERR A line holds no NUL and no bare CR\r\n"
#define NOOP "+OK Nothing done\r\n"

static const struct client_case client_cases[] = {
	{ .name = "simple commands",
	    .settings = { OK_LINE },
	    .in = SLICE("CAPA\r\nnoop\r\nNoop\nQUIT\r\nNOOP\r\n"),
	    .requests = "A A A Q",
	    .out = CAPA "UIDL\r\nUSER\r\nSASL PLAIN LOGIN\r\n" CODES
			".\r\n" NOOP NOOP "+OK Bye\r\n" },
	{ .name = "not before the login",
	    .settings = { OK_LINE },
	    .in = SLICE(
		"STAT\r\nAPOP bob 0123\r\n\r\nPASS pw\r\nSTLS\r\nQUIT x\r\n"
		"NOOP x\r\nCAPA x\r\nUTF8 x\r\n US\r\nSTLS x\r\n"),
	    .requests = "B B B B B B B B B B B",
	    .out = UNKNOWN UNKNOWN UNKNOWN FIRST
	    "-ERR STLS is not offered\r\n"
	    "-ERR QUIT takes no argument\r\n"
	    "-ERR NOOP takes no argument\r\n"
	    "-ERR CAPA takes no argument\r\n"
	    "-ERR UTF8 takes no argument\r\n" UNKNOWN
	    "-ERR STLS takes no argument\r\n" },
	{ .name = "USER and PASS",
	    .settings = { OK_LINE },
	    .in =
		SLICE("USER bob\r\nPASS  p w \r\npass x\r\n"
		      "user b o b\r\nNOOP\r\npass \xff\r\nUSER a\r\nUSER b\r\n"
		      "PASS p\r\nSTAT\r\n"),
	    .answers = "cca",
	    .requests = "A L(bob,-, p w ) B A A L(b o b,-,\xff) A A L(b,-,p)",
	    .out = USER WRONG FIRST USER NOOP WRONG USER USER
	    "+OK You are so in\r\n" },
	{ .name = "wrong USER and PASS",
	    .settings = { OK_LINE },
	    .in = SLICE("USER\r\nUSER \r\nUSER b\0b\r\nUSER b\rb\r\n"
			"USER bob\r\nPASS\r\nPASS pw\r\nUSER bob\r\nPASS \r\n"
			"PASS pw\r\nUSER bob\r\nUSER \r\nPASS pw\r\n"
			"USER bob\r\nPASS p\rw\r\nPASS pw\r\n"),
	    .answers = "c",
	    .requests = "B B B B A B B A B B A B B A B L(bob,-,pw)",
	    .out = USER_BAD USER_BAD CONTROL CONTROL USER PASS_BAD FIRST USER
		PASS_BAD FIRST USER USER_BAD FIRST USER CONTROL WRONG },
	{ .name = "AUTH",
	    .settings = { OK_LINE },
	    .in = SLICE(
		"AUTH\r\nAUTH PLAIN\r\nYW5uAGJvYgBwdw==\r\n"
		"auth plain AGJvYgBwdw==\r\nAUTH LOGIN\r\nYm9i\r\ncHc=\r\n"
		"AUTH LOGIN Ym9i\r\ncHc=\r\n"),
	    .answers = "cccc",
	    .requests = "A L(bob,ann,pw) L(bob,-,pw) L(bob,-,pw) L(bob,-,pw)",
	    .out = "+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n"
		   "+ \r\n" WRONG WRONG
		   "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n" WRONG
		   "+ UGFzc3dvcmQ6\r\n" WRONG },
	{ .name = "AUTH that fails",
	    .settings = { OK_LINE },
	    .in = SLICE("AUTH PLAIN\r\n*\r\nAUTH PLAIN =\r\n"
			"AUTH PLAIN AGJvYgBwdw=\r\nAUTH CRAM-MD5\r\n"
			"AUTH PLAIN AGJvYgBwdw== x\r\nAUTH PLAIN\r\nQUIT\r\n"
			"USER bob\r\nAUTH PLAIN *\r\nPASS pw\r\nAUTH \r\n"),
	    .requests = "B B B B B B A B B B",
	    .out = "+ \r\n-ERR AUTH cancelled\r\n" MALFORMED MALFORMED
		   "-ERR SASL mechanism unavailable\r\n" MALFORMED
		   "+ \r\n" MALFORMED USER MALFORMED FIRST
		   "-ERR SASL mechanism unavailable\r\n" },
	{ .name = "UTF8",
	    .settings = { OK_LINE },
	    .in = SLICE("UTF8\r\nUSER \xc3\xa9\r\nPASS pw\r\n"
			"AUTH PLAIN AGJvYgBwdw==\r\n"),
	    .answers = "cc",
	    .requests = "A A L(\xc3\xa9,-,pw+8) L(bob,-,pw+8)",
	    .out = "+OK UTF8 it is\r\n" USER WRONG WRONG },
	{ .name = "how a login may fail",
	    .settings = { OK_LINE, .server_resp_line = true },
	    .in = SLICE("USER b\r\nPASS p\r\nUSER b\r\nPASS p\r\nUSER b\r\n"
			"PASS p\r\nUSER b\r\nPASS p\r\nUSER b\r\nPASS p\r\n"
			"USER b\r\nPASS p\r\n"),
	    .answers = "ctpdla",
	    .result = PLAY_RESULT("IN-USE", "Locked", ""),
	    .requests = "A L(b,-,p) A L(b,-,p) A L(b,-,p) A L(b,-,p) "
			"A L(b,-,p) A L(b,-,p)",
	    .out = USER "-ERR [IN-USE] Locked\r\n" USER
			"-ERR [IN-USE] Locked\r\n" USER PRIVACY USER
			"-ERR [SYS/PERM] Logging in is disabled here\r\n" USER
			"-ERR [SYS/PERM] The way to the mail server leads in a "
			"circle\r\n" USER "+OK Locked\r\n" },
	{ .name = "an outage is not a wrong password",
	    .settings = { OK_LINE },
	    .in = SLICE("USER b\r\nPASS p\r\n"),
	    .answers = "t",
	    .requests = "A L(b,-,p)",
	    .out =
		USER "-ERR [SYS/TEMP] The mail server cannot be reached now, "
		     "try again later\r\n" },
	{ .name = "need_tls: no password is asked for",
	    .settings = { OK_LINE, .starttls = true, .need_tls = true },
	    .in = SLICE("CAPA\r\nUSER bob\r\nPASS pw\r\nAUTH\r\nAUTH PLAIN\r\n"
			"AUTH PLAIN YW5uAGJvYgBwdw==\r\nAUTH LOGIN Ym9i\r\n"),
	    .requests = "A R(bob,-) B A R(,-) R(bob,ann) R(,-)",
	    .out =
		CAPA "UIDL\r\n" CODES "STLS\r\n.\r\n" PRIVACY FIRST
		     "+OK Mechanisms follow\r\n.\r\n" PRIVACY PRIVACY PRIVACY },
	{ .name = "login_disabled",
	    .tls = true,
	    .settings = { OK_LINE, .login_disabled = true },
	    .in = SLICE("CAPA\r\nUSER bob\r\n"),
	    .requests = "A R(bob,-)",
	    .out = CAPA "UIDL\r\n" CODES ".\r\n"
			"-ERR [SYS/PERM] Logging in is disabled here\r\n" },
	{ .name = "STLS: what follows in clear is not executed",
	    .settings = { OK_LINE, .starttls = true, .need_tls = true },
	    .in = SLICE("UTF8\r\nSTLS\r\nUSER eve\r\n"),
	    .in_tls = SLICE("PASS pw\r\nSTLS\r\nCAPA\r\nUSER bob\r\nPASS x\r\n"
			    "USER bob\r\nPASS pw\r\n"),
	    .answers = "ca",
	    .requests = "A T B B A A L(bob,-,x) A L(bob,-,pw)",
	    .out = "+OK UTF8 it is\r\n+OK Begin TLS negotiation\r\n" FIRST
		   "-ERR TLS runs already\r\n" CAPA
		   "UIDL\r\nUSER\r\nSASL PLAIN LOGIN\r\n" CODES
		   ".\r\n" USER WRONG USER "+OK You are so in\r\n" },
	{ .name = "the site's own capabilities",
	    .settings = { OK_LINE, .starttls = true,
		.capability =
		    "TOP.EXPIRE 60  UIDL  .SASL PLAIN.STLS. x\xc3.UTF8" },
	    .in = SLICE("CAPA\r\n"),
	    .requests = "A",
	    .out = CAPA "TOP\r\nEXPIRE 60\r\nUIDL\r\nSASL PLAIN\r\nUTF8\r\n"
			"STLS\r\n.\r\n" },
	{ .name = "the old default is the new one",
	    .settings = { OK_LINE, .capability = "UIDL.USER" },
	    .in = SLICE("CAPA\r\n"),
	    .requests = "A",
	    .out = CAPA "UIDL\r\nUSER\r\nSASL PLAIN LOGIN\r\n" CODES ".\r\n" },
	{ .name = "a browser",
	    .settings = { OK_LINE },
	    .in = SLICE("GET / HTTP/1.1\r\nUSER bob\r\n"),
	    .requests = "X",
	    .out = "" },
	{ .name = "a browser, later",
	    .settings = { OK_LINE },
	    .in = SLICE("POST x\r\n"),
	    .requests = "X",
	    .out = "" },
	{ .name = "a browser behind a command",
	    .settings = { OK_LINE },
	    .in = SLICE("NOOP\r\nPUT x\r\nPUT / HTTP/1.1\r\n"),
	    .requests = "A B X",
	    .out = NOOP UNKNOWN },
};

START_TEST(client)
{
	play_client(&protocol_pop3, &client_cases[_i]);
}
END_TEST

static const struct {
	const char *begin;
	size_t n;
	const char *requests, *out;
} long_cases[] = {
	{ "USER bob\r\nPASS ", 1024, "A L A",
	    USER WRONG NOOP }, /* the log is not compared */
	{ "USER bob\r\nPASS ", 1025, "A B A", USER PASS_BAD NOOP },
	{ "USER ", 512, "A A", USER NOOP },
	{ "USER ", 513, "B A", USER_BAD NOOP },
	{ "AUTH PLAIN ", 4096, "B A", MALFORMED NOOP },
	{ "USER bob\r\nPASS ", PROTOCOL_INPUT_MAX, "A B A",
	    USER "-ERR The line is too long\r\n" NOOP },
	{ "AUTH PLAIN\r\n", 2 * PROTOCOL_INPUT_MAX, "B A",
	    "+ \r\n-ERR The line is too long\r\n" NOOP },
	{ "GET /", PROTOCOL_INPUT_MAX, "X", "" },
};

START_TEST(client_long)
{
	struct client_case c = { .name = long_cases[_i].begin,
		.settings = { OK_LINE },
		.requests = long_cases[_i].requests,
		.out = long_cases[_i].out,
		.answers = "c" };
	struct buf *in = buf_create(3 * PROTOCOL_INPUT_MAX);
	struct buf *log = buf_create(2048);

	buf_put_str(in, long_cases[_i].begin);
	for (size_t n = 0; n < long_cases[_i].n; n++)
		buf_put_str(in, "x");
	buf_put_str(in, "\r\nNOOP\r\n");
	c.in = buf_data(in);
	if (_i == 0) {
		buf_put_str(log, "A L(bob,-,");
		for (size_t n = 0; n < long_cases[_i].n; n++)
			buf_put_str(log, "x");
		buf_put(log, SLICE(") A\0"));
		c.requests = buf_data(log).p;
	}
	play_client(&protocol_pop3, &c);
	buf_destroy(&in);
	buf_destroy(&log);
}
END_TEST

START_TEST(unasked)
{
	struct protocol_settings settings = { OK_LINE };
	struct protocol_client *c = pop3_client_create(&settings);
	struct credentials creds;
	struct buf *out = buf_create(PROTOCOL_OUTPUT_MAX);
	size_t used;

	pop3_client_greet(c, SLICE("<h>\r\n"), out);
	ck_assert(slice_eq(buf_data(out), SLICE("+OK h?? POP3 ready\r\n")));
	buf_clear(out);
	pop3_client_greet(c, SLICE(""), out);
	ck_assert(slice_eq(buf_data(out), SLICE("+OK POP3 ready\r\n")));
	ck_assert(!pop3_client_wants_capability(c));
	for (int why = 0; why < FAREWELL_COUNT; why++) {
		buf_clear(out);
		pop3_client_farewell(c, (enum farewell)why, out);
		ck_assert(slice_starts(buf_data(out), SLICE("-ERR ")));
		ck_assert_int_eq(
		    pop3_client_parse(c, SLICE("NOOP\r\n"), &used, &creds, out),
		    REQUEST_ABORT);
	}
	pop3_client_destroy(&c);
	pop3_client_destroy(&c); /* NULL is all right */
	buf_destroy(&out);
}
END_TEST

/* --- real-servers ------------------------------------------------------ */

#define BOB .user = "bob", .password = " p w "
#define ENTER "USER bob\r\nPASS  p w \r\n"
#define A200                                                                   \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct server_case server_cases[] = {
	{ .name = "plain",
	    BOB,
	    .in = "+OK hi <1@h>\r\n+OK\r\n+OK 3 messages\r\n+OK x\r\n",
	    .out = ENTER,
	    .end = "ok [] 3 messages",
	    .left = "+OK x\r\n" },
	{ .name = "any case, bare LF",
	    BOB,
	    .in = "+ok\n+Ok x\n+OK [X] in\n",
	    .out = ENTER,
	    .end = "ok [] in" },
	{ .name = "UTF8",
	    BOB,
	    .utf8 = true,
	    .in = "+OK\r\n+OK\r\n+OK\r\n+OK in\r\n",
	    .out = "UTF8\r\n" ENTER,
	    .end = "ok [] in" },
	{ .name = "UTF8 unknown",
	    BOB,
	    .utf8 = true,
	    .in = "+OK\r\n-ERR\r\n+OK\r\n+OK in\r\n",
	    .out = "UTF8\r\n" ENTER,
	    .end = "ok [] in" },
	{ .name = "authorisation id",
	    .user = "bob",
	    .authz = "ann",
	    .password = "pw",
	    .in = "+OK\r\n+OK in\r\n",
	    .out = "AUTH PLAIN YW5uAGJvYgBwdw==\r\n",
	    .end = "ok [] in" },
	{ .name = "early answer to AUTH",
	    .user = A200,
	    .authz = "ann",
	    .password = "pw",
	    .in = "+OK\r\n+OK in\r\n",
	    .out = "AUTH PLAIN\r\n",
	    .end = "unusable The server answers before it was asked" },
	{ .name = "no AUTH",
	    .user = A200,
	    .authz = "ann",
	    .password = "pw",
	    .in = "+OK\r\n-ERR what\r\n",
	    .out = "AUTH PLAIN\r\n",
	    .end = "credentials [] what" },
	{ .name = "greeting refused",
	    BOB,
	    .in = "-ERR full\r\n",
	    .out = "",
	    .end = "unusable full" },
	{ .name = "another protocol",
	    BOB,
	    .in = "* OK hi\r\n",
	    .out = "",
	    .end = "unusable The server does not speak POP3" },
	{ .name = "not quite",
	    BOB,
	    .in = "+OKAY\r\n",
	    .out = "",
	    .end = "unusable The server does not speak POP3" },
	{ .name = "later",
	    BOB,
	    .in = "+OK\r\nHELP\r\n",
	    .out = "USER bob\r\n",
	    .end = "unusable The server does not speak POP3" },
	{ .name = "half",
	    BOB,
	    .in = "+OK",
	    .out = "",
	    .end = "more",
	    .left = "+OK" },
	{ .name = "USER refused",
	    BOB,
	    .in = "+OK\r\n-ERR [SYS/TEMP] x\r\n",
	    .out = "USER bob\r\n",
	    .end = "temporary [SYS/TEMP] x" },
#define REFUSED(line, how)                                                     \
	{                                                                      \
		.name = line, BOB, .in = "+OK\r\n+OK\r\n" line "\r\n",         \
		.out = ENTER, .end = how                                       \
	}
	REFUSED("-ERR", "credentials [] "),
	REFUSED("-err no", "credentials [] no"),
	REFUSED("-ERR [AUTH] no", "credentials [AUTH] no"),
	REFUSED("-ERR [auth] no", "credentials [AUTH] no"),
	REFUSED("-ERR [X/Y] [no\x01", "credentials [] (no?"),
	REFUSED("-ERR [IN-USE] no", "temporary [IN-USE] no"),
	REFUSED("-ERR [LOGIN-DELAY] no", "temporary [LOGIN-DELAY] no"),
	REFUSED("-ERR [SYS/TEMP] no", "temporary [SYS/TEMP] no"),
	REFUSED("-ERR [SYS/PERM] no", "temporary [SYS/PERM] no"),
	/* STLS */
	{ .name = "STLS",
	    BOB,
	    .need_tls = true,
	    .utf8 = true,
	    .in = "+OK\r\n+OK\r\nTOP\r\nSTLS\r\n.\r\n+OK\r\n",
	    .in_tls = "+OK\r\n+OK\r\n+OK in\r\n",
	    .out = "CAPA\r\nSTLS\r\nUTF8\r\n" ENTER,
	    .end = "tls ok [] in" },
	{ .name = "wanted, not offered",
	    BOB,
	    .want_tls = true,
	    .in = "+OK\r\n+OK\r\nTOP\r\n.\r\n+OK\r\n+OK in\r\n",
	    .out = "CAPA\r\n" ENTER,
	    .end = "ok [] in" },
	{ .name = "wanted, no CAPA",
	    BOB,
	    .want_tls = true,
	    .in = "+OK\r\n-ERR\r\n+OK\r\n+OK in\r\n",
	    .out = "CAPA\r\n" ENTER,
	    .end = "ok [] in" },
	{ .name = "wanted, refused",
	    BOB,
	    .want_tls = true,
	    .in = "+OK\r\n+OK\r\nSTLS\r\n.\r\n-ERR\r\n+OK\r\n+OK in\r\n",
	    .out = "CAPA\r\nSTLS\r\n" ENTER,
	    .end = "ok [] in" },
	{ .name = "needed, no CAPA",
	    BOB,
	    .need_tls = true,
	    .in = "+OK\r\n-ERR\r\n",
	    .out = "CAPA\r\n",
	    .end = "unusable The server does not offer STLS" },
	{ .name = "needed, refused",
	    BOB,
	    .need_tls = true,
	    .in = "+OK\r\n+OK\r\nSTLS\r\n.\r\n-ERR\r\n",
	    .out = "CAPA\r\nSTLS\r\n",
	    .end = "unusable The server refuses STLS" },
	{ .name = "injection behind the OK",
	    BOB,
	    .want_tls = true,
	    .at_once_only = true,
	    .in = "+OK\r\n+OK\r\nSTLS\r\n.\r\n+OK\r\n+OK\r\n+OK\r\n",
	    .out = "CAPA\r\nSTLS\r\n",
	    .end = "unusable The server, or somebody between, sent more behind "
		   "STLS",
	    .left = "+OK\r\n+OK\r\n" },
	{ .name = "TLS from the first byte",
	    BOB,
	    .tls = true,
	    .need_tls = true,
	    .in = "+OK\r\n+OK\r\n+OK in\r\n",
	    .out = ENTER,
	    .end = "ok [] in" },
};

START_TEST(server)
{
	play_server(&protocol_pop3, &server_cases[_i]);
}
END_TEST

/* RFC 5034 section 4: 255 octets are the most for one line. */
START_TEST(long_auth)
{
	static char user[200];
	struct buf *out = buf_create(PROTOCOL_OUTPUT_MAX);

	for (size_t n = 150; n < sizeof(user); n++) {
		struct secret password = { .n = 2, .bytes = "pw" };
		struct server_login login = { .user = { user, n },
			.authz = SLICE("ann"),
			.password = &password };
		struct server_result result;
		struct protocol_server *s;
		struct slice line;
		size_t used;

		memset(user, 'u', sizeof(user));
		s = pop3_server_create(&login);
		buf_clear(out);
		pop3_server_parse(s, SLICE("+OK\r\n"), &used, &result, out);
		line = buf_data(out);
		ck_assert_uint_le(line.n, POP3_COMMAND_MAX);
		if (slice_eq(line, SLICE("AUTH PLAIN\r\n"))) {
			/* It would not have fitted. */
			ck_assert_uint_gt(
			    (n + 7 + 2) / 3 * 4 + 13, POP3_COMMAND_MAX);
			buf_clear(out);
			pop3_server_parse(
			    s, SLICE("+ \r\n"), &used, &result, out);
			ck_assert_uint_eq(
			    buf_len(out), (n + 7 + 2) / 3 * 4 + 2);
		}
		pop3_server_destroy(&s);
	}
	buf_destroy(&out);
}
END_TEST

START_TEST(endless)
{
	struct server_case c = { .name = "endless", BOB, .want_tls = true };
	struct buf *in = buf_create(65536);

	buf_put_str(in, "+OK\r\n+OK\r\n");
	for (int i = 0; i < 999; i++)
		buf_put_str(in, "X\r\n");
	buf_put(in, SLICE("\0"));
	c.in = buf_data(in).p;
	c.out = "CAPA\r\n";
	c.end = "unusable The server talks without end";
	play_server(&protocol_pop3, &c);
	buf_destroy(&in);
}
END_TEST

/* --- by name ------------------------------------------------------------ */

static const struct {
	struct slice name;
	const struct protocol *protocol;
	bool tls;
} names[] = {
	{ SLICE("imap4"), &protocol_imap4, false },
	{ SLICE("IMAP4"), &protocol_imap4, false },
	{ SLICE("IMAP4S"), &protocol_imap4, true },
	{ SLICE("imaps"), &protocol_imap4, true },
	{ SLICE("imap"), &protocol_imap4, false },
	{ SLICE("POP3"), &protocol_pop3, false },
	{ SLICE("pop3s"), &protocol_pop3, true },
	{ SLICE(""), NULL, false },
	{ SLICE("pop3\0"), NULL, false },
	{ SLICE("smtp"), NULL, false },
};

START_TEST(by_name)
{
	bool tls = !names[_i].tls;

	ck_assert_ptr_eq(
	    protocol_find(names[_i].name, &tls), names[_i].protocol);
	if (names[_i].protocol != NULL)
		ck_assert_int_eq(tls, names[_i].tls);
}
END_TEST

START_TEST(clear)
{
	struct credentials creds, none = { .user_len = 0 };

	memset(&none, 0, sizeof(none));
	memset(&creds, 'x', sizeof(creds));
	credentials_clear(&creds);
	ck_assert_mem_eq(&creds, &none, sizeof(creds));
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *suite = suite_create("pop3");
	TCase *tc = tcase_create("pop3");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, client, 0, COUNT(client_cases));
	tcase_add_loop_test(tc, client_long, 0, COUNT(long_cases));
	tcase_add_test(tc, unasked);
	tcase_add_loop_test(tc, server, 0, COUNT(server_cases));
	tcase_add_test(tc, long_auth);
	tcase_add_test(tc, endless);
	tcase_add_loop_test(tc, by_name, 0, COUNT(names));
	tcase_add_test(tc, clear);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
