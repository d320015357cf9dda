/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_db_room - a database file for which there is no room, or that cannot be
 * changed: what is over is taken out all the same, or nobody is let in.  Knows
 * nothing of when a file is changed otherwise.
 */
#include "config.h"

#include "perdition-pbs/relay_db_private.h"

#include <string.h>
#include <time.h>

#include "common/log.h"

#include "common/banned.h"

#define SHUT_MS 2000        /* how long what is over may stay in the file */
#define SPARE_RETRY_MS 5000 /* see dbfile_keep_spare() */

/* Takes out what of the queue is not in the store any more, max at most. */
static int
delete_some(struct relay_db *d, size_t max, bool *more, struct err *err)
{
	int64_t now = time(NULL);
	size_t kept = 0, n = 0, i;

	for (i = 0; i < d->n && n < max; i++) {
		struct relay_key k = d->queue[i];

		if (relay_store_find(d->store, &k) != NULL) {
			d->queue[kept++] = k;
			continue;
		}
		if (relay_db_write_key(d, &k, now, err) == -1)
			return -1;
		n++;
	}
	*more = i < d->n;
	memmove(d->queue + kept, d->queue + i, (d->n - i) * sizeof(*d->queue));
	d->n -= i - kept;
	return dbfile_commit(d->file, now, err);
}

bool
relay_db_delete_only(struct relay_db *d)
{
	size_t most = dbfile_deletions(d->file) / RELAY_SPELLINGS;
	struct err err;
	bool more = true;

	most = most < RELAY_DB_BATCH_MAX ? most : RELAY_DB_BATCH_MAX;
	for (size_t n = 0; more && n < RELAY_DB_BATCH_MAX; n += most) {
		if (dbfile_lock(d->file, 0) == -1)
			return false; /* comes again with the next try */
		if (delete_some(d, most, &more, &err) == -1) {
			relay_db_spoilt(d);
			return false;
		}
	}
	if (more)
		relay_db_again_in(d, 0);
	return true;
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

	for (size_t i = 0; !stale && i < d->n; i++)
		stale = relay_store_find(d->store, &d->queue[i]) == NULL;
	return stale;
}

void
relay_db_shut_if_stale(struct relay_db *d, const struct err *why)
{
	struct err err;

	if (d->shut || d->loop == NULL ||
	    uv_now(d->loop) - d->failed_at < SHUT_MS || !relay_db_is_stale(d))
		return;
	if (relay_db_shut(d, why, &err) == 0)
		relay_db_again_in(d, 0);
	else
		log_event(LOG_ERR, "db-shut-failed", LOG_STR("error", err.msg));
}
