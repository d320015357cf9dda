/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * master - its loop, what it does on signals, its beginning and its end.
 */
#include "config.h"

#include "perdition/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/background.h"
#include "common/log.h"
#include "common/logdest.h"
#include "common/pidfile.h"
#include "perdition/master_private.h"
#include "perdition/notify.h"

#include "common/banned.h"

/* --- the end ----------------------------------------------------------------
 */

static void
stop_role(struct generation *gen, enum role role, unsigned int wait_ms)
{
	struct post **posts = role == ROLE_WORKER ? gen->workers : gen->lookups;
	unsigned int n =
	    role == ROLE_WORKER ? gen->worker_count : gen->lookup_count;
	unsigned int i;

	if (role == ROLE_LOG) {
		posts = &gen->log;
		n = 1;
	}
	for (i = 0; posts != NULL && i < n; i++) {
		/* A draining worker is told once more when it is urgent. */
		if (!posts[i]->leaving || role == ROLE_WORKER)
			post_stop(posts[i], wait_ms);
	}
}

static void
drain_workers(struct generation *gen, unsigned int seconds)
{
	unsigned int i;

	for (i = 0; gen->workers != NULL && i < gen->worker_count; i++)
		post_drain(gen->workers[i], seconds);
}

void
master_retire(
    struct master *m, struct generation *gen, unsigned int drain_seconds)
{
	drain_workers(gen, drain_seconds);
	/* Its successor has taken over; it may still have something for a
	 * perdition-pbs that is away. */
	post_drain(gen->log, LOG_DRAIN_S);
	listener_set_close(&gen->listeners);
	gen->next_retired = m->retired;
	m->retired = gen;
}

/* Lookup processes are needed as long as a worker may ask them. */
static bool
is_over(struct generation *gen)
{
	if (generation_living(gen, ROLE_WORKER) > 0)
		return false;
	stop_role(gen, ROLE_LOOKUP, STOP_WAIT_MS);
	return generation_living(gen, ROLE_LOOKUP) == 0;
}

static void
sweep_retired(struct master *m)
{
	struct generation **p = &m->retired;
	struct generation *gen;

	while ((gen = *p) != NULL) {
		bool over = is_over(gen);

		if (over)
			generation_free_slots(gen);
		if (!over || generation_living(gen, ROLE_LOG) > 0) {
			if (m->state == MASTER_ENDING && gen->log->draining) {
				gen->log->draining = false;
				post_stop(gen->log, STOP_WAIT_MS);
			}
			p = &gen->next_retired;
			continue;
		}
		*p = gen->next_retired;
		generation_destroy(&gen);
	}
}

/* Once a turn: what is done with is put away.  The log goes last, when nobody
 * is left who could say anything. */
static void
on_sweep(uv_prepare_t *handle)
{
	struct master *m = handle->data;

	sweep_retired(m);
	if (m->state != MASTER_ENDING)
		return;
	if (m->retired != NULL || !is_over(m->current))
		return;
	/* What it finds in the channel it still writes. */
	(void)logq_flush(m->logq);
	stop_role(m->current, ROLE_LOG, STOP_WAIT_MS);
	if (generation_living(m->current, ROLE_LOG) == 0)
		uv_stop(&m->loop);
}

static void
end_urgently(struct master *m)
{
	struct generation *gen;

	m->urgent = true;
	for (gen = m->retired; gen != NULL; gen = gen->next_retired)
		stop_role(gen, ROLE_WORKER, NOW_WAIT_MS);
	stop_role(m->current, ROLE_WORKER, NOW_WAIT_MS);
}

static void
end(struct master *m)
{
	unsigned int seconds = m->current->config.drain_timeout;

	if (m->state == MASTER_ENDING) {
		end_urgently(m);
		return;
	}
	log_event(LOG_NOTICE, "ending",
	    LOG_U64("sessions", shared_sessions(m->shared)));
	if (m->state == MASTER_RUNNING || m->state == MASTER_RELOADING)
		notify_stopping();
	if (m->next != NULL) {
		struct generation *next = m->next;

		m->next = NULL;
		master_retire(m, next, seconds);
	}
	/* Who waits for the start must not be told that it was one; else it
	 * ends as it was told to, even if that comes early. */
	if (m->state == MASTER_STARTING && m->report != -1)
		m->status = EX_TEMPFAIL;
	m->state = MASTER_ENDING;
	uv_timer_stop(&m->deadline);
	listener_set_close(&m->current->listeners);
	drain_workers(m->current, seconds);
}

/* --- the start --------------------------------------------------------------
 */

static void
tell(const struct master *m, const char *text)
{
	if (m->foreground || m->report != -1)
		fprintf(stderr, "perdition: %s\n", text);
}

void
master_start_failed(
    struct master *m, struct generation *gen, const char *why, int status)
{
	if (m->state == MASTER_RELOADING && gen == m->next) {
		reload_abort(m, why);
		return;
	}
	if (m->state != MASTER_STARTING)
		return;
	tell(m, why);
	m->status = status;
	m->state = MASTER_ENDING;
	uv_timer_stop(&m->deadline);
	listener_set_close(&m->current->listeners);
	end_urgently(m);
}

static void
on_start_deadline(uv_timer_t *timer)
{
	struct master *m = timer->data;
	const struct post *p = generation_late(m->current);
	char why[128];

	snprintf(why, sizeof(why), "%s %u is not ready after %u seconds",
	    p == NULL ? "role" : role_name(p->role), p == NULL ? 0 : p->index,
	    READY_WAIT_MS / 1000);
	master_start_failed(m, m->current, why, EX_TEMPFAIL);
}

static void
started(struct master *m)
{
	const struct generation *gen = m->current;
	size_t i;

	uv_timer_stop(&m->deadline);
	m->state = MASTER_RUNNING;
	for (i = 0; i < gen->config.listener_count; i++)
		log_event(LOG_NOTICE, "listening",
		    LOG_STR(
			"protocol", gen->config.listeners[i].protocol->name),
		    LOG_ADDR("address", listener_set_addr(gen->listeners, i)));
	log_event(LOG_NOTICE, "started", LOG_STR("version", PACKAGE_VERSION),
	    LOG_STR("file", config_path(&gen->config)),
	    LOG_U64("workers", gen->worker_count));
	background_report(&m->report, 0);
	notify_ready();
	if (m->reload_again) {
		m->reload_again = false;
		reload_begin(m);
	}
}

void
master_post_ready(struct post *p)
{
	struct master *m = p->master;
	struct generation *gen = p->gen;
	struct err err;

	if (!(m->state == MASTER_STARTING && gen == m->current) &&
	    !(m->state == MASTER_RELOADING && gen == m->next))
		return;
	if (generation_go_on(gen, &err) == -1)
		master_start_failed(m, gen, err.msg, EX_OSERR);
	else if (!generation_ready(gen))
		return;
	else if (m->state == MASTER_STARTING)
		started(m);
	else
		reload_commit(m);
}

void
master_tell(struct master *m, enum role role, enum request_type type)
{
	struct generation *gen;

	if (m->current != NULL)
		generation_send(m->current, role, type);
	if (m->next != NULL)
		generation_send(m->next, role, type);
	for (gen = m->retired; gen != NULL; gen = gen->next_retired)
		generation_send(gen, role, type);
}

/* --- signals ----------------------------------------------------------------
 */

static void
on_signal(uv_signal_t *handle, int number)
{
	struct master *m = handle->data;

	switch (number) {
	case SIGHUP:
		reload_begin(m);
		break;
	case SIGUSR1:
		/* One that is about to take over may have it open already. */
		master_tell(m, ROLE_LOG, CONTROL_REOPEN);
		break;
	default:
		end(m);
		break;
	}
}

static void
watch_signals(struct master *m)
{
	static const int numbers[4] = { SIGHUP, SIGUSR1, SIGTERM, SIGINT };
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < 4; i++) {
		uv_signal_init(&m->loop, &m->signals[i]);
		m->signals[i].data = m;
		uv_signal_start(&m->signals[i], on_signal, numbers[i]);
		uv_unref((uv_handle_t *)&m->signals[i]);
	}
}

/* --- the whole --------------------------------------------------------------
 */

static void
set_limits(void)
{
	struct rlimit files;
	struct rlimit none = { 0, 0 };

	/* It holds a socket for each listener and worker. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)setrlimit(RLIMIT_CORE, &none);
}

static int
open_channels(struct master *m, struct err *err)
{
	int size = 1024 * 1024; /* the system may give less */
	int i;

	for (i = 0; i < WORKER_SLOTS; i++)
		m->lookup_channel[i][0] = m->lookup_channel[i][1] = -1;
	m->shared = shared_create(&m->shared_fd);
	if (m->shared == NULL || msg_pair(m->log_channel) == -1)
		return err_set(err, EX_OSERR, "channels: %s", strerror(errno));
	(void)setsockopt(
	    m->log_channel[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	m->tickets = tls_tickets_create(&m->tickets_fd);
	if (m->tickets == NULL)
		return err_set(
		    err, EX_OSERR, "ticket keys: %s", strerror(errno));
	m->logq = logq_open(m->log_channel[1]);
	if (m->logq == NULL || logq_attach(m->logq, &m->loop) == -1)
		return err_set(
		    err, EX_OSERR, "log channel: %s", strerror(errno));
	logq_install(m->logq);
	return 0;
}

/* Of a path that was mistyped nothing is made but the last directory. */
static void
make_directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir;

	if (slash == NULL || slash == path)
		return;
	dir = strndup(path, (size_t)(slash - path));
	if (dir != NULL)
		(void)mkdir(dir, 0755);
	free(dir);
}

int
master_write_pid(const char *path, struct err *err)
{
	int ret = pidfile_write(path, (uid_t)-1, (gid_t)-1, err);

	if (ret == -1 && err->code == ENOENT) {
		make_directory_of(path);
		ret = pidfile_write(path, (uid_t)-1, (gid_t)-1, err);
	}
	return ret == 0 ? 0 : err_prefix(err, "pid_file");
}

static int
write_pid_file(const struct config *c, struct err *err)
{
	if (master_write_pid(c->pid_file, err) == 0)
		return 0;
	/* The usual place is for who runs as root. */
	if (!c->pid_file_set && geteuid() != 0) {
		log_event(LOG_INFO, "pid-file", LOG_STR("text", err->msg));
		return 0;
	}
	err->code = EX_CANTCREAT;
	return -1;
}

/* What is odd about the files goes to the log, what is wrong to who starts
 * perdition: all of it, the last in err. */
static int
read_tls(struct master *m, const struct config *c, struct tls_memfds *tls,
    struct err *err)
{
	struct option_problems problems = { NULL, 0 };
	int status = tls_memfds_read(tls, c, &m->passphrase, &problems);
	size_t i;

	for (i = 0; i + 1 < problems.n; i++)
		tell(m, problems.v[i]);
	if (status != 0)
		err_set(
		    err, status, "%s", problems.n > 0 ? problems.v[i] : "TLS");
	option_problems_clear(&problems);
	return status == 0 ? 0 : -1;
}

static int
start(struct master *m, struct config *c, struct err *err)
{
	struct tls_memfds tls;

	if (open_channels(m, err) == -1 || read_tls(m, c, &tls, err) == -1)
		return -1;
	watch_signals(m); /* who knows the pid may send some */
	m->current = generation_create(m, c, &tls, false, err);
	if (m->current == NULL)
		return -1;
	role_log_level(&m->current->config);
	if (write_pid_file(&m->current->config, err) == -1)
		return -1;
	uv_prepare_init(&m->loop, &m->sweep);
	m->sweep.data = m;
	uv_prepare_start(&m->sweep, on_sweep);
	master_rotate_tickets(m);
	uv_timer_start(&m->deadline, on_start_deadline, READY_WAIT_MS, 0);
	if (generation_start(m->current, err) == -1)
		master_start_failed(m, m->current, err->msg, EX_OSERR);
	return 0;
}

static void
close_if_open(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void
finish(struct master *m)
{
	if (m->current != NULL)
		pidfile_remove(m->current->config.pid_file);
	generation_destroy(&m->current);
	logq_close(&m->logq);
	uv_walk(&m->loop, close_if_open, NULL);
	uv_run(&m->loop, UV_RUN_DEFAULT);
	uv_loop_close(&m->loop);
	shared_detach(&m->shared);
	tls_tickets_detach(&m->tickets);
	tls_files_forget(&m->passphrase);
}

static int
run(struct master *m, struct config *c)
{
	struct err err;
	int error = uv_loop_init(&m->loop);

	if (error != 0) {
		fprintf(stderr, "perdition: loop: %s\n", uv_strerror(error));
		config_clear(c);
		return EX_OSERR;
	}
	uv_timer_init(&m->loop, &m->deadline);
	uv_timer_init(&m->loop, &m->rotate);
	m->deadline.data = m->rotate.data = m;
	if (start(m, c, &err) == 0) {
		uv_run(&m->loop, UV_RUN_DEFAULT);
	} else {
		m->status = err.code;
		tell(m, err.msg);
		config_clear(c);
	}
	finish(m);
	return m->status;
}

int
master_run(struct config *c, int argc, char *const argv[])
{
	struct master *m = calloc(1, sizeof(*m));
	struct err err;
	int status;

	if (m == NULL) {
		fprintf(stderr, "perdition: out of memory\n");
		config_clear(c);
		return EX_OSERR;
	}
	m->argc = argc;
	m->argv = argv;
	m->report = m->shared_fd = m->tickets_fd = -1;
	m->log_channel[0] = m->log_channel[1] = -1;
	m->foreground = c->no_daemon || logdest_is_stdio(c->log_facility);
	set_limits();
	if (!m->foreground && background_fork(&m->report, &err) == -1) {
		fprintf(stderr, "perdition: %s\n", err.msg);
		config_clear(c);
		free(m);
		return EX_OSERR;
	}
	status = run(m, c);
	background_report(&m->report, status);
	free(m);
	return status;
}
