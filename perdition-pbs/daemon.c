/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon - sources, store and sinks in one loop; see the header.
 */
#include "config.h"

#include "perdition-pbs/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "common/logdest.h"
#include "common/pidfile.h"
#include "perdition-pbs/control.h"
#include "perdition-pbs/daemon_start.h"

#include "common/banned.h"

#define EXPIRE_BATCH 4096 /* entries in one turn of the loop */
#define TICK_MS 1000      /* at least this often the clock is looked at */
#define LOG_RETRY_MS 100  /* see logdest_flush() */
/* What others did is read faster while no file of it is made, and a million
 * entries take about so long; but local logins wait with them. */
#define CATCH_UP_MS 2000
#define CLOCK_SLACK 2 /* seconds of drift that are no step */

static int64_t
wall(void)
{
	return time(NULL);
}

/* Goes on while the machine sleeps, and is never set. */
static int64_t
boot_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

/*
 * The clock was set: what is left of each entry's life is not to change, nor
 * may a clock that went back keep anyone in for longer.
 */
static void
check_clock(struct daemon *d)
{
	int64_t offset = wall() - boot_seconds();
	int64_t step = offset - d->clock_offset;

	if (step >= -CLOCK_SLACK && step <= CLOCK_SLACK)
		return; /* remembered as it was, so that drift adds up */
	d->clock_offset = offset;
	log_event(LOG_NOTICE, "clock-step", LOG_I64("seconds", step));
	relay_shift(&d->relay, step);
}

int64_t
daemon_now(void *arg)
{
	check_clock(arg);
	return wall();
}

int64_t
daemon_wall_ms(void *arg)
{
	struct timespec ts;

	check_clock(arg);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
daemon_mono_ms(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- logins -------------------------------------------------------------- */

/* name: relay-open; or relay-user, of an open address whose user is another
 * now, so that the log tells whose it was at any time. */
static void
log_opened(const char *name, const struct relay_event *ev, const char *source)
{
	struct addr bare = { .ip = ev->client.ip };

	log_event(LOG_INFO, name, LOG_ADDR("address", &bare),
	    LOG_SLICE("user", ev->user), LOG_I64("login", ev->when),
	    LOG_STR("source", source));
}

static void
log_refused(struct daemon *d, const struct relay_event *ev, const char *reason,
    int64_t now)
{
	struct addr bare = { .ip = ev->client.ip };

	/* A flood of these must not become a flood of lines. */
	if (d->refused_second != now) {
		d->refused_second = now;
		d->refused_n = 0;
	}
	if (++d->refused_n > 10)
		return;
	log_event(LOG_NOTICE, "relay-refused", LOG_ADDR("address", &bare),
	    LOG_SLICE("user", ev->user), LOG_STR("reason", reason));
}

static void
take_login(struct daemon *d, const struct relay_event *ev, const char *source,
    int64_t now)
{
	switch (relay_login(&d->relay, ev, now)) {
	case RELAY_OPENED:
		log_opened("relay-open", ev, source);
		break;
	case RELAY_HANDED:
		log_opened("relay-user", ev, source);
		break;
	case RELAY_NEVER:
		log_refused(d, ev, "never", now);
		break;
	case RELAY_FLOOD:
		log_refused(d, ev, "max_new_per_second", now);
		break;
	case RELAY_NOMEM:
		log_refused(d, ev, "out of memory", now);
		break;
	case RELAY_OLD:
	case RELAY_EXTENDED:
	case RELAY_KEPT:
		break;
	}
}

/* All in order; n: RELAY_STORE_FETCH at most. */
static void
on_logins(
    struct daemon *d, const struct relay_event *v, size_t n, const char *source)
{
	int64_t now;

	/* First, or these would be shifted by what they count already. */
	check_clock(d);
	now = wall();
	if (n > 1)
		relay_fetch(&d->relay, v, n, now);
	for (size_t i = 0; i < n; i++)
		take_login(d, &v[i], source, now);
}

/* A store of millions is not in the processor's cache: what the logins of
 * some lines need of it is fetched together. */
void
daemon_on_lines_end(void *arg)
{
	struct daemon *d = arg;
	struct relay_event v[RELAY_STORE_FETCH];

	for (size_t i = 0; i < d->logins_n; i++) {
		const struct logmatch_login *login = &d->logins[i];

		v[i] = (struct relay_event){
			.kind = login->kind,
			.client = login->client,
			.user = slice_make(login->user, login->user_len),
			.when = login->when,
		};
	}
	if (d->logins_n > 0)
		on_logins(d, v, d->logins_n, "log");
	d->logins_n = 0;
}

void
daemon_on_line(void *arg, struct slice line)
{
	struct daemon *d = arg;
	int ret =
	    logmatch_line(d->match, line, wall(), &d->logins[d->logins_n]);

	if (ret == 1 && ++d->logins_n == RELAY_STORE_FETCH)
		daemon_on_lines_end(d);
	else if (ret == -1)
		log_event(LOG_DEBUG, "log-malformed", LOG_SLICE("line", line));
}

const char *
daemon_seek(void *arg, struct slice text, bool first)
{
	struct daemon *d = arg;

	return logmatch_seek(d->match, text, first);
}

/* Who feeds it is to learn that, and to start both anew. */
void
daemon_on_end(void *arg)
{
	struct daemon *d = arg;

	uv_stop(&d->loop);
}

void
daemon_on_event(void *arg, const struct auth_event *ev)
{
	if (!ev->ok)
		return;
	/* Of a living session too: it lived then, and may have ended while
	 * the record waited. */
	on_logins(arg,
	    &(struct relay_event){
		.kind = ev->kind,
		.client = ev->client,
		.user = slice_make(ev->user, ev->user_len),
		.when = ev->time,
		.session = ev->session,
	    },
	    1, "socket");
}

static void
log_request(const struct control_request *r, const struct relay_result *res)
{
	static const char *const events[] = {
		[RELAY_INSERT] = "relay-insert",
		[RELAY_REMOVE] = "relay-remove",
		[RELAY_PURGE] = "relay-purge",
		[RELAY_EXPIRE] = "relay-expire-all",
		[RELAY_IMPORT] = "relay-import",
	};
	char text[RELAY_TEXT_MAX] = "all";

	if (r->q.op == RELAY_CHECK)
		return;
	if (r->q.n > 0)
		relay_key_write(&r->key, text);
	log_event(LOG_INFO, events[r->q.op], LOG_STR("address", text),
	    LOG_U64("done", res->done), LOG_U64("refused", res->refused));
}

size_t
daemon_on_control(void *arg, struct slice line, char out[STREAM_REPLY_MAX])
{
	struct daemon *d = arg;
	struct control_request *r = calloc(1, sizeof(*r));
	struct relay_result res;
	size_t n;

	if (r == NULL || control_parse(line, r) == -1) {
		n = control_reply_error(
		    r == NULL ? "out of memory" : "malformed request", out);
	} else if (strcmp(r->db, d->config.db_path) != 0) {
		n = control_reply_other(out);
	} else {
		check_clock(d);
		relay_execute(&d->relay, &r->q, wall(), &res);
		log_request(r, &res);
		/* The tool's user may look at the file at once: it is
		 * written now, if it is not the turn of others. */
		d->published_at = 0;
		daemon_flush(d);
		n = control_reply_ok(&res, d->config.prefix, out);
	}
	if (r != NULL)
		control_clear(r);
	free(r);
	return n;
}

/* --- time ---------------------------------------------------------------- */

void
daemon_apply_rules(struct daemon *d)
{
	size_t n = relay_apply_rules(&d->relay, wall());

	if (n > 0)
		log_event(LOG_NOTICE, "relay-rules", LOG_U64("removed", n));
}

#define RULES_PAUSE_MS 1 /* for others, from one slice to the next */

static void
on_rules(uv_timer_t *t)
{
	struct daemon *d = t->data;

	if (relay_rules_step(&d->relay, &d->rules_removed)) {
		uv_timer_start(t, on_rules, RULES_PAUSE_MS, 0);
		return;
	}
	if (d->rules_removed > 0)
		log_event(LOG_NOTICE, "relay-rules",
		    LOG_U64("removed", d->rules_removed));
	d->rules_removed = 0;
}

void
daemon_rules_changed(struct daemon *d)
{
	relay_rules_begin(&d->relay, wall());
	on_rules(&d->rules);
}

void
daemon_on_lost(void *arg, const struct relay_entry *e, struct slice user,
    enum relay_loss why)
{
	static const char *const reasons[] = {
		[RELAY_LOST_TIME] = "timeout",
		[RELAY_LOST_ENTRIES] = "max_entries",
		[RELAY_LOST_ADDRESSES] = "max_addresses_per_user",
	};
	char text[RELAY_TEXT_MAX];

	(void)arg;
	if (why ==
	    RELAY_LOST_RULES) /* many at once: see daemon_apply_rules() */
		return;
	relay_key_write(&e->key, text);
	log_event(LOG_INFO, "relay-expire", LOG_STR("address", text),
	    LOG_SLICE("user", user), LOG_STR("reason", reasons[why]));
}

static void
on_tick(uv_timer_t *t)
{
	struct daemon *d = t->data;
	const struct relay_entry *next;
	struct timespec ts;
	int64_t ms = TICK_MS;

	check_clock(d);
	relay_expire(&d->relay, wall(), EXPIRE_BATCH);
	next = relay_store_due(d->relay.store, wall() + TICK_MS / 1000);
	if (next != NULL) {
		clock_gettime(CLOCK_REALTIME, &ts);
		ms = (next->expires - ts.tv_sec) * 1000 - ts.tv_nsec / 1000000 +
		     1;
		/* Much was due at once: others come in between. */
		ms = ms < 1 ? 1 : ms > TICK_MS ? TICK_MS : ms;
	}
	uv_timer_start(&d->tick, on_tick, (uint64_t)ms, 0);
}

/* --- the end of each turn ------------------------------------------------ */

static void
on_nothing(uv_timer_t *t)
{
	(void)t; /* the turn that it causes ends in a flush */
}

/* Much waits to be read: what it tells is published together. */
static uint64_t
publish_ms(const struct daemon *d)
{
	if (d->redis != NULL && share_redis_behind(d->redis))
		return CATCH_UP_MS;
	return sources_behind(d->sources) ? TICK_MS : 0;
}

void
daemon_flush(struct daemon *d)
{
	daemon_flush_journal(d);
	if (uv_now(&d->loop) - d->published_at < publish_ms(d))
		return;
	d->published_at = uv_now(&d->loop);
	for (size_t i = 0; i < d->dbs_n; i++)
		relay_db_flush(d->dbs[i]);
	if (d->redis != NULL)
		share_redis_flush(d->redis);
}

static void
on_prepare(uv_prepare_t *h)
{
	struct daemon *d = h->data;

	daemon_flush(d);
	if (!logdest_flush(d->dest) &&
	    !uv_is_active((uv_handle_t *)&d->log_retry))
		uv_timer_start(&d->log_retry, on_nothing, LOG_RETRY_MS, 0);
}

/* --- signals ------------------------------------------------------------- */

/* How: SIG_BLOCK, so that one that comes waits, or SIG_UNBLOCK. */
static void
mask_hup(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(how, &set, NULL);
}

static void
on_hup(uv_signal_t *h, int number)
{
	struct daemon *d = h->data;
	struct err err;

	(void)number;
	if (logdest_reopen(d->dest, &err) == -1)
		log_event(LOG_ERR, "log-reopen", LOG_STR("error", err.msg));
	daemon_reload(d);
	sources_reopen(d->sources);
}

static void
on_term(uv_signal_t *h, int number)
{
	(void)number;
	uv_stop(h->loop);
}

int
daemon_watch_signals(struct daemon *d)
{
	const struct {
		uv_signal_t *handle;
		uv_signal_cb called;
		int number;
	} signals[] = {
		{ &d->hup, on_hup, SIGHUP },
		{ &d->term, on_term, SIGTERM },
		{ &d->intr, on_term, SIGINT },
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (ret == 0)
			ret = uv_signal_init(&d->loop, signals[i].handle);
		if (ret == 0)
			ret = uv_signal_start(signals[i].handle,
			    signals[i].called, signals[i].number);
	}
	d->hup.data = d;
	mask_hup(SIG_UNBLOCK);
	return ret;
}

/* --- life ---------------------------------------------------------------- */

static int
start_handles(struct daemon *d)
{
	int ret = uv_timer_init(&d->loop, &d->tick);

	if (ret == 0)
		ret = uv_timer_init(&d->loop, &d->log_retry);
	if (ret == 0)
		ret = uv_timer_init(&d->loop, &d->journal_retry);
	if (ret == 0)
		ret = uv_timer_init(&d->loop, &d->journal_slice);
	if (ret == 0)
		ret = uv_timer_init(&d->loop, &d->rules);
	if (ret == 0)
		ret = uv_prepare_init(&d->loop, &d->prepare);
	if (ret != 0)
		return ret;
	d->tick.data = d->prepare.data = d;
	d->journal_slice.data = d->rules.data = d;
	uv_timer_start(&d->tick, on_tick, 0, 0);
	uv_prepare_start(&d->prepare, on_prepare);
	return 0;
}

static void
close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void
stop(struct daemon *d)
{
	struct err err;

	sources_destroy(&d->sources);
	stream_destroy(&d->stream);
	stream_destroy(&d->control);
	answers_stop(d->answers);
	if (d->redis != NULL)
		share_redis_stop(d->redis);
	for (size_t i = 0; i < d->dbs_n; i++)
		relay_db_stop(d->dbs[i]);
	/* What is being made is needed only if something is missing. */
	if (d->relay.journal != NULL &&
	    journal_flush(d->relay.journal, d->relay.store, &err) == -1)
		journal_settle(d->relay.journal, d->relay.store, &err);
	mask_hup(SIG_BLOCK); /* or it would end us before we are done */
	uv_walk(&d->loop, close_handle, NULL);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	log_event(LOG_NOTICE, "stop",
	    LOG_U64("entries", relay_store_count(d->relay.store)));
	pidfile_remove(d->config.pid_file);
	logdest_flush(d->dest);
}

int
daemon_run(struct pbs_config *config, int argc, char *const argv[])
{
	struct daemon *d = calloc(1, sizeof(*d));
	int status;

	if (d == NULL) {
		perror("perdition-pbs");
		pbs_config_clear(config);
		return EX_OSERR;
	}
	d->config = *config;
	d->argc = argc;
	d->argv = argv;
	d->report = -1;
	d->clock_offset = wall() - boot_seconds();
	/* Our father knows our pid from the fork on, and a start may take
	 * seconds: a reload is done behind it. */
	mask_hup(SIG_BLOCK);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error */
	status = daemon_start(d);
	if (status == 0) {
		int ret = start_handles(d);

		if (ret != 0) {
			fprintf(
			    stderr, "perdition-pbs: %s\n", uv_strerror(ret));
			status = EX_OSERR;
		} else {
			daemon_ready(d);
			uv_run(&d->loop, UV_RUN_DEFAULT);
			/* What came before the signal counts, and where the
			 * log was left. */
			sources_drain(d->sources);
			if (d->stream != NULL)
				stream_drain(d->stream);
			if (d->control != NULL)
				stream_drain(d->control);
			d->saved_at = d->published_at = 0;
			daemon_flush(d);
		}
		stop(d);
	}
	daemon_free(d);
	return status;
}
