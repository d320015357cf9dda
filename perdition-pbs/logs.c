/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logs - the log files that are followed; see the header.
 */
#include "config.h"

#include "perdition-pbs/logs.h"

#include <errno.h>
#include <glob.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition-pbs/tail.h"

#include "common/banned.h"

#define TICK_MS 1000
#define LOOK_MS 100          /* not more often, whatever happens to names */
#define BUDGET (1024 * 1024) /* bytes per turn of the loop, of all logs */
#define EVENT_READS 16       /* per turn */

#define MAGIC "*?["
#define PATH_LIMIT                                                             \
	(POSITION_NAME_MAX - 5) /* bytes; "log:", and one to spare             \
				 */

struct log {
	struct tail *tail;
	bool by_pattern;
	bool ready; /* there may be something to read */
};

struct logs {
	uv_loop_t *loop;
	struct logs_config cfg;
	const struct positions *known, *marks; /* while it is made; or NULL */
	bool heed_marks; /* of files that match the pattern at hand */
	int inotify;
	size_t n;
	struct log v[LOGS_MAX];
	size_t next;     /* whose turn it is to be read */
	uint64_t looked; /* ms of the loop: when it last looked at names */
	bool full_said;
	bool patterns_saved;
	uv_poll_t poll;
	uv_timer_t tick;
	uv_idle_t more; /* runs while there is more to read */
	int closing;
	struct tail_buffer buf;
};

static bool
is_pattern(const char *path)
{
	return strpbrk(path, MAGIC) != NULL;
}

struct name {
	char bytes[POSITION_NAME_MAX];
	size_t n;
};

/* "log:PATH"; path has at most PATH_LIMIT bytes. */
static struct slice
log_name(struct name *out, const char *path)
{
	out->n =
	    (size_t)snprintf(out->bytes, sizeof(out->bytes), "log:%s", path);
	return slice_make(out->bytes, out->n);
}

static struct slice
pattern_name(struct name *out, const char *pattern)
{
	out->n = (size_t)snprintf(
	    out->bytes, sizeof(out->bytes), "logs:%s", pattern);
	return slice_make(out->bytes, out->n);
}

/* --- names --------------------------------------------------------------- */

/* Whether path is what rotation may have made of the log: mail.log.1. */
static bool
extends(const char *path, const char *log)
{
	size_t n = strlen(log);

	return strncmp(path, log, n) == 0 && path[n] != '\0' &&
	       strchr(path + n, '/') == NULL;
}

static struct slice
get(const struct positions *p, const char *path)
{
	struct name name;

	if (p == NULL)
		return slice_make(NULL, 0);
	return positions_get(p, log_name(&name, path));
}

/* Whether one of the positions in saved is of the file. */
static bool
holds(struct slice saved, const struct stat *st, struct tail_position *p)
{
	for (; saved.n >= sizeof(*p); saved = slice_skip(saved, sizeof(*p))) {
		memcpy(p, saved.p, sizeof(*p));
		if (p->dev == st->st_dev && p->ino == st->st_ino)
			return true;
	}
	return false;
}

/* Whether the file of that name now was another log's until it was renamed:
 * then that one's position of it. */
static bool
was_anothers(const struct positions *known, const char *path,
    struct slice saved, struct tail_position *p)
{
	struct slice name, others;
	struct stat st;

	if (known == NULL || stat(path, &st) == -1 || holds(saved, &st, p))
		return false;
	for (size_t i = 0; positions_at(known, i, &name, &others); i++)
		if (slice_starts(name, SLICE("log:")) && holds(others, &st, p))
			return true;
	return false;
}

static struct log *
find(struct logs *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(tail_path(l->v[i].tail), path) == 0)
			return &l->v[i];
	return NULL;
}

static int
add(struct logs *l, const char *path, struct slice saved, bool by_pattern,
    struct err *err)
{
	char all[POSITION_BYTES_MAX + sizeof(struct tail_position)];
	struct tail_position p;
	struct tail *t;

	if (saved.n <= POSITION_BYTES_MAX &&
	    was_anothers(l->known, path, saved, &p)) {
		if (saved.n > 0)
			memcpy(all, saved.p, saved.n);
		memcpy(all + saved.n, &p, sizeof(p));
		saved = slice_make(all, saved.n + sizeof(p));
	}
	t = tail_create(l->inotify, path, saved, err);
	if (t == NULL)
		return -1;
	l->v[l->n++] = (struct log){ t, by_pattern, true };
	return err->code == 0 ? 0 : -1;
}

/*
 * A match that is not followed: whether it should be, and from which place
 * in it, when it is the same file as another's.
 */
static bool
is_new(struct logs *l, const char *path, struct tail_position *p)
{
	struct stat st;
	bool named;

	if (strlen(path) > PATH_LIMIT || stat(path, &st) == -1 ||
	    !S_ISREG(st.st_mode))
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (extends(path, tail_path(l->v[i].tail)))
			return false;
	for (size_t i = 0; i < l->n; i++) {
		if (!tail_has(l->v[i].tail, st.st_dev, st.st_ino, &named))
			continue;
		if (named) /* a link */
			return false;
		tail_give_up(l->v[i].tail, st.st_dev, st.st_ino, p);
		return true;
	}
	memset(p, 0, sizeof(*p)); /* from the first byte */
	return true;
}

static void
add_match(struct logs *l, const char *path)
{
	struct tail_position p;
	struct slice saved = get(l->known, path);
	struct err err;

	if (saved.n == 0 && l->heed_marks)
		saved = get(l->marks, path);
	if (find(l, path) != NULL || !is_new(l, path, &p))
		return;
	if (saved.n == 0)
		saved = slice_make((const char *)&p, sizeof(p));
	if (l->n == LOGS_MAX) {
		if (!l->full_said)
			log_event(LOG_ERR, "log-too-many",
			    LOG_STR("file", path), LOG_U64("followed", l->n),
			    LOG_STR("consequence", "not read"));
		l->full_said = true;
		return;
	}
	/* What cannot be read says so itself, once. */
	if (add(l, path, saved, true, &err) == 0 && l->marks == NULL)
		log_event(LOG_INFO, "log-found", LOG_STR("file", path));
}

/* Calls fn for each path that matches; the shorter of two first. */
static void
each_match(const char *pattern, int flags,
    void (*fn)(struct logs *, const char *), struct logs *l)
{
	glob_t g = { 0 };

	if (glob(pattern, flags, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++)
			fn(l, g.gl_pathv[i]);
	globfree(&g);
}

/* --- watching ------------------------------------------------------------ */

static void
watch_dir(struct logs *l, const char *dir)
{
	if (tail_watch_dir(l->inotify, dir) == -1)
		errno = 0; /* the tick looks too */
}

/* All directories in which a match, or a directory on the way to one, may
 * come; the tick is for those above them. */
static void
watch_pattern(struct logs *l, const char *pattern)
{
	char dir[PATH_LIMIT + 1];

	for (const char *p = pattern; (p = strchr(p, '/')) != NULL; p++) {
		size_t next = strcspn(p + 1, "/");

		snprintf(dir, sizeof(dir), "%.*s",
		    p == pattern ? 1 : (int)(p - pattern), pattern);
		if (is_pattern(dir))
			each_match(
			    dir, GLOB_NOSORT | GLOB_ONLYDIR, watch_dir, l);
		else if (strcspn(p + 1, MAGIC) < next)
			watch_dir(l, dir);
	}
}

/* --- reading ------------------------------------------------------------- */

/* Not one that was in force: what it matches now was there before it. */
static bool
is_new_pattern(const struct logs *l, const char *pattern)
{
	struct name name;

	return l->known == NULL ||
	       positions_get(l->known, pattern_name(&name, pattern)).n == 0;
}

static void
look(struct logs *l)
{
	l->looked = uv_now(l->loop);
	for (size_t i = 0; i < l->n; i++) {
		tail_look(l->v[i].tail);
		l->v[i].ready = true;
	}
	for (size_t i = 0; i < l->cfg.n; i++) {
		if (!is_pattern(l->cfg.paths[i]))
			continue;
		watch_pattern(l, l->cfg.paths[i]);
		l->heed_marks = is_new_pattern(l, l->cfg.paths[i]);
		each_match(l->cfg.paths[i], 0, add_match, l);
	}
}

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
		    uv_now(l->loop), l->cfg.fn, l->cfg.arg);
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
	look(l);
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

static void
mark(void *arg, const char *path)
{
	char position[TAIL_SAVE_MAX];
	struct name name;

	if (strlen(path) <= PATH_LIMIT)
		positions_set(arg, log_name(&name, path),
		    slice_make(position, tail_mark(path, position)));
}

void
logs_mark(const struct logs_config *cfg, struct positions *marks)
{
	logs_each(cfg, mark, marks);
}

void
logs_each(const struct logs_config *cfg,
    void (*fn)(void *arg, const char *path), void *arg)
{
	for (size_t i = 0; i < cfg->n; i++) {
		glob_t g = { 0 };

		if (!is_pattern(cfg->paths[i]))
			fn(arg, cfg->paths[i]);
		else if (glob(cfg->paths[i], 0, NULL, &g) == 0)
			for (size_t k = 0; k < g.gl_pathc; k++)
				fn(arg, g.gl_pathv[k]);
		globfree(&g);
	}
}

/* Those that were read and match a pattern, though they may be gone: what
 * became of them may hold something unread. */
static void
add_known(struct logs *l, const char *pattern)
{
	char path[POSITION_NAME_MAX + 1];
	struct slice name, saved;
	struct err err;

	if (l->known == NULL)
		return;
	for (size_t i = 0; positions_at(l->known, i, &name, &saved); i++) {
		if (!slice_starts(name, SLICE("log:")) || l->n == LOGS_MAX)
			continue;
		name = slice_skip(name, 4);
		memcpy(path, name.p, name.n);
		path[name.n] = '\0';
		if (fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0 &&
		    find(l, path) == NULL)
			add(l, path, saved, true, &err);
	}
}

static int
add_named(struct logs *l, const char *path, bool first, struct err *err)
{
	struct slice saved = get(l->known, path);

	if (strlen(path) > PATH_LIMIT)
		return err_set(err, ENAMETOOLONG,
		    "%.200s...: longer than the %d bytes of a log's path", path,
		    PATH_LIMIT);
	if (saved.n == 0 && first && l->known != NULL)
		saved = positions_get(l->known, SLICE(""));
	if (saved.n == 0)
		saved = get(l->marks, path);
	if (find(l, path) != NULL)
		return 0;
	if (l->n == LOGS_MAX)
		return err_set(err, E2BIG, "more than %d logs", LOGS_MAX);
	return add(l, path, saved, false, err);
}

static int
add_all(struct logs *l, struct err *err)
{
	for (size_t i = 0; i < l->cfg.n; i++)
		if (!is_pattern(l->cfg.paths[i]) &&
		    add_named(l, l->cfg.paths[i], i == 0, err) == -1)
			return -1;
	for (size_t i = 0; i < l->cfg.n; i++)
		if (is_pattern(l->cfg.paths[i]))
			add_known(l, l->cfg.paths[i]);
	look(l);
	return 0;
}

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
	if (l->inotify == -1 || add_all(l, err) == -1 ||
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
	struct name own;

	for (size_t i = 0; i < l->n; i++)
		if (slice_eq(log_name(&own, tail_path(l->v[i].tail)), name))
			return true;
	for (size_t i = 0; i < l->cfg.n; i++)
		if (slice_eq(pattern_name(&own, l->cfg.paths[i]), name))
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
	struct name name;

	for (size_t i = 0; i < l->cfg.n && !l->patterns_saved; i++)
		if (is_pattern(l->cfg.paths[i]))
			save(arg, pattern_name(&name, l->cfg.paths[i]),
			    SLICE("1"));
	l->patterns_saved = true;
	for (size_t i = l->n; i-- > 0;) {
		struct log *log = &l->v[i];
		struct slice of = log_name(&name, tail_path(log->tail));

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
