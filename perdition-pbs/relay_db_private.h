/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_db_private - what relay_db.c (when and how a file is changed) and
 * relay_db_room.c (what is done where that cannot be) share.
 */
#ifndef PERDITION_PBS_RELAY_DB_PRIVATE_H
#define PERDITION_PBS_RELAY_DB_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/relay_build.h"
#include "perdition-pbs/relay_db.h"
#include "perdition-pbs/relay_pace.h"

/* Keys under one lock: some 20 ms at worst. */
#define RELAY_DB_BATCH_MAX 8192u

struct relay_db {
	struct relay_db_config cfg;
	const struct relay_store *store;
	struct dbfile *file; /* NULL: not open, or not to be changed */
	struct relay_key *queue;
	size_t n, cap;
	size_t batch;   /* keys at most under one lock */
	size_t records; /* in the file, and rewritten there since it was made */
	bool urgent;    /* something in the queue is */
	bool anew;      /* the queue does not matter: make the file anew */
	size_t looked_at; /* of the queue, from the front on: not to be taken
			   * out; what has gone since is there once more */
	bool failed;      /* and it was said */
	struct err why;
	uint64_t stale_since; /* ms; 0: nothing that is over has to stay */
	bool shut;          /* the file lets nobody in, until it can be made */
	bool has_spare;     /* that was made by us */
	uint64_t spare_due; /* ms: else, when to try again */
	bool denied_said;   /* that the directory allows no rename */
	uv_loop_t *loop;
	uv_timer_t timer;    /* while it runs, flushing waits for it */
	uv_timer_t lazy;     /* while it runs, what is not urgent waits */
	uint64_t busy_since; /* ms; 0: the lock was free */
	struct relay_pace pace;
	int64_t mtime; /* where file is NULL: of the last new file */

	/* --- a new file, in a child --------------------------------------
	 */
	struct relay_build *build;       /* NULL: none is being made */
	uint64_t build_began, build_due; /* ms */
	size_t build_n;                  /* of the queue: in there already */
	size_t kept_n; /* of the queue: in the present file already, but kept
			* for the one that is being made */
	bool again;    /* anew once more, when that is done */
};

/* The next flush comes in so many ms, and none before. */
void relay_db_again_in(struct relay_db *, uint64_t ms);

/* The queue does not matter any more. */
void relay_db_need_anew(struct relay_db *);

/* What the store says of k at now, into the locked file.  0, or -1 with err. */
int relay_db_write_key(
    struct relay_db *, const struct relay_key *k, int64_t now, struct err *);

/* The file may be torn, and is locked: closes it. */
void relay_db_spoilt(struct relay_db *);

/* --- relay_db_room.c ------------------------------------------------------ */

/* Makes the spare of dbfile_keep_spare(), if there is none and it is time. */
void relay_db_keep_spare(struct relay_db *);

/* Whether the file may let somebody in whose time is over. */
bool relay_db_is_stale(const struct relay_db *);

/*
 * There is no room, for changes or for a new file: new entries have to wait,
 * but what is past its time must go, and taking out needs none, or little.
 * 0 if that is done, or goes on, or -1 with err set.
 */
int relay_db_delete_only(struct relay_db *, struct err *);

/* It cannot be changed, nor a new one made, because of why: after some time of
 * that it lets nobody in.  What an empty one sets free may be all that was
 * missing. */
void relay_db_shut_if_stale(struct relay_db *, const struct err *why);

#endif
