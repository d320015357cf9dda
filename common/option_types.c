/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kinds of values that options have: text into a field and back.
 */
#include "config.h"

#include "common/option.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

static int
print_text(struct slice s, char *out, size_t cap)
{
	if (s.n > INT_MAX)
		return -1;
	if (cap > 0) {
		size_t n = s.n < cap ? s.n : cap - 1;

		if (n > 0)
			memcpy(out, s.p, n);
		out[n] = '\0';
	}
	return (int)s.n;
}

/* --- bool ---------------------------------------------------------------- */

static int
bool_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	static const struct {
		const char *name;
		bool value;
	} words[] = {
		{ "true", true },
		{ "false", false },
		{ "yes", true },
		{ "no", false },
		{ "on", true },
		{ "off", false },
		{ "1", true },
		{ "0", false },
	};
	size_t i;

	(void)def;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (slice_caseeq(slice_str(text), slice_str(words[i].name))) {
			*(bool *)field = words[i].value;
			return 0;
		}
	}
	return err_set(err, EINVAL, "true, yes, on, 1, false, no, off or 0");
}

static int
bool_print(const struct option_def *def, const void *field, size_t i, char *out,
    size_t cap)
{
	(void)def;
	if (i > 0)
		return -1;
	return print_text(
	    *(const bool *)field ? SLICE("true") : SLICE("false"), out, cap);
}

static void
bool_clear(const struct option_def *def, void *field)
{
	(void)def;
	*(bool *)field = false;
}

const struct option_type option_bool = { NULL, false, bool_parse, bool_print,
	bool_clear };

/* --- numbers ------------------------------------------------------------- */

static uint64_t
number_max(const struct option_def *def)
{
	return def->max == 0 || def->max > UINT_MAX ? UINT_MAX : def->max;
}

static int
number_set(const struct option_def *def, void *field, uint64_t v)
{
	if (v < def->min || v > number_max(def))
		return -1;
	*(unsigned int *)field = (unsigned int)v;
	return 0;
}

static int
uint_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	uint64_t v;

	if (slice_u64(slice_str(text), UINT64_MAX, &v) == -1 ||
	    number_set(def, field, v) == -1)
		return err_set(err, EINVAL, "a number from %ju to %ju",
		    (uintmax_t)def->min, (uintmax_t)number_max(def));
	return 0;
}

static int
seconds_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	static const struct {
		char letter;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	struct slice s = slice_str(text);
	uint64_t unit = 1, v;
	size_t i;

	for (i = 0; i < 4 && s.n > 0; i++) {
		if (s.p[s.n - 1] != units[i].letter)
			continue;
		unit = units[i].seconds;
		s.n--;
		break;
	}
	if (slice_u64(s, UINT_MAX, &v) == -1 ||
	    number_set(def, field, v * unit) == -1)
		return err_set(err, EINVAL,
		    "a number of seconds from %ju to %ju, or of minutes, "
		    "hours or days as in 5m, 2h, 1d",
		    (uintmax_t)def->min, (uintmax_t)number_max(def));
	return 0;
}

static int
uint_print(const struct option_def *def, const void *field, size_t i, char *out,
    size_t cap)
{
	unsigned int v = *(const unsigned int *)field;

	/* Never set, as there is no default: not a value that parse takes. */
	if (i > 0 || (v == 0 && def->min > 0))
		return -1;
	return snprintf(out, cap, "%u", v);
}

static void
uint_clear(const struct option_def *def, void *field)
{
	(void)def;
	*(unsigned int *)field = 0;
}

const struct option_type option_uint = { "N", false, uint_parse, uint_print,
	uint_clear };
const struct option_type option_seconds = { "SECONDS", false, seconds_parse,
	uint_print, uint_clear };

/* --- text ---------------------------------------------------------------- */

/* Wiped: it may have been a data base's password. */
static void
wipe_free(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

static int
string_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	char **s = field;
	char *copy = strdup(text);

	(void)def;
	if (copy == NULL)
		return err_set(err, ENOMEM, "more memory");
	wipe_free(*s);
	*s = copy;
	return 0;
}

static int
string_print(const struct option_def *def, const void *field, size_t i,
    char *out, size_t cap)
{
	const char *s = *(char *const *)field;

	(void)def;
	return i > 0 || s == NULL ? -1 : print_text(slice_str(s), out, cap);
}

static void
string_clear(const struct option_def *def, void *field)
{
	char **s = field;

	(void)def;
	wipe_free(*s);
	*s = NULL;
}

const struct option_type option_string = { "STRING", false, string_parse,
	string_print, string_clear };
const struct option_type option_path = { "FILE", false, string_parse,
	string_print, string_clear };

/* An empty text adds nothing, so that a list can be made empty. */
static int
texts_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	struct option_list *list = field;
	char **v;

	(void)def;
	v = reallocarray(list->v, list->n + 1, sizeof(*v));
	if (v == NULL)
		return err_set(err, ENOMEM, "more memory");
	list->v = v;
	v[list->n] = strdup(text);
	if (v[list->n] == NULL)
		return err_set(err, ENOMEM, "more memory");
	list->n++;
	return 0;
}

static int
strings_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	return text[0] == '\0' ? 0 : texts_parse(def, field, text, err);
}

static int
strings_print(const struct option_def *def, const void *field, size_t i,
    char *out, size_t cap)
{
	const struct option_list *list = field;

	(void)def;
	if (i >= list->n)
		return -1;
	return print_text(slice_str(list->v[i]), out, cap);
}

static void
strings_clear(const struct option_def *def, void *field)
{
	struct option_list *list = field;
	size_t i;

	(void)def;
	for (i = 0; i < list->n; i++)
		wipe_free(list->v[i]);
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

const struct option_type option_strings = { "STRING", true, strings_parse,
	strings_print, strings_clear };
const struct option_type option_texts = { "STRING", true, texts_parse,
	strings_print, strings_clear };

/* --- names --------------------------------------------------------------- */

/* "one of a, b, c" as an error. */
static int
expect_names(const struct option_def *def, const char *what, struct err *err)
{
	char list[sizeof(err->msg)] = "";
	size_t n = 0, i;

	for (i = 0; def->names[i].name != NULL && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
		    i == 0 ? "" : ", ", def->names[i].name);
	return err_set(err, EINVAL, "%s %s", what, list);
}

static const struct option_names *
find_name(const struct option_def *def, struct slice s)
{
	const struct option_names *name;

	for (name = def->names; name->name != NULL; name++) {
		if (slice_caseeq(slice_str(name->name), s))
			return name;
	}
	return NULL;
}

static const struct option_names *
find_value(const struct option_def *def, unsigned int value)
{
	const struct option_names *name;

	for (name = def->names; name->name != NULL; name++) {
		if (name->value == value)
			return name;
	}
	return NULL;
}

static int
enum_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	const struct option_names *name = find_name(def, slice_str(text));

	if (name == NULL)
		return expect_names(def, "one of", err);
	*(unsigned int *)field = name->value;
	return 0;
}

static int
enum_print(const struct option_def *def, const void *field, size_t i, char *out,
    size_t cap)
{
	const struct option_names *name =
	    find_value(def, *(const unsigned int *)field);

	/* NULL: never set, as there is no default. */
	if (i > 0 || name == NULL)
		return -1;
	return print_text(slice_str(name->name), out, cap);
}

const struct option_type option_enum = { "NAME", false, enum_parse, enum_print,
	uint_clear };

static struct slice
trim(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_skip(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static int
set_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	struct slice rest = trim(slice_str(text)), word;
	unsigned int value = 0;
	bool more = rest.n > 0;

	while (more) {
		const struct option_names *name;

		more = slice_cut(&rest, ',', &word);
		name = find_name(def, trim(word));
		if (name == NULL)
			return expect_names(def,
			    "nothing or, separated by commas, some of", err);
		value |= name->value;
	}
	*(unsigned int *)field = value;
	return 0;
}

/* The fewest names in the table's order: one for all when there is one. */
static int
set_print(const struct option_def *def, const void *field, size_t i, char *out,
    size_t cap)
{
	unsigned int value = *(const unsigned int *)field, done = 0;
	const struct option_names *name = find_value(def, value);
	char text[1024];
	size_t n = 0;

	if (i > 0)
		return -1;
	if (name != NULL)
		return print_text(slice_str(name->name), out, cap);
	for (name = def->names; name->name != NULL; name++) {
		int len;

		if ((name->value & ~value) != 0 || (name->value & ~done) == 0)
			continue;
		len = snprintf(text + n, sizeof(text) - n, "%s%s",
		    n == 0 ? "" : ",", name->name);
		if (len < 0 || (size_t)len >= sizeof(text) - n)
			return -1;
		n += (size_t)len;
		done |= name->value;
	}
	assert(done == value); /* or the field was set by something else */
	return print_text(slice_make(text, n), out, cap);
}

const struct option_type option_set = { "NAME[,NAME...]", false, set_parse,
	set_print, uint_clear };
