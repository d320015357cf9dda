/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_db_room - a database file for which there is no room, or that cannot be
 * changed: what is over is taken out all the same, or nobody is let in.  Knows
 * nothing of when a file is changed otherwise.
 */
#include "config.h"

#include "perdition-pbs/relay_db_private.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

#include "common/banned.h"

#define SHUT_MS 2000         /* how long what is over may stay in the file */
#define SHUT_LOCKED_MS 30000 /* and where somebody else has it locked */
#define SPARE_RETRY_MS 5000  /* see dbfile_keep_spare() */

/* Of the queue: those that stay are moved together in front of the gap. */
struct deleting {
	size_t kept; /* so many stay, from the front on */
	size_t at;   /* the next to look at; between the two is the gap */
};

/* Takes out what is not in the store any more, max at most, under one lock.
 * last: the caller will not go on at once. */
static int
delete_some(struct relay_db *d, struct deleting *g, size_t max, bool last,
    struct err *err)
{
	int64_t now = time(NULL);

	for (size_t n = 0; g->at < d->n && n < max; g->at++) {
		struct relay_key k = d->queue[g->at];

		if (relay_store_find(d->store, &k) != NULL) {
			d->queue[g->kept++] = k;
			continue;
		}
		if (relay_db_write_key(d, &k, now, err) == -1)
			return -1;
		n++;
	}
	return last || g->at == d->n ? dbfile_commit(d->file, now, err)
				     : dbfile_commit_part(d->file, err);
}

static void
close_gap(struct relay_db *d, const struct deleting *g)
{
	memmove(d->queue + g->kept, d->queue + g->at,
	    (d->n - g->at) * sizeof(*d->queue));
	d->n -= g->at - g->kept;
	d->looked_at = g->kept;
}

int
relay_db_delete_only(struct relay_db *d, struct err *err)
{
	struct deleting g = { d->looked_at, d->looked_at };
	size_t most = dbfile_deletions(d->file) / RELAY_SPELLINGS;
	int ret = 0;

	most = most < RELAY_DB_BATCH_MAX ? most : RELAY_DB_BATCH_MAX;
	for (size_t n = 0; ret == 0 && g.at < d->n && n < RELAY_DB_BATCH_MAX;
	     n += most) {
		if (dbfile_lock(d->file, 0) == -1) {
			ret = err_set(
			    err, errno, "%s: %s", d->cfg.name, strerror(errno));
			break; /* comes again with the next try */
		}
		ret = delete_some(
		    d, &g, most, n + most >= RELAY_DB_BATCH_MAX, err);
		if (ret == -1)
			relay_db_spoilt(d);
	}
	close_gap(d, &g);
	if (ret == 0)
		d->stale_since = 0;
	if (ret == 0 && d->looked_at < d->n)
		relay_db_again_in(d, 0);
	return ret;
}

/* --- nobody is let in ----------------------------------------------------- */

/* Not before root is given up: in a directory that allows no rename it would
 * only lie about. */
void
relay_db_keep_spare(struct relay_db *d)
{
	struct err err;

	if (d->has_spare || d->loop == NULL || uv_now(d->loop) < d->spare_due)
		return;
	d->has_spare =
	    dbfile_keep_spare(d->cfg.name, d->cfg.uid, d->cfg.gid, &err) == 0;
	d->spare_due = uv_now(d->loop) + SPARE_RETRY_MS;
}

int
relay_db_shut(struct relay_db *d, const struct err *why, struct err *err)
{
	dbfile_close(&d->file);
	relay_db_need_anew(d);
	d->has_spare = false;
	if (dbfile_shut(d->cfg.name, err) == -1)
		return -1;
	d->shut = d->failed = true;
	log_event(LOG_ERR, "db-shut", LOG_STR("file", d->cfg.name),
	    LOG_STR("error", why->msg),
	    LOG_STR("consequence", "nobody relays by it until it can be made"));
	return 0;
}

bool
relay_db_is_stale(const struct relay_db *d)
{
	bool stale = d->anew;

	for (size_t i = d->looked_at; !stale && i < d->n; i++)
		stale = relay_store_find(d->store, &d->queue[i]) == NULL;
	return stale;
}

/* A lock that another has is given back: by an MTA soon, by a tool when it is
 * done.  Not so a disk without room, or an error. */
static uint64_t
patience(const struct err *why)
{
	return why->code == EWOULDBLOCK ? SHUT_LOCKED_MS : SHUT_MS;
}

void
relay_db_shut_if_stale(struct relay_db *d, const struct err *why)
{
	struct err err;
	uint64_t now;

	if (d->shut || d->loop == NULL)
		return;
	if (!relay_db_is_stale(d)) {
		d->stale_since = 0;
		return;
	}
	now = uv_now(d->loop);
	if (d->stale_since == 0)
		d->stale_since = now;
	if (now - d->stale_since < patience(why))
		return;
	if (relay_db_shut(d, why, &err) == 0)
		relay_db_again_in(d, 0);
	else
		log_event(LOG_ERR, "db-shut-failed", LOG_STR("error", err.msg));
}
