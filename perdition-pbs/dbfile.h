/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile - one file that MTAs look keys up in while it is changed.
 *
 * A file's name is TYPE:PATH, as in Postfix's main.cf but with the path's
 * suffix, or a path alone, which is hash:
 *   hash:/etc/mail/popauth.db        Berkeley DB: Sendmail, Postfix, Exim
 *   lmdb:/etc/postfix/popauth.lmdb   LMDB: Postfix
 *   cdb:/etc/postfix/popauth.cdb     constant database: Postfix, Exim
 * What of these there is depends on the libraries at the time of the build.
 *
 * Sendmail and Postfix lock the file around each lookup and (but for lmdb)
 * look at its time in whole seconds to learn of a change; Exim does neither.
 * Hence: changes are made under the lock on the same inode and written out at
 * once, the time is raised by at least a second per change, and whole new
 * files come by rename.  Knows nothing of addresses.
 *
 * A killed writer or a full disk may leave a hash file torn: files are only
 * ever copies, and dbfile_build_finish() makes them anew.
 */
#ifndef PERDITION_PBS_DBFILE_H
#define PERDITION_PBS_DBFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/slice.h"

#define DBFILE_KEY_MAX 128
#define DBFILE_VALUE_MAX 32

int dbfile_check(const char *name, struct err *); /* whether it can be had */
const char *dbfile_path(const char *name);

/* Else each change is a whole new file. */
bool dbfile_changes_in_place(const char *name);

/*
 * Gives the next record of a new file: true with key and value set
 * (valid until the next call), false at the end.
 */
typedef bool dbfile_next(void *arg, struct slice *key, struct slice *value);

struct dbfile_plan {
	size_t records; /* that next will give; room is made for half as many
			   more */
	uid_t uid;      /* the file's owner, or (uid_t)-1: whoever makes it */
	gid_t gid;
	bool *in_place; /* set when the directory allowed no rename; or NULL */
};

/*
 * A new file for path, in two steps, so that what the old one holds can be
 * read in between: from begin to finish no second builder gets in.
 * begin: NULL with err set to an errno value (EWOULDBLOCK: another builder
 * took longer than wait_ms).
 * finish: fills the file with the records that next gives, mode 0644, under
 * another name, and renames it into place.  Where the directory is not
 * writable (a daemon that dropped root over /etc/mail) the file itself is
 * rewritten under the lock, and begin locks nothing; a type without locks
 * fails there (EACCES).  0, or -1 with err set:
 * then an existing file is as it was, unless err says that it is torn.
 * cancel: after begin alone, or NULL.  Both free b.
 */
struct dbfile_builder;
struct dbfile_builder *dbfile_build_begin(
    const char *name, unsigned int wait_ms, struct err *);
int dbfile_build_finish(struct dbfile_builder **, const struct dbfile_plan *,
    dbfile_next *next, void *arg, struct err *);
void dbfile_build_cancel(struct dbfile_builder **);

/* --- where there is no room for a new one -------------------------------- */

/*
 * Keeps an empty file of name's kind beside it, ".NAME.empty", for
 * dbfile_shut().  0, or -1 with err: but one of earlier may be there.
 */
int dbfile_keep_spare(const char *name, uid_t uid, gid_t gid, struct err *);

/*
 * From now on the file lets nobody in, and readers that have it open look
 * again; this takes no room.  The spare takes its place; if there is none, or
 * it is of another kind, the file is removed; where the directory allows
 * neither it is emptied, whoever has a lock on it.  0, also if there is no
 * file, or -1 with err.
 */
int dbfile_shut(const char *name, struct err *);

/* --- changing ------------------------------------------------------------ */

struct dbfile;

/* An existing file for changes; NULL with err set. */
struct dbfile *dbfile_open(const char *name, struct err *);
void dbfile_close(struct dbfile **);

/*
 * Before changes: takes the lock without waiting and reserves the space that
 * `changes' puts may need (0: there will only be deletions).  0, or -1 with
 * errno EWOULDBLOCK (try again soon), ENOSPC, EDQUOT, EFBIG (no room: nothing
 * is touched), or another: the file is not what was opened any more (ESTALE:
 * replaced, or changed by another) and has to be built anew.
 */
int dbfile_lock(struct dbfile *, size_t changes);

/* How many may be taken out under one lock though there is no room. */
size_t dbfile_deletions(const struct dbfile *);

/* Between lock and commit.  0, or -1 with err set: build the file anew. */
int dbfile_put(
    struct dbfile *, struct slice key, struct slice value, struct err *);
int dbfile_del(struct dbfile *, struct slice key, struct err *);

/*
 * Writes the changes, raises the file's time, unlocks.  now: seconds since
 * the epoch.  0, or -1 with err set: close it, which unlocks, and build the
 * file anew.
 */
int dbfile_commit(struct dbfile *, int64_t now, struct err *);

/*
 * The same for a part of a change whose rest follows at once: the file's time
 * stays, so that many parts do not move it far ahead of the clock.  Who looks
 * at it learns of the whole by dbfile_commit() at the end.
 */
int dbfile_commit_part(struct dbfile *, struct err *);
void dbfile_unlock(struct dbfile *); /* after dbfile_lock() alone */

/* Seconds that the file's time is ahead of now; 0 when it is not. */
int64_t dbfile_lead(const struct dbfile *, int64_t now);

/* Whether so many records fit the layout; else it should be built anew. */
bool dbfile_roomy(const struct dbfile *, size_t records);

/* --- reading ------------------------------------------------------------- */

struct dbfile_reader;

/*
 * Opens read-only, never creates, takes LOCK_SH; waits at most wait_ms for
 * a writer.  NULL with err set (ENOENT, EWOULDBLOCK, EINVAL: not such a file).
 */
struct dbfile_reader *dbfile_read_open(
    const char *name, unsigned int wait_ms, struct err *);
void dbfile_read_close(struct dbfile_reader **);

/* 1 with value copied out (*n bytes), 0 not there, -1 with err. */
int dbfile_get(struct dbfile_reader *, struct slice key,
    char value[DBFILE_VALUE_MAX], size_t *n, struct err *);

/*
 * All records, one a call: 1 with both set, valid until the next call, 0 at
 * the end, -1 with err.  Longer keys or values than the limits above are
 * not ours and left out.
 */
int dbfile_each(struct dbfile_reader *, struct slice *key, struct slice *value,
    struct err *);

/* Bounds a wait for a lock on any descriptor.  0, or -1 with errno. */
int dbfile_flock(int fd, int operation, unsigned int wait_ms);

#endif
