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

#include "common/addr.h"

#include "common/banned.h"

struct tail_file {
	int fd;
	uint64_t dev, ino;
	uint64_t offset; /* of the first byte not dealt with */
	bool skipping;
	bool moved; /* and nobody has been told */
	size_t mark_n;
	char mark[TAIL_MARK_MAX]; /* the bytes before offset */
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
		f->dev = st.st_dev;
		f->ino = st.st_ino;
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
	f->offset = end;
	f->mark_n = end < TAIL_MARK_MAX ? (size_t)end : TAIL_MARK_MAX;
	n = pread(f->fd, f->mark, f->mark_n, (off_t)(end - f->mark_n));
	if (n == -1 || (size_t)n != f->mark_n) { /* it shrinks right now */
		f->mark_n = 0;
		f->offset = 0;
		n = 0;
	}
	/* Else the rest of a line would be taken for one. */
	f->skipping = n > 0 && f->mark[n - 1] != '\n';
	return 0;
}

/* n bytes before offset; false: there are not so many (any more). */
static bool
read_mark(const struct tail_file *f, uint64_t offset, size_t n,
    char out[TAIL_MARK_MAX])
{
	return n <= TAIL_MARK_MAX && n <= offset && offset <= INT64_MAX &&
	       pread(f->fd, out, n, (off_t)(offset - n)) == (ssize_t)n;
}

static uint64_t
sum(const char *p, size_t n)
{
	/* No secret: it tells log files apart, which nobody forges. */
	static const struct hash_key fixed = { 0, 0 };

	return hash_bytes(&fixed, slice_make(p, n));
}

/* Whether the bytes before where we are are those that we read. */
static bool
mark_holds(const struct tail_file *f)
{
	char now[TAIL_MARK_MAX];

	return f->offset == 0 ||
	       (f->mark_n > 0 && read_mark(f, f->offset, f->mark_n, now) &&
		   memcmp(now, f->mark, f->mark_n) == 0);
}

bool
tail_file_resume(struct tail_file *f, const struct tail_position *p)
{
	char mark[TAIL_MARK_MAX];

	if (p->offset == 0 || p->mark_n == 0 ||
	    !read_mark(f, p->offset, p->mark_n, mark) ||
	    sum(mark, p->mark_n) != p->mark_sum)
		return false;
	f->offset = p->offset;
	f->skipping = p->skipping != 0;
	f->mark_n = p->mark_n;
	memcpy(f->mark, mark, f->mark_n);
	return true;
}

/* The first n bytes of b, which begins at offset, have been dealt with. */
static void
consume(struct tail_file *f, struct tail_buffer *b, size_t n)
{
	size_t keep;

	if (n == 0)
		return;
	if (n >= TAIL_MARK_MAX) {
		memcpy(f->mark, b->bytes + n - TAIL_MARK_MAX, TAIL_MARK_MAX);
		f->mark_n = TAIL_MARK_MAX;
	} else {
		keep = TAIL_MARK_MAX - n;
		if (keep > f->mark_n)
			keep = f->mark_n;
		memmove(f->mark, f->mark + f->mark_n - keep, keep);
		memcpy(f->mark + keep, b->bytes, n);
		f->mark_n = keep + n;
	}
	f->moved = true;
	f->offset += n;
	b->have -= n;
	memmove(b->bytes, b->bytes + n, b->have);
}

static void
start_over(struct tail_file *f)
{
	f->moved = true;
	f->offset = 0;
	f->mark_n = 0;
	f->skipping = false;
}

static void
hand_out(const struct tail_reader *r, struct slice line)
{
	if (line.n <= TAIL_LINE_MAX && memchr(line.p, '\0', line.n) == NULL)
		r->fn(r->arg, slice_less_cr(line));
}

/* The first byte of the last line in text that has begun. */
static const char *
last_line(struct slice text)
{
	const char *nl = memrchr(text.p, '\n', text.n);

	return nl == NULL ? text.p : nl + 1;
}

/* From begin, where a line begins, to its newline: of the first line that r
 * wants; with nl NULL, of one that has no newline yet. */
static const char *
next_line(const struct tail_reader *r, const char **begin, const char *end,
    const char *from, bool first)
{
	struct slice text = slice_make(*begin, (size_t)(end - *begin));
	const char *at = from;

	if (r->seek != NULL) {
		at = r->seek(r->arg, text, first);
		if (at == NULL) {
			*begin = last_line(text);
			return NULL;
		}
		*begin = last_line(slice_make(text.p, (size_t)(at - text.p)));
	}
	return memchr(at, '\n', (size_t)(end - at));
}

size_t
tail_split(const struct tail_buffer *b, size_t from, bool *skipping,
    const struct tail_reader *r)
{
	const char *begin = b->bytes, *end = b->bytes + b->have, *nl;
	const char *p = begin + from;
	bool first = true;

	if (*skipping) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			return b->have;
		*skipping = false;
		p = begin = nl + 1;
	}
	while ((nl = next_line(r, &begin, end, p, first)) != NULL) {
		hand_out(r, slice_make(begin, (size_t)(nl - begin)));
		p = begin = nl + 1;
		first = false;
	}
	if (r->done != NULL)
		r->done(r->arg);
	/* Too long already: from here to its end it is left out. */
	if (end - begin > TAIL_LINE_MAX)
		*skipping = true;
	return *skipping ? b->have : (size_t)(begin - b->bytes);
}

/* The file may have been truncated, and may have grown again since. */
static int
check_truncated(struct tail_file *f)
{
	struct stat st;

	if (fstat(f->fd, &st) == -1)
		return -1;
	if ((uint64_t)st.st_size < f->offset || !mark_holds(f))
		start_over(f);
	return 0;
}

int
tail_file_read(struct tail_file *f, struct tail_buffer *b, size_t *budget,
    const struct tail_reader *r)
{
	if (check_truncated(f) == -1)
		return -1;
	/* Half a line that was read before is read again: it may be another
	 * file's by now. */
	b->have = 0;
	while (*budget > 0) {
		size_t room = sizeof(b->bytes) - b->have, had = b->have;
		ssize_t n;

		if (room > *budget)
			room = *budget;
		n = pread(f->fd, b->bytes + b->have, room,
		    (off_t)(f->offset + b->have));
		if (n == -1)
			return errno == EINTR ? 1 : -1;
		if (n == 0)
			return 0;
		b->have += (size_t)n;
		*budget -= (size_t)n;
		consume(f, b, tail_split(b, had, &f->skipping, r));
	}
	return 1;
}

void
tail_file_position(const struct tail_file *f, struct tail_position *p)
{
	memset(p, 0, sizeof(*p));
	p->dev = f->dev;
	p->ino = f->ino;
	p->offset = f->offset;
	p->skipping = f->skipping ? 1 : 0;
	p->mark_n = (uint16_t)f->mark_n;
	p->mark_sum = sum(f->mark, f->mark_n);
}

bool
tail_file_moved(struct tail_file *f)
{
	bool moved = f->moved;

	f->moved = false;
	return moved;
}

int
tail_file_fd(const struct tail_file *f)
{
	return f->fd;
}

bool
tail_file_is(const struct tail_file *f, dev_t dev, ino_t ino)
{
	return f->dev == dev && f->ino == ino;
}
