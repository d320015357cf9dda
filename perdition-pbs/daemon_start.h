/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_start - opening all that the daemon needs, in the order in which
 * privileges allow it, and telling precisely what could not be opened.
 */
#ifndef PERDITION_PBS_DAEMON_START_H
#define PERDITION_PBS_DAEMON_START_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/logdest.h"
#include "perdition-pbs/answers.h"
#include "perdition-pbs/logmatch.h"
#include "perdition-pbs/pbs_config.h"
#include "perdition-pbs/relay.h"
#include "perdition-pbs/relay_db.h"
#include "perdition-pbs/sources.h"
#include "perdition-pbs/share_redis.h"
#include "perdition-pbs/stream.h"

struct daemon {
	struct pbs_config config;
	int argc;
	char *const *argv;
	uv_loop_t loop;
	bool has_loop;

	struct relay relay;
	struct relay_db *dbs[PBS_DB_FILES_MAX]; /* one each of db_names */
	size_t dbs_n;
	struct share_redis *redis; /* NULL: not shared */
	struct logmatch *match;
	/* Of lines, not told to relay yet; none between two callbacks. */
	struct logmatch_login logins[RELAY_STORE_FETCH];
	size_t logins_n;
	struct sources *sources;
	struct stream *stream, *control; /* NULL: no such socket */
	struct answers *answers;
	int stream_fd, control_fd; /* until the streams take them; or -1 */
	struct logdest *dest;
	pid_t pid; /* ours: getpid(2) for each line shows in profiles */

	uv_timer_t tick, log_retry, journal_retry, journal_slice, rules;
	uv_prepare_t prepare;
	uv_signal_t hup, term, intr;

	int report;            /* see background_report() */
	size_t rules_removed;  /* since they have changed */
	bool journal_failed;   /* and it was said */
	uint64_t saved_at;     /* ms of the loop: the sources' positions */
	uint64_t published_at; /* ms of the loop: the databases */
	int64_t clock_offset;  /* wall clock less time since boot, s */
	int64_t refused_second;
	unsigned int refused_n;
};

/* Everything but the handles of daemon.c.  0, or an exit status, with what is
 * wrong said on standard error. */
int daemon_start(struct daemon *);
void daemon_ready(struct daemon *); /* tells whoever waits */
void daemon_free(struct daemon *);  /* after the loop has run dry */

/* Says on standard error what is wrong; returns status. */
int daemon_fail(const struct err *, int status);
/* The same for what was wanted, asked for by name that is; a default that an
 * ordinary user may not have is gone without, which is said, and returns 0. */
int daemon_fail_if(
    bool wanted, const char *without, const struct err *, int status);

void daemon_peers(const struct daemon *, struct listener_peers *);
void daemon_log_level(const struct pbs_config *);

/* daemon.c: what they do waits for the loop.  0, or a code of libuv. */
int daemon_watch_signals(struct daemon *);

/* daemon.c: what the sources call. */
void daemon_on_line(void *arg, struct slice line);
const char *daemon_seek(void *arg, struct slice text, bool first);
void daemon_on_lines_end(void *arg);
void daemon_on_end(void *arg); /* of standard input */
void daemon_on_event(void *arg, const struct auth_event *);
int64_t daemon_now(void *arg); /* the wall clock, its steps heeded */
size_t daemon_on_control(
    void *arg, struct slice line, char out[STREAM_REPLY_MAX]);
void daemon_on_lost(
    void *arg, const struct relay_entry *, struct slice user, enum relay_loss);
void daemon_apply_rules(struct daemon *);
void daemon_rules_changed(struct daemon *); /* the same, bit by bit */
void daemon_flush(struct daemon *);
int64_t daemon_wall_ms(void *arg); /* looks whether the clock was set */
int64_t daemon_mono_ms(void *arg);

/* daemon_relay.c: the journal, the entries and the files, as daemon_start. */
int daemon_open_relay(struct daemon *);

/* daemon_journal.c */
void daemon_save_positions(struct daemon *); /* into the journal */
void daemon_flush_journal(struct daemon *);  /* at the end of each turn */

/* daemon_reload.c: reads the configuration again. */
void daemon_reload(struct daemon *);

#endif
