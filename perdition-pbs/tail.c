/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail - following a log by name; see the header.
 */
#include "config.h"

#include "perdition-pbs/tail.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition-pbs/tail_resume.h"

#include "common/banned.h"

#define TICK_MS 1000
#define BUDGET (1024 * 1024) /* bytes of one file per turn of the loop */
/* A renamed file that nobody has written to for so long is let go. */
#define QUIET_MS 120000

#define DIR_EVENTS                                                             \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |                 \
	    IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)

struct followed {
	struct tail_file *file;
	uint64_t quiet_since; /* ms of the loop */
	uint64_t offset;      /* at that time */
	int wd;
};

struct tail {
	uv_loop_t *loop;
	char *path;
	tail_line *fn;
	void *arg;
	int inotify;
	bool missing_said, failed_said;
	size_t n;
	struct followed files[TAIL_FILES_MAX]; /* the newest first */
	uv_poll_t poll;
	uv_timer_t tick;
	uv_idle_t more; /* runs while there is more to read */
	int closing;
	char saved[TAIL_SAVE_MAX];
	size_t saved_n;
};

/* --- watching ------------------------------------------------------------ */

/* The directory of the log, or the nearest above it that is there. */
static void
watch_dir(struct tail *t)
{
	char dir[PATH_MAX];
	char *d = dir;

	if (strlen(t->path) >= sizeof(dir))
		return;
	memcpy(dir, t->path, strlen(t->path) + 1);
	do {
		d = dirname(d);
		if (inotify_add_watch(t->inotify, d, DIR_EVENTS) != -1)
			return;
	} while (strcmp(d, "/") != 0 && strcmp(d, ".") != 0);
}

static void
watch_file(struct tail *t, struct followed *f)
{
	char path[64];

	/* By descriptor: the name may belong to another file by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tail_file_fd(f->file));
	f->wd = inotify_add_watch(t->inotify, path, IN_MODIFY);
	if (f->wd == -1)
		f->wd = inotify_add_watch(t->inotify, t->path, IN_MODIFY);
}

/* --- the list of files --------------------------------------------------- */

static void
forget(struct tail *t, size_t i)
{
	if (t->files[i].wd != -1)
		inotify_rm_watch(t->inotify, t->files[i].wd);
	tail_file_close(&t->files[i].file);
	t->n--;
	memmove(
	    &t->files[i], &t->files[i + 1], (t->n - i) * sizeof(t->files[0]));
}

/* Takes file.  In front: it is what the name means at present. */
static void
add(struct tail *t, struct tail_file *file, bool front)
{
	size_t i = front ? 0 : t->n;

	if (t->n == TAIL_FILES_MAX) {
		if (!front) {
			tail_file_close(&file);
			return;
		}
		/* It has been read to its end at every turn so far. */
		forget(t, t->n - 1);
	}
	memmove(
	    &t->files[i + 1], &t->files[i], (t->n - i) * sizeof(t->files[0]));
	t->n++;
	t->files[i] = (struct followed){
		.file = file, .wd = -1, .quiet_since = uv_now(t->loop)
	};
	watch_file(t, &t->files[i]);
}

static void
to_front(struct tail *t, size_t i)
{
	struct followed f = t->files[i];

	memmove(&t->files[1], &t->files[0], i * sizeof(t->files[0]));
	t->files[0] = f;
}

static void
said_missing(struct tail *t, int error)
{
	bool *said = error == ENOENT || error == ENOTDIR ? &t->missing_said
							 : &t->failed_said;

	if (*said)
		return;
	*said = true;
	log_event(error == ENOENT ? LOG_NOTICE : LOG_ERR, "log-unreadable",
	    LOG_STR("file", t->path), LOG_STR("error", strerror(error)));
}

/* Brings the list in line with what the name stands for. */
static void
look(struct tail *t)
{
	struct tail_file *file;
	struct stat st;
	struct err err;

	if (stat(t->path, &st) == -1) {
		said_missing(t, errno);
		return;
	}
	for (size_t i = 0; i < t->n; i++) {
		if (tail_file_is(t->files[i].file, st.st_dev, st.st_ino)) {
			to_front(t, i);
			return;
		}
	}
	file = tail_file_open(t->path, &err);
	if (file == NULL) {
		said_missing(t, err.code);
		return;
	}
	t->missing_said = t->failed_said = false;
	if (t->n > 0)
		log_event(LOG_INFO, "log-rotated", LOG_STR("file", t->path));
	add(t, file, true);
}

/* --- reading ------------------------------------------------------------- */

/* Whether a renamed file is still of interest. */
static bool
is_quiet(struct tail *t, struct followed *f)
{
	struct tail_position p;

	tail_file_position(f->file, &p);
	if (p.offset != f->offset) {
		f->offset = p.offset;
		f->quiet_since = uv_now(t->loop);
	}
	return uv_now(t->loop) - f->quiet_since > QUIET_MS;
}

static void read_all(struct tail *);

static void
on_more(uv_idle_t *h)
{
	read_all(h->data);
}

/* Oldest first: the lines are in the order in which they were written. */
static void
read_all(struct tail *t)
{
	bool more = false;

	for (size_t i = t->n; i-- > 0;) {
		struct followed *f = &t->files[i];
		int ret = tail_file_read(f->file, BUDGET, t->fn, t->arg);

		if (ret == -1)
			said_missing(t, errno);
		if (ret == 1)
			more = true;
		else if (is_quiet(t, f) && i > 0)
			forget(t, i);
	}
	if (more)
		uv_idle_start(&t->more, on_more);
	else
		uv_idle_stop(&t->more);
}

void
tail_reopen(struct tail *t)
{
	watch_dir(t);
	/* What was written before a rename first, then its successor. */
	read_all(t);
	look(t);
	read_all(t);
}

static void
on_tick(uv_timer_t *h)
{
	tail_reopen(h->data);
}

static void
on_inotify(uv_poll_t *h, int status, int events)
{
	struct tail *t = h->data;
	_Alignas(struct inotify_event) char buf[4096];
	bool names = false;
	ssize_t n;

	(void)events;
	if (status < 0)
		return; /* the tick goes on */
	while ((n = read(t->inotify, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			struct inotify_event ev;

			memcpy(&ev, p, sizeof(ev));
			names = names || (ev.mask & IN_MODIFY) == 0;
			p += sizeof(ev) + ev.len;
		}
	}
	if (names)
		tail_reopen(t);
	else
		read_all(t);
}

/* --- life ---------------------------------------------------------------- */

static int
start_loop(struct tail *t, struct err *err)
{
	int ret = uv_timer_init(t->loop, &t->tick);

	if (ret == 0)
		ret = uv_idle_init(t->loop, &t->more);
	if (ret == 0)
		ret = uv_poll_init(t->loop, &t->poll, t->inotify);
	if (ret == 0)
		ret = uv_poll_start(&t->poll, UV_READABLE, on_inotify);
	if (ret == 0)
		ret = uv_timer_start(&t->tick, on_tick, TICK_MS, TICK_MS);
	if (ret == 0) /* what was written while nobody looked */
		ret = uv_idle_start(&t->more, on_more);
	if (ret != 0)
		return err_set(err, -ret, "%s: %s", t->path, uv_strerror(ret));
	t->tick.data = t->more.data = t->poll.data = t;
	return 0;
}

/* The files to begin with; -1 when the log is there and cannot be read. */
static int
first_files(struct tail *t, struct slice saved, struct err *err)
{
	struct tail_file *found[TAIL_FILES_MAX];
	struct tail_file *file = tail_file_open(t->path, err);
	size_t n;

	if (file == NULL && err->code != ENOENT && err->code != ENOTDIR)
		return -1;
	n = tail_resume(t->path, saved, file, found, TAIL_FILES_MAX - 1);
	if (file != NULL && saved.n == 0)
		tail_file_seek_end(file);
	if (file != NULL)
		add(t, file, false);
	for (size_t i = 0; i < n; i++)
		add(t, found[i], false);
	return 0;
}

struct tail *
tail_create(uv_loop_t *loop, const char *path, struct slice saved,
    tail_line *fn, void *arg, struct err *err)
{
	struct tail *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->path = strdup(path)) == NULL) {
		free(t);
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	t->loop = loop;
	t->fn = fn;
	t->arg = arg;
	t->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (t->inotify == -1)
		err_set(err, errno, "inotify: %s", strerror(errno));
	else
		watch_dir(t);
	if (t->inotify == -1 || first_files(t, saved, err) == -1 ||
	    start_loop(t, err) == -1) {
		while (t->n > 0)
			forget(t, t->n - 1);
		if (t->inotify != -1)
			close(t->inotify);
		free(t->path);
		free(t);
		return NULL;
	}
	return t;
}

size_t
tail_mark(const char *path, char out[TAIL_SAVE_MAX])
{
	struct err err;
	struct tail_file *file = tail_file_open(path, &err);
	struct tail_position p = { 0 }; /* of no file: all are new */

	if (file != NULL) {
		tail_file_seek_end(file);
		tail_file_position(file, &p);
	}
	tail_file_close(&file);
	memcpy(out, &p, sizeof(p));
	return sizeof(p);
}

static void
on_closed(uv_handle_t *h)
{
	struct tail *t = h->data;

	if (--t->closing > 0)
		return;
	close(t->inotify);
	free(t->path);
	free(t);
}

void
tail_destroy(struct tail **tp)
{
	struct tail *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	while (t->n > 0)
		forget(t, t->n - 1);
	t->closing = 3;
	uv_close((uv_handle_t *)&t->poll, on_closed);
	uv_close((uv_handle_t *)&t->tick, on_closed);
	uv_close((uv_handle_t *)&t->more, on_closed);
}

/* --- where it stands ----------------------------------------------------- */

static size_t
positions(const struct tail *t, char out[TAIL_SAVE_MAX])
{
	struct tail_position p;

	for (size_t i = 0; i < t->n; i++) {
		tail_file_position(t->files[i].file, &p);
		memcpy(out + i * sizeof(p), &p, sizeof(p));
	}
	return t->n * sizeof(p);
}

size_t
tail_save(struct tail *t, char out[TAIL_SAVE_MAX])
{
	t->saved_n = positions(t, t->saved);
	memcpy(out, t->saved, t->saved_n);
	return t->saved_n;
}

bool
tail_moved(const struct tail *t)
{
	char now[TAIL_SAVE_MAX];
	size_t n = positions(t, now);

	return n != t->saved_n || memcmp(now, t->saved, n) != 0;
}
