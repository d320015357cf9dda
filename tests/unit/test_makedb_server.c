/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What perditiondb_makedb puts into columns means, put together again, what
 * the popmap's text means.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "perdition/modules/makedb_server.h"
#include "perdition/modules/map_join.h"
#include "perdition/modules/sql_map.h"
#include "perdition/popmap_answer.h"

#include "common/banned.h"

static const struct {
	const char *text, *delimiter;
	const char *user, *name, *port;
} cases[] = {
	{ "h", "@", "", "h", "" },
	{ "h:143", "@", "", "h", "143" },
	{ "h.example.org:imap", "@", "", "h.example.org", "imap" },
	{ "bob@h:1", "@", "bob", "h", "1" },
	{ "bob@ex.org@h", "@", "bob@ex.org", "h", "" },
	{ "bob:x@h", "@", "bob:x", "h", "" },
	{ "@h", "@", "", "h", "" },
	{ "bob::h:1", "::", "bob", "h", "1" },
	{ "bob=h:1?tls=none", "=", "bob", "h?tls=none", "1" },
	{ "[2001:db8::1]", "@", "", "[2001:db8::1]", "" },
	{ "[2001:db8::1]:143", "@", "", "[2001:db8::1]", "143" },
	{ "bob@[::1]:imap", "@", "bob", "[::1]", "imap" },
	{ "2001:db8::1", "@", "", "2001:db8::1", "" },
	{ "bob@2001:db8::1", "@", "bob", "2001:db8::1", "" },
	{ "[fe80::1%1]:143", "%", "", "[fe80::1%1]", "143" },
	{ "bob%[fe80::1%1]:143", "%", "bob", "[fe80::1%1]", "143" },
	{ "a[b]@h:65535", "@", "a[b]", "h", "65535" },
	{ "imaps://h:1", "@", "", "imaps://h", "1" },
	{ "imaps://bob@h:1", "@", "bob", "imaps://h", "1" },
	{ "bob@imaps://h", "@", "bob", "imaps://h", "" },
	{ "bob@pop3://[::1]:1", "@", "bob", "pop3://[::1]", "1" },
	{ "imap://h:1?tls=starttls", "@", "", "imap://h?tls=starttls", "1" },
	{ "a?b@h:1?tls=implicit", "@", "a?b", "h?tls=implicit", "1" },
	/* No sound servers; perdition says so of what is put together, too. */
	{ "h:", "@", "", "h:", "" },
	{ "h:0", "@", "", "h:0", "" },
	{ "h:1:2", "@", "", "h:1:2", "" },
	{ "[::1", "@", "", "[::1", "" },
	{ "h:1?tls=often", "@", "", "h?tls=often", "1" },
	{ ":143", "@", "", ":143", "" },
};

static void
is(struct slice got, const char *want)
{
	ck_assert_msg(slice_eq(got, slice_str(want)), "\"%.*s\", not \"%s\"",
	    (int)got.n, got.p, want);
}

static void
same(struct slice a, struct slice b)
{
	ck_assert_msg(slice_eq(a, b), "\"%.*s\", not \"%.*s\"", (int)a.n, a.p,
	    (int)b.n, b.p);
}

/* As the modules for databases do. */
static int
put_together(
    const struct makedb_server *s, const char *delimiter, char *out, size_t cap)
{
	struct slice name = makedb_server_name(s);
	ptrdiff_t tls = slice_rfind(name, SLICE("?tls="));
	int host = (int)(tls == -1 ? (ptrdiff_t)name.n : tls);

	return snprintf(out, cap, "%.*s%s%.*s%s%.*s%.*s", (int)s->user.n,
	    s->user.p, s->user.n > 0 ? delimiter : "", host, name.p,
	    s->port.n > 0 ? ":" : "", (int)s->port.n, s->port.p,
	    (int)name.n - host, name.p + host);
}

START_TEST(apart_and_together)
{
	struct slice text = slice_str(cases[_i].text);
	struct popmap_server one, two;
	struct makedb_server s;
	struct err err;
	char again[256];
	int n, ret;

	ck_assert_ptr_null(
	    makedb_server_split(&s, text, slice_str(cases[_i].delimiter)));
	is(s.user, cases[_i].user);
	is(makedb_server_name(&s), cases[_i].name);
	is(s.port, cases[_i].port);

	n = put_together(&s, cases[_i].delimiter, again, sizeof(again));
	ck_assert(n > 0 && n < (int)sizeof(again));
	ret = popmap_answer_parse(text, cases[_i].delimiter, &one, &err);
	ck_assert_int_eq(popmap_answer_parse(slice_make(again, (size_t)n),
			     cases[_i].delimiter, &two, &err),
	    ret);
	if (ret == -1)
		return;
	ck_assert(one.has_user == two.has_user);
	same(one.user, two.user);
	same(one.host, two.host);
	same(one.port, two.port);
	ck_assert(one.url.protocol == two.url.protocol);
	ck_assert(one.url.has_tls == two.url.has_tls);
	ck_assert(!one.url.has_tls || one.url.tls == two.url.tls);
}
END_TEST

/* --- by what the modules themselves put together -------------------------- */

static int
by_sql(struct popmap_answer *a, const struct makedb_server *s)
{
	struct sql_row row = { makedb_server_name(s), s->user, s->port };
	struct popmap_error why;

	return sql_row_add(a, &row, "@", &why);
}

static int
by_ldap(struct popmap_answer *a, const struct makedb_server *s)
{
	struct popmap_error why;

	return map_join(a, s->user, makedb_server_name(s), s->port, "@", &why);
}

/* Whatever is a server to perdition is the same one by way of a database. */
static void
check_way(struct slice text,
    int (*way)(struct popmap_answer *, const struct makedb_server *))
{
	static struct popmap_answer a;
	struct popmap_server one, two;
	struct makedb_server s;
	const char *wrong;
	struct err err;

	if (popmap_answer_parse(text, "@", &one, &err) == -1)
		return;
	/* Columns cannot tell such a user from a server's scheme. */
	if (slice_rfind(one.user, SLICE("://")) != -1)
		return;
	wrong = makedb_server_split(&s, text, SLICE("@"));
	ck_assert_msg(wrong == NULL, "%.*s: %s", (int)text.n, text.p, wrong);
	a.n = 0;
	ck_assert_msg(way(&a, &s) == 0, "%.*s", (int)text.n, text.p);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_msg(
	    popmap_answer_parse(slice_make(a.server[0].text, a.server[0].len),
		"@", &two, &err) == 0,
	    "%.*s -> %.*s: %s", (int)text.n, text.p, (int)a.server[0].len,
	    a.server[0].text, err.msg);
	ck_assert_msg(
	    one.has_user == two.has_user && slice_eq(one.user, two.user) &&
		slice_eq(one.host, two.host) && slice_eq(one.port, two.port) &&
		one.url.protocol == two.url.protocol &&
		one.url.has_tls == two.url.has_tls &&
		(!one.url.has_tls || one.url.tls == two.url.tls),
	    "%.*s -> %.*s", (int)text.n, text.p, (int)a.server[0].len,
	    a.server[0].text);
}

/* Always the same ones. */
START_TEST(any_text)
{
	static const char *const parts[] = { "h1", "h2.example.org",
		"[2001:db8::1]", "2001:db8::1", "192.0.2.1", "[fe80::1%a@b]",
		"u@", "a@b@", "imaps://", "imap://", "pop3://", ":143", ":imap",
		":0", ":", "?tls=none", "?tls=implicit", "@", "x", "[", "]",
		"1", ".", "?", "%", "\xc3\xa9@", "_", "+" };
	uint64_t state = 1;
	char text[256];

	for (int i = 0; i < 200000; i++) {
		size_t n = 0, count;

		state = state * 6364136223846793005 + 1442695040888963407;
		count = state >> 62;
		for (size_t k = 0; k <= count; k++) {
			const char *part = parts[(state >> (20 + 10 * k)) %
						 1024 % COUNT(parts)];

			n += (size_t)snprintf(
			    text + n, sizeof(text) - n, "%s", part);
		}
		check_way(slice_make(text, n), by_sql);
		check_way(slice_make(text, n), by_ldap);
	}
}
END_TEST

START_TEST(refused)
{
	char text[1024];
	struct makedb_server s;
	struct slice at = SLICE("@");

	ck_assert_str_eq(
	    makedb_server_split(&s, SLICE("bob@"), at), "no server's name");
	ck_assert_str_eq(
	    makedb_server_split(&s, SLICE("imaps://"), at), "no server's name");
	ck_assert_str_eq(
	    makedb_server_split(&s, SLICE(""), at), "no server's name");
	memset(text, 'x', sizeof(text));
	ck_assert_ptr_null(
	    makedb_server_split(&s, slice_make(text, sizeof(s.name)), at));
	ck_assert_str_eq(
	    makedb_server_split(&s, slice_make(text, sizeof(s.name) + 1), at),
	    "server too long");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("makedb_server");

	tcase_add_loop_test(t, apart_and_together, 0, COUNT(cases));
	tcase_add_test(t, any_text);
	tcase_add_test(t, refused);
	return check_run("makedb_server", t);
}
