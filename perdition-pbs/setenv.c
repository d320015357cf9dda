/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setenv - RELAYCLIENT for those who may relay; see the header.
 */
#include "config.h"

#include "perdition-pbs/setenv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/relay_key.h"

#include "common/banned.h"

/* A writer has the lock for milliseconds; an SMTP client waits longer. */
#define WAIT_MS 3000

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

static bool
is_alive(struct dbfile_reader *r, const struct relay_key *k, const char *prefix,
    int64_t now, struct err *err)
{
	struct relay_spellings s;
	char value[DBFILE_VALUE_MAX];
	uint64_t expires;
	size_t n;

	relay_key_spell(k, prefix, &s);
	return dbfile_get(r, slice_str(s.text[0]), value, &n, err) == 1 &&
	       slice_u64(slice_make(value, n), INT64_MAX, &expires) == 0 &&
	       (int64_t)expires > now;
}

bool
setenv_may_relay(const char *path, const char *prefix,
    const struct relay_rule *rule, const struct addr *client, int64_t now,
    struct err *err)
{
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_rule_keys(rule, client, true, keys);
	struct dbfile_reader *r;
	bool alive = false;

	*err = (struct err){ 0 };
	if (client->scope != 0)
		return false;
	r = dbfile_read_open(path, WAIT_MS, err);
	if (r == NULL)
		return false;
	for (size_t i = 0; i < n && !alive; i++)
		alive = is_alive(r, &keys[i], prefix, now, err);
	dbfile_read_close(&r);
	return alive;
}

void
setenv_allow(void)
{
	setenv("RELAYCLIENT", "", 0);
}
