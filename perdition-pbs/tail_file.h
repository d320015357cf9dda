/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail_file - one log file, read line by line as it grows.
 *
 * Knows where it stands and recognises when what it has read is not there any
 * more (truncated, written anew): then it starts over.  Only whole lines
 * count; one that is too long or holds a NUL is skipped whole, whatever its
 * rest looks like.  Knows neither names nor rotation.
 */
#ifndef PERDITION_PBS_TAIL_FILE_H
#define PERDITION_PBS_TAIL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/slice.h"

#define TAIL_LINE_MAX 16384 /* bytes; longer lines are skipped */
#define TAIL_MARK_MAX 512   /* bytes: some whole lines, with their stamps */

/* Where reading goes on; kept across restarts, so without pointers. */
struct tail_position {
	uint64_t dev, ino;
	uint64_t offset;   /* of the first byte not yet dealt with */
	uint64_t mark_sum; /* of the mark_n bytes before offset */
	uint16_t mark_n;
	uint8_t skipping; /* offset lies inside a line that is left out */
	uint8_t zero[5];
};

struct tail_file;

/*
 * What is read goes through this; nothing of it is needed between two calls of
 * tail_file_read(), so all files can share one.
 */
#define TAIL_BUFFER_MAX (256 * 1024) /* bytes; holds the longest line */

struct tail_buffer {
	size_t have; /* bytes: of a line without its end yet */
	char bytes[TAIL_BUFFER_MAX];
};

/*
 * line: without its LF or CRLF.  Of several CRs the others stay: a relay of
 * logs adds one, what else is there came from somebody's name.
 */
typedef void tail_line(void *arg, struct slice line);

/*
 * Most lines of a log are of no interest, and it is quicker to look for what
 * the others must hold in all of them at once.  Returns a byte of the first
 * line in text that may be of interest, or NULL: none is.  first: text is new;
 * else it is what is left of the last one, to the same end.
 */
typedef const char *tail_seek(void *arg, struct slice text, bool first);

struct tail_reader {
	tail_line *fn;
	tail_seek *seek; /* fn wants no other lines; NULL: it wants all */
	/* After some lines, before anything else is called: what fn has kept
	 * to deal with at once.  NULL: nothing. */
	void (*done)(void *arg);
	void *arg;
};

/*
 * Hands out the lines in b; from: no newline is before that byte.  *skipping:
 * b begins inside a line that is left out, and is set for its next bytes.
 * Returns how many bytes have been dealt with, for the caller to remove.
 */
size_t tail_split(const struct tail_buffer *b, size_t from, bool *skipping,
    const struct tail_reader *);

/* Starts at the first byte.  NULL with err (ENOENT, EACCES, EINVAL: no
 * regular file ...). */
struct tail_file *tail_file_open(const char *path, struct err *);
void tail_file_close(struct tail_file **);

/* Goes to the end; a line that is half written there is left out. */
int tail_file_seek_end(struct tail_file *);

/*
 * Goes where p says, if the bytes before that are those of p's mark.  false: it
 * does not, and nothing has changed.
 */
bool tail_file_resume(struct tail_file *, const struct tail_position *p);

/*
 * Reads at most *budget bytes, which is lowered by what was read, and hands
 * out the lines in them.
 * 1: there may be more, 0: at the end of the file, -1 with errno.
 */
int tail_file_read(struct tail_file *, struct tail_buffer *, size_t *budget,
    const struct tail_reader *);

/* Whether the position is another than at the last call. */
bool tail_file_moved(struct tail_file *);
void tail_file_position(const struct tail_file *, struct tail_position *);
int tail_file_fd(const struct tail_file *);
bool tail_file_is(const struct tail_file *, dev_t, ino_t);

#endif
