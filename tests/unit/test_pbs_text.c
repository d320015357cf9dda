/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries as text: what is written can be read, and nothing else can; users
 * may have called themselves anything.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/check_run.h"
#include "common/auth_event.h"
#include "perdition-pbs/control.h"
#include "perdition-pbs/relay_text.h"

#include "common/banned.h"

static struct relay_entry
entry(const char *text, int64_t expires)
{
	struct relay_entry e = { .expires = expires };

	ck_assert_int_eq(relay_key_parse(slice_str(text), "", &e.key), 0);
	return e;
}

static const struct {
	const char *address;
	struct slice user;
	const char *text, *json;
} entries[] = {
	{ "203.0.113.77", SLICE("bob"), "203.0.113.77 1000 \"bob\"",
	    "{\"address\": \"203.0.113.77\", \"expires\": 1000, \"left\": 10, "
	    "\"always\": false, \"user\": \"bob\"}\n" },
	{ "2001:db8:9::/64", SLICE(""), "2001:db8:9::/64 1000 \"\"",
	    "{\"address\": \"2001:db8:9::/64\", \"expires\": 1000, \"left\": "
	    "10, \"always\": false, \"user\": null}\n" },
	{ "::1", SLICE("a\"b\\\n\0 \x7f"),
	    "::1 1000 \"a\\\"b\\\\\\x0a\\x00 \\x7f\"",
	    "{\"address\": \"::1\", \"expires\": 1000, \"left\": 10, "
	    "\"always\": false, \"user\": "
	    "\"a\\\"b\\\\\\u000a\\u0000 \\u007f\"}\n" },
	/* UTF-8, and what only looks like it: cut off, too long, a surrogate,
	 * beyond the last. */
	{ "::1", SLICE("\xc3\xa9\xf0\x9f\x98\x80"),
	    "::1 1000 \"\\xc3\\xa9\\xf0\\x9f\\x98\\x80\"",
	    "{\"address\": \"::1\", \"expires\": 1000, \"left\": 10, "
	    "\"always\": false, \"user\": \"\\u00e9\\ud83d\\ude00\"}\n" },
	{ "::1", SLICE("x\xc3"), "::1 1000 \"x\\xc3\"",
	    "{\"address\": \"::1\", \"expires\": 1000, \"left\": 10, "
	    "\"always\": false, \"user\": \"x\\ufffd\", \"user_hex\": "
	    "\"78c3\"}\n" },
	{ "::1", SLICE("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"),
	    "::1 1000 \"\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\"",
	    "{\"address\": \"::1\", \"expires\": 1000, \"left\": 10, "
	    "\"always\": false, \"user\": "
	    "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"
	    "\\ufffd\", \"user_hex\": \"c0afeda080f4908080\"}\n" },
};

START_TEST(there_and_back)
{
	struct relay_entry e = entry(entries[_i].address, 1000), back;
	char text[RELAY_LINE_MAX], memory[RELAY_USER_MAX], *json = NULL;
	long n = relay_text_write(&e, entries[_i].user, text, sizeof(text));
	struct slice rest, user;
	size_t size;
	FILE *f;

	ck_assert_int_ge(n, 0);
	rest = slice_make(text, (size_t)n);
	ck_assert(slice_eq(rest, slice_str(entries[_i].text)));
	ck_assert_ptr_null(relay_text_parse(&rest, &back, memory, &user));
	ck_assert_uint_eq(rest.n, 0);
	ck_assert(slice_eq(user, entries[_i].user));
	ck_assert(relay_key_eq(&e.key, &back.key));
	ck_assert_int_eq(back.expires, 1000);
	ck_assert_int_eq(
	    relay_text_write(&e, entries[_i].user, text, (size_t)n - 1), -1);
	f = open_memstream(&json, &size);
	relay_text_json(f, &e, entries[_i].user, 990);
	fclose(f);
	ck_assert_str_eq(json, entries[_i].json);
	free(json);
}
END_TEST

static const char *const bad[] = {
	"", "203.0.113.77", "203.0.113.77 1000", "203.0.113.77 1000 ",
	"203.0.113.77 1000 bob", "203.0.113.77 1000 \"bob",
	"203.0.113.77 1000  \"bob\"", " 203.0.113.77 1000 \"bob\"",
	"203.0.113.77  1000 \"bob\"", "203.0.113.77 -1 \"bob\"",
	"203.0.113.77 1e9 \"bob\"",
	"203.0.113.77 253402300799 \"bob\"", /* only the configuration */
	"203.0.113.77 99999999999999999999 \"bob\"", "203.0.113 1000 \"bob\"",
	"203.0.113.1/24 1000 \"bob\"", "0.0.0.0/0 1000 \"bob\"",
	"203.0.113.77\t1000 \"bob\"", "203.0.113.77 1000 \"b\nb\"",
	"203.0.113.77 1000 \"\\x62ob\"", /* not as it is written */
};

START_TEST(refused)
{
	struct slice text = slice_str(bad[_i]), user;
	char memory[RELAY_USER_MAX];
	struct relay_entry e;

	ck_assert_msg(
	    relay_text_parse(&text, &e, memory, &user) != NULL, "%s", bad[_i]);
}
END_TEST

/* Requests for the daemon: each entry is in exactly one, whole. */
START_TEST(requests)
{
	struct relay_store *all = relay_store_create();
	size_t at = 0, lines = 0, seen = 0;
	char name[RELAY_USER_MAX];

	for (int i = 0; i < 500; i++) {
		char text[40];
		struct relay_entry e;

		snprintf(text, sizeof(text), "10.1.%d.%d", i / 250, i % 250);
		e = entry(text, 1000 + i);
		memset(name, i, sizeof(name));
		relay_store_touch(
		    all, &e, slice_make(name, (size_t)i % 512), 0);
	}
	while (at < 500) {
		char line[AUTH_LINE_MAX];
		static struct control_request r;
		long n = control_write_entries(
		    RELAY_IMPORT, "/x.db", all, &at, line, sizeof(line));

		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(line[n - 1], '\n');
		ck_assert_int_eq(
		    control_parse(slice_make(line, (size_t)n - 1), &r), 0);
		ck_assert_int_eq(r.q.op, RELAY_IMPORT);
		for (size_t i = 0; i < relay_store_count(r.entries); i++) {
			const struct relay_entry *e =
			    relay_store_at(r.entries, i);
			const struct relay_entry *was =
			    relay_store_find(all, &e->key);

			ck_assert_ptr_nonnull(was);
			ck_assert_int_eq(was->expires, e->expires);
			ck_assert(slice_eq(relay_store_user(all, was),
			    relay_store_user(r.entries, e)));
			seen++;
		}
		control_clear(&r);
		/* Something behind, or between. */
		ck_assert_int_eq(
		    control_parse(slice_make(line, (size_t)n), &r), -1);
		control_clear(&r);
		lines++;
	}
	ck_assert_uint_eq(seen, 500);
	ck_assert_uint_gt(lines, 10);
	relay_store_destroy(&all);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("text");

	tcase_add_loop_test(t, there_and_back, 0, COUNT(entries));
	tcase_add_loop_test(t, refused, 0, COUNT(bad));
	tcase_add_test(t, requests);
	return check_run("text", t);
}
