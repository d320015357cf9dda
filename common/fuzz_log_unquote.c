/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target for quoting: what log_unquote() takes is spelled as
 * log_quote() spells it, and whatever bytes are quoted come back the same.
 */
#include "config.h"

#include <stdlib.h>

#include "common/fuzz.h"
#include "common/log.h"
#include "common/banned.h"

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* As input of the parser. */
static void
unquote_then_quote(struct slice in)
{
	char *value = malloc(in.n + 1), *text = malloc(in.n + 2);
	size_t used;
	long n;

	check(value != NULL && text != NULL);
	n = log_unquote(in, &used, value, in.n);
	if (n != -1) {
		check(used <= in.n);
		n = log_quote(slice_make(value, (size_t)n), text, used);
		check(n != -1);
		check(slice_eq(
		    slice_make(text, (size_t)n), slice_make(in.p, used)));
	}
	free(value);
	free(text);
}

/* As a value that an attacker chose. */
static void
quote_then_unquote(struct slice in)
{
	size_t cap = 4 * in.n + 2, used;
	char *text = malloc(cap), *value = malloc(in.n + 1);
	long n, back;

	check(value != NULL && text != NULL);
	n = log_quote(in, text, cap);
	check(n >= 2);
	for (long i = 0; i < n; i++)
		check(text[i] >= 0x20 && text[i] <= 0x7e);
	back = log_unquote(slice_make(text, (size_t)n), &used, value, in.n);
	check(back != -1 && used == (size_t)n);
	check(slice_eq(slice_make(value, (size_t)back), in));
	free(text);
	free(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);

	unquote_then_quote(in);
	quote_then_unquote(in);
	return 0;
}
