/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * protocol - the protocols by name.
 */
#include "config.h"

#include "perdition/protocol/protocol.h"

#include "perdition/protocol/line.h"

#include "common/banned.h"

void
credentials_clear(struct credentials *creds)
{
	secret_wipe(creds, sizeof(*creds));
}

bool
server_login_ok(const struct server_login *login)
{
	return login->user.n > 0 && login->user.n <= AUTH_USER_MAX &&
	       login->authz.n <= AUTH_USER_MAX && line_arg_ok(login->user) &&
	       line_arg_ok(login->authz) &&
	       line_arg_ok(secret_get(login->password));
}

const struct protocol *
protocol_find(struct slice name, bool *tls)
{
	static const struct {
		struct slice name;
		const struct protocol *protocol;
		bool tls;
	} names[] = {
		{ SLICE("imap4"), &protocol_imap4, false },
		{ SLICE("imap"), &protocol_imap4, false },
		{ SLICE("imap4s"), &protocol_imap4, true },
		{ SLICE("imaps"), &protocol_imap4, true },
		{ SLICE("pop3"), &protocol_pop3, false },
		{ SLICE("pop3s"), &protocol_pop3, true },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_caseeq(name, names[i].name)) {
			*tls = names[i].tls;
			return names[i].protocol;
		}
	return NULL;
}
