/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dialogue with an IMAP4 client before its login.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "perdition/protocol/imap4.h"
#include "play.h"

#include "common/banned.h"

#define OK_LINE .ok_line = "You are so in"
#define CAPA "IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN"
#define CLOSED "IMAP4rev1 LITERAL+ SASL-IR ID"
#define WRONG "NO [AUTHENTICATIONFAILED] Wrong user name or password\r\n"
#define PRIVACY "NO [PRIVACYREQUIRED] Logging in needs TLS\r\n"
#define LOGIN_BAD "BAD LOGIN takes a user name and a password\r\n"
#define UNKNOWN "BAD Unknown command, or one for after the login\r\n"
#define NO_TAG "* BAD A command begins with a tag\r\n"
#define TOO_BIG "BAD [TOOBIG] Literal too large\r\n"
#define MALFORMED "BAD AUTHENTICATE got a malformed response\r\n"
#define TAG64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct client_case cases[] = {
	{ .name = "simple commands",
	    .settings = { OK_LINE },
	    .in = SLICE("a CAPABILITY\r\nb noop\r\nc Logout\r\nd NOOP\r\n"),
	    .requests = "A A Q",
	    .out = "* CAPABILITY " CAPA "\r\na OK CAPABILITY completed\r\n"
		   "b OK NOOP completed\r\n"
		   "* BYE Logging out\r\nc OK LOGOUT completed\r\n" },
	{ .name = "a bare LF ends a line",
	    .settings = { OK_LINE },
	    .in = SLICE("a NOOP\nb LOGIN bob {2+}\npw\n"),
	    .answers = "c",
	    .requests = "A L(bob,-,pw)",
	    .out = "a OK NOOP completed\r\nb " WRONG },
	{ .name = "arguments where none are due",
	    .settings = { OK_LINE },
	    .in = SLICE("a NOOP x\r\nb CAPABILITY \r\nc LOGOUT x\r\n"
			"d STARTTLS x\r\n"),
	    .requests = "B B B B",
	    .out = "a BAD NOOP takes no argument\r\n"
		   "b BAD CAPABILITY takes no argument\r\n"
		   "c BAD LOGOUT takes no argument\r\n"
		   "d BAD STARTTLS takes no argument\r\n" },
	{ .name = "not before the login",
	    .settings = { OK_LINE },
	    .in = SLICE("a SELECT inbox\r\nb ENABLE UTF8=ACCEPT\r\n"
			"c STARTTLS\r\nd COMPRESS DEFLATE\r\ne\r\nf \r\n"),
	    .requests = "B B B B B B",
	    .out = "a " UNKNOWN "b " UNKNOWN
		   "c BAD STARTTLS is not offered\r\nd " UNKNOWN
		   "e BAD A command has a name behind its tag\r\n"
		   "f BAD A command has a name behind its tag\r\n" },
	{ .name = "tags",
	    .settings = { OK_LINE },
	    .in =
		SLICE("\r\n NOOP\r\n+ NOOP\r\na*b NOOP\r\n" TAG64
		      " NOOP\r\n" TAG64 "x NOOP\r\na\0b NOOP\r\na\xc3 NOOP\r\n"
		      "%n%s NOOP\r\na(b NOOP\r\n-.]:! NOOP\r\n"),
	    .requests = "B B B B A B B B B B A",
	    .out = NO_TAG NO_TAG NO_TAG NO_TAG TAG64
	    " OK NOOP completed\r\n" NO_TAG NO_TAG NO_TAG NO_TAG NO_TAG
	    "-.]:! OK NOOP completed\r\n" },
	{ .name = "NUL and bare CR",
	    .settings = { OK_LINE },
	    .in = SLICE("a NOOP\0\r\nb NO\rOP\r\nc NOOP\r\r\n"
			"d LOGIN b\0b pw\r\ne LOGIN \"b\rb\" pw\r\n"
			"f LOGIN bob {2+}\r\np\0\r\n"
			"g LOGIN {3+}\r\nb\rb pw\r\nh LOGIN bob {3+}\r\np\r\n"
			"\r\n"),
	    .requests = "B B B B B B B B",
	    .out = "a BAD NOOP takes no argument\r\nb " UNKNOWN
		   "c BAD NOOP takes no argument\r\nd " LOGIN_BAD "e " LOGIN_BAD
		   "f " LOGIN_BAD "g " LOGIN_BAD "h " LOGIN_BAD },
	{ .name = "ways to say a name",
	    .settings = { OK_LINE },
	    .in = SLICE("a LOGIN bob pw\r\nb login \"bob\" \"p w\"\r\n"
			"c LOGIN \"b\\\"o\\\\b\" \"\"\r\n"
			"d LOGIN {3}\r\nbob {2}\r\npw\r\n"
			"e LOGIN {3+}\r\nbob {4+}\r\n\"\\\"{\r\n"
			"f LOGIN bob {0}\r\n\r\n"
			"g LOGIN \"\xc3\xa9\" {1+}\r\n\xff\r\n"
			"h LOGIN bob@x.org p%*]+{}x\r\n"
			"i LOGIN \"a{3+}\" \"{5}\"\r\n"),
	    .answers = "ccccccccc",
	    .requests = "L(bob,-,pw) L(bob,-,p w) L(b\"o\\b,-,) L(bob,-,pw) "
			"L(bob,-,\"\\\"{) L(bob,-,) L(\xc3\xa9,-,\xff) B "
			"L(a{3+},-,{5})",
	    .out =
		"a " WRONG "b " WRONG "c " WRONG
		"+ Go ahead\r\n+ Go ahead\r\nd " WRONG "e " WRONG
		"+ Go ahead\r\nf " WRONG "g " WRONG "h " LOGIN_BAD "i " WRONG },
	{ .name = "careless atoms",
	    .settings = { OK_LINE },
	    .in = SLICE("h LOGIN bob%x p*w]+}\r\n"),
	    .answers = "c",
	    .requests = "L(bob%x,-,p*w]+})",
	    .out = "h " WRONG },
	{ .name = "wrong LOGIN",
	    .settings = { OK_LINE },
	    .in = SLICE("a LOGIN\r\nb LOGIN bob\r\nc LOGIN bob \r\n"
			"d LOGIN bob pw x\r\ne LOGIN  bob pw\r\n"
			"f LOGIN \"bob pw\r\ng LOGIN \"bob\"pw\r\n"
			"h LOGIN \"b\\ob\" pw\r\ni LOGIN {3+}\r\nbobpw x\r\n"
			"j LOGIN \"\" pw\r\nk LOGIN bob (pw)\r\n"
			"l LOGIN {3} bob\r\nm LOGIN \"x{3+}\r\nbob pw\r\n"
			"n LOGIN bob pw \r\n"),
	    .requests = "B B B B B B B B B B B B B B",
	    .out = "a " LOGIN_BAD "b " LOGIN_BAD "c " LOGIN_BAD "d " LOGIN_BAD
		   "e " LOGIN_BAD "f " LOGIN_BAD "g " LOGIN_BAD "h " LOGIN_BAD
		   "i " LOGIN_BAD "j " LOGIN_BAD "k " LOGIN_BAD "l " LOGIN_BAD
		   "m " LOGIN_BAD "n " LOGIN_BAD },
	{ .name = "a literal of a refused command is not the next command",
	    .settings = { OK_LINE },
	    .in =
		SLICE("a APPEND x {16+}\r\nb LOGIN eve pw\r\n {3+}\r\nx\r\n\r\n"
		      "c FOO {99999}\r\nd NOOP {3}\r\ne NOOP\r\n"
		      "+ {9+}\r\nf NOOP\r\n\r\ng NOOP\r\n"),
	    .requests = "B B B A B A",
	    .out = "a " UNKNOWN "c " UNKNOWN
		   "d BAD This command has no literals\r\n"
		   "e OK NOOP completed\r\n" NO_TAG "g OK NOOP completed\r\n" },
	{ .name = "a refused command that ends in a {n}",
	    .settings = { OK_LINE },
	    .in = SLICE("a FOO {3+}\r\nx\r\n x {5}\r\nb NOOP\r\n"),
	    .requests = "B A",
	    .out = "a " UNKNOWN "b OK NOOP completed\r\n" },
	{ .name = "a literal without end ends the session",
	    .settings = { OK_LINE },
	    .in = SLICE("a LOGIN {99999999999+}\r\nb NOOP\r\n"),
	    .requests = "X",
	    .out = "* BYE Literal too large\r\n" },
	{ .name = "nor with more digits than are kept",
	    .settings = { OK_LINE },
	    .in = SLICE(
		"a LOGIN {0000000000000000000000000000000000000003+}\r\n"),
	    .requests = "X",
	    .out = "* BYE Literal too large\r\n" },
	{ .name = "nor one that is too large to throw away",
	    .settings = { OK_LINE },
	    .in = SLICE("a LOGIN {1048577+}\r\n"),
	    .requests = "X",
	    .out = "* BYE Literal too large\r\n" },
	{ .name = "behind a refused literal",
	    .settings = { OK_LINE },
	    .in = SLICE("a FOO {1+}\r\nx {99999999999+}\r\n"),
	    .requests = "X",
	    .out = "* BYE Literal too large\r\n" },
	{ .name = "synchronising literals too large",
	    .settings = { OK_LINE },
	    .in = SLICE("a LOGIN {4097}\r\nb LOGIN {4294967296}\r\n"
			"c LOGIN {99999999999999999999999999999999999999}\r\n"
			"d LOGIN {4096}\r\n"),
	    .requests = "B B B",
	    .out = "a " TOO_BIG "b " TOO_BIG "c " TOO_BIG "+ Go ahead\r\n" },
	{ .name = "pipelined behind a failed login",
	    .settings = { OK_LINE },
	    .in = SLICE("a LOGIN eve x\r\nb LOGIN bob pw\r\nc SELECT x\r\n"),
	    .answers = "ca",
	    .requests = "L(eve,-,x) L(bob,-,pw)",
	    .out = "a " WRONG "b OK You are so in\r\n" },
	{ .name = "capabilities inside the OK",
	    .settings = { OK_LINE },
	    .in = SLICE("b LOGIN bob pw\r\n"),
	    .answers = "a",
	    .result = PLAY_RESULT("", "Welcome", "IMAP4rev1 IDLE"),
	    .requests = "L(bob,-,pw)",
	    .out = "b OK [CAPABILITY IMAP4rev1 IDLE] You are so in\r\n" },
	{ .name = "capabilities untagged, and the server's text",
	    .settings = { OK_LINE, .server_resp_line = true },
	    .in = SLICE("a CAPABILITY\r\nb LOGIN bob pw\r\n"),
	    .answers = "a",
	    .result = PLAY_RESULT("", "Welcome", "IMAP4rev1 IDLE"),
	    .requests = "A L(bob,-,pw)",
	    .out = "* CAPABILITY " CAPA "\r\na OK CAPABILITY completed\r\n"
		   "* CAPABILITY IMAP4rev1 IDLE\r\nb OK Welcome\r\n" },
	{ .name = "how a login may fail",
	    .settings = { OK_LINE, .server_resp_line = true },
	    .in = SLICE("a LOGIN b p\r\nb LOGIN b p\r\nc LOGIN b p\r\n"
			"d LOGIN b p\r\ne LOGIN b p\r\n"),
	    .answers = "ctpdl",
	    .result = PLAY_RESULT("LIMIT", "Too many", ""),
	    .requests = "L(b,-,p) L(b,-,p) L(b,-,p) L(b,-,p) L(b,-,p)",
	    .out = "a NO [LIMIT] Too many\r\nb NO [LIMIT] Too many\r\n"
		   "c " PRIVACY
		   "d NO [UNAVAILABLE] Logging in is disabled here\r\n"
		   "e NO [UNAVAILABLE] The way to the mail server leads in a "
		   "circle\r\n" },
	{ .name = "an outage is not a wrong password",
	    .settings = { OK_LINE },
	    .in = SLICE("a LOGIN b p\r\n"),
	    .answers = "t",
	    .requests = "L(b,-,p)",
	    .out = "a NO [UNAVAILABLE] The mail server cannot be reached now, "
		   "try again later\r\n" },
	{ .name = "hops",
	    .settings = { OK_LINE },
	    .in = SLICE("P3.0123abcd LOGIN b p\r\nP3.0123abcg LOGIN b p\r\n"
			"P1000.0123abcd LOGIN b p\r\nP.0123abcd LOGIN b p\r\n"
			"P3.0123abcd AUTHENTICATE PLAIN AGIAcA==\r\n"),
	    .answers = "ccccc",
	    .requests = "L(b,-,p+3) L(b,-,p) L(b,-,p) L(b,-,p) L(b,-,p+3)",
	    .out = "P3.0123abcd " WRONG "P3.0123abcg " WRONG
		   "P1000.0123abcd " WRONG "P.0123abcd " WRONG
		   "P3.0123abcd " WRONG },
	{ .name = "AUTHENTICATE",
	    .settings = { OK_LINE },
	    .in = SLICE("a AUTHENTICATE PLAIN\r\nYW5uAGJvYgBwdw==\r\n"
			"b authenticate plain AGJvYgBwdw==\r\n"
			"c AUTHENTICATE LOGIN\r\nYm9i\r\ncHc=\r\n"
			"d AUTHENTICATE LOGIN Ym9i\r\ncHc=\r\n"),
	    .answers = "cccc",
	    .requests = "L(bob,ann,pw) L(bob,-,pw) L(bob,-,pw) L(bob,-,pw)",
	    .out = "+ \r\na " WRONG "b " WRONG
		   "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\nc " WRONG
		   "+ UGFzc3dvcmQ6\r\nd " WRONG },
	{ .name = "AUTHENTICATE that fails",
	    .settings = { OK_LINE },
	    .in = SLICE("a AUTHENTICATE PLAIN\r\n*\r\n"
			"b AUTHENTICATE PLAIN =\r\n"
			"c AUTHENTICATE PLAIN AGJvYgBwdw=\r\n"
			"d AUTHENTICATE LOGIN\r\nYm9i\r\n*\r\n"
			"e AUTHENTICATE PLAIN\r\n\r\n"
			"f AUTHENTICATE PLAIN\r\ng NOOP\r\n"
			"h AUTHENTICATE CRAM-MD5\r\ni AUTHENTICATE\r\n"
			"j AUTHENTICATE PLAIN AGJvYgBwdw== x\r\n"
			"k AUTHENTICATE PLAIN {3+}\r\nx\r\n\r\n"
			"l AUTHENTICATE PLAIN\r\nAGJvYgBwdw==\0\r\n"),
	    .requests = "B B B B B B B B B B B",
	    .out = "+ \r\na BAD AUTHENTICATE cancelled\r\nb " MALFORMED
		   "c " MALFORMED "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"
		   "d BAD AUTHENTICATE cancelled\r\n+ \r\ne " MALFORMED
		   "+ \r\nf " MALFORMED
		   "h NO [CANNOT] SASL mechanism unavailable\r\n"
		   "i BAD AUTHENTICATE takes a mechanism\r\n"
		   "j BAD AUTHENTICATE takes a mechanism\r\n"
		   "k BAD This command has no literals\r\n+ \r\nl " MALFORMED },
	{ .name = "ID",
	    .settings = { OK_LINE },
	    .in = SLICE("a ID NIL\r\nb ID (\"name\" \"x\" \"os\" NIL)\r\n"
			"c ID ()\r\nd ID ({4+}\r\nname {3}\r\nx\"y)\r\n"
			"e ID\r\nf ID (\"name\")\r\ng ID (\"name\" \"x\"\r\n"
			"h ID ((\"name\" \"x\"))\r\ni ID (name x)\r\n"
			"j ID (NIL \"x\")\r\n"
			"k ID (\"0123456789012345678901234567890\" \"x\")\r\n"),
	    .requests = "A A A A B B B B B B B",
	    .out = "* ID (\"name\" \"perdition\")\r\na OK ID completed\r\n"
		   "* ID (\"name\" \"perdition\")\r\nb OK ID completed\r\n"
		   "* ID (\"name\" \"perdition\")\r\nc OK ID completed\r\n"
		   "+ Go ahead\r\n"
		   "* ID (\"name\" \"perdition\")\r\nd OK ID completed\r\n"
		   "e BAD ID takes NIL or a list of pairs\r\n"
		   "f BAD ID takes NIL or a list of pairs\r\n"
		   "g BAD ID takes NIL or a list of pairs\r\n"
		   "h BAD ID takes NIL or a list of pairs\r\n"
		   "i BAD ID takes NIL or a list of pairs\r\n"
		   "j BAD ID takes NIL or a list of pairs\r\n"
		   "k BAD ID takes NIL or a list of pairs\r\n" },
	{ .name = "need_tls: no password is asked for",
	    .settings = { OK_LINE, .starttls = true, .need_tls = true },
	    .in = SLICE("a CAPABILITY\r\nb LOGIN bob pw\r\nc LOGIN bob {2}\r\n"
			"d LOGIN {3}\r\ne LOGIN bob {2+}\r\npw\r\n"
			"f AUTHENTICATE PLAIN\r\n"
			"g AUTHENTICATE PLAIN YW5uAGJvYgBwdw==\r\n"
			"h AUTHENTICATE LOGIN\r\ni AUTHENTICATE LOGIN Ym9i\r\n"
			"j ID ({1}\r\nx NIL)\r\n"
			"k LOGIN {3+}\r\nb\rb {2}\r\n"),
	    .requests = "A R(bob,-) R(bob,-) R(,-) R(bob,-) R(,-) R(bob,ann) "
			"R(,-) R(,-) A R(,-)",
	    .out =
		"* CAPABILITY " CLOSED " STARTTLS LOGINDISABLED\r\n"
		"a OK CAPABILITY completed\r\nb " PRIVACY "c " PRIVACY
		"d " PRIVACY "e " PRIVACY "f " PRIVACY "g " PRIVACY "h " PRIVACY
		"i " PRIVACY "+ Go ahead\r\n* ID (\"name\" \"perdition\")\r\n"
		"j OK ID completed\r\nk " PRIVACY },
	{ .name = "need_tls inside TLS",
	    .tls = true,
	    .settings = { OK_LINE, .starttls = true, .need_tls = true },
	    .in = SLICE("a CAPABILITY\r\nb STARTTLS\r\nc LOGIN bob pw\r\n"
			"d LOGIN bob pw\r\n"),
	    .answers = "ca",
	    .requests = "A B L(bob,-,pw) L(bob,-,pw)",
	    .out =
		"* CAPABILITY " CAPA "\r\na OK CAPABILITY completed\r\n"
		"b BAD TLS runs already\r\nc " WRONG "d OK You are so in\r\n" },
	{ .name = "login_disabled",
	    .tls = true,
	    .settings = { OK_LINE, .login_disabled = true },
	    .in = SLICE("a CAPABILITY\r\nb LOGIN bob pw\r\n"),
	    .requests = "A R(bob,-)",
	    .out = "* CAPABILITY " CLOSED " LOGINDISABLED\r\n"
		   "a OK CAPABILITY completed\r\n"
		   "b NO [UNAVAILABLE] Logging in is disabled here\r\n" },
	{ .name = "STARTTLS: what follows in clear is not executed",
	    .settings = { OK_LINE, .starttls = true, .need_tls = true },
	    .in = SLICE("a CAPABILITY\r\nb STARTTLS\r\nc NOOP\r\n"),
	    .in_tls =
		SLICE("d STARTTLS\r\ne LOGIN eve x\r\nf LOGIN bob pw\r\n"),
	    .answers = "ca",
	    .requests = "A T B L(eve,-,x) L(bob,-,pw)",
	    .result = PLAY_RESULT("", "", "IMAP4rev1"),
	    .out = "* CAPABILITY " CLOSED " STARTTLS LOGINDISABLED\r\n"
		   "a OK CAPABILITY completed\r\n"
		   "b OK Begin TLS negotiation now\r\n"
		   "d BAD TLS runs already\r\ne " WRONG
		   "f OK [CAPABILITY IMAP4rev1] You are so in\r\n" },
	{ .name = "the site's own capabilities",
	    .settings = { OK_LINE, .starttls = true,
		.capability = "IMAP4  IMAP4REV1 AUTH=CRAM-MD5 AUTH=plain "
			      "STARTTLS LOGINDISABLED LOGIN-REFERRALS x]y "
			      "b\xc3\n" },
	    .in = SLICE("a CAPABILITY\r\n"),
	    .requests = "A",
	    .out = "* CAPABILITY IMAP4 IMAP4REV1 AUTH=plain STARTTLS\r\n"
		   "a OK CAPABILITY completed\r\n" },
	{ .name = "a browser, at once",
	    .settings = { OK_LINE },
	    .in = SLICE("GET LOGIN a b\r\na NOOP\r\n"),
	    .requests = "X",
	    .out = "" },
	{ .name = "a browser, later",
	    .settings = { OK_LINE },
	    .in =
		SLICE("a NOOP\r\nPOST NOOP\r\nPOST /x HTTP/1.1\r\na NOOP\r\n"),
	    .requests = "A A X",
	    .out = "a OK NOOP completed\r\nPOST OK NOOP completed\r\n" },
};

START_TEST(transcript)
{
	play_client(&protocol_imap4, &cases[_i]);
}
END_TEST

/* --- long input ------------------------------------------------------- */

static char long_text[3 * PROTOCOL_INPUT_MAX];

/* begin, n times c, end. */
static struct slice
long_line(const char *begin, char c, size_t n, const char *end)
{
	size_t b = strlen(begin), e = strlen(end);

	ck_assert_uint_le(b + n + e, sizeof(long_text));
	memcpy(long_text, begin, b);
	memset(long_text + b, c, n);
	memcpy(long_text + b + n, end, e);
	return slice_make(long_text, b + n + e);
}

static const struct {
	const char *begin;
	size_t n;
	const char *end;
	const char *requests, *out;
} long_cases[] = {
	/* The rest of an over-long line is not a command. */
	{ "a LOGIN ", PROTOCOL_INPUT_MAX, "\r\nb NOOP\r\n", "B A",
	    "a BAD [TOOBIG] Command too long\r\nb OK NOOP completed\r\n" },
	{ "a LOGIN ", 2 * PROTOCOL_INPUT_MAX,
	    " {8+}\r\nc NOOP\r\n\r\nb NOOP\r\n", "B A",
	    "a BAD [TOOBIG] Command too long\r\nb OK NOOP completed\r\n" },
	{ "a LOGIN ", 2 * PROTOCOL_INPUT_MAX, " {8}\r\nb NOOP\r\n", "B A",
	    "a BAD [TOOBIG] Command too long\r\nb OK NOOP completed\r\n" },
	{ "", PROTOCOL_INPUT_MAX, "\r\nb NOOP\r\n", "B A",
	    "* BAD [TOOBIG] Command too long\r\nb OK NOOP completed\r\n" },
	{ "a LOGIN {4+}\r\nbob ", PROTOCOL_INPUT_MAX, "\r\nb NOOP\r\n", "B A",
	    "a BAD [TOOBIG] Command too long\r\nb OK NOOP completed\r\n" },
	{ "GET /", PROTOCOL_INPUT_MAX, "\r\nb NOOP\r\n", "X", "" },
	{ "a LOGIN {4097+}\r\n", 4097, " {3+}\r\nx\r\n\r\nb NOOP\r\n", "B A",
	    "a " TOO_BIG "b OK NOOP completed\r\n" },
	{ "a LOGIN {40960+}\r\n", 40960, " x\r\nb NOOP\r\n", "B A",
	    "a " TOO_BIG "b OK NOOP completed\r\n" },
	{ "a LOGIN {4096+}\r\n", 4096, " x\r\nb NOOP\r\n", "B A",
	    "a " LOGIN_BAD "b OK NOOP completed\r\n" },
	{ "a LOGIN ", 513, " x\r\n", "B", "a " LOGIN_BAD },
	{ "a LOGIN bob ", 1025, "\r\n", "B", "a " LOGIN_BAD },
	{ "a ID (\"n\" \"", 1025, "\")\r\n", "B",
	    "a BAD ID takes NIL or a list of pairs\r\n" },
	{ "a AUTHENTICATE PLAIN\r\n", PROTOCOL_INPUT_MAX, "\r\nb NOOP\r\n",
	    "B A",
	    "+ \r\na BAD AUTHENTICATE got too long a response\r\n"
	    "b OK NOOP completed\r\n" },
	{ "a AUTHENTICATE PLAIN\r\n", 4096, "\r\nb NOOP\r\n", "B A",
	    "+ \r\na " MALFORMED "b OK NOOP completed\r\n" },
};

START_TEST(long_input)
{
	struct client_case c = { .name = long_cases[_i].begin,
		.settings = { OK_LINE },
		.requests = long_cases[_i].requests,
		.out = long_cases[_i].out };

	c.in = long_line(
	    long_cases[_i].begin, 'x', long_cases[_i].n, long_cases[_i].end);
	play_client(&protocol_imap4, &c);
}
END_TEST

/* A command may be as long as its buffer, and not a byte longer. */
START_TEST(longest_command)
{
	struct client_case c = {
		.name = "longest", .settings = { OK_LINE }, .requests = "B A"
	};

	c.in =
	    long_line("a FOO ", 'x', PROTOCOL_INPUT_MAX - 8, "\r\nb NOOP\r\n");
	c.out = "a " UNKNOWN "b OK NOOP completed\r\n";
	play_client(&protocol_imap4, &c);
	c.in =
	    long_line("a FOO ", 'x', PROTOCOL_INPUT_MAX - 7, "\r\nb NOOP\r\n");
	c.out = "a BAD [TOOBIG] Command too long\r\nb OK NOOP completed\r\n";
	play_client(&protocol_imap4, &c);
}
END_TEST

START_TEST(many_pairs)
{
	struct client_case c = { .name = "ID", .settings = { OK_LINE } };
	struct buf *b = buf_create(4096);

	for (int pairs = 30; pairs <= 31; pairs++) {
		buf_clear(b);
		buf_put_str(b, "a ID (\"n\" NIL");
		for (int i = 1; i < pairs; i++)
			buf_put_str(b, " {1+}\r\nn {1+}\r\nv");
		buf_put_str(b, ")\r\n");
		c.in = buf_data(b);
		c.requests = pairs == 30 ? "A" : "B";
		c.out = pairs == 30
			    ? "* ID (\"name\" \"perdition\")\r\n"
			      "a OK ID completed\r\n"
			    : "a BAD ID takes NIL or a list of pairs\r\n";
		play_client(&protocol_imap4, &c);
	}
	buf_destroy(&b);
}
END_TEST

/* Each "{0}" costs the client 5 bytes and us 13. */
START_TEST(many_literals)
{
	struct protocol_settings settings = { OK_LINE };
	struct protocol_client *client = imap4_client_create(&settings);
	struct credentials creds = { .user_len = 0 };
	struct buf *in = buf_create(PROTOCOL_INPUT_MAX);
	struct buf *out = buf_create(PROTOCOL_OUTPUT_MAX);
	size_t used;

	buf_put_str(in, "a ID (");
	while (buf_put_str(in, "{0}\r\n") == 0)
		continue;
	ck_assert_int_eq(
	    imap4_client_parse(client, buf_data(in), &used, &creds, out),
	    REQUEST_BAD);
	ck_assert_uint_le(buf_len(out), PROTOCOL_REPLY_MAX);
	imap4_client_destroy(&client);
	buf_destroy(&in);
	buf_destroy(&out);
}
END_TEST

/* --- what is said unasked --------------------------------------------- */

static const struct {
	struct protocol_settings settings;
	bool tls;
	struct slice host;
	const char *out;
} greetings[] = {
	{ { OK_LINE }, false, SLICE("mail.example.org"),
	    "* OK [CAPABILITY " CAPA "] mail.example.org IMAP4 ready\r\n" },
	{ { OK_LINE }, false, SLICE(""),
	    "* OK [CAPABILITY " CAPA "] IMAP4 ready\r\n" },
	{ { OK_LINE }, false, SLICE("a\r\nb\0"),
	    "* OK [CAPABILITY " CAPA "] a??b? IMAP4 ready\r\n" },
	{ { OK_LINE, .starttls = true }, false, SLICE("h"),
	    "* OK [CAPABILITY " CAPA " STARTTLS] h IMAP4 ready\r\n" },
	{ { OK_LINE, .starttls = true, .need_tls = true }, true, SLICE("h"),
	    "* OK [CAPABILITY " CAPA "] h IMAP4 ready\r\n" },
	{ { OK_LINE, .need_tls = true }, false, SLICE("h"),
	    "* OK [CAPABILITY " CLOSED " LOGINDISABLED] h IMAP4 ready\r\n" },
};

START_TEST(greeting)
{
	struct protocol_client *client =
	    imap4_client_create(&greetings[_i].settings);
	struct buf *out = buf_create(PROTOCOL_OUTPUT_MAX);

	if (greetings[_i].tls)
		imap4_client_tls_started(client);
	imap4_client_greet(client, greetings[_i].host, out);
	ck_assert(slice_eq(buf_data(out), slice_str(greetings[_i].out)));
	imap4_client_destroy(&client);
	buf_destroy(&out);
}
END_TEST

START_TEST(farewell)
{
	struct protocol_settings settings = { OK_LINE };
	struct credentials creds;
	size_t used;

	for (int why = 0; why < FAREWELL_COUNT; why++) {
		struct protocol_client *client = imap4_client_create(&settings);
		struct buf *out = buf_create(PROTOCOL_OUTPUT_MAX);

		imap4_client_farewell(client, (enum farewell)why, out);
		ck_assert(slice_starts(buf_data(out), SLICE("* BYE ")));
		ck_assert(slice_eq(slice_skip(buf_data(out), buf_len(out) - 2),
		    SLICE("\r\n")));
		ck_assert_int_eq(imap4_client_parse(client, SLICE("a NOOP\r\n"),
				     &used, &creds, out),
		    REQUEST_ABORT);
		imap4_client_destroy(&client);
		buf_destroy(&out);
	}
}
END_TEST

/* The longest things that can be said fit into what a call may add. */
START_TEST(reply_max)
{
	struct client_case c = { .name = "longest reply",
		.settings = { OK_LINE, .server_resp_line = true },
		.in = SLICE(TAG64 " LOGIN b p\r\n"),
		.answers = "a",
		.requests = "L(b,-,p)" };
	struct protocol_client *client = imap4_client_create(&c.settings);
	struct buf *out = buf_create(PROTOCOL_OUTPUT_MAX);

	c.result.text_len = sizeof(c.result.text);
	memset(c.result.text, 'x', sizeof(c.result.text));
	c.result.capability_len = sizeof(c.result.capability);
	memset(c.result.capability, 'x', sizeof(c.result.capability));
	imap4_client_accept(client, &c.result, out);
	ck_assert_uint_le(buf_len(out), PROTOCOL_REPLY_MAX);
	buf_clear(out);
	imap4_client_refuse(client, REFUSE_CREDENTIALS, &c.result, out);
	ck_assert_uint_le(buf_len(out), PROTOCOL_REPLY_MAX);
	ck_assert(imap4_client_wants_capability(client));
	imap4_client_destroy(&client);
	buf_destroy(&out);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *suite = suite_create("imap4_client");
	TCase *tc = tcase_create("imap4_client");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, transcript, 0, COUNT(cases));
	tcase_add_loop_test(tc, long_input, 0, COUNT(long_cases));
	tcase_add_test(tc, longest_command);
	tcase_add_test(tc, many_pairs);
	tcase_add_test(tc, many_literals);
	tcase_add_loop_test(tc, greeting, 0, COUNT(greetings));
	tcase_add_test(tc, farewell);
	tcase_add_test(tc, reply_max);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
