/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pop3 - the table of POP3, and the response codes that both sides read.
 */
#include "config.h"

#include "perdition/protocol/pop3.h"

#include "common/banned.h"

struct slice
pop3_cut_code(struct slice *text)
{
	struct slice code = { NULL, 0 };
	ptrdiff_t close;

	if (text->n == 0 || text->p[0] != '[')
		return code;
	close = slice_find(*text, ']');
	if (close == -1)
		return code;
	code = slice_make(text->p + 1, (size_t)close - 1);
	*text = slice_skip(*text, (size_t)close + 1);
	if (text->n > 0 && text->p[0] == ' ')
		*text = slice_skip(*text, 1);
	return code;
}

const struct protocol protocol_pop3 = {
	.name = "pop3",
	.label = "POP3",
	.alpn = "pop3",
	.port = 110,
	.tls_port = 995,
	.client_create = pop3_client_create,
	.client_destroy = pop3_client_destroy,
	.client_greet = pop3_client_greet,
	.client_parse = pop3_client_parse,
	.client_tls_started = pop3_client_tls_started,
	.client_refuse = pop3_client_refuse,
	.client_accept = pop3_client_accept,
	.client_farewell = pop3_client_farewell,
	.client_wants_capability = pop3_client_wants_capability,
	.server_create = pop3_server_create,
	.server_destroy = pop3_server_destroy,
	.server_parse = pop3_server_parse,
	.server_tls_started = pop3_server_tls_started,
	.server_told = pop3_server_told,
};
