/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_db - publishing the store to the MTAs; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_db_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/log.h"
#include "perdition-pbs/relay_file.h"

#include "common/banned.h"

#define QUEUE_MAX 262144u /* keys; beyond, a new file is cheaper */
#define BACKLOG (8 * RELAY_DB_BATCH_MAX)
#define BATCH_MIN 64u         /* where disk is scarce */
#define ANEW_SHARE 4          /* a change of so large a part is a new file */
#define AT_ONCE 1000u         /* entries that need no child to be written */
#define BUILD_SHARE 3         /* times a new file's time until the next */
#define LAZY_MS 1000          /* how long a longer life may stay unwritten */
#define LOCK_RETRY_MS 1       /* MTAs hold the lock for less */
#define LOCK_PATIENCE_MS 1500 /* flock(2) is not fair; then rename */
#define ERROR_RETRY_MS 1000

struct relay_db *
relay_db_create(
    const struct relay_db_config *cfg, const struct relay_store *store)
{
	struct relay_db *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->cfg = *cfg;
	d->store = store;
	d->anew = true;
	d->batch = RELAY_DB_BATCH_MAX;
	relay_db_pace(d, cfg->changes_per_second);
	return d;
}

void
relay_db_pace(struct relay_db *d, unsigned int changes_per_second)
{
	d->pace.per_second = changes_per_second;
}

void
relay_db_destroy(struct relay_db **dp)
{
	if (*dp == NULL)
		return;
	relay_build_cancel(&(*dp)->build);
	dbfile_close(&(*dp)->file);
	free((*dp)->queue);
	free(*dp);
	*dp = NULL;
}

static void
on_timer(uv_timer_t *t)
{
	/* Nothing to do here: the turn of the loop ends in a flush. */
	(void)t;
}

void
relay_db_again_in(struct relay_db *d, uint64_t ms)
{
	if (d->loop != NULL)
		uv_timer_start(&d->timer, on_timer, ms, 0);
}

void
relay_db_need_anew(struct relay_db *d)
{
	d->n = d->build_n = d->kept_n = d->looked_at = 0;
	if (d->build != NULL)
		d->again = true;
	else
		d->anew = true;
}

/* --- a new file ---------------------------------------------------------- */

/* Of the file under its name, as far as the last change of ours went. */
static int64_t
lead(const struct relay_db *d)
{
	int64_t now = time(NULL);

	if (d->file != NULL)
		return dbfile_lead(d->file, now);
	return d->mtime > now ? d->mtime - now : 0;
}

static void
drop_from_queue(struct relay_db *d, size_t n)
{
	d->n -= n;
	d->kept_n = 0;
	d->looked_at = d->looked_at > n ? d->looked_at - n : 0;
	if (n > 0)
		memmove(d->queue, d->queue + n, d->n * sizeof(*d->queue));
}

/* There is a new file, with what the first n keys of the queue tell of. */
static int
take_new_file(struct relay_db *d, const struct relay_written *w, size_t n,
    struct err *err)
{
	struct stat st;

	dbfile_close(&d->file);
	if (w->in_place && !d->denied_said) {
		d->denied_said = true;
		log_event(LOG_WARNING, "db-in-place",
		    LOG_STR("file", d->cfg.name),
		    LOG_STR("reason", "directory not writable"));
	}
	d->anew = d->again;
	d->again = false;
	drop_from_queue(d, n);
	d->records = w->records;
	d->urgent = d->n > 0 || d->anew;
	d->busy_since = 0;
	d->batch = RELAY_DB_BATCH_MAX;
	d->shut = false;
	relay_db_keep_spare(d);
	if (!dbfile_changes_in_place(d->cfg.name)) {
		if (stat(dbfile_path(d->cfg.name), &st) == 0)
			d->mtime = st.st_mtime;
		return 0;
	}
	d->file = dbfile_open(d->cfg.name, err);
	return d->file == NULL ? -1 : 0;
}

static int
write_whole(void *arg, struct relay_written *w, struct err *err)
{
	const struct relay_db *d = arg;

	return relay_file_write(d->cfg.name, d->cfg.prefix, d->store,
	    d->cfg.uid, d->cfg.gid, w, err);
}

int
relay_db_rebuild(struct relay_db *d, struct err *err)
{
	struct relay_written w;

	if (d->anew)
		dbfile_close(&d->file);
	if (write_whole(d, &w, err) == 0)
		return take_new_file(d, &w, d->n, err);
	if (w.in_place)
		dbfile_close(&d->file); /* perhaps torn */
	return -1;
}

/* --- the queue ----------------------------------------------------------- */

void
relay_db_changed(struct relay_db *d, const struct relay_key *k, bool urgent)
{
	d->urgent = d->urgent || urgent;
	if (d->build != NULL ? d->again : d->anew)
		return;
	if (d->n == d->cap) {
		size_t cap = d->cap == 0 ? 256 : 2 * d->cap;
		struct relay_key *q = NULL;

		if (cap <= QUEUE_MAX)
			q = reallocarray(d->queue, cap, sizeof(*q));
		if (q == NULL) {
			relay_db_need_anew(d);
			return;
		}
		d->queue = q;
		d->cap = cap;
	}
	d->queue[d->n++] = *k;
}

void
relay_db_all_changed(struct relay_db *d)
{
	relay_db_need_anew(d);
	d->urgent = true;
	/* Nothing to wait for, but for a disk that has just failed. */
	if (d->loop != NULL && !d->failed)
		uv_timer_stop(&d->timer);
}

/* What the store says of k now; so the order of changes does not matter. */
int
relay_db_write_key(
    struct relay_db *d, const struct relay_key *k, int64_t now, struct err *err)
{
	const struct relay_entry *e = relay_store_find(d->store, k);
	struct relay_spellings s;
	char digits[DBFILE_VALUE_MAX];
	int n = 0;

	if (e != NULL && e->expires <= now)
		e = NULL;
	if (e != NULL)
		n = snprintf(digits, sizeof(digits), "%" PRId64, e->expires);
	relay_key_spell(k, d->cfg.prefix, &s);
	if (e != NULL)
		d->records += s.n;
	for (size_t i = 0; i < s.n; i++) {
		struct slice key = slice_str(s.text[i]);
		int ret = e == NULL ? dbfile_del(d->file, key, err)
				    : dbfile_put(d->file, key,
					  slice_make(digits, (size_t)n), err);

		if (ret == -1)
			return -1;
	}
	return 0;
}

static int
write_batch(struct relay_db *d, size_t n, struct err *err)
{
	int64_t now = time(NULL);

	for (size_t i = 0; i < n; i++)
		if (relay_db_write_key(d, &d->queue[d->kept_n + i], now, err) ==
		    -1)
			return -1;
	if (dbfile_commit(d->file, now, err) == -1)
		return -1;
	if (d->build != NULL)
		d->kept_n += n;
	else
		drop_from_queue(d, n);
	return 0;
}

/* --- when ---------------------------------------------------------------- */

static void
on_lazy(uv_timer_t *t)
{
	struct relay_db *d = t->data;

	d->urgent = d->n > 0; /* its time has come */
}

int
relay_db_start(struct relay_db *d, uv_loop_t *loop)
{
	int ret = uv_timer_init(loop, &d->timer);

	if (ret == 0)
		ret = uv_timer_init(loop, &d->lazy);
	if (ret != 0) {
		errno = -ret;
		return -1;
	}
	d->lazy.data = d;
	d->loop = loop;
	relay_db_keep_spare(d);
	return 0;
}

static void
report(struct relay_db *d, const struct err *err)
{
	relay_db_again_in(d, ERROR_RETRY_MS);
	if (d->failed)
		return;
	d->failed = true;
	d->why = *err;
	log_event(LOG_ERR, "db-error", LOG_STR("file", d->cfg.name),
	    LOG_STR("error", err->msg),
	    LOG_STR("consequence", "kept in memory, tried again each second"));
}

static void
recovered(struct relay_db *d)
{
	d->stale_since = 0;
	if (!d->failed)
		return;
	d->failed = false;
	log_event(LOG_NOTICE, "db-restored", LOG_STR("file", d->cfg.name),
	    LOG_U64("entries", relay_store_count(d->store)));
}

/* Whether to give up waiting for the readers' lock. */
static bool
lock_patience_over(struct relay_db *d)
{
	uint64_t now = d->loop == NULL ? 0 : uv_now(d->loop);

	if (d->busy_since == 0)
		d->busy_since = now;
	return d->loop == NULL || now - d->busy_since >= LOCK_PATIENCE_MS;
}

void
relay_db_spoilt(struct relay_db *d)
{
	if (d->build == NULL)
		d->anew = true;
	dbfile_close(&d->file);
}

static void
on_new_file(struct relay_db *d, int ret, const struct err *err)
{
	struct err why;

	if (d->loop != NULL)
		relay_pace_took(&d->pace, uv_now(d->loop), lead(d));
	if (ret == 0) {
		recovered(d);
		return;
	}
	report(d, err);
	why = *err;
	if (d->file == NULL || relay_db_delete_only(d, &why) == -1)
		relay_db_shut_if_stale(d, &why);
}

static void
on_built(
    void *arg, int ret, const struct relay_written *w, const struct err *why)
{
	struct relay_db *d = arg;
	struct err err = *why;
	uint64_t now = uv_now(d->loop);

	d->build = NULL;
	d->build_due = now + BUILD_SHARE * (now - d->build_began);
	if (ret == 0) {
		/* What the old one had no room for need not wait longer. */
		uv_timer_stop(&d->timer);
		ret = take_new_file(d, w, d->build_n, &err);
	} else {
		d->anew = d->anew || d->again;
		d->again = false;
		drop_from_queue(d, d->kept_n);
		if (w->in_place)
			dbfile_close(&d->file); /* perhaps torn */
	}
	on_new_file(d, ret, &err);
}

/* Whether it is under way, or has to wait: a file of millions must not keep a
 * processor busy for nothing else. */
static bool
build_in_child(struct relay_db *d, struct err *err)
{
	uint64_t now = uv_now(d->loop);

	if (!d->anew && now < d->build_due) {
		relay_db_again_in(d, d->build_due - now);
		return true;
	}
	if (d->anew)
		dbfile_close(&d->file);
	d->build_began = now;
	d->build_n = d->n;
	d->build = relay_build_start(d->loop, write_whole, on_built, d, err);
	return d->build != NULL;
}

static void
flush_anew(struct relay_db *d)
{
	struct err err;
	int ret = -1;

	if (d->build != NULL) /* it is under way: nothing but to wait */
		return;
	if (d->loop == NULL || relay_store_count(d->store) <= AT_ONCE)
		ret = relay_db_rebuild(d, &err);
	else if (build_in_child(d, &err))
		return;
	on_new_file(d, ret, &err);
}

static void
on_busy(struct relay_db *d)
{
	/* A new file is not to be had sooner than the one under way. */
	if (!lock_patience_over(d) || d->build != NULL) {
		relay_db_again_in(d, LOCK_RETRY_MS);
		return;
	}
	log_event(LOG_NOTICE, "db-lock-busy", LOG_STR("file", d->cfg.name),
	    LOG_STR("consequence", "replaced by rename"));
	flush_anew(d);
}

/* The file stays open, whether or not a new one is under way: if that cannot be
 * made either, what is over is taken out of this one. */
static void
on_no_room(struct relay_db *d, int error)
{
	struct err err;

	/* Room for the worst that so many may do is asked for. */
	if (d->n > BATCH_MIN && d->batch > BATCH_MIN) {
		d->batch = BATCH_MIN;
		relay_db_again_in(d, 0);
		return;
	}
	if (d->build != NULL) { /* which wants the whole queue as it is */
		relay_db_again_in(d, ERROR_RETRY_MS);
		return;
	}
	err_set(&err, error, "%s", strerror(error));
	report(d, &err);
	if (relay_db_delete_only(d, &err) == -1)
		relay_db_shut_if_stale(d, &err);
}

static void
on_lock_error(struct relay_db *d, int error)
{
	if (error == EWOULDBLOCK) {
		on_busy(d);
		return;
	}
	d->busy_since = 0;
	if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
		on_no_room(d, error);
		return;
	}
	if (d->build != NULL) { /* which may just have got the name */
		dbfile_close(&d->file);
		return;
	}
	if (error == ESTALE)
		log_event(LOG_NOTICE, "db-foreign-change",
		    LOG_STR("file", d->cfg.name),
		    LOG_STR("consequence", "made anew"));
	flush_anew(d);
}

/* Keys that the present file does not have yet. */
static size_t
waiting(const struct relay_db *d)
{
	return d->n - d->kept_n;
}

static void
flush_in_place(struct relay_db *d)
{
	size_t n = waiting(d) < d->batch ? waiting(d) : d->batch;
	struct err err;

	/* Three records a key at most. */
	if (dbfile_lock(d->file, n * RELAY_SPELLINGS) == -1) {
		on_lock_error(d, errno);
		return;
	}
	d->busy_since = 0;
	if (write_batch(d, n, &err) == -1) {
		report(d, &err);
		relay_db_spoilt(d);
		flush_anew(d);
		return;
	}
	recovered(d);
	relay_db_keep_spare(d);
	if (d->loop != NULL)
		relay_pace_took(&d->pace, uv_now(d->loop), lead(d));
	d->batch = RELAY_DB_BATCH_MAX;
	d->urgent = waiting(d) > 0;
	if (waiting(d) > 0)
		relay_db_again_in(d, 0); /* others first, readers too */
}

/* Whether it is not yet time for a change. */
static bool
is_early(struct relay_db *d)
{
	uint64_t wait;

	if (d->loop == NULL)
		return false;
	if (uv_is_active((uv_handle_t *)&d->timer))
		return true;
	if (d->anew && d->build == NULL)
		return false;
	if (!d->urgent) {
		if (!uv_is_active((uv_handle_t *)&d->lazy))
			uv_timer_start(&d->lazy, on_lazy, LAZY_MS, 0);
		return true;
	}
	wait = relay_pace_wait(&d->pace, uv_now(d->loop), lead(d));
	if (wait > 0)
		relay_db_again_in(d, wait);
	return wait > 0;
}

/* As after catching up: batch by batch it would take longer. */
static bool
is_backlog(const struct relay_db *d)
{
	return waiting(d) > BACKLOG &&
	       waiting(d) > relay_store_count(d->store) / ANEW_SHARE;
}

/* Full buckets split one by one; better laid out for more at once.  Records
 * that were only rewritten count too, so that what has been changed for long is
 * made anew now and then. */
static bool
wants_new_file(const struct relay_db *d)
{
	return d->build == NULL &&
	       (d->loop == NULL || uv_now(d->loop) >= d->build_due) &&
	       (is_backlog(d) ||
		   !dbfile_roomy(d->file, d->records + d->n * RELAY_SPELLINGS));
}

void
relay_db_flush(struct relay_db *d)
{
	if (d->build != NULL && d->file == NULL)
		return;
	if ((waiting(d) == 0 && (!d->anew || d->build != NULL)) || is_early(d))
		return;
	if (d->build == NULL && (d->anew || d->file == NULL)) {
		flush_anew(d);
		return;
	}
	if (wants_new_file(d))
		flush_anew(d);
	/* The present one goes on meanwhile, but for such a backlog. */
	if (d->file != NULL && waiting(d) > 0 &&
	    (d->build == NULL || !is_backlog(d)))
		flush_in_place(d);
}

/* Whether what is open is the file under its name, as it was left. */
static bool
is_present(const struct relay_db *d)
{
	if (d->file == NULL || dbfile_lock(d->file, 0) == -1)
		return false;
	dbfile_unlock(d->file);
	return true;
}

/* The present file may have all of what it was made for, and more; unless the
 * new one has its name already, and was not heard of yet. */
static void
cancel_build(struct relay_db *d)
{
	relay_build_cancel(&d->build);
	d->anew = d->anew || d->again || !is_present(d);
	d->again = false;
	drop_from_queue(d, d->kept_n);
}

void
relay_db_stop(struct relay_db *d)
{
	struct err err;

	if (d->loop == NULL)
		return;
	uv_close((uv_handle_t *)&d->timer, NULL);
	uv_close((uv_handle_t *)&d->lazy, NULL);
	d->loop = NULL;
	d->urgent = true;
	if (d->build != NULL)
		cancel_build(d);
	while (d->n > 0 && !d->anew && !d->failed)
		relay_db_flush(d);
	if (d->anew || (d->failed && relay_db_is_stale(d)))
		relay_db_flush(d);
	/* There is nobody who would try again later. */
	if (d->failed && !d->shut && relay_db_is_stale(d) &&
	    relay_db_shut(d, &d->why, &err) == 0)
		relay_db_flush(d);
}
