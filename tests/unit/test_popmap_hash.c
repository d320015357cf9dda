/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hash module: shares by weight, who moves when servers come, go or are
 * down, the same for ever and everywhere, and the file's form.
 */
#include "config.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "map_scratch.h"
#include "perdition/modules/hash_pool.h"

#include "common/banned.h"

#define KEYS 20000

struct member {
	const char *name;
	unsigned int weight;
	bool down;
};

static struct popmap_error why;

static struct hash_pool *
make(const struct member *m, size_t n)
{
	struct hash_pool *p = hash_pool_create();

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(
		    hash_pool_add(p, slice_str(m[i].name), slice_str(m[i].name),
			m[i].weight, m[i].down, &why),
		    0);
	return p;
}

/* The first server's last byte. */
static char
first(const struct hash_pool *p, unsigned int number)
{
	char key[32];
	struct slice s;
	int n = snprintf(key, sizeof(key), "user%u@example.org", number);

	ck_assert_uint_eq(
	    hash_pool_find(p, slice_make(key, (size_t)n), 1, &s), 1);
	return s.p[s.n - 1];
}

static unsigned int
moved(const struct hash_pool *a, const struct hash_pool *b)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < KEYS; i++)
		n += first(a, i) != first(b, i);
	return n;
}

/* Within five standard deviations of KEYS * share. */
static void
is_about(unsigned int n, double share)
{
	double mean = KEYS * share, wide = 5 * sqrt(mean * (1 - share));

	ck_assert_msg(n > mean - wide && n < mean + wide, "%u of %d, not %g", n,
	    KEYS, share);
}

static const struct member abc[] = { { "a", 1, false }, { "b", 1, false },
	{ "c", 2, false }, { "d", 4, false } };

START_TEST(shares_by_weight)
{
	struct hash_pool *p = make(abc, 4);
	unsigned int got[256] = { 0 };

	for (unsigned int i = 0; i < KEYS; i++)
		got[(unsigned char)first(p, i)]++;
	is_about(got['a'], 1 / 8.0);
	is_about(got['b'], 1 / 8.0);
	is_about(got['c'], 2 / 8.0);
	is_about(got['d'], 4 / 8.0);
	hash_pool_destroy(&p);
}
END_TEST

/* Who comes wins its share from the others, and nobody else moves. */
START_TEST(a_server_comes)
{
	struct hash_pool *before = make(abc, 3), *after = make(abc, 4);
	unsigned int n = 0;

	for (unsigned int i = 0; i < KEYS; i++) {
		char was = first(before, i), is = first(after, i);

		ck_assert(was == is || is == 'd');
		n += was != is;
	}
	is_about(n, 4 / 8.0);
	hash_pool_destroy(&before);
	hash_pool_destroy(&after);
}
END_TEST

START_TEST(a_weight_changes)
{
	struct member more[4];
	struct hash_pool *before = make(abc, 4), *after;
	unsigned int n = 0;

	memcpy(more, abc, sizeof(more));
	more[0].weight = 2; /* of 8 to 2 of 9: wins 1/9 */
	after = make(more, 4);
	for (unsigned int i = 0; i < KEYS; i++) {
		char was = first(before, i), is = first(after, i);

		ck_assert(was == is || is == 'a');
		n += was != is;
	}
	is_about(n, 1 / 9.0 * 7 / 8.0);
	hash_pool_destroy(&before);
	hash_pool_destroy(&after);
}
END_TEST

/* Its users go to their second server, and to where they would if it were not
 * in the pool; all others stay. */
START_TEST(down_and_back)
{
	static const struct member down[] = { { "a", 1, false },
		{ "b", 1, true }, { "c", 2, false }, { "d", 4, false } };
	static const struct member gone[] = { { "a", 1, false },
		{ "c", 2, false }, { "d", 4, false } };
	struct hash_pool *p = make(abc, 4), *q = make(down, 4),
			 *r = make(gone, 3);

	for (unsigned int i = 0; i < KEYS; i++) {
		char key[32];
		struct slice two[2];
		int n = snprintf(key, sizeof(key), "user%u@example.org", i);

		ck_assert_uint_eq(
		    hash_pool_find(p, slice_make(key, (size_t)n), 2, two), 2);
		ck_assert_int_eq(first(q, i),
		    two[0].p[0] == 'b' ? two[1].p[0] : two[0].p[0]);
		ck_assert_int_eq(first(q, i), first(r, i));
	}
	hash_pool_destroy(&p);
	hash_pool_destroy(&q);
	hash_pool_destroy(&r);
}
END_TEST

START_TEST(order_does_not_matter)
{
	static const struct member other[] = { { "d", 4, false },
		{ "b", 1, false }, { "a", 1, false }, { "c", 2, false } };
	struct hash_pool *p = make(abc, 4), *q = make(other, 4);

	ck_assert_uint_eq(moved(p, q), 0);
	hash_pool_destroy(&p);
	hash_pool_destroy(&q);
}
END_TEST

/* As another implementation of what hash_pool.h says has it: were this to
 * change, every site's users would be elsewhere. */
START_TEST(the_same_for_ever)
{
	static const struct member pool[] = { { "mail1.example.org", 1, false },
		{ "mail2.example.org", 1, false },
		{ "mail3.example.org", 2, false } };
	static char xs[300];
	const struct {
		struct slice key;
		const char *order;
	} want[] = {
		{ SLICE("anna"), "321" },
		{ SLICE("paul"), "321" },
		{ SLICE("mary"), "312" },
		{ SLICE(""), "231" },
		{ SLICE("bob@example.org"), "312" },
		{ SLICE("\xff\0x"), "132" },
		{ slice_make(xs, sizeof(xs)), "321" },
	};
	struct hash_pool *p = make(pool, 3);

	memset(xs, 'x', sizeof(xs));
	for (int i = 0; i < COUNT(want); i++) {
		struct slice s[POPMAP_SERVERS_MAX];

		ck_assert_uint_eq(hash_pool_find(p, want[i].key, 99, s), 3);
		for (size_t k = 0; k < 3; k++)
			ck_assert_int_eq(s[k].p[4], want[i].order[k]);
	}
	hash_pool_destroy(&p);
}
END_TEST

START_TEST(limits)
{
	struct hash_pool *p = hash_pool_create();
	struct slice s[POPMAP_SERVERS_MAX];
	char name[16];

	ck_assert_uint_eq(hash_pool_find(p, SLICE("x"), 2, s), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		ck_assert_int_eq(hash_pool_add(p, slice_str(name),
				     slice_str(name), 1000, false, &why),
		    0);
	}
	ck_assert_uint_eq(
	    hash_pool_find(p, SLICE("x"), 99, s), POPMAP_SERVERS_MAX);
	ck_assert_int_eq(
	    hash_pool_add(p, SLICE("t"), SLICE("t"), 1, false, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.msg, "weights"));
	hash_pool_destroy(&p);
}
END_TEST

/* --- the file ----------------------------------------------------------- */

static const struct {
	const char *file, *options; /* behind the file's name */
	int ret;                    /* -2: does not open */
	const char *said;
} files[] = {
	{ "h1\n", "", 1, "h1" },
	{ "# c\nh1 # d\n", "", 1, "h1" },
	{ "h1 down\nh2\n", "", 1, "h2" },
	{ "h1\nh2\n", " candidates=1", 1, NULL },
	{ "h1\nh2 down\nh3 down\n", " candidates=16", 1, "h1" },
	{ "[2001:db8::1]:143 weight=3 name=one\n", "", 1, "[2001:db8::1]:143" },
	{ "imaps://h1:993\n", "", 1, "imaps://h1:993" },
	{ "'u@h1?tls=starttls'\n", "", 1, "u@h1?tls=starttls" },
	{ "pool a\nh1\npool b\nh2\n", " pool=b", 1, "h2" },
	{ "h0\npool a\nh1\n", "", 1, "h0" },
	{ "pool a\nh1\npool b\nh2\npool a\nh3 down\n", " pool=a", 1, "h1" },
	{ "h1 down\n", "", -1, "all servers are down" },
	{ "Mail1.Example.ORG\n", "", 1, "Mail1.Example.ORG" },

	{ "", "", -2, "no server in it" },
	{ "pool a\nh1\n", " pool=b", -2, "no server in pool b" },
	{ "h1\nh1\n", "", -2, ":2:1: h1: the second of this name" },
	{ "h1\nh2 name=h1\n", "", -2, ":2:1: h1: the second of this name" },
	{ "h1 wait=3\n", "", -2, ":1:1: wait=3: neither" },
	{ "h1 weight=0\n", "", -2, "not a number from 1 to 1000" },
	{ "h1 weight=1001\n", "", -2, "not a number from 1 to 1000" },
	{ "h1 weight=x\n", "", -2, "not a number from 1 to 1000" },
	{ "h1 name=\n", "", -2, "neither" },
	{ "h1 'down\n", "", -2, "" },
	{ "h1 weight=1 weight=1\n", "", -2, ":1:1: weight: said twice" },
	{ "h1 down down\n", "", -2, ":1:1: down: said twice" },
	{ "h1 name=a name=a\n", "", -2, ":1:1: name: said twice" },
	{ "h1, weight=2\n", "", -2, ":1:1: h1,: white space, a comma" },
	{ "h1,h2\n", "", -2, ":1:1: h1,h2: white space, a comma" },
	{ "'h1 h2'\n", "", -2, ":1:1: h1 h2: white space, a comma" },
	{ "h1\n'' down\n", "", -2, ":2:1: a server's name of 1 to" },
	{ "h1\nH1\n", "", -2, ":2:1: h1: the second of this name" },
	{ "h1\npool a\nh2 wieght=2\n", "", -2, ":3:1: wieght=2: neither" },
	{ "pool a b\n", "", -2, "one name is to follow" },
	{ "h1\n", " candidates=17", -2, "not a number from 1 to 16" },
	{ "h1\n", " other", -2, "a second file" },
	{ "h1\n", " color=red", -2, "neither pool=NAME nor candidates=N" },
};

START_TEST(file_form)
{
	char options[256];
	struct popmap_module *m;
	struct err err;

	scratch_write("pool", slice_str(files[_i].file));
	snprintf(options, sizeof(options), "%s%s", scratch_path("pool"),
	    files[_i].options);
	if (files[_i].ret == -2) {
		ck_assert_int_eq(
		    popmap_module_open(&m, BUILT_MODULES "/popmap_hash.so",
			options, scratch, &err),
		    -1);
		ck_assert_msg(
		    strstr(err.msg, files[_i].said) != NULL, "%s", err.msg);
		return;
	}
	m = scratch_open("hash", options);
	ck_assert_int_eq(scratch_lookup(m, SLICE("user")), files[_i].ret);
	if (files[_i].ret == 1 && files[_i].said != NULL)
		ck_assert_str_eq(scratch_said, files[_i].said);
	else if (files[_i].said != NULL)
		ck_assert_ptr_nonnull(strstr(scratch_said, files[_i].said));
	else /* one candidate only */
		ck_assert_ptr_null(strchr(scratch_said, '|'));
	popmap_module_close(&m);
}
END_TEST

/* Typed in another way on one of the proxies. */
START_TEST(case_of_a_server)
{
	struct popmap_module *m, *other;
	char key[16], was[64];

	scratch_write("pool", SLICE("mail1.example.org\nmail2.example.org\n"));
	scratch_write("other", SLICE("Mail2.example.org\nMAIL1.example.org\n"));
	m = scratch_open("hash", scratch_path("pool"));
	other = scratch_open("hash", scratch_path("other"));
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "user%d", i);
		ck_assert_int_eq(scratch_lookup(m, slice_str(key)), 1);
		snprintf(was, sizeof(was), "%.60s", scratch_said);
		ck_assert_int_eq(scratch_lookup(other, slice_str(key)), 1);
		ck_assert_int_eq(strcasecmp(was, scratch_said), 0);
	}
	popmap_module_close(&m);
	popmap_module_close(&other);
}
END_TEST

START_TEST(missing_file)
{
	struct popmap_module *m;
	struct err err;

	ck_assert_int_eq(popmap_module_open(&m, BUILT_MODULES "/popmap_hash.so",
			     "", scratch, &err),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "/popmap.hash: "));
}
END_TEST

/* A new address, an old name: nobody moves. */
START_TEST(name_and_hostile_keys)
{
	struct popmap_module *m;
	char xs[1000], was;

	scratch_write("pool", SLICE("h1\nh2\n"));
	m = scratch_open("hash", scratch_path("pool"));
	memset(xs, '\'', sizeof(xs));
	ck_assert_int_eq(scratch_lookup(m, slice_make(xs, sizeof(xs))), 1);
	ck_assert_int_eq(scratch_lookup(m, SLICE("a\0b")), 1);
	ck_assert_int_eq(scratch_lookup(m, SLICE("")), 1);
	ck_assert_int_eq(scratch_lookup(m, SLICE("bob")), 1);
	was = scratch_said[1];
	popmap_module_close(&m);
	scratch_write("pool", SLICE("new1 name=h1\nnew2 name=h2\n"));
	m = scratch_open("hash", scratch_path("pool"));
	ck_assert_int_eq(scratch_lookup(m, SLICE("bob")), 1);
	ck_assert_int_eq(scratch_said[3], was);
	popmap_module_close(&m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_hash");

	tcase_add_checked_fixture(t, scratch_make, scratch_remove);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, shares_by_weight);
	tcase_add_test(t, a_server_comes);
	tcase_add_test(t, a_weight_changes);
	tcase_add_test(t, down_and_back);
	tcase_add_test(t, order_does_not_matter);
	tcase_add_test(t, the_same_for_ever);
	tcase_add_test(t, limits);
	tcase_add_loop_test(t, file_form, 0, COUNT(files));
	tcase_add_test(t, case_of_a_server);
	tcase_add_test(t, missing_file);
	tcase_add_test(t, name_and_hostile_keys);
	return check_run("popmap_hash", t);
}
