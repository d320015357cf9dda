/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail - following a log by name; see the header.
 */
#include "config.h"

#include "perdition-pbs/tail.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition-pbs/tail_resume.h"

#include "common/banned.h"

/* A renamed file that nobody has written to for so long is let go. */
#define QUIET_MS 120000
/* And a log whose name is gone as well. */
#define GONE_MS 3600000

#define DIR_EVENTS                                                             \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |                 \
	    IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)

struct followed {
	struct tail_file *file;
	uint64_t quiet_since; /* ms; 0: not read yet */
	int wd;
};

struct tail {
	int inotify;
	char *path;
	bool missing_said, failed_said;
	bool moved;    /* since it was saved */
	bool nameless; /* when last looked for, there was no such name */
	size_t n;
	struct followed files[TAIL_FILES_MAX]; /* the newest first */
};

/* --- watching ------------------------------------------------------------ */

int
tail_watch_dir(int inotify, const char *dir)
{
	return inotify_add_watch(inotify, dir, DIR_EVENTS) == -1 ? -1 : 0;
}

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
		if (tail_watch_dir(t->inotify, d) == 0)
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
	t->moved = true;
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
	t->files[i] = (struct followed){ .file = file, .wd = -1 };
	t->moved = true;
	watch_file(t, &t->files[i]);
}

static void
to_front(struct tail *t, size_t i)
{
	struct followed f = t->files[i];

	if (i == 0)
		return;
	memmove(&t->files[1], &t->files[0], i * sizeof(t->files[0]));
	t->files[0] = f;
	t->moved = true;
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

void
tail_look(struct tail *t)
{
	struct tail_file *file;
	struct stat st;
	struct err err;

	watch_dir(t);
	t->nameless = false;
	if (stat(t->path, &st) == -1) {
		t->nameless = errno == ENOENT || errno == ENOTDIR;
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

/* Oldest first: the lines are in the order in which they were written. */
bool
tail_read(struct tail *t, struct tail_buffer *b, size_t *budget, uint64_t now,
    const struct tail_reader *r)
{
	bool more = false;

	for (size_t i = t->n; i-- > 0;) {
		struct followed *f = &t->files[i];
		int ret = tail_file_read(f->file, b, budget, r);

		if (ret == -1)
			said_missing(t, errno);
		if (tail_file_moved(f->file)) {
			t->moved = true;
			f->quiet_since = now;
		} else if (f->quiet_since == 0) {
			f->quiet_since = now;
		}
		if (ret == 1)
			more = true;
		else if (i > 0 && now - f->quiet_since > QUIET_MS)
			forget(t, i);
	}
	return more;
}

/* --- life ---------------------------------------------------------------- */

/* The files to begin with. */
static void
first_files(struct tail *t, struct slice saved, struct err *err)
{
	struct tail_file *found[TAIL_FILES_MAX];
	struct tail_file *file = tail_file_open(t->path, err);
	size_t n;

	t->nameless =
	    file == NULL && (err->code == ENOENT || err->code == ENOTDIR);
	if (file != NULL || t->nameless)
		err->code = 0;
	n = tail_resume(t->path, saved, file, found, TAIL_FILES_MAX - 1);
	if (file != NULL && saved.n == 0)
		tail_file_seek_end(file);
	if (file != NULL)
		add(t, file, false);
	for (size_t i = 0; i < n; i++)
		add(t, found[i], false);
}

struct tail *
tail_create(int inotify, const char *path, struct slice saved, struct err *err)
{
	struct tail *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->path = strdup(path)) == NULL) {
		free(t);
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	t->inotify = inotify;
	t->moved = true;
	watch_dir(t);
	first_files(t, saved, err);
	return t;
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
	free(t->path);
	free(t);
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

/* --- where it stands ----------------------------------------------------- */

const char *
tail_path(const struct tail *t)
{
	return t->path;
}

bool
tail_is_watch(const struct tail *t, int wd)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->files[i].wd == wd)
			return true;
	return false;
}

bool
tail_is_gone(const struct tail *t, uint64_t now)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->files[i].quiet_since == 0 ||
		    now - t->files[i].quiet_since < GONE_MS)
			return false;
	return t->nameless;
}

static size_t
find(const struct tail *t, dev_t dev, ino_t ino)
{
	size_t i = 0;

	while (i < t->n && !tail_file_is(t->files[i].file, dev, ino))
		i++;
	return i;
}

bool
tail_has(const struct tail *t, dev_t dev, ino_t ino, bool *named)
{
	struct stat st;

	*named =
	    stat(t->path, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
	return find(t, dev, ino) < t->n;
}

void
tail_give_up(struct tail *t, dev_t dev, ino_t ino, struct tail_position *p)
{
	size_t i = find(t, dev, ino);

	memset(p, 0, sizeof(*p));
	if (i == t->n)
		return;
	tail_file_position(t->files[i].file, p);
	forget(t, i);
}

size_t
tail_save(struct tail *t, char out[TAIL_SAVE_MAX])
{
	struct tail_position p = { 0 }; /* of no file: all are new */

	memcpy(out, &p, sizeof(p));
	for (size_t i = 0; i < t->n; i++) {
		tail_file_position(t->files[i].file, &p);
		memcpy(out + i * sizeof(p), &p, sizeof(p));
	}
	t->moved = false;
	return (t->n == 0 ? 1 : t->n) * sizeof(p);
}

bool
tail_moved(const struct tail *t)
{
	return t->moved;
}
