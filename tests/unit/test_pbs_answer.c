/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What MTAs ask and are told, byte for byte; and the lines that tell of it.
 */
#include "config.h"

#include <errno.h>

#include "pbs_scratch.h"

#include "../lib/check_run.h"
#include "common/auth_event.h"
#include "common/log.h"
#include "perdition-pbs/answer.h"
#include "perdition-pbs/answer_trace.h"
#include "perdition-pbs/setenv.h"

#include "common/banned.h"

/* 203.0.113.77 is bob's, 2001:db8:9::1 one's with a wicked name, and the
 * network 198.51.100.0/24 nobody knows whose. */
static bool
may_relay(void *arg, const struct addr *client, struct answer_grant *grant)
{
	static const struct {
		const char *entry, *user;
	} open[] = {
		{ "203.0.113.77", "bob@example.org" },
		{ "2001:db8:9::1", "x\"\n\naction=OK\n\n" },
		{ "198.51.100.0/24", "" },
	};

	(void)arg;
	for (size_t i = 0; i < COUNT(open); i++) {
		struct addr_net net;

		relay_key_parse(slice_str(open[i].entry), "", &grant->by);
		net.ip = grant->by.ip;
		net.prefix = grant->by.prefix;
		grant->user = slice_str(open[i].user);
		if (client->scope == 0 && addr_net_has(&net, client))
			return true;
	}
	return false;
}

static struct answer_source source = { may_relay, NULL, "", "" };

#define POLICY "request=smtpd_access_policy\n"
#define RCPT POLICY "protocol_state=RCPT\n"
#define DATA POLICY "protocol_state=DATA\n"
#define WICKED "\"x\\\"\\x0a\\x0aaction=OK\\x0a\\x0a\""

static const struct {
	const struct answer_protocol *protocol;
	const char *header, *prefix;
	struct slice in;
	const char *out; /* NULL: malformed */
} cases[] = {
	/* --- policy */
	{ &answer_policy, "", "", SLICE(RCPT "client_address=203.0.113.77\n\n"),
	    "action=OK\n\n" },
	{ &answer_policy, "", "", SLICE(RCPT "client_address=203.0.113.78\n\n"),
	    "action=DUNNO\n\n" },
	{ &answer_policy, "", "",
	    SLICE(RCPT "client_address=2001:db8:9::1\n\n"), "action=OK\n\n" },
	{ &answer_policy, "", "", SLICE(RCPT "client_address=198.51.100.9\n\n"),
	    "action=OK\n\n" },
	{ &answer_policy, "", "", /* as Postfix sends it */
	    SLICE("request=smtpd_access_policy\nprotocol_state=RCPT\n"
		  "protocol_name=ESMTP\nhelo_name=a=b\nqueue_id=8045F2AB23\n"
		  "sender=foo=1@example.org\nrecipient=bar@example.net\n"
		  "recipient_count=0\nclient_address=203.0.113.77\n"
		  "client_name=unknown\nreverse_client_name=unknown\n"
		  "instance=123.456.7\nsasl_method=\nsasl_username=\n"
		  "size=12345\nccert_subject=\nstress=\netrn_domain=\n"
		  "server_address=192.0.2.1\nserver_port=25\n\n"),
	    "action=OK\n\n" },
	{ &answer_policy, "", "", SLICE(POLICY "\n"), "action=DUNNO\n\n" },
	{ &answer_policy, "", "", SLICE(RCPT "client_address=\n\n"),
	    "action=DUNNO\n\n" },
	{ &answer_policy, "", "", SLICE(RCPT "client_address=unknown\n\n"),
	    "action=DUNNO\n\n" },
	{ &answer_policy, "", "",
	    SLICE(RCPT "client_address=203.0.113.77 \n\n"),
	    "action=DUNNO\n\n" },
	{ &answer_policy, "", "",
	    SLICE(RCPT "client_address=203.0.113.77\0\n\n"),
	    "action=DUNNO\n\n" },
	{ &answer_policy, "", "", SLICE(RCPT "client_name=203.0.113.77\n\n"),
	    "action=DUNNO\n\n" },
	{ &answer_policy, "", "",
	    SLICE(RCPT "sender=client_address=203.0.113.77\n\n"),
	    "action=DUNNO\n\n" },
	/* At DATA: a header or nothing, for neither OK is meant. */
	{ &answer_policy, "", "", SLICE(DATA "client_address=203.0.113.77\n\n"),
	    "action=DUNNO\n\n" },
	{ &answer_policy, "X-User", "",
	    SLICE(DATA "client_address=203.0.113.77\n\n"),
	    "action=PREPEND X-User: user=\"bob@example.org\" "
	    "address=203.0.113.77\n\n" },
	{ &answer_policy, "X-User", "",
	    SLICE(DATA "client_address=2001:db8:9::1\n\n"),
	    "action=PREPEND X-User: user=" WICKED
	    " address=2001:db8:9::1\n\n" },
	{ &answer_policy, "X-User", "",
	    SLICE(DATA "client_address=198.51.100.9\n\n"),
	    "action=PREPEND X-User: user=\"\" address=198.51.100.9 "
	    "network=198.51.100.0/24\n\n" },
	{ &answer_policy, "X-User", "",
	    SLICE(DATA "client_address=203.0.113.78\n\n"), "action=DUNNO\n\n" },
	{ &answer_policy, "X-User", "",
	    SLICE(RCPT "client_address=203.0.113.77\n\n"), "action=OK\n\n" },
	/* No request of this protocol. */
	{ &answer_policy, "", "", SLICE("\n"), NULL },
	{ &answer_policy, "", "", SLICE("client_address=203.0.113.77\n\n"),
	    NULL },
	{ &answer_policy, "", "",
	    SLICE("request=other\nclient_address=203.0.113.77\n\n"), NULL },
	{ &answer_policy, "", "", SLICE("GET / HTTP/1.0\n"), NULL },
	{ &answer_policy, "", "",
	    SLICE(RCPT "client_address=203.0.113.78\n"
		       "client_address=203.0.113.77\n\n"),
	    NULL },
	{ &answer_policy, "", "",
	    SLICE(POLICY "protocol_state=DATA\nprotocol_state=RCPT\n\n"),
	    NULL },
	/* --- socketmap */
	{ &answer_socketmap, "", "", SLICE("17:drac 203.0.113.77,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "", SLICE("16:pbs 203.0.113.77,"), "4:OK 1," },
	{ &answer_socketmap, "", "", SLICE("16:PBS 203.0.113.77,"), "4:OK 1," },
	{ &answer_socketmap, "", "", SLICE("16:pbs 203.0.113.78,"),
	    "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("11:pbs unknown,"), "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("4:pbs ,"), "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("3:pbs,"), "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("15:pbs 203.0.113.0,"),
	    "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("15:pbs 198.51.100.,"),
	    "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("17:pbs  203.0.113.77,"),
	    "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("20:pbs pop:203.0.113.77,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "", SLICE("20:pbs POP:203.0.113.77,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "", SLICE("17:pbs 2001:db8:9::1,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "", SLICE("25:drac 2001:db8:9:0:0:0:0:1,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "",
	    SLICE("30:drac ipv6:2001:db8:9:0:0:0:0:1,"), "4:OK 1," },
	{ &answer_socketmap, "", "",
	    SLICE("33:pbs pop:IPv6:2001:DB8:9:0:0:0:0:1,"), "4:OK 1," },
	{ &answer_socketmap, "", "", SLICE("26:pbs ipv6:pop:2001:db8:9::1,"),
	    "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("23:pbs ::ffff:203.0.113.77,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "relay:", SLICE("16:pbs 203.0.113.77,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "relay:", SLICE("22:pbs relay:203.0.113.77,"),
	    "4:OK 1," },
	{ &answer_socketmap, "", "relay:", SLICE("20:pbs pop:203.0.113.77,"),
	    "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("20:pbsuser 203.0.113.77,"),
	    "20:OK \"bob@example.org\"," },
	{ &answer_socketmap, "", "", SLICE("21:pbsuser 2001:db8:9::1,"),
	    "33:OK " WICKED "," },
	{ &answer_socketmap, "", "", SLICE("20:pbsuser 198.51.100.9,"),
	    "5:OK \"\"," },
	{ &answer_socketmap, "", "", SLICE("20:pbsuser 203.0.113.78,"),
	    "9:NOTFOUND ," },
	{ &answer_socketmap, "", "", SLICE("19:access 203.0.113.77,"),
	    "16:PERM no such map," },
	{ &answer_socketmap, "", "", SLICE("12:203.0.113.77,"),
	    "16:PERM no such map," },
	{ &answer_socketmap, "", "", SLICE("0:,"), "16:PERM no such map," },
	{ &answer_socketmap, "", "", SLICE("x"), NULL },
	{ &answer_socketmap, "", "", SLICE(":,"), NULL },
	{ &answer_socketmap, "", "", SLICE("-1:,"), NULL },
	{ &answer_socketmap, "", "", SLICE("016:pbs 203.0.113.77,"), NULL },
	{ &answer_socketmap, "", "", SLICE("16:pbs 203.0.113.77;"), NULL },
	{ &answer_socketmap, "", "", SLICE("4097:"), NULL },
	{ &answer_socketmap, "", "", SLICE("99999999999999999999:"), NULL },
	{ &answer_socketmap, "", "", SLICE("18446744073709551615:"), NULL },
	/* --- lookup */
	{ &answer_lookup, "", "", SLICE("get 203.0.113.77\n"), "yes" },
	{ &answer_lookup, "", "", SLICE("get 2001:db8:9::1\n"), "yes" },
	{ &answer_lookup, "", "", SLICE("get 203.0.113.78\n"), "no" },
	{ &answer_lookup, "", "", SLICE("get \n"), "no" },
	{ &answer_lookup, "", "", SLICE("get\n"), "no" },
	{ &answer_lookup, "", "", SLICE("get 203.0.113.77\r\n"), "no" },
	{ &answer_lookup, "", "", SLICE("get 203.0.113.77 x\n"), "no" },
	{ &answer_lookup, "", "", SLICE("user 203.0.113.77\n"),
	    "\"bob@example.org\"" },
	{ &answer_lookup, "", "", SLICE("user 2001:db8:9::1\n"), WICKED },
	{ &answer_lookup, "", "", SLICE("user 203.0.113.78\n"), "\"\"" },
	{ &answer_lookup, "", "", SLICE("user \n"), "\"\"" },
	{ &answer_lookup, "", "", SLICE("relay 203.0.113.77\n"),
	    "yes \"bob@example.org\"" },
	{ &answer_lookup, "", "", SLICE("relay 2001:db8:9::1\n"),
	    "yes " WICKED },
	{ &answer_lookup, "", "", SLICE("relay 198.51.100.9\n"), "yes" },
	{ &answer_lookup, "", "", SLICE("relay 203.0.113.78\n"), "no" },
	{ &answer_lookup, "", "", SLICE("relay 203.0.113.77\r\n"), "no" },
	{ &answer_lookup, "", "", SLICE("relay \n"), "no" },
	{ &answer_lookup, "", "", SLICE("relay\n"), "no" },
	{ &answer_lookup, "", "", SLICE("\n"), NULL },
	{ &answer_lookup, "", "", SLICE("relays 203.0.113.77\n"), NULL },
	{ &answer_lookup, "", "", SLICE("GET 203.0.113.77\n"), NULL },
	{ &answer_lookup, "", "", SLICE("put 203.0.113.77\n"), NULL },
};

static ssize_t
ask(const struct answer_protocol *p, struct slice in, char *out, size_t cap)
{
	struct buf *b = buf_create(ANSWER_REPLY_MAX);
	ssize_t n;

	errno = 0;
	n = p->answer(&source, in, b);
	ck_assert(!buf_overflowed(b));
	ck_assert_uint_lt(buf_len(b), cap);
	memcpy(out, buf_data(b).p, buf_len(b));
	out[buf_len(b)] = '\0';
	buf_destroy(&b);
	return n;
}

START_TEST(requests)
{
	struct slice in = cases[_i].in;
	char got[ANSWER_REPLY_MAX + 1], more[ANSWER_REQUEST_MAX];
	ssize_t n;

	source.header = cases[_i].header;
	source.prefix = cases[_i].prefix;
	n = ask(cases[_i].protocol, in, got, sizeof(got));
	if (cases[_i].out == NULL) {
		ck_assert_int_eq(n, -1);
		ck_assert_int_eq(errno, EBADMSG);
		ck_assert_str_eq(got, "");
		return;
	}
	ck_assert_int_eq(n, (ssize_t)in.n);
	ck_assert_str_eq(got, cases[_i].out);
	/* Less is not enough, and what comes behind does not matter. */
	for (size_t part = 0; part < in.n; part++) {
		n = ask(cases[_i].protocol, slice_make(in.p, part), got,
		    sizeof(got));
		ck_assert_int_eq(n, 0);
		ck_assert_str_eq(got, "");
	}
	memcpy(more, in.p, in.n);
	memcpy(more + in.n, "?\n", 2);
	n = ask(
	    cases[_i].protocol, slice_make(more, in.n + 2), got, sizeof(got));
	ck_assert_int_eq(n, (ssize_t)in.n);
	ck_assert_str_eq(got, cases[_i].out);
}
END_TEST

static char longest[AUTH_USER_MAX];

static bool
is_the_longest(void *arg, const struct addr *client, struct answer_grant *grant)
{
	(void)arg;
	(void)client;
	relay_key_parse(SLICE("2001:db8:aaaa:bbbb::/64"), "", &grant->by);
	grant->user = slice_make(longest, sizeof(longest));
	return true;
}

/* The longest header's line is within the limit of RFC 5322, and the longest
 * reply within ours. */
START_TEST(longest_reply)
{
	char header[ANSWER_HEADER_MAX + 1], got[ANSWER_REPLY_MAX + 1];
	char user[SETENV_USER_MAX];
	struct answer_source had = source;

	memset(longest, 1, sizeof(longest));
	memset(header, 'X', sizeof(header));
	header[sizeof(header) - 1] = '\0';
	source = (struct answer_source){ is_the_longest, NULL, "", header };
	ask(&answer_policy,
	    SLICE(DATA "client_address=2001:db8:aaaa:bbbb:cccc:dddd:"
		       "255.255.255.255\n\n"),
	    got, sizeof(got));
	ck_assert_uint_gt(strlen(got), 900);
	ck_assert_uint_le(strlen(got) - strlen("action=PREPEND \n\n"), 998);
	ask(&answer_lookup, SLICE("user 1.2.3.4\n"), got, sizeof(got));
	ck_assert_uint_eq(strlen(got), ANSWER_USER_MAX);
	ask(&answer_lookup, SLICE("relay 1.2.3.4\n"), got, sizeof(got));
	ck_assert_uint_eq(strlen(got), SETENV_REPLY_MAX);
	ck_assert_int_eq(setenv_parse_reply(slice_str(got), user), SETENV_YES);
	ck_assert_str_eq(user, got + strlen("yes "));
	source = had;
}
END_TEST

/* --- what setenv makes of it --------------------------------------------- */

#define A202 A50 A50 A50 A50 "aa"
#define A50 A10 A10 A10 A10 A10
#define A10 "aaaaaaaaaa"

static const struct {
	struct slice reply;
	enum setenv_verdict verdict;
	const char *user;
} replies[] = {
	{ SLICE("no"), SETENV_NO, "" },
	{ SLICE("yes"), SETENV_YES, "" },
	{ SLICE("yes \"bob@example.org\""), SETENV_YES, "bob@example.org" },
	{ SLICE("yes \"" A202 "\""), SETENV_YES, A202 },
	{ SLICE("yes \"a b\""), SETENV_YES, "\"a b\"" },
	{ SLICE("yes \"a=b\""), SETENV_YES, "\"a=b\"" },
	{ SLICE("yes \"\\\"bob\\\"\""), SETENV_YES, "\"\\\"bob\\\"\"" },
	{ SLICE("yes " WICKED), SETENV_YES, WICKED },
	/* What no daemon writes names nobody. */
	{ SLICE("yes \"\""), SETENV_YES, "" },
	{ SLICE("yes "), SETENV_YES, "" },
	{ SLICE("yes bob"), SETENV_YES, "" },
	{ SLICE("yes \"bob"), SETENV_YES, "" },
	{ SLICE("yes \"bob\"\n"), SETENV_YES, "" },
	{ SLICE("yes \"bob\"eve\""), SETENV_YES, "" },
	{ SLICE("yes  \"bob\""), SETENV_YES, "" },
	{ SLICE("yes \"bob\n\""), SETENV_YES, "" },
	{ SLICE("yes \"b\0b\""), SETENV_YES, "" },
	{ SLICE("yes \"b\xe4\""), SETENV_YES, "" },
	{ SLICE("yes \"b\\x41\""), SETENV_YES, "" },
	{ SLICE("yes \"b\\n\""), SETENV_YES, "" },
	{ SLICE("yes \"b\\"), SETENV_YES, "" },
	{ SLICE("yes \"" A202 A202 A202 A202 "\""), SETENV_YES, "" },
	/* And nothing else is a yes. */
	{ SLICE(""), SETENV_UNKNOWN, "" },
	{ SLICE("y"), SETENV_UNKNOWN, "" },
	{ SLICE("yes\n"), SETENV_UNKNOWN, "" },
	{ SLICE("yes\0"), SETENV_UNKNOWN, "" },
	{ SLICE("yesterday"), SETENV_UNKNOWN, "" },
	{ SLICE("YES"), SETENV_UNKNOWN, "" },
	{ SLICE(" yes"), SETENV_UNKNOWN, "" },
	{ SLICE("no "), SETENV_UNKNOWN, "" },
	{ SLICE("no \"bob\""), SETENV_UNKNOWN, "" },
	{ SLICE("\"bob\""), SETENV_UNKNOWN, "" },
};

START_TEST(parsed)
{
	char user[SETENV_USER_MAX] = "eve";

	ck_assert_int_eq(
	    setenv_parse_reply(replies[_i].reply, user), replies[_i].verdict);
	ck_assert_str_eq(user, replies[_i].user);
}
END_TEST

/* --- the lines that tell of it ------------------------------------------- */

static struct {
	unsigned int n;
	char last[LOG_LINE_MAX];
} lines;

static void
keep_line(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	lines.n++;
	snprintf(lines.last, sizeof(lines.last), "%.*s", (int)line.n, line.p);
}

START_TEST(trace)
{
	struct answer_trace *t = answer_trace_create();
	struct answer_grant grant = { .user = SLICE("bob") };
	struct addr client;

	lines.n = 0;
	log_set_sink(keep_line, NULL);
	addr_parse_ip(SLICE("198.51.100.9"), &client);
	client.port = 77;
	relay_key_parse(SLICE("198.51.100.0/24"), "", &grant.by);
	answer_trace(t, "policy", &client, &grant, 5);
	ck_assert_str_eq(lines.last,
	    "event=relay-allowed address=198.51.100.9 user=bob "
	    "by=198.51.100.0/24 service=policy");
	/* Once a minute, unless it is somebody else. */
	answer_trace(t, "policy", &client, &grant, ANSWER_TRACE_MS + 4);
	ck_assert_uint_eq(lines.n, 1);
	answer_trace(t, "policy", &client, &grant, ANSWER_TRACE_MS + 5);
	ck_assert_uint_eq(lines.n, 2);
	grant.user = SLICE("eve");
	answer_trace(t, "policy", &client, &grant, ANSWER_TRACE_MS + 6);
	ck_assert_uint_eq(lines.n, 3);
	client.ip.s6_addr[15]++;
	answer_trace(t, "policy", &client, &grant, ANSWER_TRACE_MS + 6);
	ck_assert_uint_eq(lines.n, 4);
	answer_trace_destroy(&t);
	log_set_sink(NULL, NULL);
}
END_TEST

START_TEST(trace_flood)
{
	struct answer_trace *t = answer_trace_create();
	struct answer_grant grant = { .user = SLICE("bob") };
	struct addr client = { .ip = { { { 0x20, 0x01 } } } };

	lines.n = 0;
	log_set_sink(keep_line, NULL);
	for (unsigned int i = 0; i < ANSWER_TRACE_PER_SECOND + 25; i++) {
		client.ip.s6_addr[14] = (uint8_t)(i >> 8);
		client.ip.s6_addr[15] = (uint8_t)i;
		answer_trace(t, "lookup", &client, &grant, 7);
	}
	ck_assert_uint_eq(lines.n, ANSWER_TRACE_PER_SECOND);
	/* One that was left out is due still; and it is said how many were. */
	answer_trace(t, "lookup", &client, &grant, 1007);
	ck_assert_uint_eq(lines.n, ANSWER_TRACE_PER_SECOND + 2);
	answer_trace_destroy(&t);
	log_set_sink(NULL, NULL);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("answer");

	tcase_add_loop_test(t, requests, 0, COUNT(cases));
	tcase_add_test(t, longest_reply);
	tcase_add_loop_test(t, parsed, 0, COUNT(replies));
	tcase_add_test(t, trace);
	tcase_add_test(t, trace_flood);
	return check_run("answer", t);
}
