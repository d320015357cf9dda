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

#include "common/background.h"
#include "common/directory.h"
#include "common/log.h"
#include "common/pidfile.h"
#include "perdition-pbs/process.h"

#include "common/banned.h"

#define PROGRAM "perdition-pbs"

static void
say(const struct err *err)
{
	fprintf(stderr, PROGRAM ": %s\n", err->msg);
}

int
daemon_fail(const struct err *err, int status)
{
	say(err);
	return status;
}

int
daemon_fail_if(
    bool wanted, const char *without, const struct err *err, int status)
{
	if (wanted || geteuid() == 0)
		return daemon_fail(err, status);
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
		return daemon_fail(
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
	return d->sources == NULL ? daemon_fail(&err, EX_NOINPUT) : 0;
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
	return d->redis == NULL ? daemon_fail(&err, EX_CONFIG) : 0;
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
		return daemon_fail(&err, socket_status(&err));
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
			return daemon_fail(&err, EX_CANTCREAT);
	}
	if (c->socket[0] == '\0')
		return 0;
	if (directory_make_of(c->socket, c->uid, c->gid, &err) == 0)
		d->stream_fd = listener_open(
		    c->socket, c->socket_bits, c->uid, c->gid, &err);
	if (d->stream_fd != -1)
		return 0;
	return daemon_fail_if(
	    c->wants_socket, "a socket", &err, socket_status(&err));
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
	return *out == NULL ? daemon_fail(&err, EX_OSERR) : 0;
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
		return daemon_fail(&err, EX_NOINPUT);
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

	if (directory_make_of(c->pid_file, c->uid, c->gid, &err) == 0 &&
	    pidfile_write(c->pid_file, c->uid, c->gid, &err) == 0)
		return 0;
	return daemon_fail_if(
	    c->wants_pid_file, "a pid_file", &err, EX_CANTCREAT);
}

static int
go_background(struct daemon *d)
{
	struct err err;

	if (d->config.no_daemon || logdest_is_stdio(d->config.log_facility))
		return 0;
	if (background_fork(&d->report, &err) == -1)
		return daemon_fail(&err, EX_OSERR);
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
		return daemon_fail(&err, EX_NOPERM);
	return 0;
}

/* Who reads the pid file may send signals at once. */
static int
open_loop(struct daemon *d)
{
	if (uv_loop_init(&d->loop) != 0)
		return EX_OSERR;
	d->has_loop = true;
	return daemon_watch_signals(d) == 0 ? 0 : EX_OSERR;
}

static int
start_loop(struct daemon *d)
{
	struct err err;
	struct logmatch_config mc;
	int status;

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
		status = daemon_fail(&err, EX_OSERR);
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
		open_log, daemon_open_relay, open_redis, open_sockets,
		open_answers, open_loop, write_pid, become_user, start_loop
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
	background_report(&d->report, 0);
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
