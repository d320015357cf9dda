/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal - the daemon's own truth on disk.
 *
 * A file of small records, appended to as things happen and replaced by a
 * snapshot when it has grown; each record carries a checksum, so that a torn
 * end (a kill, a full disk) is recognised and cut off.  What is written
 * survives the death of the process; a power failure may cost the last
 * seconds, which is harmless: clients log in again.
 *
 * The lock on it says who owns the relay database: a running daemon, or a
 * tool for as long as it works.
 */
#ifndef PERDITION_PBS_JOURNAL_H
#define PERDITION_PBS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/positions.h"
#include "perdition-pbs/relay_store.h"

struct journal;

/*
 * Opens path and takes the lock, waiting for it at most wait_ms.
 * create: make it when it is not there (mode 0600); else ENOENT is an answer.
 * NULL with err set; err->code EWOULDBLOCK: somebody else has it.
 */
struct journal *journal_open(
    const char *path, bool create, unsigned int wait_ms, struct err *);
void journal_close(struct journal **); /* writes what waits, unlocks */

/* Gives the file to the user that the daemon is going to be. */
int journal_chown(struct journal *, uid_t, gid_t);

/*
 * Reads all that is there into store; entries dead at now are left out, and
 * none lives past limit.  *torn is set to the bytes cut off at the end.
 * 0; 1 for a new one, or one of which a power failure has left nothing: it
 * tells nothing, and has to be begun before anything else, by
 * journal_start_with(); or -1 with err: not readable, or not ours.
 */
int journal_load(struct journal *, struct relay_store *, int64_t now,
    int64_t limit, uint64_t *torn, struct err *);

/* Begins a new one with what store holds, on the disk when this returns.  0, or
 * -1 with err. */
int journal_start_with(
    struct journal *, const struct relay_store *, struct err *);

/*
 * The same, into a store that is empty, for one who only looks, and takes no
 * lock, while a daemon may be at work: what the journal told at one moment of
 * the call.  Only in a directory that allows no new file, where it is made anew
 * in its place, some of it may be missing.  0, or -1 with err (ENOENT, EACCES,
 * EAGAIN: it was made anew whenever it was read).
 */
int journal_read(const char *path, struct relay_store *, int64_t now,
    int64_t limit, struct err *);

/*
 * How far the sources had been read, as last saved; valid until the next
 * save.  A journal of perdition-pbs 3.0.0 or earlier has one without a name:
 * that of its only log.
 */
const struct positions *journal_positions(const struct journal *);

/*
 * What happened, in order.  Kept in memory until journal_flush(), or at most
 * 64 KiB of it.
 */
void journal_touch(
    struct journal *, const struct relay_entry *, struct slice user);
void journal_remove(struct journal *, const struct relay_key *);
void journal_purge(struct journal *);
/* The clock was set: all entries so far end delta seconds later.  One record,
 * whatever there is of them. */
void journal_shift(struct journal *, int64_t delta);
/* Limits as those of positions.h; what is beyond them is not kept. */
void journal_save_position(
    struct journal *, struct slice name, struct slice position);

/*
 * Writes what waits, and begins a snapshot of store when the file has grown
 * far beyond what is alive, or when an earlier write failed.  0, or -1 with
 * err set: if journal_failed(), something is kept in memory only, until a later
 * call or the snapshot succeeds.
 */
int journal_flush(struct journal *, const struct relay_store *, struct err *);

/* Whether it holds little beside what a snapshot of store would, and nothing
 * that it would not: no entry whose life had to be cut. */
bool journal_is_lean(const struct journal *, const struct relay_store *);

/*
 * A snapshot in slices of some milliseconds each, the first by begin: while
 * busy, step has to be called again.  What happens in between is told as ever,
 * and is as safe as ever.  0, or -1 with err set: the file goes on to grow,
 * and there will be another attempt when journal_flush() finds it needed.
 */
int journal_begin(struct journal *, const struct relay_store *, struct err *);
int journal_step(struct journal *, const struct relay_store *, struct err *);
bool journal_busy(const struct journal *);

/* A snapshot now. */
int journal_snapshot(
    struct journal *, const struct relay_store *, struct err *);

/* As journal_flush(), but what that has begun is ended. */
int journal_settle(struct journal *, const struct relay_store *, struct err *);

/* Something is missing in the file. */
bool journal_failed(const struct journal *);
bool journal_dirty(const struct journal *); /* or waits */

#endif
