/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target for the lookup channel: what parses is written back as the very
 * same bytes, so nothing has two spellings and no length is believed.
 */
#include "config.h"

#include <stdlib.h>

#include "common/fuzz.h"
#include "perdition/request.h"

#include "common/banned.h"

static void
check(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char back[MSG_MAX];
	static struct lookup_question q;
	static struct lookup_answer a;
	struct slice in = slice_make((const char *)data, size);
	long n;

	if (lookup_question_parse(in, &q) == 0) {
		n = lookup_question_write(&q, back, sizeof(back));
		check(n != -1 && slice_eq(in, slice_make(back, (size_t)n)));
	}
	if (lookup_answer_parse(in, &a) == 0) {
		n = lookup_answer_write(&a, back, sizeof(back));
		check(n != -1 && slice_eq(in, slice_make(back, (size_t)n)));
	}
	return 0;
}
