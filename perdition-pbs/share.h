/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share - keeping the entries of several hosts alike, whatever carries their
 * messages.
 *
 * All hosts write to one log of messages, which gives every message a place
 * and a time, and read all of it, their own too: what a host has read back,
 * the others know.  Where an opening and a shutting of one address meet, the
 * later counts, by the log's clock less the age that the message tells; so it
 * does not matter when it was told, by whom, or what any host's clock says.
 * Of two openings the longer counts.
 *
 * Who knows what is kept with each entry, as its mark, so that nothing has to
 * be queued while the log is out of reach: when it is back, what the others do
 * not know is looked for.  Knows nothing of Redis.
 */
#ifndef PERDITION_PBS_SHARE_H
#define PERDITION_PBS_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition-pbs/relay.h"
#include "perdition-pbs/share_wire.h"

/* Bytes of a message: small, so that one turn of the loop never takes long. */
#define SHARE_MESSAGE_MAX 4096

/* Removals remembered, that came and that are to be told: each lasts for the
 * timeout, since what it forbids dies then.  Beyond, the oldest goes. */
#define SHARE_SHUTS_MAX 65536

struct share;

struct share_clock {
	int64_t (*wall_ms)(void *arg); /* since the epoch */
	int64_t (*mono_ms)(void *arg); /* since anything, never set */
	void *arg;
};

/* Hears of what is said on relay (borrowed) from now on; relay has to outlive
 * it, and is not used after share_destroy().  NULL with errno. */
struct share *share_create(struct relay *relay, const struct share_clock *);
void share_destroy(struct share **);

/* How long a login lets in: for so long the log has to tell of it. */
int64_t share_timeout_ms(const struct share *);

/*
 * All that the log holds has been read: from now on this host tells what the
 * others do not know.
 */
void share_up(struct share *);
bool share_is_up(const struct share *);

/* The log is out of reach; what was not read back counts as not told. */
void share_down(struct share *);

/*
 * What was in the log is lost, at least in part: the others may come to know
 * nothing of what they were told.  Before reading it anew.
 */
void share_forgotten(struct share *);

/*
 * Some of what was told was cut from the log before this host has read it,
 * whereas the log as it is has been read: the others are asked to tell all
 * that they know once more.
 */
void share_missed(struct share *);

/* A message was refused, with others maybe: look for all that is not known. */
void share_again(struct share *);

/* Now and then (a quarter of the timeout): entries made for longer than the
 * others let them live are told again. */
void share_renew(struct share *);

/*
 * Messages from the log, in its order; the more at once, the quicker.  own: it
 * is of this host.  at: when it came into the log, and now: both ms on the
 * log's clock.  from: for our log.
 */
struct share_message {
	struct slice text;
	bool own;
	int64_t at, now;
	struct slice from;
};
void share_read(struct share *, const struct share_message *, size_t n);

/*
 * The next message to put into the log.  Returns its length; 0: nothing to
 * say, or not found yet (see share_busy()).
 */
size_t share_write(struct share *, char out[SHARE_MESSAGE_MAX]);

/* Whether share_write() should be called (again), in a later turn. */
bool share_busy(const struct share *);

#endif
