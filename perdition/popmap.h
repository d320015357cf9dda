/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap - the contract between perdition and its lookup modules.
 *
 * A module is a shared object that exports one symbol, popmap_module.  It is
 * loaded by a process that holds no user's password and no client's socket.
 * It may block, and is called for one query at a time: each process that
 * looks up has a map of its own, with its own connection to the database.  A
 * module that never waits for anybody says so (POPMAP_QUICK) and is asked
 * where questions arrive, without a further hop.  This header is installed and
 * stands alone.
 */
#ifndef PERDITION_POPMAP_H
#define PERDITION_POPMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POPMAP_ABI 2

#define POPMAP_SERVERS_MAX 16
#define POPMAP_USER_MAX 512   /* bytes */
#define POPMAP_SERVER_MAX 280 /* bytes: host name or [IPv6], ":", port */

/* popmap_ops.flags: answers from memory or a local file, in microseconds; never
 * waits for another process. */
#define POPMAP_QUICK 1u
/* The answer does not depend on client_addr, local_addr and client_tls, and
 * the module looks at none of them; so one answer does for all clients. */
#define POPMAP_ANY_CLIENT 2u
/* It does not depend on the client's port. */
#define POPMAP_ANY_PORT 4u

/* popmap_answer.ttl: not to be kept at all. */
#define POPMAP_TTL_NONE UINT32_MAX

/* Counted text: may hold any byte, NUL too; not NUL-terminated. */
struct popmap_text {
	const char *p;
	size_t n;
};

struct popmap_query {
	struct popmap_text key;    /* made by query_key; the user by default */
	struct popmap_text user;   /* whole user name, rewritten for lookup */
	struct popmap_text local;  /* before the last domain_delimiter */
	struct popmap_text domain; /* behind it; empty when there is none */
	const char *delimiter;     /* NUL-terminated */
	const char *protocol;      /* "imap4", "pop3", "managesieve" */
	const struct sockaddr *client_addr, *local_addr;
	bool client_tls;
	uint16_t port; /* of the real-server, unless the answer says one */
	/* After so long nobody wants the answer, and a module that is still
	 * busy then is killed; at least 1. */
	unsigned int timeout_ms;
};

/*
 * The real-servers in the order to be tried.  text as in a popmap file:
 * [USER<delimiter>]SERVER[:PORT], IPv6 in brackets; or with what popmap(5) says
 * of TLS: imaps://SERVER, SERVER?tls=starttls.  The caller parses it.
 */
struct popmap_answer {
	/* For how many seconds this answer, also that there is no such key, may
	 * be kept; 0, as it is before the call: as the administrator says
	 * (popmap_cache). */
	uint32_t ttl;
	size_t n;
	struct {
		size_t len;
		char text[POPMAP_USER_MAX + POPMAP_SERVER_MAX];
	} server[POPMAP_SERVERS_MAX];
};

struct popmap_error {
	char msg[512]; /* one line; set whenever -1 is returned */
};

struct popmap; /* a module's own state */

struct popmap_ops {
	int abi; /* POPMAP_ABI; nothing else is read before it matches */
	const char *name;
	unsigned int flags; /* POPMAP_QUICK and the others */
	/*
	 * Checks the options and reads files; must not need a database to be
	 * up, or perdition would not start while it is down.
	 * options: the text of map_library_opt, "" when there is none; valid
	 * only during the call.  sysconfdir: where default files are, as
	 * "/etc/perdition".  0 with *map set, or -1 with err set.
	 */
	int (*open)(struct popmap **map, const char *options,
	    const char *sysconfdir, struct popmap_error *err);
	/*
	 * May block.  1 with answer filled, 0 no such key, -1 with err set:
	 * the map cannot tell, try again later.
	 */
	int (*lookup)(struct popmap *map, const struct popmap_query *query,
	    struct popmap_answer *answer, struct popmap_error *err);
	void (*close)(struct popmap **map); /* accepts a pointer to NULL */
};

#ifdef __cplusplus
}
#endif

#endif
