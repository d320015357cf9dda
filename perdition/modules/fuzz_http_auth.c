/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target for what an HTTP service answers, its headers one a line, and for
 * what any user's name makes of a header.
 */
#include "config.h"

#include <stdlib.h>

#include "common/addr.h"
#include "common/fuzz.h"
#include "perdition/modules/http_auth.h"
#include "perdition/popmap_answer.h"

#include "common/banned.h"

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* What is told is read back as it was told: the server and the user of the
 * response, and nothing of one taken for the other. */
static void
check_server(const struct http_reply *r, struct slice text)
{
	struct popmap_server s;
	struct err err;

	check(popmap_answer_parse(text, "@", &s, &err) == 0);
	check(s.url.protocol == NULL && !s.url.has_tls);
	check(slice_eq(s.port, slice_make(r->port.text, r->port.n)));
	check(slice_eq(s.user, slice_make(r->user.text, r->user.n)));
}

static void
fuzz_reply(struct slice in)
{
	static struct popmap_answer a;
	struct http_reply r;
	struct popmap_error err;
	struct slice line;

	memset(&r, 0, sizeof(r));
	while (in.n > 0) {
		(void)slice_cut(&in, '\n', &line);
		http_reply_line(&r, line);
	}
	if (http_reply_answer(&r, 200, "@", &a, &err) != 1)
		return;
	check(a.n > 0 && a.n <= POPMAP_SERVERS_MAX);
	for (size_t i = 0; i < a.n; i++)
		check_server(&r, slice_make(a.server[i].text, a.server[i].len));
}

static void
fuzz_request(struct slice value)
{
	char *line = http_auth_header("N", value);

	if (line == NULL)
		return;
	for (const char *p = line + 3; value.n > 0 && *p != '\0'; p++)
		check(*p > ' ' && *p < 0x7f);
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);

	fuzz_reply(in);
	fuzz_request(in);
	return 0;
}
