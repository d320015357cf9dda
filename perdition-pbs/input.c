/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input - reading standard input to its end; see the header.
 */
#include "config.h"

#include "perdition-pbs/input.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#include "common/banned.h"

#define READS_AT_END 64 /* more than a pipe holds */

struct input {
	int fd;
	bool skipping; /* inside a line that is left out */
	bool behind;
	bool ended, draining;
	struct tail_reader reader;
	void (*end)(void *arg); /* with the reader's arg */
	bool
	    is_file; /* epoll(7) knows no files: then it is read all the time */
	uv_poll_t poll;
	uv_idle_t more;
	int closing;
	struct tail_buffer buf;
};

static void
finish(struct input *in, int error)
{
	in->behind = false;
	in->ended = true;
	uv_idle_stop(&in->more);
	if (!in->is_file)
		uv_poll_stop(&in->poll);
	if (error != 0)
		log_event(
		    LOG_ERR, "input-error", LOG_STR("error", strerror(error)));
	log_event(LOG_NOTICE, "input-end");
	if (!in->draining)
		in->end(in->reader.arg);
}

/* One read(2): of a pipe that is readable it does not wait. */
static void
read_some(struct input *in)
{
	struct tail_buffer *b = &in->buf;
	size_t had = b->have, done;
	ssize_t n = read(in->fd, b->bytes + had, sizeof(b->bytes) - had);

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		finish(in, n == 0 ? 0 : errno);
		return;
	}
	b->have += (size_t)n;
	in->behind = in->is_file || b->have == sizeof(b->bytes);
	done = tail_split(b, had, &in->skipping, &in->reader);
	b->have -= done;
	memmove(b->bytes, b->bytes + done, b->have);
}

static void
on_readable(uv_poll_t *h, int status, int events)
{
	(void)events;
	if (status < 0)
		finish(h->data, -status);
	else
		read_some(h->data);
}

static void
on_more(uv_idle_t *h)
{
	read_some(h->data);
}

static int
start_loop(struct input *in, uv_loop_t *loop)
{
	int ret = uv_idle_init(loop, &in->more);

	in->closing = 1;
	if (ret != 0)
		return ret;
	in->more.data = in->poll.data = in;
	if (in->is_file)
		return uv_idle_start(&in->more, on_more);
	ret = uv_poll_init(loop, &in->poll, in->fd);
	if (ret == 0)
		in->closing = 2;
	if (ret == 0)
		ret = uv_poll_start(&in->poll, UV_READABLE, on_readable);
	return ret;
}

struct input *
input_start(uv_loop_t *loop, int fd, const struct tail_reader *r,
    void (*end)(void *arg), struct err *err)
{
	struct input *in = calloc(1, sizeof(*in));
	struct stat st;
	int ret;

	if (in == NULL || fstat(fd, &st) == -1) {
		err_set(err, errno, "standard input: %s", strerror(errno));
		free(in);
		return NULL;
	}
	in->fd = fd;
	in->reader = *r;
	in->end = end;
	in->is_file = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ||
		      (S_ISCHR(st.st_mode) && !isatty(fd)); /* /dev/null */
	in->behind = in->is_file;
	ret = start_loop(in, loop);
	if (ret != 0) {
		err_set(err, -ret, "standard input: %s", uv_strerror(ret));
		input_stop(&in);
	}
	return in;
}

/* Not a file, of any length: it is still there, for whoever reads it next. */
void
input_drain(struct input *in)
{
	struct pollfd p = { .fd = in->fd, .events = POLLIN };

	in->draining = true;
	for (int i = 0; i < READS_AT_END && !in->is_file && !in->ended &&
			poll(&p, 1, 0) == 1;
	     i++)
		read_some(in);
}

static void
on_closed(uv_handle_t *h)
{
	struct input *in = h->data;

	if (--in->closing == 0)
		free(in);
}

void
input_stop(struct input **inp)
{
	struct input *in = *inp;

	if (in == NULL)
		return;
	*inp = NULL;
	if (in->closing == 2)
		uv_close((uv_handle_t *)&in->poll, on_closed);
	uv_close((uv_handle_t *)&in->more, on_closed);
}

bool
input_behind(const struct input *in)
{
	return in->behind;
}
