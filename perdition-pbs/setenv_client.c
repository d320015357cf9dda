/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setenv_client - who the client is, and what its server is told; see setenv.h.
 * Apart from what reads databases, as the small program needs no library.
 */
#include "config.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perdition-pbs/setenv.h"

#include "common/banned.h"

static bool
from_env(const char *name, struct addr *a)
{
	const char *v = getenv(name);

	return v != NULL && addr_parse_ip(slice_str(v), a) == 0;
}

bool
setenv_client(struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	/* tcpserver with IPv6 leaves an IPv4 client's mapped address in the
	 * one and the plain one in the other; both are folded alike.  What is
	 * set but no address must not make us look elsewhere. */
	if (getenv("TCPREMOTEIP") != NULL)
		return from_env("TCPREMOTEIP", a);
	if (getenv("TCP6REMOTEIP") != NULL)
		return from_env("TCP6REMOTEIP", a);
	return getpeername(STDIN_FILENO, (struct sockaddr *)&ss, &len) == 0 &&
	       addr_from_sockaddr(a, (struct sockaddr *)&ss) == 0;
}

void
setenv_drop_user(void)
{
	unsetenv("RELAYUSER");
}

void
setenv_allow(const char *user)
{
	if (getenv("RELAYCLIENT") != NULL)
		return;
	setenv("RELAYCLIENT", "", 1);
	if (user[0] != '\0')
		setenv("RELAYUSER", user, 1);
}
