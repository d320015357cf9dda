/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_relay - the entries at the start: from the journal or, if it tells of
 * none, from the files that there are; and the files made of them.
 */
#include "config.h"

#include "perdition-pbs/daemon_start.h"

#include <errno.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/directory.h"
#include "common/log.h"
#include "perdition-pbs/relay_file.h"

#include "common/banned.h"

/* A tool, say expire from cron, or a child that a killed daemon has left, is
 * done with it at once. */
#define JOURNAL_WAIT_MS 2000

#define PROGRAM "perdition-pbs"
#define BUILD_LATER 1000000u /* entries */

/* The journal, if it is to be had.  *empty: it tells of no earlier life. */
static int
open_journal(struct daemon *d, bool *empty)
{
	const struct pbs_config *c = &d->config;
	int64_t now = time(NULL);
	struct err err;
	uint64_t torn;
	int loaded;

	*empty = true;
	if (c->journal_path == NULL)
		return 0;
	if (directory_make(c->state_dir, 0755, c->uid, c->gid, &err) == -1)
		return daemon_fail_if(
		    c->wants_state, "a journal", &err, EX_CANTCREAT);
	d->relay.journal =
	    journal_open(c->journal_path, true, JOURNAL_WAIT_MS, &err);
	if (d->relay.journal == NULL && err.code == EWOULDBLOCK) {
		err_set(&err, EWOULDBLOCK, "%s: another " PROGRAM " keeps %s",
		    c->journal_path, c->db_path);
		return daemon_fail(&err, EX_TEMPFAIL);
	}
	if (d->relay.journal == NULL)
		return daemon_fail_if(
		    c->wants_state, "a journal", &err, EX_CANTCREAT);
	if (c->uid != (uid_t)-1 &&
	    journal_chown(d->relay.journal, c->uid, c->gid) == -1)
		errno = 0; /* it is open; a snapshot later will tell */
	loaded = journal_load(d->relay.journal, d->relay.store, now,
	    now + c->timeout, &torn, &err);
	if (loaded == -1)
		return daemon_fail(&err, EX_DATAERR);
	if (torn > 0)
		log_event(LOG_WARNING, "journal-torn", LOG_U64("bytes", torn));
	*empty = loaded == 1;
	return 0;
}

/* A first start, or one without a journal: a file may know of some. */
static int
import(struct daemon *d, const char *name)
{
	int64_t now = time(NULL);
	struct err err = { 0 };

	if (relay_file_read(name, d->config.prefix, d->relay.store, now,
		now + d->config.timeout, &err) == 0 ||
	    err.code == ENOENT)
		return 0;
	if (err.code == EEXIST)
		return daemon_fail(&err, EX_DATAERR);
	log_event(LOG_WARNING, "db-unreadable", LOG_STR("error", err.msg),
	    LOG_STR("consequence", "made anew"));
	return 0;
}

static int
import_all(struct daemon *d)
{
	struct err err;
	int status = 0;

	for (size_t i = 0; status == 0 && i < d->config.db_names.n; i++)
		status = import(d, d->config.db_names.v[i]);
	if (status == 0 && d->relay.journal != NULL &&
	    journal_start_with(d->relay.journal, d->relay.store, &err) == -1)
		status = daemon_fail(&err, EX_CANTCREAT);
	return status;
}

/* The journal tells of the entries; but a file that has been named since may
 * be somebody else's. */
static int
check_all(struct daemon *d)
{
	struct err err = { 0 };

	for (size_t i = 0; i < d->config.db_names.n; i++)
		if (relay_file_check(d->config.db_names.v[i], &err) == -1 &&
		    err.code == EEXIST)
			return daemon_fail(&err, EX_DATAERR);
	return 0;
}

static void
on_changed(void *arg, const struct relay_key *k, bool urgent)
{
	relay_db_changed(arg, k, urgent);
}

static void
on_all_changed(void *arg)
{
	relay_db_all_changed(arg);
}

static int
create_dbs(struct daemon *d)
{
	const struct pbs_config *c = &d->config;

	for (size_t i = 0; i < c->db_names.n; i++) {
		struct relay_db_config dc = { c->db_names.v[i], c->prefix,
			c->uid, c->gid, c->db_changes_per_second };
		struct relay_db *db = relay_db_create(&dc, d->relay.store);

		if (db == NULL)
			return -1;
		d->dbs[d->dbs_n++] = db;
		if (relay_attach(
			&d->relay, &(struct relay_sink){ .changed = on_changed,
				       .all_changed = on_all_changed,
				       .arg = db }) == -1)
			return -1;
	}
	return 0;
}

/*
 * Millions of entries take seconds: the file is made by a child then, while
 * logins are heard and answers given from memory.  MTAs that read the file have
 * the old one for as long in either case.
 */
static bool
builds_later(const struct daemon *d, const char *name)
{
	return relay_store_count(d->relay.store) >= BUILD_LATER &&
	       access(dbfile_path(name), R_OK | W_OK) == 0;
}

/* Later, without root, the same must work where it can; but for millions of
 * entries it is only begun, and the loop goes on with it. */
static void
shrink_journal(struct daemon *d)
{
	bool large = relay_store_count(d->relay.store) >= BUILD_LATER;
	struct err err = { 0 };

	if ((large ? journal_begin : journal_snapshot)(
		d->relay.journal, d->relay.store, &err) == -1)
		log_event(LOG_ERR, "journal-error", LOG_STR("error", err.msg));
}

/* Without room the loop goes on trying; whoever asks by socket need not wait,
 * and what the file has of earlier is not to let anybody in meanwhile. */
static int
make_db(struct relay_db *db)
{
	struct err err, shut;

	if (relay_db_rebuild(db, &err) == 0)
		return 0;
	/* LMDB calls a page that was written in part EIO. */
	if ((err.code == ENOSPC || err.code == EDQUOT || err.code == EFBIG ||
		err.code == EIO) &&
	    relay_db_shut(db, &err, &shut) == 0)
		return 0;
	return daemon_fail(&err, EX_CANTCREAT);
}

int
daemon_open_relay(struct daemon *d)
{
	const struct pbs_config *c = &d->config;
	bool empty;
	int status;

	d->relay.store = relay_store_create();
	if (d->relay.store == NULL)
		return EX_OSERR;
	pbs_config_rule(c, &d->relay.rule);
	pbs_config_limits(c, &d->relay.limits);
	if (create_dbs(d) == -1)
		return EX_OSERR;
	status = open_journal(d, &empty);
	if (status != 0)
		return status;
	status = empty ? import_all(d) : check_all(d);
	if (status != 0)
		return status;
	d->relay.on_lost = daemon_on_lost;
	daemon_apply_rules(d);
	for (size_t i = 0; status == 0 && i < d->dbs_n; i++)
		if (!builds_later(d, c->db_names.v[i]))
			status = make_db(d->dbs[i]);
	if (d->relay.journal != NULL &&
	    !journal_is_lean(d->relay.journal, d->relay.store))
		shrink_journal(d);
	return status;
}
