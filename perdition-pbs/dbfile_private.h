/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbfile_private - what the files of dbfile share: the common part (change,
 * build, read) and the kinds of file below it (hash, lmdb, cdb).
 */
#ifndef PERDITION_PBS_DBFILE_PRIVATE_H
#define PERDITION_PBS_DBFILE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/dbfile.h"

/* Every change moves the file's time one second on, which under a flood runs
 * ahead of the clock; not further than a day. */
#define DBFILE_LEAD_MAX (24 * 60 * 60)
/* As far as it mostly gets: see relay_pace.h. */
#define DBFILE_LEAD_COMMON (5 * 60)

struct dbfile {
	const struct dbfile_kind *kind;
	void *handle; /* the kind's own; NULL: not open */
	int fd;       /* our own on the same inode: for the lock and the time */
	char *path;
	struct stat st; /* as we left it */
	off_t reserved; /* bytes of disk that are ours for certain */
	size_t roomy;   /* records that the layout takes */
};

struct dbfile_reader {
	const struct dbfile_kind *kind;
	void *handle; /* the kind's own; NULL: not open */
	int fd;       /* locked */
	char *path;
};

/*
 * One kind of file.  Each function returns 0, or -1 with err set; path is for
 * messages, and fd is open on the same inode as what is to be opened.
 */
struct dbfile_kind {
	const char *type; /* as in Postfix's TYPE:PATH */

	/* The bytes that only an empty file of this kind has at that place. */
	off_t magic_at;
	uint32_t magic;

	/* The lock that readers of this kind take: as flock(2), never waiting
	 * with LOCK_NB.  NULL: they take none, so that a file must never
	 * change once it has the name. */
	int (*lock)(int fd, int operation);

	/* Fills the file behind fd, whatever it held, with what next gives. */
	int (*fill)(int fd, const char *path, const struct dbfile_plan *,
	    dbfile_next *next, void *arg, struct err *);

	/* Takes all records out of the live file behind fd, in its own blocks:
	 * there may be no room.  Where readers map the file it gets no shorter;
	 * they would get SIGBUS. */
	int (*empty)(int fd, const char *path, struct err *);

	/* --- changing; all NULL where only whole new files will do --------
	 */
	/* Where taking out needs room as well: so many records are taken out
	 * at most where there is none, and so many bytes are kept for that.
	 * 0: it needs none. */
	size_t deletions;
	off_t deletion_room;
	/* Sets f->handle and f->roomy; f->st is the file as it is. */
	int (*open)(struct dbfile *, struct err *);
	void (*close)(struct dbfile *);
	/* With the lock taken.  errno ESTALE: has to be built anew. */
	int (*begin)(struct dbfile *, size_t changes);
	int (*put)(struct dbfile *, struct slice key, struct slice value,
	    struct err *);
	int (*del)(struct dbfile *, struct slice key, struct err *);
	int (*write)(struct dbfile *, struct err *);
	void (*drop)(struct dbfile *); /* begin alone; or NULL */

	/* --- reading ------------------------------------------------------
	 */
	int (*read_open)(struct dbfile_reader *, struct err *);
	void (*read_close)(struct dbfile_reader *);
	/* 1, or 0: not there, or longer than ours are. */
	int (*get)(struct dbfile_reader *, struct slice key,
	    char value[DBFILE_VALUE_MAX], size_t *n, struct err *);
	/* 1, or 0 at the end; of any length. */
	int (*each)(struct dbfile_reader *, struct slice *key,
	    struct slice *value, struct err *);
};

extern const struct dbfile_kind dbfile_hash, dbfile_lmdb, dbfile_cdb;

#ifdef HAVE_BDB
#define DBFILE_HASH (&dbfile_hash)
#else
#define DBFILE_HASH NULL
#endif
#ifdef HAVE_LMDB
#define DBFILE_LMDB (&dbfile_lmdb)
#else
#define DBFILE_LMDB NULL
#endif
#ifdef HAVE_CDB
#define DBFILE_CDB (&dbfile_cdb)
#else
#define DBFILE_CDB NULL
#endif

/* The kind of what name names, and its path.  NULL with err. */
const struct dbfile_kind *dbfile_kind_of(
    const char *name, const char **path, struct err *);

/*
 * A name of what fd is open on, for libraries that open by name, some several
 * times over: whoever may rename in the directory (root's work may be in
 * another's) cannot slip them another file.  path where there is no /proc.
 */
#define DBFILE_NAME_MAX 32
const char *dbfile_name_of(
    int fd, const char *path, char name[DBFILE_NAME_MAX]);

/* Waits for a kind's lock at most wait_ms.  0, or -1 with errno. */
int dbfile_wait(int (*lock)(int fd, int operation), int fd, int operation,
    unsigned int wait_ms);

/* Of the file itself, changed.  old: the time before that, seconds, or the
 * latest that a reader may remember; needs the owner. */
void dbfile_raise_mtime(int fd, int64_t old, int64_t now);

/* Of a new file, for the place of one whose time is old: later, too, unless
 * that is further ahead than changes bring it, as dbfile_outdate() does. */
void dbfile_succeed_mtime(int fd, int64_t old, int64_t now);

/* The latest time that a reader may remember of the file. */
int64_t dbfile_latest(const struct stat *, int64_t now);

/*
 * What is open on fd is, or is about to be, the file no more: whoever has it
 * open is to look by name again.  Its time may be the clock's, left there by a
 * killed writer, while a reader remembers one far ahead of that; so it becomes
 * later than any that it can have had, and once more later with each call.
 * undo: it stays the file, so its time is again what it was.
 */
void dbfile_outdate(int fd, int64_t now);
void dbfile_outdate_undo(int fd, const struct stat *was, int64_t now);

/* ".NAME.suffix" beside path; NULL with errno. */
char *dbfile_beside(const char *path, const char *suffix);

#endif
