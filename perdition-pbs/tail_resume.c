/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail_resume - finding a log's place again; see the header.
 */
#include "config.h"

#include "perdition-pbs/tail_resume.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"

#include "common/banned.h"

#define SAVED_MAX 16
#define RECOGNISABLE 32 /* bytes of a mark, to know a copy by */
#define SIBLINGS_MAX 64 /* mail.log.1, mail.log-20261122 ... */

struct sibling {
	struct tail_file *file;
	struct timespec mtime;
	bool resumed; /* at a saved position */
};

struct search {
	struct tail_position saved[SAVED_MAX];
	bool found[SAVED_MAX];
	size_t saved_n;
	struct sibling siblings[SIBLINGS_MAX];
	size_t n;
};

/* At a position saved for this very inode. */
static bool
resume_same(struct search *s, struct tail_file *f)
{
	for (size_t i = 0; i < s->saved_n; i++) {
		if (s->found[i] || !tail_file_is(f, (dev_t)s->saved[i].dev,
				       (ino_t)s->saved[i].ino))
			continue;
		/* Nothing of it had been read: from its start, then. */
		if (s->saved[i].offset == 0 ||
		    tail_file_resume(f, &s->saved[i])) {
			s->found[i] = true;
			return true;
		}
	}
	return false;
}

/* A copy of what was read: the same bytes at the same place. */
static bool
resume_copy(struct search *s, struct tail_file *f)
{
	for (size_t i = 0; i < s->saved_n; i++) {
		if (s->found[i] || s->saved[i].mark_n < RECOGNISABLE)
			continue;
		if (tail_file_resume(f, &s->saved[i])) {
			s->found[i] = true;
			return true;
		}
	}
	return false;
}

static void
read_saved(struct search *s, struct slice saved)
{
	struct tail_position p;

	if (saved.n % sizeof(p) != 0)
		return;
	for (; saved.n > 0 && s->saved_n < SAVED_MAX;
	     saved = slice_skip(saved, sizeof(p)))
		memcpy(&s->saved[s->saved_n++], saved.p, sizeof(p));
}

/* All files whose name begins with the log's, but the log itself. */
static void
find_siblings(struct search *s, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	char *dir = slash == NULL   ? strdup(".")
		    : slash == path ? strdup("/")
				    : strndup(path, (size_t)(slash - path));
	DIR *d = dir == NULL ? NULL : opendir(dir);
	struct dirent *ent;
	struct err err;

	/* cppcheck-suppress readdirCalled; there is one thread */
	while (d != NULL && s->n < SIBLINGS_MAX && (ent = readdir(d)) != NULL) {
		struct sibling *sib = &s->siblings[s->n];
		struct stat st;
		char *name;

		if (strncmp(ent->d_name, base, strlen(base)) != 0 ||
		    ent->d_name[strlen(base)] == '\0' ||
		    asprintf(&name, "%s/%s", dir, ent->d_name) == -1)
			continue;
		sib->file = tail_file_open(name, &err);
		free(name);
		if (sib->file == NULL)
			continue;
		if (fstat(tail_file_fd(sib->file), &st) == -1) {
			tail_file_close(&sib->file);
			continue;
		}
		sib->mtime = st.st_mtim;
		s->n++;
	}
	if (d != NULL)
		closedir(d);
	free(dir);
}

static int
newest_first(const void *va, const void *vb)
{
	const struct sibling *a = va, *b = vb;

	if (a->mtime.tv_sec != b->mtime.tv_sec)
		return a->mtime.tv_sec < b->mtime.tv_sec ? 1 : -1;
	if (a->mtime.tv_nsec != b->mtime.tv_nsec)
		return a->mtime.tv_nsec < b->mtime.tv_nsec ? 1 : -1;
	return 0;
}

/*
 * In order of time, so that all before the last one resumed came after it
 * and have not been read at all.
 */
static size_t
choose(struct search *s, struct tail_file **out, size_t max)
{
	size_t last = s->n, n = 0;

	qsort(s->siblings, s->n, sizeof(s->siblings[0]), newest_first);
	for (size_t i = 0; i < s->n; i++)
		if (s->siblings[i].resumed)
			last = i;
	for (size_t i = 0; i < s->n; i++) {
		if (last < s->n && i <= last && n < max)
			out[n++] = s->siblings[i].file;
		else
			tail_file_close(&s->siblings[i].file);
	}
	return n;
}

size_t
tail_resume(const char *path, struct slice saved, struct tail_file *current,
    struct tail_file **out, size_t max)
{
	struct search *s;
	bool all = true;
	size_t n;

	if (saved.n == 0 || (s = calloc(1, sizeof(*s))) == NULL)
		return 0;
	read_saved(s, saved);
	if (current != NULL)
		resume_same(s, current);
	for (size_t i = 0; i < s->saved_n; i++)
		all = all && s->found[i];
	if (all) {
		free(s);
		return 0;
	}
	find_siblings(s, path);
	for (size_t i = 0; i < s->n; i++)
		s->siblings[i].resumed = resume_same(s, s->siblings[i].file);
	for (size_t i = 0; i < s->n; i++)
		if (!s->siblings[i].resumed)
			s->siblings[i].resumed =
			    resume_copy(s, s->siblings[i].file);
	n = choose(s, out, max);
	free(s);
	return n;
}
