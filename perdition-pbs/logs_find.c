/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logs_find - which logs there are, and where reading each begins; see
 * logs.h.
 */
#include "config.h"

#include "perdition-pbs/logs.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "perdition-pbs/logs_private.h"

#include "common/banned.h"

#define MAGIC "*?["
/* Bytes of a path: its name has "logs:" before it, and snprintf(3) a NUL. */
#define PATH_LIMIT (POSITION_NAME_MAX - 6)

bool
logs_is_pattern(const char *path)
{
	return strpbrk(path, MAGIC) != NULL;
}

static struct slice
name(struct logs_name *out, const char *kind, const char *path)
{
	int n = snprintf(out->bytes, sizeof(out->bytes), "%s:%s", kind, path);

	assert(n > 0 && (size_t)n < sizeof(out->bytes)); /* see PATH_LIMIT */
	out->n = (size_t)n;
	return slice_make(out->bytes, out->n);
}

struct slice
logs_name(struct logs_name *out, const char *path)
{
	return name(out, "log", path);
}

struct slice
logs_pattern_name(struct logs_name *out, const char *pattern)
{
	return name(out, "logs", pattern);
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
	struct logs_name name;

	if (p == NULL)
		return slice_make(NULL, 0);
	return positions_get(p, logs_name(&name, path));
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

	if (stat(path, &st) == -1 || !S_ISREG(st.st_mode))
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
	struct slice saved;
	struct err err;

	if (strlen(path) > PATH_LIMIT)
		return;
	saved = get(l->known, path);
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
		if (logs_is_pattern(dir))
			each_match(
			    dir, GLOB_NOSORT | GLOB_ONLYDIR, watch_dir, l);
		else if (strcspn(p + 1, MAGIC) < next)
			watch_dir(l, dir);
	}
}

/* --- all of them --------------------------------------------------------- */

/* Not one that was in force: what it matches now was there before it. */
static bool
is_new_pattern(const struct logs *l, const char *pattern)
{
	struct logs_name name;

	return l->known == NULL ||
	       positions_get(l->known, logs_pattern_name(&name, pattern)).n ==
		   0;
}

void
logs_look(struct logs *l)
{
	l->looked = uv_now(l->loop);
	for (size_t i = 0; i < l->n; i++) {
		tail_look(l->v[i].tail);
		l->v[i].ready = true;
	}
	for (size_t i = 0; i < l->cfg.n; i++) {
		if (!logs_is_pattern(l->cfg.paths[i]))
			continue;
		watch_pattern(l, l->cfg.paths[i]);
		l->heed_marks = is_new_pattern(l, l->cfg.paths[i]);
		each_match(l->cfg.paths[i], 0, add_match, l);
	}
}

static void
mark(void *arg, const char *path)
{
	char position[TAIL_SAVE_MAX];
	struct logs_name name;

	if (strlen(path) <= PATH_LIMIT)
		positions_set(arg, logs_name(&name, path),
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

		if (!logs_is_pattern(cfg->paths[i]))
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

int
logs_find_first(struct logs *l, struct err *err)
{
	for (size_t i = 0; i < l->cfg.n; i++)
		if (strlen(l->cfg.paths[i]) > PATH_LIMIT)
			return err_set(err, ENAMETOOLONG,
			    "%.100s...: longer than the %d bytes of a log's "
			    "path",
			    l->cfg.paths[i], PATH_LIMIT);
	for (size_t i = 0; i < l->cfg.n; i++)
		if (!logs_is_pattern(l->cfg.paths[i]) &&
		    add_named(l, l->cfg.paths[i], i == 0, err) == -1)
			return -1;
	for (size_t i = 0; i < l->cfg.n; i++)
		if (logs_is_pattern(l->cfg.paths[i]))
			add_known(l, l->cfg.paths[i]);
	logs_look(l);
	return 0;
}
