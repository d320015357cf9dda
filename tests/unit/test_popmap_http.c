/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Module http: its options, what it says to the service, and what it makes of
 * the response's headers.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "map_scratch.h"
#include "perdition/modules/http_auth.h"
#include "perdition/modules/http_options.h"

#include "common/banned.h"

/* --- options ------------------------------------------------------------- */

START_TEST(options_all)
{
	struct popmap_error err = { .msg = "" };
	struct http_options o;
	int ret = http_options_read(&o,
	    "https://auth.example/q?x=1 \"header=X-Key: se cret\" header=B:2 "
	    "pass='a b' unix=/run/s cafile=/ca cert=/c key=/k user=u "
	    "password_file=/p verify=no timeout=7 connect_timeout=2",
	    &err);

	ck_assert_msg(ret == 0, "%s", err.msg);
	ck_assert_str_eq(o.url, "https://auth.example/q?x=1");
	ck_assert_uint_eq(o.headers, 2);
	ck_assert_str_eq(o.header[0], "X-Key: se cret");
	ck_assert_str_eq(o.header[1], "B:2");
	ck_assert_str_eq(o.pass, "a b");
	ck_assert_str_eq(o.unix_path, "/run/s");
	ck_assert_str_eq(o.ca_file, "/ca");
	ck_assert_str_eq(o.cert, "/c");
	ck_assert_str_eq(o.key, "/k");
	ck_assert_str_eq(o.user, "u");
	ck_assert_str_eq(o.password_file, "/p");
	ck_assert(o.no_verify);
	ck_assert_uint_eq(o.timeout_ms, 7000);
	ck_assert_uint_eq(o.connect_timeout_ms, 2000);
	http_options_clear(&o);
}
END_TEST

START_TEST(options_default)
{
	struct popmap_error err = { .msg = "" };
	struct http_options o;

	ck_assert_int_eq(http_options_read(&o, "url=http://h/", &err), 0);
	ck_assert_str_eq(o.url, "http://h/");
	ck_assert_uint_eq(o.headers, 0);
	ck_assert_ptr_null(o.pass);
	ck_assert(!o.no_verify);
	ck_assert_uint_eq(o.timeout_ms, 0);
	ck_assert_uint_eq(o.connect_timeout_ms, 1000);
	http_options_clear(&o);
}
END_TEST

static const struct {
	const char *text, *said;
} bad_options[] = {
	{ "", "begin it with the http:// or https:// URL" },
	{ "verify=yes", "begin it with the http:// or https:// URL" },
	{ "ftp://h/", "url: neither http:// nor https://" },
	{ "/etc/passwd", "url: neither" },
	{ "file:///etc/passwd", "url: neither" },
	{ "http://a http://b", "url: given twice" },
	{ "http://a pass=1 pass=2", "pass: given twice" },
	{ "http://a colour=blue", "there is no option colour" },
	{ "http://a 'header=X: a\r\nY: b'", "header: a control byte" },
	{ "http://a 'header=X Y: b'", "header: not \"NAME: VALUE\"" },
	{ "http://a header=X", "header: not \"NAME: VALUE\"" },
	{ "http://a 'header=: x'", "header: not \"NAME: VALUE\"" },
	{ "http://a 'header=X: '", "header: no value" },
	{ "http://a unix=x", "unix: not an absolute path" },
	{ "http://a unix=/12345678901234567890123456789012345678901234567890"
	  "12345678901234567890123456789012345678901234567890123456789",
	    "unix: too long" },
	{ "http://a verify=maybe", "verify: neither yes nor no" },
	{ "http://a timeout=0", "timeout: not a number of seconds" },
	{ "http://a timeout=601", "timeout: not a number of seconds" },
	{ "http://a connect_timeout=1s", "connect_timeout: not a number" },
	{ "http://a user=u", "user and password_file: give both" },
	{ "http://a password_file=/p", "user and password_file: give both" },
	{ "http://a key=/k", "key: give cert too" },
	{ "http://a pass='x", "quote" },
};

START_TEST(options_bad)
{
	struct popmap_error err = { .msg = "" };
	struct http_options o;

	ck_assert_int_eq(http_options_read(&o, bad_options[_i].text, &err), -1);
	ck_assert_msg(
	    strstr(err.msg, bad_options[_i].said) != NULL, "%s", err.msg);
}
END_TEST

START_TEST(options_too_many_headers)
{
	struct popmap_error err = { .msg = "" };
	char text[1024];
	struct http_options o;
	size_t n = (size_t)snprintf(text, sizeof(text), "http://a");

	for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
		n += (size_t)snprintf(
		    text + n, sizeof(text) - n, " header=X%d:1", i);
	ck_assert_int_eq(http_options_read(&o, text, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "header: more than"));
}
END_TEST

/* Files and the URL are looked at by the module itself. */
static const struct {
	const char *text, *said; /* NULL: good */
} opened[] = {
	{ "http://127.0.0.1:1/x", NULL },
	{ "https://[2001:db8::1]:8443/x?y=z", NULL },
	{ "http://u:secret@h/", "put the name into user=" },
	{ "http://", "url: not a URL" },
	{ "http://h:99999/", "url: not a URL" },
	{ "http://h/ cafile=/no/such/file",
	    "cafile /no/such/file: No such file" },
	{ "http://h/ user=u password_file=/no/such/file",
	    "password_file /no/such/file: No such file" },
	{ "http://h/ user=u password_file=/dev/null",
	    "password_file /dev/null: not a regular file" },
};

START_TEST(module_opens)
{
	struct popmap_module *m = NULL;
	struct err err = { .msg = "" };
	int ret = popmap_module_open(&m, BUILT_MODULES "/popmap_http.so",
	    opened[_i].text, scratch, &err);

	if (opened[_i].said == NULL) {
		ck_assert_msg(ret == 0, "%s", err.msg);
	} else {
		ck_assert_int_eq(ret, -1);
		ck_assert_msg(
		    strstr(err.msg, opened[_i].said) != NULL, "%s", err.msg);
		ck_assert_ptr_null(strstr(err.msg, "secret"));
	}
	popmap_module_close(&m);
}
END_TEST

/* --- request ------------------------------------------------------------- */

static const struct {
	struct slice value;
	const char *line;
} headers[] = {
	{ SLICE("bob@example.org"), "Auth-User: bob@example.org" },
	{ SLICE(""), "Auth-User;" },
	{ SLICE("a b"), "Auth-User: a%20b" },
	{ SLICE("100%"), "Auth-User: 100%25" },
	{ SLICE("a\r\nAuth-User: eve"), "Auth-User: a%0d%0aAuth-User:%20eve" },
	{ SLICE("a\0b\t\x7f"), "Auth-User: a%00b%09%7f" },
	{ SLICE("j\xc3\xb6\xff"), "Auth-User: j%c3%b6%ff" },
	{ SLICE("\"'\\+&=;,"), "Auth-User: \"'\\+&=;," },
};

START_TEST(request_header)
{
	char *line = http_auth_header("Auth-User", headers[_i].value);

	ck_assert_ptr_nonnull(line);
	ck_assert_str_eq(line, headers[_i].line);
	free(line);
}
END_TEST

START_TEST(request_protocol)
{
	ck_assert_str_eq(http_auth_protocol("imap4"), "imap");
	ck_assert_str_eq(http_auth_protocol("pop3"), "pop3");
	ck_assert_str_eq(http_auth_protocol("managesieve"), "managesieve");
}
END_TEST

/* --- response ------------------------------------------------------------ */

#define OK "Auth-Status: OK|"
#define AT "Auth-Server: 192.0.2.1|Auth-Port: 143|"

static const struct {
	long code;
	const char *head; /* lines end with "|" */
	int ret;
	const char *said;
	uint32_t ttl;
} replies[] = {
	{ 200, OK AT, 1, "[192.0.2.1]:143", 0 },
	{ 204, OK AT, 1, "[192.0.2.1]:143", 0 },
	{ 200, "auth-status:OK|AUTH-SERVER:192.0.2.1  |auth-port:\t143|", 1,
	    "[192.0.2.1]:143", 0 },
	{ 200, OK "Auth-Server: 2001:db8::1|Auth-Port: 993|", 1,
	    "[2001:db8::1]:993", 0 },
	{ 200, OK "Auth-Server: [2001:db8::1]|Auth-Port: 993|", 1,
	    "[2001:db8::1]:993", 0 },
	{ 200, OK "Auth-Server: mail_1.example.org|Auth-Port: 143|", 1,
	    "mail_1.example.org:143", 0 },
	{ 200, OK "Auth-Server: 192.0.2.1, 192.0.2.2|Auth-Port: 143|", 1,
	    "[192.0.2.1]:143|[192.0.2.2]:143", 0 },
	{ 200, OK AT "Auth-User: robert|", 1, "robert@[192.0.2.1]:143", 0 },
	{ 200, OK AT "Auth-User: a@b c|", 1, "a@b c@[192.0.2.1]:143", 0 },
	{ 200, OK AT "Auth-User:|", 1, "[192.0.2.1]:143", 0 },
	{ 200, OK AT "Auth-Pass: x|Auth-Wait: 3|X: y|junk|", 1,
	    "[192.0.2.1]:143", 0 },
	{ 200, "HTTP/1.1 100 Continue|Auth-Status: no|HTTP/1.1 200 OK|" OK AT,
	    1, "[192.0.2.1]:143", 0 },
	{ 200, OK AT "Cache-Control: max-age=60|", 1, "[192.0.2.1]:143", 60 },
	{ 200, OK AT "Cache-Control: private, Max-Age=5 , x|", 1,
	    "[192.0.2.1]:143", 5 },
	{ 200, OK AT "Cache-Control: max-age=0|", 1, "[192.0.2.1]:143",
	    POPMAP_TTL_NONE },
	{ 200, OK AT "Cache-Control: no-store|", 1, "[192.0.2.1]:143",
	    POPMAP_TTL_NONE },
	{ 200, OK AT "Cache-Control: max-age=9, no-cache|", 1,
	    "[192.0.2.1]:143", POPMAP_TTL_NONE },
	{ 200, OK AT "Cache-Control: max-age=99999999999999999999|", 1,
	    "[192.0.2.1]:143", INT32_MAX },
	{ 200, OK AT "Cache-Control: max-age=x, max-age|", 1, "[192.0.2.1]:143",
	    0 },
	{ 200, "Auth-Status: Invalid login or password|", 0, "", 0 },
	{ 200, "Auth-Status: Invalid login|Cache-Control: max-age=9|", 0, "",
	    9 },
	{ 200, "Auth-Status: no|Auth-Error-Code: 535 5.7.0|", 0, "", 0 },
	{ 200, "Auth-Status: Temporarily odd|Auth-Error-Code: 550|", 0, "", 0 },
	{ 200, "Auth-Status: ok|" AT, 0, "", 0 },
	/* Maybe the URL is wrong, and nobody is to be told "no such user". */
	{ 404, "", -1, "HTTP status 404", 0 },
	{ 404, OK AT, -1, "HTTP status 404", 0 },
	{ 200, "Auth-Status: no|Auth-Error-Code: 451 4.3.0|", -1,
	    "Auth-Status: no", 0 },
	{ 200, "Auth-Status: Temporary server problem, try again later|", -1,
	    "Temporary server problem", 0 },
	{ 200, "Auth-Status: [UNAVAILABLE] down|", -1, "UNAVAILABLE", 0 },
	{ 200, "Auth-Status: [SYS/TEMP] down|", -1, "SYS/TEMP", 0 },
	{ 200, AT, -1, "no header Auth-Status", 0 },
	{ 200, OK "Auth-Port: 143|", -1, "without Auth-Server", 0 },
	{ 200, OK "Auth-Server: 192.0.2.1|", -1, "without Auth-Port", 0 },
	{ 200, OK "Auth-Server: 192.0.2.1|Auth-Port: 0|", -1, "Auth-Port", 0 },
	{ 200, OK "Auth-Server: 192.0.2.1|Auth-Port: 65536|", -1, "Auth-Port",
	    0 },
	{ 200, OK "Auth-Server: 192.0.2.1|Auth-Port: imap|", -1, "Auth-Port",
	    0 },
	{ 200, OK "Auth-Server: |Auth-Port: 143|", -1, "Auth-Server", 0 },
	{ 200, OK "Auth-Server: a@b|Auth-Port: 143|", -1, "Auth-Server", 0 },
	{ 200, OK "Auth-Server: a:1|Auth-Port: 143|", -1, "Auth-Server", 0 },
	{ 200, OK "Auth-Server: unix:/x|Auth-Port: 143|", -1, "Auth-Server",
	    0 },
	{ 200, OK "Auth-Server: 192.0.2.1,|Auth-Port: 143|", -1, "Auth-Server",
	    0 },
	{ 200, OK AT "Auth-Port: 143|", -1, "given twice", 0 },
	{ 200, OK OK AT, -1, "given twice", 0 },
	{ 200, OK AT "Auth-User: imaps://bob|", -1, "Auth-User", 0 },
	{ 200, OK AT " folded|", -1, "over several lines", 0 },
	{ 301, OK AT, -1, "HTTP status 301", 0 },
	{ 401, OK AT, -1, "HTTP status 401", 0 },
	{ 403, "Auth-Status: no|", -1, "HTTP status 403", 0 },
	{ 500, OK AT, -1, "HTTP status 500", 0 },
	{ 503, "", -1, "HTTP status 503", 0 },
};

static void
read_head(struct http_reply *r, const char *head)
{
	struct slice rest = slice_str(head), line;

	memset(r, 0, sizeof(*r));
	while (rest.n > 0) {
		char raw[1024];

		(void)slice_cut(&rest, '|', &line);
		http_reply_line(
		    r, slice_make(raw, (size_t)snprintf(raw, sizeof(raw),
					   "%.*s\r\n", (int)line.n, line.p)));
	}
	http_reply_line(r, SLICE("\r\n"));
}

START_TEST(reply_cases)
{
	static struct popmap_answer a;
	struct popmap_error err = { .msg = "" };
	struct http_reply r;
	char said[512] = "";
	size_t n = 0;
	int ret;

	memset(&a, 0, sizeof(a));
	read_head(&r, replies[_i].head);
	ret = http_reply_answer(&r, replies[_i].code, "@", &a, &err);
	ck_assert_msg(ret == replies[_i].ret, "%d %s", ret, err.msg);
	if (ret == -1) {
		ck_assert_msg(
		    strstr(err.msg, replies[_i].said) != NULL, "%s", err.msg);
		return;
	}
	ck_assert_uint_eq(a.ttl, replies[_i].ttl);
	for (size_t i = 0; ret == 1 && i < a.n; i++)
		n += (size_t)snprintf(said + n, sizeof(said) - n, "%s%.*s",
		    i == 0 ? "" : "|", (int)a.server[i].len, a.server[i].text);
	ck_assert_str_eq(said, replies[_i].said);
}
END_TEST

START_TEST(reply_long_values)
{
	static struct popmap_answer a;
	struct popmap_error err = { .msg = "" };
	struct http_reply r;
	char line[POPMAP_USER_MAX + 64];
	int n;

	for (int size = POPMAP_USER_MAX; size <= POPMAP_USER_MAX + 1; size++) {
		read_head(&r, OK AT);
		n = snprintf(
		    line, sizeof(line), "Auth-User: %0*d\r\n", size, 0);
		http_reply_line(&r, slice_make(line, (size_t)n));
		ck_assert_int_eq(http_reply_answer(&r, 200, "@", &a, &err),
		    size == POPMAP_USER_MAX ? 1 : -1);
	}
	ck_assert_ptr_nonnull(strstr(err.msg, "too long"));
	/* A long reason is a reason still. */
	n = snprintf(line, sizeof(line), "Auth-Status: %0*d\r\n",
	    POPMAP_USER_MAX + 20, 0);
	memset(&r, 0, sizeof(r));
	http_reply_line(&r, slice_make(line, (size_t)n));
	ck_assert_int_eq(http_reply_answer(&r, 200, "@", &a, &err), 0);
}
END_TEST

/* A NUL neither ends a value nor gets through. */
START_TEST(reply_nul)
{
	static struct popmap_answer a;
	struct popmap_error err = { .msg = "" };
	struct http_reply r;

	read_head(&r, AT);
	http_reply_line(&r, SLICE("Auth-Status: OK\0\r\n"));
	ck_assert_int_eq(http_reply_answer(&r, 200, "@", &a, &err), 0);
	read_head(&r, OK AT);
	http_reply_line(&r, SLICE("Auth-User: a\0b\r\n"));
	ck_assert_int_eq(http_reply_answer(&r, 200, "@", &a, &err), -1);
	read_head(&r, OK "Auth-Port: 143|");
	http_reply_line(&r, SLICE("Auth-Server: h\0x\r\n"));
	ck_assert_int_eq(http_reply_answer(&r, 200, "@", &a, &err), -1);
	http_reply_line(&r, SLICE(""));
}
END_TEST

/* With a delimiter that stands in an address too. */
START_TEST(reply_odd_delimiter)
{
	static struct popmap_answer a;
	struct popmap_error err = { .msg = "" };
	struct http_reply r;

	read_head(&r, OK AT "Auth-User: u|");
	ck_assert_int_eq(http_reply_answer(&r, 200, ".", &a, &err), 1);
	ck_assert_int_eq(
	    memcmp(a.server[0].text, "u.[192.0.2.1]:143", a.server[0].len), 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_http");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, scratch_make, scratch_remove);
	tcase_add_test(t, options_all);
	tcase_add_test(t, options_default);
	tcase_add_loop_test(t, options_bad, 0, COUNT(bad_options));
	tcase_add_test(t, options_too_many_headers);
	tcase_add_loop_test(t, module_opens, 0, COUNT(opened));
	tcase_add_loop_test(t, request_header, 0, COUNT(headers));
	tcase_add_test(t, request_protocol);
	tcase_add_loop_test(t, reply_cases, 0, COUNT(replies));
	tcase_add_test(t, reply_long_values);
	tcase_add_test(t, reply_nul);
	tcase_add_test(t, reply_odd_delimiter);
	return check_run("popmap_http", t);
}
