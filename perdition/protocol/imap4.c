/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4 - the table of IMAP4, and the tags by which proxies know each other.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "perdition/protocol/imap4.h"

#include "common/banned.h"

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

unsigned int
imap4_tag_hops(struct slice tag)
{
	struct slice rest, digits;
	uint64_t hops;

	if (tag.n == 0 || tag.p[0] != 'P')
		return 0;
	rest = slice_skip(tag, 1);
	if (!slice_cut(&rest, '.', &digits) || rest.n != 8 || digits.n > 3 ||
	    slice_u64(digits, IMAP4_HOPS_MAX, &hops) == -1)
		return 0;
	for (size_t i = 0; i < rest.n; i++)
		if (!is_hex(rest.p[i]))
			return 0;
	return (unsigned int)hops;
}

size_t
imap4_write_tag(char out[IMAP4_TAG_SIZE], unsigned int hops, uint32_t nonce)
{
	int n = snprintf(out, IMAP4_TAG_SIZE, "P%u.%08" PRIx32,
	    hops > IMAP4_HOPS_MAX ? IMAP4_HOPS_MAX : hops, nonce);

	return (size_t)n; /* 13 at most */
}

bool
imap4_capability_ok(struct slice word)
{
	if (word.n == 0)
		return false;
	for (size_t i = 0; i < word.n; i++) {
		char c = word.p[i];

		if (c <= 0x20 || c >= 0x7f || strchr("(){}[]\"\\*%", c) != NULL)
			return false;
	}
	return !slice_caseeq(word, SLICE("LOGIN-REFERRALS")) &&
	       !slice_caseeq(word, SLICE("MAILBOX-REFERRALS"));
}

const struct protocol protocol_imap4 = {
	.name = "imap4",
	.label = "IMAP4",
	.alpn = "imap",
	.port = 143,
	.tls_port = 993,
	.client_create = imap4_client_create,
	.client_destroy = imap4_client_destroy,
	.client_greet = imap4_client_greet,
	.client_parse = imap4_client_parse,
	.client_tls_started = imap4_client_tls_started,
	.client_refuse = imap4_client_refuse,
	.client_accept = imap4_client_accept,
	.client_farewell = imap4_client_farewell,
	.client_wants_capability = imap4_client_wants_capability,
	.server_create = imap4_server_create,
	.server_destroy = imap4_server_destroy,
	.server_parse = imap4_server_parse,
	.server_tls_started = imap4_server_tls_started,
	.server_told = imap4_server_told,
};
