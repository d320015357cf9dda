/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Module daemon: its options, its lines, and programmes (of sh) that answer
 * late, wrongly, or not at all.
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/check_run.h"
#include "map_scratch.h"
#include "perdition/modules/daemon_line.h"
#include "perdition/modules/map_words.h"

#include "common/banned.h"

/* --- words --------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *words; /* with "|" between; NULL: an error */
} splits[] = {
	{ "", "" },
	{ " \t\n ", "" },
	{ "a", "a" },
	{ "  a  b\tc ", "a|b|c" },
	{ "'a b' \"c d\"", "a b|c d" },
	{ "a'b c'd\"e f\"", "ab cde f" },
	{ "'' \"\" x", "||x" },
	{ "\"a\\\"b\" 'a\\b' a\\ b \\\\", "a\"b|a\\b|a b|\\" },
	{ "$HOME `x` * # ;&", "$HOME|`x`|*|#|;&" },
	{ "a'b", NULL },
	{ "\"a", NULL },
	{ "a \\", NULL },
};

START_TEST(words)
{
	struct popmap_error err = { .msg = "" };
	struct map_words w;
	char said[256] = "";
	size_t n = 0;
	int ret = map_words_split(&w, splits[_i].text, &err);

	if (splits[_i].words == NULL) {
		ck_assert_int_eq(ret, -1);
		ck_assert_ptr_nonnull(strstr(err.msg, "quote"));
		return;
	}
	ck_assert_int_eq(ret, 0);
	for (size_t i = 0; i < w.n; i++)
		n += (size_t)snprintf(said + n, sizeof(said) - n, "%s%s",
		    i == 0 ? "" : "|", w.word[i]);
	ck_assert_str_eq(said, splits[_i].words);
	ck_assert_ptr_null(w.word[w.n]);
	map_words_clear(&w);
}
END_TEST

START_TEST(words_too_many)
{
	struct popmap_error err = { .msg = "" };
	char text[2 * MAP_WORDS_MAX + 3];
	struct map_words w;

	memset(text, 0, sizeof(text));
	for (size_t i = 0; i < MAP_WORDS_MAX; i++)
		memcpy(text + 2 * i, "a ", 2);
	ck_assert_int_eq(map_words_split(&w, text, &err), 0);
	ck_assert_uint_eq(w.n, MAP_WORDS_MAX);
	map_words_clear(&w);
	text[sizeof(text) - 3] = 'a';
	ck_assert_int_eq(map_words_split(&w, text, &err), -1);
}
END_TEST

/* --- questions ----------------------------------------------------------- */

static struct popmap_text
text_of(struct slice s)
{
	return (struct popmap_text){ s.p, s.n };
}

static const struct {
	struct slice in;
	const char *out;
} encodings[] = {
	{ SLICE("bob@example.org"), "bob@example.org" },
	{ SLICE("A-Z_0.9:+"), "A-Z_0.9:+" },
	{ SLICE("a b"), "a%20b" },
	{ SLICE("100%"), "100%25" },
	{ SLICE("../x"), "..%2Fx" },
	{ SLICE("a\r\nb\0c"), "a%0D%0Ab%00c" },
	{ SLICE("j\xc3\xb6rg"), "j%C3%B6rg" },
	{ SLICE("=,'\"\\$`~*"), "%3D%2C%27%22%5C%24%60%7E%2A" },
};

START_TEST(question_encodes)
{
	struct popmap_query q = { .delimiter = "@", .protocol = "imap4" };
	char out[256], want[256];
	long n;

	q.key = text_of(encodings[_i].in);
	n = daemon_line_question(7, &q, out, sizeof(out));
	snprintf(want, sizeof(want),
	    "7 %s user= local= domain= delimiter=@ protocol=imap4 tls=no\n",
	    encodings[_i].out);
	ck_assert_int_eq(n, (long)strlen(want));
	ck_assert_int_eq(memcmp(out, want, (size_t)n), 0);
}
END_TEST

START_TEST(question_whole)
{
	struct sockaddr_in client = { .sin_family = AF_INET };
	struct sockaddr_in6 local = { .sin6_family = AF_INET6 };
	struct popmap_query q = {
		.key = { "k", 1 },
		.user = { "u@d", 3 },
		.local = { "u", 1 },
		.domain = { "d", 1 },
		.delimiter = "%%",
		.protocol = "pop3",
		.client_tls = true,
		.client_addr = (struct sockaddr *)&client,
		.local_addr = (struct sockaddr *)&local,
	};
	static const char want[] =
	    "18446744073709551615 k user=u@d local=u domain=d "
	    "delimiter=%25%25 protocol=pop3 client_addr=192.0.2.7 "
	    "local_addr=2001:db8::1 local_port=995 tls=yes\n";
	char out[DAEMON_QUESTION_MAX];
	long n;

	client.sin_port = htons(4711);
	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.7", &client.sin_addr), 1);
	local.sin6_port = htons(995);
	ck_assert_int_eq(
	    inet_pton(AF_INET6, "2001:db8::1", &local.sin6_addr), 1);
	n = daemon_line_question(UINT64_MAX, &q, out, sizeof(out));
	ck_assert_int_eq(n, (long)strlen(want));
	ck_assert_int_eq(memcmp(out, want, (size_t)n), 0);
	/* Not a byte more than it may write. */
	for (size_t cap = 0; cap < (size_t)n; cap++) {
		out[cap] = '\x7f';
		ck_assert_int_eq(daemon_line_question(1, &q, out, cap) == -1 ||
				     cap + 19 >= (size_t)n,
		    1);
		ck_assert_int_eq(out[cap], '\x7f');
	}
}
END_TEST

START_TEST(question_longest_fits)
{
	static char name[2048];
	struct popmap_query q = { .delimiter = "@", .protocol = "managesieve" };
	char out[DAEMON_QUESTION_MAX];

	memset(name, '\xff', sizeof(name));
	q.key = (struct popmap_text){ name, sizeof(name) };
	q.user = q.domain = (struct popmap_text){ name, 768 };
	q.local = (struct popmap_text){ name, 768 };
	ck_assert_int_gt(daemon_line_question(1, &q, out, sizeof(out)), 12000);
}
END_TEST

/* --- answers ------------------------------------------------------------- */

static const struct {
	struct slice line;
	int ret;
	enum daemon_says says;
	const char *said; /* servers with "|" between; FAIL's text */
	uint32_t ttl;
} answers[] = {
	{ SLICE("7 OK h"), 0, DAEMON_OK, "h", 0 },
	{ SLICE("7 OK h\r"), 0, DAEMON_OK, "h", 0 },
	{ SLICE("7 OK h1,h2:99"), 0, DAEMON_OK, "h1|h2:99", 0 },
	{ SLICE("7 OK bob@h:143?tls=starttls"), 0, DAEMON_OK,
	    "bob@h:143?tls=starttls", 0 },
	{ SLICE("7 OK imaps://h,[2001:db8::1]:993"), 0, DAEMON_OK,
	    "imaps://h|[2001:db8::1]:993", 0 },
	{ SLICE("7 OK a%20b%2cc%25@h"), 0, DAEMON_OK, "a b,c%@h", 0 },
	{ SLICE("7 OK j\xc3\xb6@h"), 0, DAEMON_OK, "j\xc3\xb6@h", 0 },
	{ SLICE("7 OK h ttl=60"), 0, DAEMON_OK, "h", 60 },
	{ SLICE("7 OK h ttl=0"), 0, DAEMON_OK, "h", POPMAP_TTL_NONE },
	{ SLICE("7 OK h ttl=2147483647"), 0, DAEMON_OK, "h", 2147483647 },
	{ SLICE("7 NOTFOUND"), 0, DAEMON_NOTFOUND, "", 0 },
	{ SLICE("7 NOTFOUND ttl=5"), 0, DAEMON_NOTFOUND, "", 5 },
	{ SLICE("7 FAIL"), 0, DAEMON_FAIL, "", 0 },
	{ SLICE("7 FAIL no database: 5% left"), 0, DAEMON_FAIL,
	    "no database: 5% left", 0 },
	{ SLICE(""), -1, DAEMON_OK, "no ID", 0 },
	{ SLICE(" OK h"), -1, DAEMON_OK, "no ID", 0 },
	{ SLICE("x OK h"), -1, DAEMON_OK, "no ID", 0 },
	{ SLICE("-7 OK h"), -1, DAEMON_OK, "no ID", 0 },
	{ SLICE("18446744073709551616 OK h"), -1, DAEMON_OK, "no ID", 0 },
	{ SLICE("7"), -1, DAEMON_OK, "neither", 0 },
	{ SLICE("7 ok h"), -1, DAEMON_OK, "neither", 0 },
	{ SLICE("7  OK h"), -1, DAEMON_OK, "neither", 0 },
	{ SLICE("7 OKAY h"), -1, DAEMON_OK, "neither", 0 },
	{ SLICE("7 OK"), -1, DAEMON_OK, "no server's name", 0 },
	{ SLICE("7 OK "), -1, DAEMON_OK, "no server's name", 0 },
	{ SLICE("7 OK h,"), -1, DAEMON_OK, "no server's name", 0 },
	{ SLICE("7 OK ,h"), -1, DAEMON_OK, "no server's name", 0 },
	{ SLICE("7 OK h1 h2"), -1, DAEMON_OK, "ttl=", 0 },
	{ SLICE("7 OK h ttl="), -1, DAEMON_OK, "ttl", 0 },
	{ SLICE("7 OK h ttl=-1"), -1, DAEMON_OK, "ttl", 0 },
	{ SLICE("7 OK h ttl=2147483648"), -1, DAEMON_OK, "ttl", 0 },
	{ SLICE("7 OK h ttl=5 x"), -1, DAEMON_OK, "ttl", 0 },
	{ SLICE("7 NOTFOUND h"), -1, DAEMON_OK, "ttl=", 0 },
	{ SLICE("7 OK a%"), -1, DAEMON_OK, "base 16", 0 },
	{ SLICE("7 OK a%2"), -1, DAEMON_OK, "base 16", 0 },
	{ SLICE("7 OK a%zz"), -1, DAEMON_OK, "base 16", 0 },
	{ SLICE("7 OK a\tb"), -1, DAEMON_OK, "control", 0 },
	{ SLICE("7 OK a\0b"), -1, DAEMON_OK, "control", 0 },
	{ SLICE("7 OK a\rb"), -1, DAEMON_OK, "control", 0 },
	{ SLICE("7 OK 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"), -1,
	    DAEMON_OK, "more than 16", 0 },
};

START_TEST(answer_cases)
{
	static struct popmap_answer a;
	struct popmap_error err = { .msg = "" };
	struct daemon_reply r;
	char said[256] = "";
	size_t n = 0;
	int ret = daemon_line_answer(answers[_i].line, &r, &a, &err);

	ck_assert_int_eq(ret, answers[_i].ret);
	if (ret == -1) {
		ck_assert_msg(
		    strstr(err.msg, answers[_i].said) != NULL, "%s", err.msg);
		return;
	}
	ck_assert_uint_eq(r.id, 7);
	ck_assert_int_eq(r.says, answers[_i].says);
	ck_assert_uint_eq(a.ttl, answers[_i].ttl);
	if (r.says == DAEMON_FAIL)
		snprintf(said, sizeof(said), "%.*s", (int)r.text.n, r.text.p);
	for (size_t i = 0; i < a.n; i++)
		n += (size_t)snprintf(said + n, sizeof(said) - n, "%s%.*s",
		    i == 0 ? "" : "|", (int)a.server[i].len, a.server[i].text);
	ck_assert_str_eq(said, answers[_i].said);
}
END_TEST

START_TEST(answer_long_server)
{
	static struct popmap_answer a;
	struct popmap_error err = { .msg = "" };
	char line[POPMAP_USER_MAX + POPMAP_SERVER_MAX + 6];
	struct daemon_reply r;

	memset(line, 'x', sizeof(line));
	memcpy(line, "7 OK ", 5);
	ck_assert_int_eq(daemon_line_answer(
			     slice_make(line, sizeof(line) - 1), &r, &a, &err),
	    0);
	ck_assert_int_eq(
	    daemon_line_answer(slice_make(line, sizeof(line)), &r, &a, &err),
	    -1);
}
END_TEST

/* --- options ------------------------------------------------------------- */

static const struct {
	const char *options, *said; /* NULL: good */
} options[] = {
	{ "/run/x", NULL },
	{ "socket=/run/no such/x", NULL },
	{ "command=/bin/sh", NULL },
	{ "command=\"/bin/sh\" -c 'read x; exit'", NULL },
	{ "", "neither socket=PATH nor" },
	{ "x", "neither socket=PATH nor" },
	{ "socket=", "not an absolute path" },
	{ "socket=x", "not an absolute path" },
	{ "/123456789012345678901234567890123456789012345678901234567890123456"
	  "7890123456789012345678901234567890123456789",
	    "longer than 107" },
	{ "command=", "absolute path" },
	{ "command=sh", "absolute path" },
	{ "command=/bin/sh '", "quote" },
	{ "command=/no/such/thing", "/no/such/thing: No such file" },
	{ "command=/etc/passwd", "/etc/passwd: Permission denied" },
};

START_TEST(option_cases)
{
	struct popmap_module *m = NULL;
	struct err err = { .msg = "" };
	int ret = popmap_module_open(&m, BUILT_MODULES "/popmap_daemon.so",
	    options[_i].options, scratch, &err);

	if (options[_i].said == NULL) {
		ck_assert_msg(ret == 0, "%s", err.msg);
	} else {
		ck_assert_int_eq(ret, -1);
		ck_assert_msg(
		    strstr(err.msg, options[_i].said) != NULL, "%s", err.msg);
	}
	popmap_module_close(&m);
}
END_TEST

/* --- programmes ---------------------------------------------------------- */

static struct popmap_module *
run(const char *script)
{
	char text[1024];

	snprintf(text, sizeof(text), "command=/bin/sh -c '%s'", script);
	return scratch_open("daemon", text);
}

static int
look(struct popmap_module *m, const char *key, unsigned int ms)
{
	static struct popmap_answer a;
	struct popmap_query q = {
		.key = { key, strlen(key) },
		.delimiter = "@",
		.protocol = "imap4",
		.timeout_ms = ms,
	};
	struct err err = { .msg = "" };
	int ret = popmap_module_lookup(m, &q, &a, &err);

	snprintf(scratch_said, sizeof(scratch_said), "%s", err.msg);
	if (ret == 1)
		snprintf(scratch_said, sizeof(scratch_said), "%.*s",
		    (int)a.server[0].len, a.server[0].text);
	return ret;
}

static void
expect(struct popmap_module *m, const char *key, unsigned int ms, int ret,
    const char *said)
{
	int got = look(m, key, ms);

	ck_assert_msg(got == ret, "%s: %d %s", key, got, scratch_said);
	ck_assert_msg(
	    strstr(scratch_said, said) != NULL, "%s: %s", key, scratch_said);
}

#define LONG 20000 /* ms: nothing waits so long unless it fails */

START_TEST(programme_answers)
{
	struct popmap_module *m =
	    run("while read -r id key rest; do case $key in "
		"none) echo $id NOTFOUND;; fail) echo $id FAIL told to;; "
		"*) echo $id OK $key@h;; esac; done");

	expect(m, "bob", LONG, 1, "bob@h");
	expect(m, "none", LONG, 0, "");
	expect(m, "fail", LONG, -1, "says: told to");
	expect(m, "a b", LONG, 1, "a b@h");
	expect(m, "", LONG, 0, "");
	popmap_module_close(&m);
}
END_TEST

/* The answer to the first question comes when the second is asked, before
 * its own. */
START_TEST(programme_late)
{
	struct popmap_module *m =
	    run("read -r a k r; read -r b l r; "
		"echo $a OK $k; echo $b OK $l; echo 99999 OK future; "
		"read -r c m r; echo $c OK $m; read -r x");

	expect(m, "one", 50, -1, "no answer within 50 ms");
	expect(m, "two", LONG, 1, "two");
	expect(m, "three", LONG, 1, "three");
	popmap_module_close(&m);
}
END_TEST

static const struct {
	const char *script, *said;
} wrong[] = {
	{ "read -r id x; echo $id OK a b; read x", "malformed answer: " },
	{ "read -r id x; echo; read x", "malformed answer: no ID" },
	{ "read -r id x; head -c 20000 /dev/zero | tr \"\\0\" 9; read x",
	    "a line without an end" },
	{ "exec cat", "neither OK nor NOTFOUND nor FAIL" },
	{ "exit 3", "ended, or closed the connection" },
	{ "read -r x; printf 1", "ended, or closed the connection" },
	{ "exec yes \"77 NOTFOUND\"", "no answer within" },
	{ "exec sleep 1000", "no answer within" },
};

START_TEST(programme_wrong)
{
	struct popmap_module *m = run(wrong[_i].script);

	expect(m, "a", 2000, -1, wrong[_i].said);
	popmap_module_close(&m);
}
END_TEST

/* Each of these ends after its first answer; nobody notices. */
START_TEST(programme_ends_and_is_started)
{
	struct popmap_module *m = run("read -r id key x; echo $id OK $key");

	for (int i = 0; i < 20; i++)
		expect(m, "bob", LONG, 1, "bob");
	popmap_module_close(&m);
}
END_TEST

START_TEST(programme_ends_at_once)
{
	struct popmap_module *m = run("exit");

	/* The pause grows until it is not waited for any more. */
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(look(m, "bob", LONG), -1);
		if (strstr(scratch_said, "it is started again in") != NULL)
			break;
	}
	expect(m, "bob", LONG, -1, "it is started again in");
	popmap_module_close(&m);
}
END_TEST

/* Hung for good: after some questions it is another process. */
START_TEST(programme_hung_is_started_anew)
{
	char script[256];
	struct popmap_module *m;

	snprintf(script, sizeof(script),
	    "read -r id x; if test -e %s; then echo $id OK again; else "
	    "echo >%s; sleep 1000; fi",
	    scratch_path("second"), scratch_path("second"));
	m = run(script);
	for (int i = 0; i < 200 && look(m, "bob", 50) != 1; i++)
		continue;
	ck_assert_str_eq(scratch_said, "again");
	popmap_module_close(&m);
}
END_TEST

/* It, and what it has started, are gone when the map is closed. */
START_TEST(programme_is_ended)
{
	char script[256];
	struct popmap_module *m;
	char *pids;
	size_t n;
	int a, b;

	snprintf(script, sizeof(script),
	    "trap : TERM; sleep 1000 & echo $$ $! >%s; "
	    "while :; do read -r id x && echo $id OK h; done",
	    scratch_path("pids"));
	m = run(script);
	expect(m, "bob", LONG, 1, "h");
	pids = scratch_read("pids", &n);
	ck_assert_int_eq(sscanf(pids, "%d %d", &a, &b), 2);
	free(pids);
	ck_assert_int_eq(getpgid(b), a);
	popmap_module_close(&m);
	ck_assert_int_eq(kill(a, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}
END_TEST

START_TEST(nobody_listens)
{
	struct popmap_module *m =
	    scratch_open("daemon", "socket=/nonexistent/socket");

	expect(m, "bob", LONG, -1, "No such file or directory");
	popmap_module_close(&m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_daemon");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, scratch_make, scratch_remove);
	tcase_add_loop_test(t, words, 0, COUNT(splits));
	tcase_add_test(t, words_too_many);
	tcase_add_loop_test(t, question_encodes, 0, COUNT(encodings));
	tcase_add_test(t, question_whole);
	tcase_add_test(t, question_longest_fits);
	tcase_add_loop_test(t, answer_cases, 0, COUNT(answers));
	tcase_add_test(t, answer_long_server);
	tcase_add_loop_test(t, option_cases, 0, COUNT(options));
	tcase_add_test(t, programme_answers);
	tcase_add_test(t, programme_late);
	tcase_add_loop_test(t, programme_wrong, 0, COUNT(wrong));
	tcase_add_test(t, programme_ends_and_is_started);
	tcase_add_test(t, programme_ends_at_once);
	tcase_add_test(t, programme_hung_is_started_anew);
	tcase_add_test(t, programme_is_ended);
	tcase_add_test(t, nobody_listens);
	return check_run("popmap_daemon", t);
}
