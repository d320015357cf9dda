/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reload - from one configuration to the next without losing a session.
 *
 * Nothing of the old is touched until all of the new has shown that it runs;
 * when something is wrong with the new, all of it that is known is logged and
 * the old goes on.
 */
#include "config.h"

#include "perdition/master_private.h"

#include <stdlib.h>
#include <sysexits.h>

#include "common/log.h"
#include "common/pidfile.h"
#include "perdition/notify.h"

#include "common/banned.h"

static void
refuse(const char *why)
{
	log_event(LOG_ERR, "reload-refused", LOG_STR("text", why));
}

/* The service manager waits for this whether the reload worked or not; and
 * the log file may have been rotated. */
static void
finished(struct master *m)
{
	if (m->state == MASTER_RELOADING)
		m->state = MASTER_RUNNING;
	uv_timer_stop(&m->deadline);
	notify_ready();
	if (m->reload_again && m->state == MASTER_RUNNING) {
		m->reload_again = false;
		reload_begin(m);
	}
}

static void
keep_old(struct master *m)
{
	post_send(m->current->log, CONTROL_REOPEN);
	finished(m);
}

static void
on_deadline(uv_timer_t *timer)
{
	struct master *m = timer->data;
	const struct post *p = generation_late(m->next);
	char why[128];

	snprintf(why, sizeof(why), "%s %u is not ready after %u seconds",
	    p == NULL ? "role" : role_name(p->role), p == NULL ? 0 : p->index,
	    READY_WAIT_MS / 1000);
	reload_abort(m, why);
}

static int
load(struct master *m, struct config *c, struct tls_memfds *tls)
{
	struct option_problems problems = { NULL, 0 };
	size_t i;
	int ret = config_load(c, m->argc, m->argv, &problems);

	if (ret == 0)
		ret = tls_memfds_read(tls, c, &m->passphrase, &problems);
	for (i = 0; i < problems.n; i++)
		refuse(problems.v[i]);
	option_problems_clear(&problems);
	if (ret != 0)
		config_clear(c);
	return ret;
}

void
reload_begin(struct master *m)
{
	struct config c = { .help = false };
	struct tls_memfds tls = TLS_MEMFDS_NONE;
	struct err err;

	if (m->state != MASTER_RUNNING) {
		m->reload_again = m->state != MASTER_ENDING;
		return;
	}
	notify_reloading();
	log_event(LOG_NOTICE, "reload");
	m->state = MASTER_RELOADING;
	if (load(m, &c, &tls) != 0) {
		keep_old(m);
		return;
	}
	m->next = generation_create(m, &c, &tls, true, &err);
	if (m->next == NULL) {
		refuse(err.msg);
		keep_old(m);
		return;
	}
	uv_timer_start(&m->deadline, on_deadline, READY_WAIT_MS, 0);
	if (generation_start(m->next, &err) == -1)
		reload_abort(m, err.msg);
}

void
reload_abort(struct master *m, const char *why)
{
	struct generation *failed = m->next;

	refuse(why);
	m->next = NULL;
	/* Its workers may have clients already: those are served. */
	master_retire(m, failed, failed->config.drain_timeout);
	keep_old(m);
}

static void
change_pid_file(const struct config *was, const struct config *is)
{
	struct err err;

	if (strcmp(was->pid_file, is->pid_file) == 0)
		return;
	pidfile_remove(was->pid_file);
	if (master_write_pid(is->pid_file, &err) == -1)
		log_event(LOG_ERR, "pid-file", LOG_STR("text", err.msg));
}

void
reload_commit(struct master *m)
{
	struct generation *old = m->current;
	bool kept = m->next->keep_workers;

	if (kept)
		generation_move_workers(m->next, old);
	m->current = m->next;
	m->next = NULL;
	role_log_level(&m->current->config);
	master_rotate_tickets(m);
	change_pid_file(&old->config, &m->current->config);
	log_event(LOG_NOTICE, "reloaded",
	    LOG_STR("workers", kept ? "kept" : "new"),
	    LOG_STR("file", config_path(&m->current->config)));
	master_retire(m, old, m->current->config.drain_timeout);
	finished(m);
}
