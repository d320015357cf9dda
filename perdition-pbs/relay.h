/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay - who may relay: the rules, the store and the journal as one.
 *
 * The only way in which an entry comes or goes, for logins, for the
 * administrator's tools and for time.  Publishing is the business of the
 * sink.  No loop, no clock of its own.
 */
#ifndef PERDITION_PBS_RELAY_H
#define PERDITION_PBS_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/auth_event.h"
#include "perdition-pbs/journal.h"
#include "perdition-pbs/relay_key.h"
#include "perdition-pbs/relay_rule.h"
#include "perdition-pbs/relay_store.h"

/* What a source has learned, wherever from. */
struct relay_event {
	enum auth_kind kind;
	struct addr client;
	struct slice user; /* as the client sent it, any bytes; may be empty */
	int64_t when;      /* seconds since the epoch */
	uint64_t session;  /* unique on the host that it is of; 0: not known */
};

/* What was said here, by a login or by the administrator, and not what comes
 * of it, such as the networks that the masks add, or what time brings. */
struct relay_news {
	enum { RELAY_NEWS_OPEN, RELAY_NEWS_SHUT, RELAY_NEWS_SHUT_ALL } kind;
	const struct relay_key *key; /* NULL with the last */
	int64_t when; /* of an opening: seconds since the epoch */
};

/* What has to follow the store; the entry itself is to be had from there. */
struct relay_sink {
	/* k came, went or lives longer; urgent unless only the last, and
	 * it would have lived for some seconds more anyway.  Also for what
	 * may relay always, with expires RELAY_FOREVER. */
	void (*changed)(void *arg, const struct relay_key *k, bool urgent);
	void (*all_changed)(void *arg);
	void *arg;
	/* Behind its effects; NULL: of no interest. */
	void (*news)(void *arg, const struct relay_news *);
};

#define RELAY_SINKS_MAX 8

struct relay_limits {
	unsigned int timeout; /* seconds that a login opens for */
	/* Beyond, the soonest to expire goes.  When lowered: with
	 * relay_apply_rules(), or a few with each that comes. */
	unsigned int max_entries;
	unsigned int max_new_per_second; /* logins from new addresses */
	unsigned int max_per_user; /* addresses; beyond, the oldest goes; 0: any
				      number */
	bool from_logout;          /* the end of a session opens as well */
};

enum relay_loss {           /* why an entry goes, if nobody has asked for it */
	RELAY_LOST_TIME,    /* it is past its time */
	RELAY_LOST_ENTRIES, /* max_entries */
	RELAY_LOST_ADDRESSES, /* max_per_user */
	RELAY_LOST_RULES      /* they have changed */
};

/* Logins from new addresses, by the second in which they were: what is read
 * late, all at once, is no flood. */
#define RELAY_SECONDS 64 /* a login's is that of its number modulo this */

struct relay_second {
	int64_t second;
	unsigned int opened;
};

struct relay {
	struct relay_store *store; /* owned by the caller, all three */
	struct journal *journal;   /* NULL: none */
	struct relay_rule rule;
	struct relay_limits limits;
	struct relay_sink sinks[RELAY_SINKS_MAX]; /* of relay_attach() */
	size_t sinks_n;
	/* An entry is about to go; NULL: nobody wants to know. */
	void (*on_lost)(void *arg, const struct relay_entry *,
	    struct slice user, enum relay_loss);
	void *on_lost_arg;
	struct relay_second seconds[RELAY_SECONDS];
	size_t unruled; /* of the store's entries: the first, not looked at
			 * since the rules have changed */
};

enum relay_verdict {
	RELAY_OPENED,   /* an address that was shut */
	RELAY_EXTENDED, /* it was open, and is for longer */
	RELAY_HANDED,   /* the same, but by another user than before */
	RELAY_KEPT,     /* it was open for that long anyway, or a session
			   ended that opens nothing */
	RELAY_OLD,      /* the login is past its time: opens nothing */
	RELAY_NEVER,    /* forbidden by the rules */
	RELAY_FLOOD,    /* more new addresses a second than allowed */
	RELAY_NOMEM,
};

/* From now on sink (copied) hears of each change.  0, or -1 with errno
 * ENOSPC: RELAY_SINKS_MAX are attached. */
int relay_attach(struct relay *, const struct relay_sink *);

/*
 * A login that worked, a sign of life of its session, or the end of that.
 * The time of the event, if later than now, counts as now.  AUTH_CLOSE is
 * heeded only with from_logout.
 */
enum relay_verdict relay_login(
    struct relay *, const struct relay_event *, int64_t now);

/* These logins, n of them (RELAY_STORE_FETCH at most), are going to be told to
 * relay_login(): has what that needs fetched from memory, all at the same
 * time. */
void relay_fetch(
    const struct relay *, const struct relay_event *, size_t n, int64_t now);

/*
 * The administrator's word: k (an address with the network that the masks
 * add, or a network) until `expires'; not counted as a flood.
 */
enum relay_verdict relay_insert(
    struct relay *, const struct relay_key *k, int64_t expires, int64_t now);

/* The same for exactly this entry, and in whose name it was opened.  RELAY_OLD:
 * it is dead already. */
enum relay_verdict relay_import(
    struct relay *, const struct relay_entry *, struct slice user, int64_t now);

/* Whether anything was there to remove. */
bool relay_remove(struct relay *, const struct relay_key *k);
size_t relay_purge(struct relay *); /* how many */

/* Removes what is dead at now, at most max (0: all).  How many. */
size_t relay_expire(struct relay *, int64_t now, size_t max);

/* Removes what the rules forbid by now and what max_entries leaves no room for,
 * and adds what may relay always.  How many were removed. */
size_t relay_apply_rules(struct relay *, int64_t now);

/*
 * The same in slices of some milliseconds each, while logins come and entries
 * go: after begin, step has to be called until it says that nothing is left.
 * *removed is raised.  Whoever asks relay_find() is answered by the new rules
 * from begin on.
 */
void relay_rules_begin(struct relay *, int64_t now);
bool relay_rules_step(struct relay *, size_t *removed);

/*
 * Whether a client may relay at now: the entry that says so, an address or a
 * network, valid until the store changes; NULL: none does, or the rules
 * forbid it, which comes first.
 */
const struct relay_entry *relay_find(
    const struct relay *, const struct addr *client, int64_t now);

/* The clock was set by delta seconds: entries keep the life they had left. */
void relay_shift(struct relay *, int64_t delta);

#endif
