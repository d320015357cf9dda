/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is told of an expression is sure, and the index leaves out no rule that
 * would match: by table, and against regexec(3) with expressions by chance.
 */
#include "config.h"

#include <check.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "perdition/modules/regex_index.h"

#include "common/banned.h"

static const struct {
	const char *re, *prefix, *suffix;
	bool whole;
} cases[] = {
	{ "^abc", "abc", "", true },
	{ "^abc$", "abc", "abc", true },
	{ "abc$", "", "abc", true },
	{ "abc", "", "", false },
	{ "^ab*c$", "a", "c", false },
	{ "^ab+c$", "a", "c", false },
	{ "^ab?", "a", "", false },
	{ "^ab{2}c", "a", "", false },
	{ "^a.b$", "a", "b", false },
	{ "^a\\.b$", "a.b", "a.b", true },
	{ "^.*@example\\.org$", "", "@example.org", false },
	{ "^([^@]+)@ex\\.org$", "", "@ex.org", false },
	{ "^user1@", "user1@", "", true },
	{ "^a|b$", "", "", false },
	{ "^ab|^ac", "", "", false },
	{ "^(a|b)c$", "", "c", false },
	{ "^x(a|b)c$", "x", "c", false },
	{ "^x(a(b)[)]c)d$", "x", "d", false },
	{ "^x[]^a]d$", "x", "d", false },
	{ "^x[[:alpha:]]d$", "x", "d", false },
	{ "^a\\wb$", "a", "b", false },
	{ "^a\\<b$", "a", "b", false },
	{ "^*ab", "", "", false },
	{ "^", "", "", false },
	{ "$", "", "", false },
	{ "^$", "", "", false },
	{ "a$b", "", "", false },
	{ "\\$", "", "", false },
	{ "\\^a", "", "", false },
	{ "^a\\$", "a$", "", true },
	{ "(^a)b$", "", "b", false },
	{ "", "", "", false },
};

START_TEST(literals)
{
	struct regex_literals l;

	regex_literals(cases[_i].re, &l);
	ck_assert_msg(l.prefix_n == strlen(cases[_i].prefix) &&
			  memcmp(l.prefix, cases[_i].prefix, l.prefix_n) == 0,
	    "%s: prefix %.*s", cases[_i].re, (int)l.prefix_n, l.prefix);
	ck_assert_msg(l.suffix_n == strlen(cases[_i].suffix) &&
			  memcmp(l.suffix, cases[_i].suffix, l.suffix_n) == 0,
	    "%s: suffix %.*s", cases[_i].re, (int)l.suffix_n, l.suffix);
	ck_assert_msg(l.whole == cases[_i].whole, "%s", cases[_i].re);
}
END_TEST

START_TEST(long_literals)
{
	char re[300];
	struct regex_literals l;

	re[0] = '^';
	for (size_t i = 1; i < 201; i++)
		re[i] = (char)('0' + i % 10);
	re[201] = '$';
	re[202] = '\0';
	regex_literals(re, &l);
	ck_assert(!l.whole);
	ck_assert_uint_eq(l.prefix_n, REGEX_LITERAL_MAX);
	ck_assert_mem_eq(l.prefix, re + 1, REGEX_LITERAL_MAX);
	ck_assert_uint_eq(l.suffix_n, REGEX_LITERAL_MAX);
	ck_assert_mem_eq(
	    l.suffix, re + 201 - REGEX_LITERAL_MAX, REGEX_LITERAL_MAX);
}
END_TEST

/* --- by chance ---------------------------------------------------------- */

static uint64_t state;

static unsigned int
chance(unsigned int n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(state >> 33) % n;
}

static void
random_text(const char *from[], unsigned int n, unsigned int most, char *out,
    size_t cap)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int i = chance(most + 1); i > 0; i--) {
		const char *piece = from[chance(n)];

		if (used + strlen(piece) >= cap)
			return;
		used += (size_t)snprintf(out + used, cap - used, "%s", piece);
	}
}

#define RULES 40

START_TEST(nothing_is_left_out)
{
	static const char *pieces[] = { "a", "b", "\\.", ".", "^", "$", "*",
		"+", "?", "{2}", "{0,1}", "|", "(", ")", "[ab]", "[^a]", "()",
		"a", "b", "(a|b)", "[]a]", "ab", "\\b", "\\w" };
	static const char *letters[] = { "a", "b", ".", "]", "\\" };
	char text[16], re[RULES][64];
	regex_t compiled[RULES];
	struct regex_literals l[RULES];
	unsigned int matches = 0, wholes = 0;

	state = (uint64_t)_i + 1;
	for (int round = 0; round < 60; round++) {
		struct regex_index *x = regex_index_create(RULES);
		size_t n = 0;

		ck_assert_ptr_nonnull(x);
		while (n < RULES) {
			random_text(
			    pieces, COUNT(pieces), 7, re[n], sizeof(re[n]));
			if (regcomp(&compiled[n], re[n], REG_EXTENDED) != 0)
				continue;
			regex_literals(re[n], &l[n]);
			regex_index_add(x, n, &l[n]);
			n++;
		}
		ck_assert_int_eq(regex_index_finish(x), 0);
		for (int i = 0; i < 40; i++) {
			struct regex_candidates c;
			bool candidate[RULES] = { false };
			size_t at, last = 0;
			bool first = true;

			random_text(
			    letters, COUNT(letters), 6, text, sizeof(text));
			regex_index_find(x, slice_str(text), &c);
			while (regex_index_next(&c, &at)) {
				ck_assert(first || at > last);
				first = false;
				last = at;
				candidate[at] = true;
			}
			for (size_t k = 0; k < RULES; k++) {
				bool is = regexec(&compiled[k], text, 0, NULL,
					      0) == 0;

				if (l[k].whole) {
					wholes++;
					ck_assert_msg(
					    is == regex_literals_match(
						      &l[k], slice_str(text)),
					    "%s, %s", text, re[k]);
				}
				if (!is)
					continue;
				matches++;
				ck_assert_msg(
				    candidate[k], "%s is %s", text, re[k]);
			}
		}
		for (size_t k = 0; k < RULES; k++)
			regfree(&compiled[k]);
		regex_index_destroy(&x);
	}
	ck_assert_uint_gt(matches, 1000);
	ck_assert_uint_gt(wholes, 100);
}
END_TEST

START_TEST(few_of_many_are_candidates)
{
	static struct regex_literals l[10000];
	struct regex_index *x = regex_index_create(COUNT(l));
	struct regex_candidates c;
	char re[64];
	size_t at;

	for (int i = 0; i < COUNT(l); i++) {
		snprintf(
		    re, sizeof(re), i % 2 == 0 ? "^user%d@" : "@d%d\\.org$", i);
		if (i == 5000)
			snprintf(re, sizeof(re), "[0-9]+@");
		regex_literals(re, &l[i]);
		regex_index_add(x, (size_t)i, &l[i]);
	}
	ck_assert_int_eq(regex_index_finish(x), 0);
	regex_index_find(x, SLICE("user8444@d77.org"), &c);
	ck_assert(regex_index_next(&c, &at));
	ck_assert_uint_eq(at, 77);
	ck_assert(regex_index_next(&c, &at));
	ck_assert_uint_eq(at, 5000);
	ck_assert(regex_index_next(&c, &at));
	ck_assert_uint_eq(at, 8444);
	ck_assert(!regex_index_next(&c, &at));
	regex_index_destroy(&x);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("regex_index");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, literals, 0, COUNT(cases));
	tcase_add_test(t, long_literals);
	tcase_add_loop_test(t, nothing_is_left_out, 0, 8);
	tcase_add_test(t, few_of_many_are_candidates);
	return check_run("regex_index", t);
}
