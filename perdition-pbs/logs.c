/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logs - the log files that are followed; see the header.
 */
#include "config.h"

#include "perdition-pbs/logs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "perdition-pbs/logs_private.h"

#include "common/banned.h"

#define TICK_MS 1000
#define LOOK_MS 100 /* not more often, whatever happens to names */
/* Bytes per turn of the loop, of all logs: what a turn reads and writes is to
 * fit a cache together, and others wait for it. */
#define BUDGET (256 * 1024)
#define EVENT_READS 16 /* per turn */

/* --- reading ------------------------------------------------------------- */

static void read_ready(struct logs *);

static void
on_more(uv_idle_t *h)
{
	read_ready(h->data);
}

static void
read_ready(struct logs *l)
{
	size_t budget = BUDGET;

	for (size_t i = 0; i < l->n; i++) {
		struct log *log = &l->v[(l->next + i) % l->n];

		if (!log->ready)
			continue;
		log->ready = tail_read(log->tail, &l->buf, &budget,
		    uv_now(l->loop), &l->cfg.reader);
		if (budget == 0) { /* the one after it begins */
			l->next = (l->next + i + 1) % l->n;
			break;
		}
	}
	if (logs_behind(l))
		uv_idle_start(&l->more, on_more);
	else
		uv_idle_stop(&l->more);
}

void
logs_reopen(struct logs *l)
{
	logs_look(l);
	read_ready(l);
}

static void
on_tick(uv_timer_t *h)
{
	logs_reopen(h->data);
}

/* A file's own watch, or else a name has changed.  false: that. */
static bool
on_event(struct logs *l, const struct inotify_event *ev)
{
	if ((ev->mask & IN_MODIFY) == 0)
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (tail_is_watch(l->v[i].tail, ev->wd))
			l->v[i].ready = true;
	return true;
}

static void
on_inotify(uv_poll_t *h, int status, int events)
{
	struct logs *l = h->data;
	_Alignas(struct inotify_event) char buf[4096];
	bool names = false;
	ssize_t n;

	(void)events;
	if (status < 0)
		return; /* the tick goes on */
	for (int i = 0; i < EVENT_READS; i++) {
		n = read(l->inotify, buf, sizeof(buf));
		if (n <= 0)
			break;
		for (char *p = buf; p < buf + n;) {
			struct inotify_event ev;

			memcpy(&ev, p, sizeof(ev));
			names = !on_event(l, &ev) || names;
			p += sizeof(ev) + ev.len;
		}
	}
	if (!names)
		read_ready(l);
	else if (uv_now(l->loop) - l->looked >= LOOK_MS)
		logs_reopen(l);
	else
		uv_timer_start(&l->tick, on_tick, LOOK_MS, TICK_MS);
}

bool
logs_behind(const struct logs *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].ready)
			return true;
	return false;
}

/* --- life ---------------------------------------------------------------- */

static int
start_loop(struct logs *l, struct err *err)
{
	int ret = uv_timer_init(l->loop, &l->tick);

	if (ret == 0)
		ret = uv_idle_init(l->loop, &l->more);
	if (ret == 0)
		ret = uv_poll_init(l->loop, &l->poll, l->inotify);
	if (ret == 0)
		ret = uv_poll_start(&l->poll, UV_READABLE, on_inotify);
	if (ret == 0)
		ret = uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
	if (ret == 0) /* what was written while nobody looked */
		ret = uv_idle_start(&l->more, on_more);
	if (ret != 0)
		return err_set(err, -ret, "logs: %s", uv_strerror(ret));
	l->tick.data = l->more.data = l->poll.data = l;
	return 0;
}

static void
clear(struct logs *l)
{
	for (size_t i = 0; i < l->n; i++)
		tail_destroy(&l->v[i].tail);
	l->n = 0;
}

struct logs *
logs_create(uv_loop_t *loop, const struct logs_config *cfg,
    const struct positions *known, const struct positions *marks,
    struct err *err)
{
	struct logs *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	l->loop = loop;
	l->cfg = *cfg;
	l->known = known;
	l->marks = marks;
	l->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (l->inotify == -1)
		err_set(err, errno, "inotify: %s", strerror(errno));
	if (l->inotify == -1 || logs_find_first(l, err) == -1 ||
	    start_loop(l, err) == -1) {
		clear(l);
		if (l->inotify != -1)
			close(l->inotify);
		free(l);
		return NULL;
	}
	l->known = l->marks = NULL;
	return l;
}

static void
on_closed(uv_handle_t *h)
{
	struct logs *l = h->data;

	if (--l->closing > 0)
		return;
	close(l->inotify);
	free(l);
}

void
logs_destroy(struct logs **lp)
{
	struct logs *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	clear(l);
	l->closing = 3;
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->tick, on_closed);
	uv_close((uv_handle_t *)&l->more, on_closed);
}

/* --- where they stand ---------------------------------------------------- */

bool
logs_knows(const struct logs *l, struct slice name)
{
	struct logs_name own;

	for (size_t i = 0; i < l->n; i++)
		if (slice_eq(logs_name(&own, tail_path(l->v[i].tail)), name))
			return true;
	for (size_t i = 0; i < l->cfg.n; i++)
		if (slice_eq(logs_pattern_name(&own, l->cfg.paths[i]), name))
			return true;
	return false;
}

static bool
is_gone(const struct logs *l, const struct log *log)
{
	return log->by_pattern && tail_is_gone(log->tail, uv_now(l->loop));
}

bool
logs_moved(const struct logs *l)
{
	if (!l->patterns_saved)
		return true;
	for (size_t i = 0; i < l->n; i++)
		if (tail_moved(l->v[i].tail) || is_gone(l, &l->v[i]))
			return true;
	return false;
}

void
logs_save(struct logs *l, positions_saver *save, void *arg)
{
	char position[TAIL_SAVE_MAX];
	struct logs_name name;

	for (size_t i = 0; i < l->cfg.n && !l->patterns_saved; i++)
		if (logs_is_pattern(l->cfg.paths[i]))
			save(arg, logs_pattern_name(&name, l->cfg.paths[i]),
			    SLICE("1"));
	l->patterns_saved = true;
	for (size_t i = l->n; i-- > 0;) {
		struct log *log = &l->v[i];
		struct slice of = logs_name(&name, tail_path(log->tail));

		if (is_gone(l, log)) {
			save(arg, of, slice_make(NULL, 0));
			tail_destroy(&log->tail);
			l->v[i] = l->v[--l->n];
		} else if (tail_moved(log->tail)) {
			save(arg, of,
			    slice_make(
				position, tail_save(log->tail, position)));
		}
	}
}
