/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kinds of options: what each takes, refuses and prints.
 */
#include "config.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>

#include "common/option.h"
#include "../lib/check_run.h"

#include "common/banned.h"

static const struct option_names names[] = {
	{ "none", 0 },
	{ "one", 1 },
	{ "two", 2 },
	{ "one-two", 3 },
	{ "four", 4 },
	{ "five-six", 48 },
	{ NULL, 0 },
};

static const struct option_names no_zero[] = { { "x", 5 }, { NULL, 0 } };

static const struct option_def port = {
	.type = &option_uint, .min = 1, .max = 65535
};
static const struct option_def number = { .type = &option_uint };
static const struct option_def seconds = { .type = &option_seconds };
static const struct option_def hour = {
	.type = &option_seconds, .min = 60, .max = 3600
};
static const struct option_def choice = { .type = &option_enum,
	.names = names };
static const struct option_def choice2 = { .type = &option_enum,
	.names = no_zero };
static const struct option_def set = { .type = &option_set, .names = names };

static const struct {
	const struct option_def *def;
	const char *text;
	int ret;
	unsigned int value;
} numbers[] = {
	{ &number, "0", 0, 0 },
	{ &number, "007", 0, 7 },
	{ &number, "4294967295", 0, UINT_MAX },
	{ &number, "4294967296", -1, 0 },
	{ &number, "18446744073709551617", -1, 0 },
	{ &number, "", -1, 0 },
	{ &number, "-1", -1, 0 },
	{ &number, "+1", -1, 0 },
	{ &number, " 1", -1, 0 },
	{ &number, "1 ", -1, 0 },
	{ &number, "1m", -1, 0 },
	{ &number, "0x1", -1, 0 },
	{ &port, "1", 0, 1 },
	{ &port, "65535", 0, 65535 },
	{ &port, "0", -1, 0 },
	{ &port, "65536", -1, 0 },
	{ &seconds, "0", 0, 0 },
	{ &seconds, "30", 0, 30 },
	{ &seconds, "30s", 0, 30 },
	{ &seconds, "5m", 0, 300 },
	{ &seconds, "2h", 0, 7200 },
	{ &seconds, "1d", 0, 86400 },
	{ &seconds, "49710d", 0, 4294944000u },
	{ &seconds, "49711d", -1, 0 },
	{ &seconds, "4294967295d", -1, 0 },
	{ &seconds, "4294967295s", 0, UINT_MAX },
	{ &seconds, "m", -1, 0 },
	{ &seconds, "", -1, 0 },
	{ &seconds, "1w", -1, 0 },
	{ &seconds, "1ms", -1, 0 },
	{ &seconds, "1h30m", -1, 0 },
	{ &seconds, "-1s", -1, 0 },
	{ &hour, "1m", 0, 60 },
	{ &hour, "1h", 0, 3600 },
	{ &hour, "59", -1, 0 },
	{ &hour, "61m", -1, 0 },
	{ &choice, "two", 0, 2 },
	{ &choice, "TWO", 0, 2 },
	{ &choice, "none", 0, 0 },
	{ &choice, "", -1, 0 },
	{ &choice, "tw", -1, 0 },
	{ &choice, "one,two", -1, 0 },
	{ &set, "", 0, 0 },
	{ &set, "  ", 0, 0 },
	{ &set, "none", 0, 0 },
	{ &set, "one,four", 0, 5 },
	{ &set, " One ,\tfour ", 0, 5 },
	{ &set, "one,one-two,one", 0, 3 },
	{ &set, ",", -1, 0 },
	{ &set, "one,", -1, 0 },
	{ &set, ",one", -1, 0 },
	{ &set, "one,,two", -1, 0 },
	{ &set, "one two", -1, 0 },
	{ &set, "seven", -1, 0 },
};

START_TEST(parse_number)
{
	const struct option_def *def = numbers[_i].def;
	unsigned int v = 4242;
	struct err err;
	char text[64];
	unsigned int again = 4242;

	ck_assert_int_eq(
	    def->type->parse(def, &v, numbers[_i].text, &err), numbers[_i].ret);
	if (numbers[_i].ret == -1) {
		ck_assert_uint_eq(v, 4242); /* what it held, it holds */
		return;
	}
	ck_assert_uint_eq(v, numbers[_i].value);
	ck_assert_int_gt(def->type->print(def, &v, 0, text, sizeof(text)), 0);
	ck_assert_int_eq(def->type->print(def, &v, 1, text, sizeof(text)), -1);
	ck_assert_int_eq(def->type->parse(def, &again, text, &err), 0);
	ck_assert_uint_eq(again, v);
	def->type->clear(def, &v);
	ck_assert_uint_eq(v, 0);
}
END_TEST

/* A field that was never set, where 0 is not a value. */
START_TEST(nothing_to_print)
{
	unsigned int v = 0;
	char text[8];
	char *s = NULL;
	struct option_list list = { NULL, 0 };
	const struct option_def string = { .type = &option_string };
	const struct option_def strings = { .type = &option_strings };

	ck_assert_int_eq(port.type->print(&port, &v, 0, text, 8), -1);
	ck_assert_int_eq(choice2.type->print(&choice2, &v, 0, text, 8), -1);
	ck_assert_int_eq(string.type->print(&string, &s, 0, text, 8), -1);
	ck_assert_int_eq(strings.type->print(&strings, &list, 0, text, 8), -1);
}
END_TEST

static const struct {
	unsigned int value;
	const char *text;
} sets[] = {
	{ 0, "none" },
	{ 1, "one" },
	{ 3, "one-two" },
	{ 5, "one,four" },
	{ 7, "one,two,four" },
	{ 48, "five-six" },
	{ 55, "one,two,four,five-six" },
};

START_TEST(print_set)
{
	unsigned int v = sets[_i].value;
	char text[64];

	ck_assert_int_eq(set.type->print(&set, &v, 0, text, sizeof(text)),
	    (int)strlen(sets[_i].text));
	ck_assert_str_eq(text, sets[_i].text);
}
END_TEST

/* Like snprintf(3): the length that it has, and what fits. */
START_TEST(print_cut)
{
	const struct option_def def = { .type = &option_string };
	struct err err;
	char *s = NULL;
	char out[4] = "???";

	ck_assert_int_eq(option_string.parse(&def, &s, "hello", &err), 0);
	ck_assert_int_eq(option_string.print(&def, &s, 0, out, 4), 5);
	ck_assert_str_eq(out, "hel");
	ck_assert_int_eq(option_string.print(&def, &s, 0, out, 1), 5);
	ck_assert_str_eq(out, "");
	ck_assert_int_eq(option_string.print(&def, &s, 0, NULL, 0), 5);
	ck_assert_int_eq(option_string.parse(&def, &s, "", &err), 0);
	ck_assert_str_eq(s, "");
	ck_assert_int_eq(option_string.print(&def, &s, 0, out, 4), 0);
	option_string.clear(&def, &s);
	ck_assert_ptr_null(s);
	option_string.clear(&def, &s);
}
END_TEST

START_TEST(list)
{
	const struct option_def def = { .type = &option_strings };
	struct option_list l = { NULL, 0 };
	struct err err;
	char out[8];

	ck_assert(option_strings.many);
	ck_assert_int_eq(option_strings.parse(&def, &l, "", &err), 0);
	ck_assert_uint_eq(l.n, 0);
	ck_assert_int_eq(option_strings.parse(&def, &l, "a,b", &err), 0);
	ck_assert_int_eq(option_strings.parse(&def, &l, "c", &err), 0);
	ck_assert_uint_eq(l.n, 2);
	ck_assert_int_eq(option_strings.print(&def, &l, 1, out, 8), 1);
	ck_assert_str_eq(out, "c");
	ck_assert_int_eq(option_strings.print(&def, &l, 2, out, 8), -1);
	option_strings.clear(&def, &l);
	ck_assert_ptr_null(l.v);
	ck_assert_uint_eq(l.n, 0);
	option_strings.clear(&def, &l);
}
END_TEST

/* The message must not overflow, however many names there are. */
START_TEST(many_names)
{
	static struct option_names many[201];
	const struct option_def def = { .type = &option_enum, .names = many };
	struct err err;
	unsigned int v, i;

	for (i = 0; i < 200; i++)
		many[i] = (struct option_names){ "a-rather-long-name", i };
	ck_assert_int_eq(option_enum.parse(&def, &v, "x", &err), -1);
	ck_assert_uint_lt(strlen(err.msg), sizeof(err.msg));
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("types");

	tcase_add_loop_test(tc, parse_number, 0, COUNT(numbers));
	tcase_add_test(tc, nothing_to_print);
	tcase_add_loop_test(tc, print_set, 0, COUNT(sets));
	tcase_add_test(tc, print_cut);
	tcase_add_test(tc, list);
	tcase_add_test(tc, many_names);
	return check_run("option_types", tc);
}
