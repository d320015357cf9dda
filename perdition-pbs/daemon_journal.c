/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_journal - when the journal is written, and what is said when it
 * cannot be.
 */
#include "config.h"

#include "perdition-pbs/daemon_start.h"

#include <uv.h>

#include "common/log.h"

#include "common/banned.h"

#define SAVE_MS 1000 /* from one saving of positions to the next, at most */
#define JOURNAL_RETRY_MS 5000
#define JOURNAL_SLICE_MS 5 /* from one slice of a snapshot to the next */

static void
save_position(void *arg, struct slice name, struct slice position)
{
	journal_save_position(arg, name, position);
}

void
daemon_save_positions(struct daemon *d)
{
	sources_save(d->sources, save_position, d->relay.journal);
	d->saved_at = uv_now(&d->loop);
}

static void on_slice(uv_timer_t *);

static void
on_nothing(uv_timer_t *t)
{
	(void)t; /* the turn that it causes ends in a flush */
}

/* ret: of a call of the journal's. */
static void
note_journal(struct daemon *d, int ret, const struct err *err)
{
	struct journal *j = d->relay.journal;
	bool failed = journal_failed(j);

	if (ret == -1 && failed)
		uv_timer_start(
		    &d->journal_retry, on_nothing, JOURNAL_RETRY_MS, 0);
	else
		uv_timer_stop(&d->journal_retry);
	if (ret == -1 && (!failed || !d->journal_failed))
		log_event(LOG_ERR, "journal-error", LOG_STR("error", err->msg),
		    LOG_STR("consequence",
			failed ? "kept in memory, tried again"
			       : "grows, tried again when it has grown more"));
	if (!failed && d->journal_failed)
		log_event(LOG_NOTICE, "journal-restored");
	d->journal_failed = failed;
	if (journal_busy(j) && !uv_is_active((uv_handle_t *)&d->journal_slice))
		uv_timer_start(
		    &d->journal_slice, on_slice, JOURNAL_SLICE_MS, 0);
}

static void
on_slice(uv_timer_t *t)
{
	struct daemon *d = t->data;
	struct err err = { 0 };
	int ret = journal_step(d->relay.journal, d->relay.store, &err);

	note_journal(d, ret, &err);
}

void
daemon_flush_journal(struct daemon *d)
{
	struct journal *j = d->relay.journal;
	struct err err = { 0 };
	int ret;

	if (j == NULL || uv_is_active((uv_handle_t *)&d->journal_retry))
		return;
	/* With the entries that these lines gave; else each second, lest
	 * every line about other mail costs a write. */
	if (sources_moved(d->sources) &&
	    (journal_dirty(j) || uv_now(&d->loop) - d->saved_at >= SAVE_MS))
		daemon_save_positions(d);
	if (!journal_dirty(j) && !journal_busy(j))
		return;
	ret = journal_flush(j, d->relay.store, &err);
	note_journal(d, ret, &err);
}
