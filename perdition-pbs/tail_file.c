/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail_file - reading a growing file line by line; see the header.
 */
#include "config.h"

#include "perdition-pbs/tail_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

#define CHUNK 65536 /* bytes; holds the longest line with room */

struct tail_file {
	int fd;
	struct tail_position at; /* offset: where buf begins */
	size_t have;             /* bytes in buf: a line without its end yet */
	char buf[CHUNK];
};

struct tail_file *
tail_file_open(const char *path, struct err *err)
{
	struct tail_file *f = calloc(1, sizeof(*f));
	struct stat st;

	if (f == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	/* Opening a FIFO that somebody put there must not hang. */
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f->fd == -1 || fstat(f->fd, &st) == -1) {
		err_set(err, errno, "%s: %s", path, strerror(errno));
		tail_file_close(&f);
	} else if (!S_ISREG(st.st_mode)) {
		err_set(err, EINVAL, "%s: not a regular file", path);
		tail_file_close(&f);
	} else {
		f->at.dev = st.st_dev;
		f->at.ino = st.st_ino;
	}
	return f;
}

void
tail_file_close(struct tail_file **fp)
{
	if (*fp == NULL)
		return;
	if ((*fp)->fd != -1)
		close((*fp)->fd);
	free(*fp);
	*fp = NULL;
}

int
tail_file_seek_end(struct tail_file *f)
{
	struct stat st;
	uint64_t end;
	ssize_t n;

	if (fstat(f->fd, &st) == -1)
		return -1;
	end = (uint64_t)st.st_size;
	f->have = 0;
	f->at.offset = end;
	f->at.mark_n = (uint8_t)(end < TAIL_MARK_MAX ? end : TAIL_MARK_MAX);
	n = pread(f->fd, f->at.mark, f->at.mark_n, (off_t)(end - f->at.mark_n));
	if (n != f->at.mark_n) { /* it shrinks right now */
		f->at.mark_n = 0;
		f->at.offset = 0;
		n = 0;
	}
	/* Else the rest of a line would be taken for one. */
	f->at.skipping = n > 0 && f->at.mark[n - 1] != '\n';
	return 0;
}

/* Whether the bytes before where we are are those that we read. */
static bool
mark_holds(const struct tail_file *f, const struct tail_position *p)
{
	char now[TAIL_MARK_MAX];

	if (p->mark_n > sizeof(now) || p->mark_n > p->offset ||
	    p->offset > INT64_MAX)
		return false;
	if (p->offset == 0)
		return true;
	return p->mark_n > 0 &&
	       pread(f->fd, now, p->mark_n, (off_t)(p->offset - p->mark_n)) ==
		   p->mark_n &&
	       memcmp(now, p->mark, p->mark_n) == 0;
}

bool
tail_file_resume(struct tail_file *f, const struct tail_position *p)
{
	if (p->offset == 0 || !mark_holds(f, p))
		return false;
	f->at.offset = p->offset;
	f->at.skipping = p->skipping != 0;
	f->at.mark_n = p->mark_n;
	memcpy(f->at.mark, p->mark, sizeof(f->at.mark));
	f->have = 0;
	return true;
}

/* The first n bytes of buf have been dealt with. */
static void
consume(struct tail_file *f, size_t n)
{
	size_t keep;

	if (n == 0)
		return;
	if (n >= TAIL_MARK_MAX) {
		memcpy(f->at.mark, f->buf + n - TAIL_MARK_MAX, TAIL_MARK_MAX);
		f->at.mark_n = TAIL_MARK_MAX;
	} else {
		keep = TAIL_MARK_MAX - n;
		if (keep > f->at.mark_n)
			keep = f->at.mark_n;
		memmove(f->at.mark, f->at.mark + f->at.mark_n - keep, keep);
		memcpy(f->at.mark + keep, f->buf, n);
		f->at.mark_n = (uint8_t)(keep + n);
	}
	f->at.offset += n;
	f->have -= n;
	memmove(f->buf, f->buf + n, f->have);
}

static void
start_over(struct tail_file *f)
{
	f->at.offset = 0;
	f->at.mark_n = 0;
	f->at.skipping = 0;
	f->have = 0;
}

static void
hand_out(struct tail_file *f, tail_line *fn, void *arg)
{
	size_t done = 0;

	for (;;) {
		const char *p = f->buf + done;
		const char *nl = memchr(p, '\n', f->have - done);
		size_t n;

		if (nl == NULL)
			break;
		n = (size_t)(nl - p);
		if (f->at.skipping == 0 && n <= TAIL_LINE_MAX &&
		    memchr(p, '\0', n) == NULL)
			fn(arg, slice_make(p, n));
		f->at.skipping = 0;
		done += n + 1;
	}
	/* Too long already: from here to its end it is left out. */
	if (f->have - done > TAIL_LINE_MAX)
		f->at.skipping = 1;
	consume(f, f->at.skipping != 0 ? f->have : done);
}

/* The file may have been truncated, and may have grown again since. */
static int
check_truncated(struct tail_file *f)
{
	struct stat st;

	if (fstat(f->fd, &st) == -1)
		return -1;
	/* Half a line that was read before is read again: it may be another
	 * file's by now. */
	f->have = 0;
	if ((uint64_t)st.st_size < f->at.offset || !mark_holds(f, &f->at))
		start_over(f);
	return 0;
}

int
tail_file_read(struct tail_file *f, size_t budget, tail_line *fn, void *arg)
{
	if (check_truncated(f) == -1)
		return -1;
	while (budget > 0) {
		size_t room = sizeof(f->buf) - f->have;
		ssize_t n;

		if (room > budget)
			room = budget;
		n = pread(f->fd, f->buf + f->have, room,
		    (off_t)(f->at.offset + f->have));
		if (n == -1)
			return errno == EINTR ? 1 : -1;
		if (n == 0)
			return 0;
		f->have += (size_t)n;
		budget -= (size_t)n;
		hand_out(f, fn, arg);
	}
	return 1;
}

void
tail_file_position(const struct tail_file *f, struct tail_position *p)
{
	*p = f->at;
}

int
tail_file_fd(const struct tail_file *f)
{
	return f->fd;
}

bool
tail_file_is(const struct tail_file *f, dev_t dev, ino_t ino)
{
	return f->at.dev == dev && f->at.ino == ino;
}
