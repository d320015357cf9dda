/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolve - host names into addresses, with a small memory.
 *
 * getaddrinfo(3) tells no lifetime, so what it found is kept for a fixed
 * short time, what it did not find for a shorter one.  While the resolver
 * fails, addresses that were found lately go on being used (RFC 8767).  The
 * system's functions block, so they are called by processes of an ask_pool.
 */
#ifndef PERDITION_RESOLVE_H
#define PERDITION_RESOLVE_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "common/slice.h"
#include "perdition/memo.h"

#define RESOLVE_ADDRS_MAX 16     /* kept of one name */
#define RESOLVE_HIT_MS 60000     /* lifetime of what was found */
#define RESOLVE_MISS_MS 5000     /* of what was not, and of failures */
#define RESOLVE_STALE_MS 3600000 /* how old a hit may get meanwhile */
#define RESOLVE_NAMES_MAX 4096   /* remembered */

struct resolver;

/* The system's functions, or a test's. */
struct resolve_ops {
	int (*getaddrinfo)(const char *, const char *, const struct addrinfo *,
	    struct addrinfo **);
	void (*freeaddrinfo)(struct addrinfo *);
	int (*getnameinfo)(const struct sockaddr *, socklen_t, char *,
	    socklen_t, char *, socklen_t, int);
};

/*
 * numeric: addresses and port numbers only, nothing is ever asked
 * (no_lookup).  ops: NULL for the system's.  epoll: where the channels of the
 * processes go that wait for the system's functions, each for limit_ms at
 * most; or -1: there are none, and whoever asks waits.  replies: as for
 * memo_create().
 * 0, or -1 with err.
 */
int resolve_open(struct resolver **, bool numeric,
    const struct resolve_ops *ops, int epoll, uint64_t limit_ms,
    uint64_t *replies, struct err *);
void resolve_close(struct resolver **);

void resolve_tick(struct resolver *, uint64_t now_ms);
uint64_t resolve_due(const struct resolver *); /* ms; UINT64_MAX for never */

#define RESOLVE_WAIT 2 /* w is woken when there is more to tell */

/*
 * All addresses of host in the order to be tried (RFC 6724 as sorted by the
 * resolver, families interleaved as RFC 8305 section 4 says), at most max;
 * port 0.  host: a name of [A-Za-z0-9._-] or an address without brackets.
 * when: as for memo_get().
 * 1 with *n at least 1; 0 with err: there is no such host; -1 with err: the
 * resolver cannot tell now; RESOLVE_WAIT.
 */
struct resolve_when {
	uint64_t now_ms; /* monotonic */
	uint64_t since;
	struct memo_waiter *waiter;
};
int resolve_host(struct resolver *, struct slice host,
    const struct resolve_when *when, struct addr *out, size_t max, size_t *n,
    struct err *);

/* Digits or a service's name.  0, or -1 with err. */
int resolve_port(
    const struct resolver *, struct slice port, uint16_t *, struct err *);

/*
 * The name of an address without its first depth labels, for add_domain.
 * out: LOOKUP_DOMAIN_MAX bytes.  A name with any byte but [A-Za-z0-9._-] is
 * refused: whoever runs the reverse zone would write into commands.
 * 1 with out filled; 0: none; -1 with err: cannot tell now; RESOLVE_WAIT.
 */
int resolve_domain(struct resolver *, const struct addr *, unsigned int depth,
    const struct resolve_when *when, char *out, struct err *);

#endif
