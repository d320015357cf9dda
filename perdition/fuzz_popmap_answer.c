/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target for what maps answer and users append to their names: nothing
 * but a name or an address, and a port, comes out.
 */
#include "config.h"

#include <stdlib.h>

#include "common/addr.h"
#include "common/auth_event.h"
#include "common/fuzz.h"
#include "perdition/popmap_answer.h"
#include "perdition/request.h"

#include "common/banned.h"

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_bytes(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.n; i++)
		check((s.p[i] >= 'a' && s.p[i] <= 'z') ||
		      (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
		      (s.p[i] >= '0' && s.p[i] <= '9') ||
		      (s.p[i] != '\0' && strchr(others, s.p[i]) != NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const delimiters[] = { "@", "%", "::", "]", "" };
	struct slice in = slice_make((const char *)data, size);
	struct popmap_server s;
	struct addr a;
	struct err err;

	/* What a user may type says nothing of TLS. */
	if (popmap_answer_parse_server(in, &s, &err) == 0)
		check(s.url.protocol == NULL && !s.url.has_tls &&
		      slice_find(in, '?') == -1);
	for (size_t i = 0; i < sizeof(delimiters) / sizeof(*delimiters); i++) {
		if (popmap_answer_parse(in, delimiters[i], &s, &err) == -1)
			continue;
		check(s.host.n > 0 && s.host.n < LOOKUP_HOST_MAX);
		if (addr_parse_ip(s.host, &a) == -1)
			check_bytes(s.host, "._-");
		check_bytes(s.port, "_-+.");
		check(s.has_user == (s.user.n > 0));
		check(s.user.n <= AUTH_USER_MAX);
		check(s.url.tls < TLS_MODE_COUNT);
		/* Where TLS is usual, only the text's own word turns it off. */
		check(s.url.has_tls ||
		      server_url_mode(&s.url, TLS_STARTTLS) == TLS_STARTTLS);
		check(s.url.has_tls ||
		      server_url_mode(&s.url, TLS_IMPLICIT) != TLS_NONE);
	}
	return 0;
}
