/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target for the lines of module daemon: what a programme answers, and
 * what any user's name makes of a question.
 */
#include "config.h"

#include <stdlib.h>

#include "common/fuzz.h"
#include "perdition/modules/daemon_line.h"

#include "common/banned.h"

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
fuzz_answer(struct slice line)
{
	static struct popmap_answer a;
	struct popmap_error err;
	struct daemon_reply r;

	if (daemon_line_answer(line, &r, &a, &err) == -1) {
		check(strnlen(err.msg, sizeof(err.msg)) < sizeof(err.msg));
		return;
	}
	check((r.says == DAEMON_OK) == (a.n > 0));
	check(a.n <= POPMAP_SERVERS_MAX);
	check(a.ttl <= DAEMON_TTL_MAX || a.ttl == POPMAP_TTL_NONE);
	for (size_t i = 0; i < a.n; i++)
		check(a.server[i].len > 0 &&
		      a.server[i].len <= sizeof(a.server[i].text));
	check(r.text.n == 0 || r.says == DAEMON_FAIL);
}

/* One line of printable bytes, whose words are what they should be. */
static void
fuzz_question(struct slice name)
{
	static char out[DAEMON_QUESTION_MAX];
	struct popmap_text text = { name.p, name.n };
	struct popmap_query q = { .key = text,
		.user = text,
		.local = text,
		.domain = text,
		.delimiter = "@",
		.protocol = "imap4" };
	long n = daemon_line_question(7, &q, out, sizeof(out));
	size_t spaces = 0;

	if (n == -1)
		return;
	check(n > 0 && out[n - 1] == '\n');
	for (long i = 0; i < n - 1; i++) {
		check(out[i] >= ' ' && out[i] < 0x7f);
		spaces += out[i] == ' ';
	}
	check(spaces == 7);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);

	fuzz_answer(in);
	fuzz_question(in);
	return 0;
}
