/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_start - opening all that the daemon needs; see the header.
 */
#include "config.h"

#include "perdition-pbs/daemon_start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition-pbs/process.h"
#include "perdition-pbs/relay_file.h"

#include "common/banned.h"

/* A tool, say expire from cron, or a child that a killed daemon has left, is
 * done with it at once. */
#define JOURNAL_WAIT_MS 2000

#define PROGRAM "perdition-pbs"
#define BUILD_LATER 1000000u /* entries */

static void
say(const struct err *err)
{
	fprintf(stderr, PROGRAM ": %s\n", err->msg);
}

static int
fail(const struct err *err, int status)
{
	say(err);
	return status;
}

/*
 * What was asked for by name has to work; a default that an ordinary user may
 * not have is gone without.
 */
static int
fail_if(bool wanted, const char *without, const struct err *err, int status)
{
	if (wanted || geteuid() == 0)
		return fail(err, status);
	fprintf(
	    stderr, PROGRAM ": %s: going on without %s\n", err->msg, without);
	return 0;
}

/* --- log ----------------------------------------------------------------- */

static void
sink(void *arg, int level, struct slice line)
{
	struct daemon *d = arg;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	logdest_put(d->dest, level, PROGRAM, (int)d->pid,
	    (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000, line);
}

void
daemon_log_level(const struct pbs_config *c)
{
	log_set_level(c->quiet ? LOG_ERR : c->debug ? LOG_DEBUG : LOG_INFO);
}

static int
open_log(struct daemon *d)
{
	struct err err;

	d->dest = logdest_open(d->config.log_facility, NULL, &err);
	if (d->dest == NULL)
		return fail(
		    &err, err.code == EINVAL ? EX_CONFIG : EX_CANTCREAT);
	d->pid = getpid();
	log_set_sink(sink, d);
	daemon_log_level(&d->config);
	if (d->config.uid != (uid_t)-1 &&
	    logdest_give(d->dest, d->config.uid) == -1)
		log_event(LOG_WARNING, "log-owner",
		    LOG_STR("file", d->config.log_facility),
		    LOG_STR("error", strerror(errno)));
	d->sources = sources_create(&d->config,
	    &(struct tail_reader){ .fn = daemon_on_line,
		.seek = daemon_seek,
		.done = daemon_on_lines_end,
		.arg = d },
	    daemon_on_end, &err);
	return d->sources == NULL ? fail(&err, EX_NOINPUT) : 0;
}

/* --- state --------------------------------------------------------------- */

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
	if (process_make_dir(c->state_dir, 0755, c->uid, c->gid, &err) == -1)
		return fail_if(c->wants_state, "a journal", &err, EX_CANTCREAT);
	d->relay.journal =
	    journal_open(c->journal_path, true, JOURNAL_WAIT_MS, &err);
	if (d->relay.journal == NULL && err.code == EWOULDBLOCK) {
		err_set(&err, EWOULDBLOCK, "%s: another " PROGRAM " keeps %s",
		    c->journal_path, c->db_path);
		return fail(&err, EX_TEMPFAIL);
	}
	if (d->relay.journal == NULL)
		return fail_if(c->wants_state, "a journal", &err, EX_CANTCREAT);
	if (c->uid != (uid_t)-1 &&
	    journal_chown(d->relay.journal, c->uid, c->gid) == -1)
		errno = 0; /* it is open; a snapshot later will tell */
	loaded = journal_load(d->relay.journal, d->relay.store, now,
	    now + c->timeout, &torn, &err);
	if (loaded == -1)
		return fail(&err, EX_DATAERR);
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
		return fail(&err, EX_DATAERR);
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
		status = fail(&err, EX_CANTCREAT);
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
			return fail(&err, EX_DATAERR);
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
	return fail(&err, EX_CANTCREAT);
}

static int
open_relay(struct daemon *d)
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

/* --- other hosts --------------------------------------------------------- */

static int
open_redis(struct daemon *d)
{
	struct share_clock clock = { daemon_wall_ms, daemon_mono_ms, d };
	struct err err;

	if (d->config.redis_server.n == 0)
		return 0;
	d->redis = share_redis_create(&d->config, &d->relay, &clock, &err);
	return d->redis == NULL ? fail(&err, EX_CONFIG) : 0;
}

/* --- sockets ------------------------------------------------------------- */

void
daemon_peers(const struct daemon *d, struct listener_peers *p)
{
	*p = (struct listener_peers){ d->config.uids, d->config.uids_n,
		geteuid() };
}

static int
socket_status(const struct err *err)
{
	return err->code == EADDRINUSE ? EX_UNAVAILABLE : EX_CANTCREAT;
}

static int
open_answers(struct daemon *d)
{
	struct answers_world world = { &d->relay, daemon_now, d };
	struct err err;

	d->answers = answers_create(&world);
	if (d->answers == NULL)
		return EX_OSERR;
	if (answers_open(d->answers, &d->config, &err) == -1)
		return fail(&err, socket_status(&err));
	return 0;
}

static int
open_sockets(struct daemon *d)
{
	const struct pbs_config *c = &d->config;
	struct err err;

	d->control_fd = -1;
	d->stream_fd = -1;
	if (d->relay.journal != NULL) {
		d->control_fd =
		    listener_open(c->control_path, 0600, c->uid, c->gid, &err);
		if (d->control_fd == -1)
			return fail(&err, EX_CANTCREAT);
	}
	if (c->socket[0] == '\0')
		return 0;
	if (process_make_dir_of(c->socket, c->uid, c->gid, &err) == 0)
		d->stream_fd = listener_open(
		    c->socket, c->socket_bits, c->uid, c->gid, &err);
	if (d->stream_fd != -1)
		return 0;
	return fail_if(c->wants_socket, "a socket", &err, socket_status(&err));
}

static int
start_stream(struct daemon *d, struct stream **out, int *fd, const char *path,
    bool events)
{
	struct stream_handler handler = { daemon_on_event, daemon_on_control,
		d };
	struct listener_peers peers;
	struct err err;

	if (*fd == -1)
		return 0;
	daemon_peers(d, &peers);
	if (!events)
		peers.n = 0;
	*out = stream_create(&d->loop, *fd, path, &peers, &handler, &err);
	*fd = -1;
	return *out == NULL ? fail(&err, EX_OSERR) : 0;
}

/* Positions of what is read no more: they would be wrong for what may come to
 * that name in time.  So is, by now, the one without a name. */
static void
forget_positions(struct journal *j, const struct sources *sources)
{
	char copy[POSITION_NAME_MAX];
	struct slice name, position;
	size_t i = 0;

	while (positions_at(journal_positions(j), i, &name, &position)) {
		if (sources_knows(sources, name)) {
			i++;
			continue;
		}
		if (name.n > 0)
			memcpy(copy, name.p, name.n);
		journal_save_position(
		    j, slice_make(copy, name.n), slice_make(NULL, 0));
	}
}

static int
start_sources(struct daemon *d)
{
	struct journal *j = d->relay.journal;
	struct err err;

	if (sources_start(d->sources, &d->loop,
		j == NULL ? NULL : journal_positions(j), &err) == -1)
		return fail(&err, EX_NOINPUT);
	if (j == NULL)
		return 0;
	daemon_save_positions(d);
	forget_positions(j, d->sources);
	return 0;
}

/* --- all ----------------------------------------------------------------- */

static int
write_pid(struct daemon *d)
{
	const struct pbs_config *c = &d->config;
	struct err err;

	if (c->pid_file[0] == '\0')
		return 0;
	if (process_make_dir_of(c->pid_file, c->uid, c->gid, &err) == 0 &&
	    process_write_pid(c->pid_file, c->uid, c->gid, &err) == 0) {
		d->wrote_pid = true;
		return 0;
	}
	return fail_if(c->wants_pid_file, "a pid_file", &err, EX_CANTCREAT);
}

static int
go_background(struct daemon *d)
{
	struct err err;

	if (d->config.no_daemon || logdest_is_stdio(d->config.log_facility))
		return 0;
	d->ready_fd = process_background(&err);
	if (d->ready_fd == -1)
		return fail(&err, EX_OSERR);
	/* So that no file system is kept busy; HUP has to find the file. */
	if (d->config.config_file[0] == '/' && chdir("/") == -1)
		errno = 0;
	return 0;
}

static int
become_user(struct daemon *d)
{
	gid_t groups[SOURCES_GROUPS_MAX];
	struct err err;

	if (d->config.uid == (uid_t)-1)
		return 0;
	if (process_become(d->config.uid, d->config.gid, groups,
		sources_groups(d->sources, groups), &err) == -1)
		return fail(&err, EX_NOPERM);
	return 0;
}

static int
start_loop(struct daemon *d)
{
	struct err err;
	struct logmatch_config mc;
	int status;

	if (uv_loop_init(&d->loop) != 0)
		return EX_OSERR;
	d->has_loop = true;
	pbs_config_match(&d->config, &mc);
	d->match = logmatch_create(&mc, &(struct err){ 0 });
	if (d->match == NULL)
		return EX_OSERR;
	for (size_t i = 0; i < d->dbs_n; i++)
		if (relay_db_start(d->dbs[i], &d->loop) == -1)
			return EX_OSERR;
	status =
	    start_stream(d, &d->stream, &d->stream_fd, d->config.socket, true);
	if (status == 0)
		status = start_stream(d, &d->control, &d->control_fd,
		    d->config.control_path, false);
	if (status == 0 &&
	    answers_start(d->answers, &d->loop, &d->config, &err) == -1)
		status = fail(&err, EX_OSERR);
	if (status == 0)
		status = start_sources(d);
	if (status == 0 && d->redis != NULL &&
	    share_redis_start(d->redis, &d->loop) == -1)
		status = EX_OSERR;
	return status;
}

int
daemon_start(struct daemon *d)
{
	static int (*const steps[])(struct daemon *) = {
		go_background, /* first: locks and the loop are the child's */
		open_log, open_relay, open_redis, open_sockets, open_answers,
		write_pid, become_user, start_loop
	};
	int status = 0;

	d->stream_fd = d->control_fd = -1;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		status = steps[i](d);
		if (status != 0)
			break;
	}
	return status;
}

void
daemon_ready(struct daemon *d)
{
	log_event(LOG_NOTICE, "start", LOG_STR("version", PACKAGE_VERSION),
	    LOG_STR("db", d->config.db_path),
	    LOG_U64("entries", relay_store_count(d->relay.store)));
	process_ready(d->ready_fd);
	d->ready_fd = -1;
}

void
daemon_swap_paths(struct pbs_config *a, struct pbs_config *b)
{
	struct option_list logs = a->log_file, matches = a->journal_match;

	a->log_file = b->log_file;
	b->log_file = logs;
	a->journal_match = b->journal_match;
	b->journal_match = matches;
#define SWAP(field)                                                            \
	do {                                                                   \
		__typeof__(a->field) was = a->field;                           \
		a->field = b->field;                                           \
		b->field = was;                                                \
	} while (0)
	SWAP(db_file);
	SWAP(db_names);
	SWAP(db_path);
	SWAP(prefix);
	SWAP(socket);
	SWAP(policy_socket);
	SWAP(socketmap_socket);
	SWAP(lookup_socket);
	SWAP(control_path);
	SWAP(journal_path);
	SWAP(redis_server);
	SWAP(redis_db);
	SWAP(redis_maxlen);
	SWAP(redis_tls);
	SWAP(redis_sentinel);
	SWAP(redis_user);
	SWAP(redis_password_file);
	SWAP(redis_sentinel_password_file);
	SWAP(redis_prefix);
	SWAP(redis_tls_ca_cert_file);
	SWAP(redis_tls_cert_file);
	SWAP(redis_tls_key_file);
	SWAP(redis_tls_name);
	SWAP(state_dir);
	SWAP(journal_dir);
	SWAP(log_facility);
	SWAP(pid_file);
	SWAP(user);
#undef SWAP
}

static void
close_half(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void
daemon_free(struct daemon *d)
{
	/* After a start that failed half way, some still stand. */
	sources_destroy(&d->sources);
	stream_destroy(&d->stream);
	stream_destroy(&d->control);
	if (d->answers != NULL)
		answers_stop(d->answers);
	if (d->redis != NULL)
		share_redis_stop(d->redis);
	if (d->stream_fd != -1)
		close(d->stream_fd);
	if (d->control_fd != -1)
		close(d->control_fd);
	if (d->has_loop) {
		uv_walk(&d->loop, close_half, NULL);
		uv_run(&d->loop, UV_RUN_DEFAULT);
		uv_loop_close(&d->loop);
	}
	answers_destroy(&d->answers);
	for (size_t i = 0; i < d->dbs_n; i++)
		relay_db_destroy(&d->dbs[i]);
	share_redis_destroy(&d->redis);
	journal_close(&d->relay.journal);
	relay_store_destroy(&d->relay.store);
	logmatch_destroy(&d->match);
	log_set_sink(NULL, NULL);
	logdest_close(&d->dest);
	pbs_config_clear(&d->config);
	free(d);
}
