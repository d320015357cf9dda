/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The authentication event: both spellings byte for byte, the round trip of
 * any bytes in any field, and that nobody who controls a field can forge
 * another.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth_event.h"

#include "common/banned.h"

#define ROUNDS 3000

/* xorshift64*: the same inputs in every run. */
static uint64_t random_state = 88172645463325252u;

static uint64_t
random_u64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 2685821657736338717u;
}

static size_t
random_below(size_t n)
{
	return (size_t)(random_u64() % n);
}

static struct addr
address(const char *text)
{
	struct addr a;

	ck_assert_int_eq(addr_parse(slice_str(text), true, &a), 0);
	return a;
}

static struct auth_event
sample(void)
{
	struct auth_event e = {
		.kind = AUTH_LOGIN,
		.time = 1700000000,
		.session = 81,
		.protocol = "IMAP4",
		.client = address("192.0.2.7:50123"),
		.local = address("[2001:db8::1]:993"),
		.client_tls = AUTH_SSL,
		.server_tls = AUTH_STARTTLS,
		.ok = true,
	};

	e.user_len = 5;
	memcpy(e.user, "ann\"\n", 5);
	e.server_len = 15;
	memcpy(e.server, "mail.test.a:143", 15);
	return e;
}

static void
assert_bytes(const char *a, size_t an, const char *b, size_t bn)
{
	ck_assert(slice_eq(slice_make(a, an), slice_make(b, bn)));
}

static void
assert_same(const struct auth_event *a, const struct auth_event *b, bool record)
{
	bool close = !record && a->kind == AUTH_CLOSE;

	ck_assert(addr_same_ip(&a->client, &b->client));
	ck_assert(addr_same_ip(&a->local, &b->local));
	ck_assert_uint_eq(a->client.port, b->client.port);
	ck_assert_uint_eq(a->local.port, b->local.port);
	ck_assert_int_eq(a->has_authz, b->has_authz);
	assert_bytes(a->user, a->user_len, b->user, b->user_len);
	assert_bytes(
	    a->authz, a->has_authz ? a->authz_len : 0, b->authz, b->authz_len);
	if (!close) {
		ck_assert_str_eq(a->protocol, b->protocol);
		ck_assert_int_eq(a->client_tls, b->client_tls);
		ck_assert_int_eq(a->server_tls, b->server_tls);
		ck_assert_int_eq(a->ok, b->ok);
		assert_bytes(
		    a->server, a->server_len, b->server, b->server_len);
		assert_bytes(a->reason, record || !a->ok ? a->reason_len : 0,
		    b->reason, b->reason_len);
	}
	if (record || close) {
		ck_assert_uint_eq(a->received, b->received);
		ck_assert_uint_eq(a->sent, b->sent);
	}
	if (record) {
		ck_assert_int_eq(a->kind, b->kind);
		ck_assert_int_eq(a->time, b->time);
		ck_assert_uint_eq(a->session, b->session);
	}
}

static const char sample_line[] =
    "Auth: 192.0.2.7:50123->[2001:db8::1]:993 client-secure=ssl "
    "authorisation_id=NONE authentication_id=\"ann\\\"\\x0a\" "
    "server=\"mail.test.a:143\" protocol=IMAP4 server-secure=starttls "
    "status=\"ok\"";

static const char sample_record[] =
    "perdition-auth 1 kind=login time=1700000000 session=81 protocol=IMAP4 "
    "client=192.0.2.7:50123 local=[2001:db8::1]:993 client-secure=ssl "
    "server-secure=starttls status=ok authz=NONE user=\"ann\\\"\\x0a\" "
    "server=\"mail.test.a:143\" reason=\"\" received=0 sent=0";

static void
assert_line(const struct auth_event *e, const char *want)
{
	char out[AUTH_LINE_MAX];
	ssize_t n = auth_event_write_line(e, out, sizeof(out) - 1);

	ck_assert_int_gt(n, 0);
	out[n] = '\0';
	ck_assert_str_eq(out, want);
}

START_TEST(line_spelling)
{
	struct auth_event e = sample();

	assert_line(&e, sample_line);
	e.kind = AUTH_RELOG;
	assert_line(&e, sample_line);

	e.ok = false;
	e.reason_len = 22;
	memcpy(e.reason, "Re-Authentication Fail", 22);
	e.has_authz = true;
	e.authz_len = 2;
	memcpy(e.authz, "\\\x7f", 2);
	e.server_len = 0;
	e.server_tls = AUTH_PLAINTEXT;
	assert_line(&e,
	    "Auth: 192.0.2.7:50123->[2001:db8::1]:993 client-secure=ssl "
	    "authorisation_id=\"\\\\\\x7f\" "
	    "authentication_id=\"ann\\\"\\x0a\" server=\"\" protocol=IMAP4 "
	    "server-secure=plaintext "
	    "status=\"failed: Re-Authentication Fail\"");

	e.kind = AUTH_CLOSE;
	e.has_authz = false;
	e.received = UINT64_MAX;
	e.sent = 7;
	assert_line(&e,
	    "Closing session: 192.0.2.7:50123->[2001:db8::1]:993 "
	    "authorisation_id=NONE authentication_id=\"ann\\\"\\x0a\" "
	    "received=18446744073709551615 sent=7");
}
END_TEST

START_TEST(record_spelling)
{
	struct auth_event e = sample();
	char out[AUTH_LINE_MAX];
	ssize_t n = auth_event_write_record(&e, out, sizeof(out) - 1);

	ck_assert_int_gt(n, 0);
	out[n] = '\0';
	ck_assert_int_eq(out[n - 1], '\n');
	out[n - 1] = '\0';
	ck_assert_str_eq(out, sample_record);
}
END_TEST

START_TEST(parses_own_lines)
{
	struct auth_event e = sample(), got;

	ck_assert_int_eq(
	    auth_event_parse_line(slice_str(sample_line), &got), 1);
	ck_assert_int_eq(got.kind, AUTH_LOGIN);
	assert_same(&e, &got, false);
	ck_assert_int_eq(
	    auth_event_parse_record(slice_str(sample_record), &got), 1);
	assert_same(&e, &got, true);
}
END_TEST

/* Each writer fails cleanly at every capacity that is too small, without a
 * byte behind it. */
START_TEST(no_space)
{
	struct auth_event e = sample();
	char out[AUTH_LINE_MAX];
	size_t need_line, need_record, cap;
	ssize_t n;

	n = auth_event_write_line(&e, out, sizeof(out));
	ck_assert_int_gt(n, 0);
	need_line = (size_t)n;
	n = auth_event_write_record(&e, out, sizeof(out));
	ck_assert_int_gt(n, 0);
	need_record = (size_t)n;
	for (cap = 0; cap <= need_record; cap++) {
		char *exact = malloc(cap == 0 ? 1 : cap);

		ck_assert_ptr_nonnull(exact);
		errno = 0;
		n = auth_event_write_line(&e, exact, cap);
		ck_assert_int_eq(n, cap < need_line ? -1 : (ssize_t)need_line);
		ck_assert_int_eq(errno, cap < need_line ? ENOSPC : 0);
		errno = 0;
		n = auth_event_write_record(&e, exact, cap);
		ck_assert_int_eq(
		    n, cap < need_record ? -1 : (ssize_t)need_record);
		ck_assert_int_eq(errno, cap < need_record ? ENOSPC : 0);
		free(exact);
	}
}
END_TEST

/* The largest event there can be fits what the header promises. */
START_TEST(largest_fits)
{
	struct auth_event e = sample(), got;
	char out[AUTH_LINE_MAX];
	ssize_t n;

	e.ok = false;
	e.has_authz = true;
	e.user_len = e.authz_len = AUTH_USER_MAX;
	e.server_len = AUTH_SERVER_MAX;
	e.reason_len = AUTH_REASON_MAX;
	memset(e.user, 0, sizeof(e.user));
	memset(e.authz, 0xff, sizeof(e.authz));
	memset(e.server, '\n', sizeof(e.server));
	memset(e.reason, '\r', sizeof(e.reason));
	memcpy(e.protocol, "MANAGESIEVES012", 16);
	e.time = INT64_MIN;
	e.session = e.received = e.sent = UINT64_MAX;
	e.client = e.local =
	    address("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
	n = auth_event_write_line(&e, out, sizeof(out));
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(
	    auth_event_parse_line(slice_make(out, (size_t)n), &got), 1);
	assert_same(&e, &got, false);
	n = auth_event_write_record(&e, out, sizeof(out));
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(
	    auth_event_parse_record(slice_make(out, (size_t)n - 1), &got), 1);
	assert_same(&e, &got, true);
}
END_TEST

START_TEST(writer_refuses)
{
	static const struct {
		const char *protocol;
		size_t user, authz, server, reason;
		unsigned int kind, client_tls, server_tls;
	} cases[] = {
		{ "", 0, 0, 0, 0, 0, 0, 0 },
		{ "imap4", 0, 0, 0, 0, 0, 0, 0 },
		{ "IMAP4 status=ok", 0, 0, 0, 0, 0, 0, 0 },
		{ "IMAP4", AUTH_USER_MAX + 1, 0, 0, 0, 0, 0, 0 },
		{ "IMAP4", 0, AUTH_USER_MAX + 1, 0, 0, 0, 0, 0 },
		{ "IMAP4", 0, 0, AUTH_SERVER_MAX + 1, 0, 0, 0, 0 },
		{ "IMAP4", 0, 0, 0, AUTH_REASON_MAX + 1, 0, 0, 0 },
		{ "IMAP4", 0, 0, 0, 0, 3, 0, 0 },
		{ "IMAP4", 0, 0, 0, 0, 0, 3, 0 },
		{ "IMAP4", 0, 0, 0, 0, 0, 0, 3 },
	};
	struct auth_event e = sample();
	char out[AUTH_LINE_MAX];

	memset(e.protocol, 0, sizeof(e.protocol));
	memcpy(e.protocol, cases[_i].protocol, strlen(cases[_i].protocol));
	e.user_len = cases[_i].user;
	e.authz_len = cases[_i].authz;
	e.server_len = cases[_i].server;
	e.reason_len = cases[_i].reason;
	e.kind = (enum auth_kind)cases[_i].kind;
	e.client_tls = (enum auth_tls)cases[_i].client_tls;
	e.server_tls = (enum auth_tls)cases[_i].server_tls;
	errno = 0;
	ck_assert_int_eq(auth_event_write_line(&e, out, sizeof(out)), -1);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_int_eq(auth_event_write_record(&e, out, sizeof(out)), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST
#define WRITER_REFUSES 10

START_TEST(unterminated_protocol)
{
	struct auth_event e = sample();
	char out[AUTH_LINE_MAX];

	memset(e.protocol, 'X', sizeof(e.protocol));
	ck_assert_int_eq(auth_event_write_record(&e, out, sizeof(out)), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* Logged for the human's sake, but it can never open a window. */
START_TEST(port_zero)
{
	struct auth_event e = sample(), got;
	char out[AUTH_LINE_MAX];
	ssize_t n;

	e.client.port = 0;
	n = auth_event_write_line(&e, out, sizeof(out));
	ck_assert_int_gt(n, 0);
	ck_assert(slice_starts(
	    slice_make(out, (size_t)n), SLICE("Auth: 192.0.2.7:0->")));
	ck_assert_int_eq(
	    auth_event_parse_line(slice_make(out, (size_t)n), &got), -1);
}
END_TEST

/* --- what a parser refuses ----------------------------------------------- */

static const char *const other_lines[] = {
	"",
	"Auth:",
	"auth: ",
	" Auth: 192.0.2.7:1->192.0.2.8:2",
	"Connect: 192.0.2.7:1->192.0.2.8:2",
	"Closing NULL session: 192.0.2.7:1->192.0.2.8:2",
};

START_TEST(other_line)
{
	struct auth_event e;

	memset(&e, 1, sizeof(e));
	ck_assert_int_eq(
	    auth_event_parse_line(slice_str(other_lines[_i]), &e), 0);
	ck_assert(!e.ok);
}
END_TEST

/* In sample_line or sample_record, from is replaced by to. */
static const struct {
	const char *from, *to;
} refused[] = {
	{ "192.0.2.7:50123", "192.0.2.7:0" },
	{ "192.0.2.7:50123", "192.0.2.7:65536" },
	{ "192.0.2.7:50123", "192.0.2.7:050123" },
	{ "192.0.2.7:50123", "192.0.2.7:+50123" },
	{ "192.0.2.7:50123", "192.0.2.7:" },
	{ "192.0.2.7:50123", "192.0.2.7" },
	{ "192.0.2.7:50123", "192.0.2.07:50123" },
	{ "192.0.2.7:50123", "192.0.2.256:50123" },
	{ "192.0.2.7:50123", "192.0.2:50123" },
	{ "192.0.2.7:50123", "[192.0.2.7]:50123" },
	{ "192.0.2.7:50123", "[::ffff:192.0.2.7]:50123" },
	{ "192.0.2.7:50123", "localhost:50123" },
	{ "192.0.2.7:50123", "" },
	{ "192.0.2.7:50123", " 192.0.2.7:50123" },
	{ "192.0.2.7:50123", "192.0.2.7:50123 " },
	{ "192.0.2.7:50123", "192.0.2.9:1->192.0.2.7:50123" },
	{ "[2001:db8::1]:993", "2001:db8::1:993" },
	{ "[2001:db8::1]:993", "[2001:DB8::1]:993" },
	{ "[2001:db8::1]:993", "[2001:db8:0::1]:993" },
	{ "[2001:db8::1]:993", "[2001:db8::1]" },
	{ "[2001:db8::1]:993", "[2001:db8::1]:0993" },
	{ "[2001:db8::1]:993", "[2001:db8::1%x]:993" },
	{ "=ssl", "=SSL" },
	{ "=ssl", "=tls" },
	{ "=ssl", "=" },
	{ "=ssl", "=ssl " },
	{ "=starttls", "=starttls2" },
	{ "=NONE", "=none" },
	{ "=NONE", "=NONE \"x\"" },
	{ "=NONE", "=" },
	{ "=NONE", "=\"" },
	{ "IMAP4", "imap4" },
	{ "IMAP4", "" },
	{ "IMAP4", "SIXTEENLETTERSAB" },
	{ "IMAP4", "IM\"AP4" },
	{ "\\x0a", "\\x0A" },
	{ "\\x0a", "\n" },
	{ "\\x0a", "\\n" },
	{ "\\x0a", "\\x61" },
	{ "\\x0a", "\\x" },
	{ "\\x0a", "\r" },
	{ "\\x0a", "\x80" },
	{ "\\\"", "\"" },
	{ "\\\"", "\\x22" },
	{ "server=\"mail.test.a:143\"", "server=mail.test.a:143" },
	{ "server=\"mail.test.a:143\"", "server=\"mail.test.a:143" },
	{ " server=", " srv=" },
	{ " server=", "  server=" },
	{ " server=", "\tserver=" },
	{ "protocol=", "protocol= " },
};

static size_t
replace(const char *in, const char *from, const char *to, char *out)
{
	const char *at = strstr(in, from);
	size_t head = (size_t)(at - in), tail = strlen(at + strlen(from));

	ck_assert_ptr_nonnull(at);
	memcpy(out, in, head);
	memcpy(out + head, to, strlen(to));
	memcpy(out + head + strlen(to), at + strlen(from), tail);
	return head + strlen(to) + tail;
}

static void
assert_refused(struct slice s, bool line)
{
	char *exact = malloc(s.n == 0 ? 1 : s.n); /* for the sanitizer */
	static const struct auth_event zero;
	struct auth_event e;
	int ret;

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, s.p, s.n);
	memset(&e, 1, sizeof(e));
	errno = 0;
	s.p = exact;
	ret = line ? auth_event_parse_line(s, &e)
		   : auth_event_parse_record(s, &e);
	ck_assert_msg(ret == -1, "accepted: %.*s", (int)s.n, s.p);
	ck_assert_int_eq(errno, EBADMSG);
	ck_assert_mem_eq(&e, &zero, sizeof(e));
	free(exact);
}

START_TEST(refuses_changed)
{
	char out[AUTH_LINE_MAX];
	size_t n;

	n = replace(sample_line, refused[_i].from, refused[_i].to, out);
	assert_refused(slice_make(out, n), true);
	n = replace(sample_record, refused[_i].from, refused[_i].to, out);
	assert_refused(slice_make(out, n), false);
}
END_TEST

static const struct {
	const char *from, *to;
} refused_status[] = {
	{ "\"ok\"", "\"OK\"" },
	{ "\"ok\"", "ok" },
	{ "\"ok\"", "\"ok" },
	{ "\"ok\"", "\"ok \"" },
	{ "\"ok\"", "\"\"" },
	{ "\"ok\"", "\"okay\"" },
	{ "\"ok\"", "\"failed\"" },
	{ "\"ok\"", "\"failed:\"" },
	{ "\"ok\"", "\"ok\" status=\"ok\"" },
	{ "\"ok\"", "\"failed: x\" status=\"ok\"" },
};

START_TEST(refuses_status)
{
	char out[AUTH_LINE_MAX];
	size_t n = replace(
	    sample_line, refused_status[_i].from, refused_status[_i].to, out);

	assert_refused(slice_make(out, n), true);
}
END_TEST

static const struct {
	const char *from, *to;
} refused_record[] = {
	{ "perdition-auth 1", "perdition-auth 2" },
	{ "perdition-auth 1", "perdition-auth  1" },
	{ "perdition-auth 1", " perdition-auth 1" },
	{ "kind=login", "kind=Login" },
	{ "kind=login", "kind=" },
	{ "time=1700000000", "time=01700000000" },
	{ "time=1700000000", "time=+1" },
	{ "time=1700000000", "time=-0" },
	{ "time=1700000000", "time=-" },
	{ "time=1700000000", "time=9223372036854775808" },
	{ "time=1700000000", "time=-9223372036854775809" },
	{ "session=81", "session=-1" },
	{ "session=81", "session=18446744073709551616" },
	{ "session=81", "session=0x51" },
	{ "status=ok", "status=okay" },
	{ "status=ok", "status=\"ok\"" },
	{ "status=ok", "status=" },
	{ "sent=0", "sent=00" },
	{ "sent=0", "sent=" },
};

START_TEST(refuses_record)
{
	char out[AUTH_LINE_MAX];
	size_t n = replace(
	    sample_record, refused_record[_i].from, refused_record[_i].to, out);

	assert_refused(slice_make(out, n), false);
}
END_TEST

/* Every prefix, and one byte of any value behind the end. */
START_TEST(refuses_cut_and_trailing)
{
	const size_t line = sizeof(sample_line) - 1;
	const size_t record = sizeof(sample_record) - 1;
	char out[sizeof(sample_line) + sizeof(sample_record)];
	size_t i;

	for (i = strlen("Auth: "); i < line; i++)
		assert_refused(slice_make(sample_line, i), true);
	for (i = 0; i < record; i++)
		assert_refused(slice_make(sample_record, i), false);
	for (i = 0; i < 256; i++) {
		memcpy(out, sample_line, line);
		out[line] = (char)i;
		assert_refused(slice_make(out, line + 1), true);
		memcpy(out, sample_record, record);
		out[record] = (char)i;
		assert_refused(slice_make(out, record + 1), false);
	}
}
END_TEST

/* Any single byte changed to a control character, blank or 8-bit byte. */
START_TEST(refuses_bad_bytes)
{
	static const char bad[] = { '\0', '\n', '\r', '\t', '\x1b', '\x7f',
		'\x80', '\xff' };
	char out[sizeof(sample_line) + sizeof(sample_record)];
	size_t i, k;

	for (k = 0; k < sizeof(bad); k++) {
		for (i = strlen("Auth: "); i < sizeof(sample_line) - 1; i++) {
			memcpy(out, sample_line, sizeof(sample_line) - 1);
			out[i] = bad[k];
			assert_refused(
			    slice_make(out, sizeof(sample_line) - 1), true);
		}
		for (i = 0; i < sizeof(sample_record) - 1; i++) {
			memcpy(out, sample_record, sizeof(sample_record) - 1);
			out[i] = bad[k];
			assert_refused(
			    slice_make(out, sizeof(sample_record) - 1), false);
		}
	}
}
END_TEST

START_TEST(refuses_too_long)
{
	static char line[3 * AUTH_LINE_MAX];
	char user[AUTH_USER_MAX + 2];
	char from[] = "ann\\\"\\x0a";
	size_t n;

	memset(user, 'u', sizeof(user) - 1); /* one more than there may be */
	user[sizeof(user) - 1] = '\0';
	n = replace(sample_line, from, user, line);
	assert_refused(slice_make(line, n), true);
	n = replace(sample_record, from, user, line);
	assert_refused(slice_make(line, n), false);
	memset(line, 'x', sizeof(line));
	memcpy(line, "Auth: ", 6);
	assert_refused(slice_make(line, sizeof(line)), true);
	assert_refused(slice_make(line, sizeof(line)), false);
}
END_TEST

START_TEST(refuses_close_status)
{
	static const char good[] =
	    "Closing session: 192.0.2.7:1->192.0.2.8:2 "
	    "authorisation_id=NONE authentication_id=\"u\" "
	    "received=1 sent=2";
	char out[AUTH_LINE_MAX];
	struct auth_event e;
	size_t n;

	ck_assert_int_eq(auth_event_parse_line(slice_str(good), &e), 1);
	ck_assert_int_eq(e.kind, AUTH_CLOSE);
	ck_assert(!e.ok);
	n = replace(good, "sent=2", "sent=2 status=\"ok\"", out);
	assert_refused(slice_make(out, n), true);
	n = replace(good, "sent=2", "sent=02", out);
	assert_refused(slice_make(out, n), true);
	n = replace(good, "received=1", "received=", out);
	assert_refused(slice_make(out, n), true);
}
END_TEST

/* --- properties ---------------------------------------------------------- */

/* Bytes as an attacker would choose them: noise, and pieces of our syntax. */
static size_t
random_bytes(char *out, size_t cap)
{
	static const char *const pieces[] = { "\"", "\\", "\\\"", "\n", "\r\n",
		"\\x0a", "\" status=\"ok\"", " status=\"ok\"", "ok",
		"failed: ", "\"ok\"", "Auth: 198.51.100.66:1->192.0.2.8:2 ",
		"\nAuth: 198.51.100.66:1->192.0.2.8:2 client-secure=ssl ",
		"perdition-auth 1 kind=login ", " client=198.51.100.66:1 ",
		"->198.51.100.66:1 ", "NONE", " authorisation_id=NONE ",
		"authentication_id=\"", "\nperdition-auth 1 ", "=", " ",
		"status=ok ", "\" reason=\"\" received=0 sent=0\n" };
	size_t want =
	    random_below(2) == 0 ? random_below(24) : random_below(cap + 1);
	bool noise = random_below(2) == 0;
	size_t n = 0;

	while (n < want) {
		const char *piece =
		    pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))];
		size_t len = strlen(piece);

		if (noise || random_below(4) == 0) {
			out[n++] = (char)random_u64();
			continue;
		}
		if (len > want - n)
			len = want - n;
		memcpy(out + n, piece, len);
		n += len;
	}
	return n;
}

static struct addr
random_addr(void)
{
	struct addr a = { .port = (uint16_t)(1 + random_below(65535)) };
	size_t i, zeros = random_below(17);

	for (i = zeros; i < 16; i++)
		a.ip.s6_addr[i] = (uint8_t)random_u64();
	if (random_below(2) == 0) {
		memset(a.ip.s6_addr, 0, 10);
		a.ip.s6_addr[10] = a.ip.s6_addr[11] = 0xff;
	}
	if (random_below(8) == 0) { /* link-local, of some interface */
		a.ip.s6_addr[0] = 0xfe;
		a.ip.s6_addr[1] = 0x80;
		a.scope = (uint32_t)random_u64();
	}
	return a;
}

static struct auth_event
random_event(void)
{
	static const char *const protocols[] = { "IMAP4", "POP3", "POP3S",
		"IMAP4S", "MANAGESIEVE", "A", "0123456789ABCDE" };
	struct auth_event e = {
		.kind = (enum auth_kind)random_below(3),
		.time = (int64_t)random_u64(),
		.session = random_u64() >> random_below(64),
		.client = random_addr(),
		.local = random_addr(),
		.client_tls = (enum auth_tls)random_below(3),
		.server_tls = (enum auth_tls)random_below(3),
		.ok = random_below(2) == 0,
		.has_authz = random_below(2) == 0,
		.received = random_u64() >> random_below(64),
		.sent = random_u64() >> random_below(64),
	};
	const char *p = protocols[random_below(7)];

	memcpy(e.protocol, p, strlen(p) + 1);
	e.user_len = random_bytes(e.user, sizeof(e.user));
	e.authz_len = random_bytes(e.authz, sizeof(e.authz));
	e.server_len = random_bytes(e.server, sizeof(e.server));
	e.reason_len = random_bytes(e.reason, sizeof(e.reason));
	return e;
}

static void
assert_one_printable_line(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && p[i] >= 0x20 && p[i] <= 0x7e; i++)
		;
	ck_assert_uint_eq(i, n);
}

/*
 * parse(write(e)) = e for any bytes; as client, local and ok are among what
 * comes back unchanged, no bytes in another field can have changed them.
 */
START_TEST(round_trip)
{
	char out[AUTH_LINE_MAX];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct auth_event e = random_event(), got;
		ssize_t n = auth_event_write_line(&e, out, sizeof(out));

		ck_assert_int_gt(n, 0);
		assert_one_printable_line(out, (size_t)n);
		ck_assert_int_eq(
		    auth_event_parse_line(slice_make(out, (size_t)n), &got), 1);
		assert_same(&e, &got, false);

		n = auth_event_write_record(&e, out, sizeof(out));
		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(out[n - 1], '\n');
		assert_one_printable_line(out, (size_t)n - 1);
		ck_assert_int_eq(auth_event_parse_record(
				     slice_make(out, (size_t)n - 1), &got),
		    1);
		assert_same(&e, &got, true);
	}
}
END_TEST

/*
 * A failed login of the attacker, whatever stands in the fields that he
 * controls, seen through any window of its bytes (a reader that lost the
 * beginning of a line, or the end), never parses as ok nor for another client.
 */
START_TEST(no_forgery_from_fragments)
{
	char out[AUTH_LINE_MAX];
	int i;

	for (i = 0; i < 40; i++) {
		struct auth_event e = random_event(), got;
		size_t from, n;
		ssize_t len;
		bool record = random_below(2) == 0;

		e.ok = false;
		len = record ? auth_event_write_record(&e, out, sizeof(out))
			     : auth_event_write_line(&e, out, sizeof(out));
		ck_assert_int_gt(len, 0);
		n = (size_t)len;
		for (from = 1; from < n; from++) {
			struct slice s = slice_make(out + from, n - from);

			ck_assert_int_ne(auth_event_parse_record(s, &got), 1);
			ck_assert_int_ne(auth_event_parse_line(s, &got), 1);
		}
		for (from = 0; from < n; from++) {
			struct slice s = slice_make(out, from);

			if (auth_event_parse_record(s, &got) == 1 ||
			    auth_event_parse_line(s, &got) == 1) {
				ck_assert(!got.ok);
				ck_assert(addr_same_ip(&got.client, &e.client));
			}
		}
	}
}
END_TEST

/* Random damage either is refused or was no damage. */
START_TEST(one_spelling)
{
	char out[AUTH_LINE_MAX], again[AUTH_LINE_MAX];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct auth_event e = random_event(), got;
		ssize_t n = auth_event_write_line(&e, out, sizeof(out)), m;

		ck_assert_int_gt(n, 0);
		out[random_below((size_t)n)] = (char)random_u64();
		if (auth_event_parse_line(slice_make(out, (size_t)n), &got) !=
		    1)
			continue;
		m = auth_event_write_line(&got, again, sizeof(again));
		ck_assert_int_eq(m, n);
		ck_assert_mem_eq(out, again, (size_t)n);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("auth_event");
	TCase *tc = tcase_create("spelling");
	SRunner *runner = srunner_create(s);
	int failed;

#define LOOP(tc, test, array)                                                  \
	tcase_add_loop_test(                                                   \
	    tc, test, 0, (int)(sizeof(array) / sizeof((array)[0])))
	tcase_add_test(tc, line_spelling);
	tcase_add_test(tc, record_spelling);
	tcase_add_test(tc, parses_own_lines);
	tcase_add_test(tc, no_space);
	tcase_add_test(tc, largest_fits);
	tcase_add_loop_test(tc, writer_refuses, 0, WRITER_REFUSES);
	tcase_add_test(tc, unterminated_protocol);
	tcase_add_test(tc, port_zero);
	suite_add_tcase(s, tc);

	tc = tcase_create("refused");
	LOOP(tc, other_line, other_lines);
	LOOP(tc, refuses_changed, refused);
	LOOP(tc, refuses_status, refused_status);
	LOOP(tc, refuses_record, refused_record);
	tcase_add_test(tc, refuses_cut_and_trailing);
	tcase_add_test(tc, refuses_bad_bytes);
	tcase_add_test(tc, refuses_too_long);
	tcase_add_test(tc, refuses_close_status);
	suite_add_tcase(s, tc);

	tc = tcase_create("properties");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, no_forgery_from_fragments);
	tcase_add_test(tc, one_spelling);
	suite_add_tcase(s, tc);

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
