/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge - moving bytes, with back-pressure.
 */
#include "config.h"

#include "perdition/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/banned.h"

/* So much at once is bulk.  For less, moving pages costs more than a copy. */
#define BULK 16384
#define BULK_TURNS 4 /* pieces before others have their turn */

static void
open_pipe(struct bridge_tools *t)
{
	t->has_pipe = pipe2(t->pipe, O_NONBLOCK | O_CLOEXEC) == 0;
	/* A pipe counts its pieces, not their bytes: one may be a packet. */
	if (t->has_pipe)
		(void)fcntl(t->pipe[1], F_SETPIPE_SZ, 4 * BRIDGE_PIECE);
}

int
bridge_tools_open(struct bridge_tools *t)
{
	t->scratch = malloc(BRIDGE_PIECE);
	open_pipe(t);
	return t->scratch == NULL ? -1 : 0;
}

static void
close_pipe(struct bridge_tools *t)
{
	for (int i = 0; i < 2 && t->has_pipe; i++)
		close(t->pipe[i]);
	t->has_pipe = false;
}

void
bridge_tools_close(struct bridge_tools *t)
{
	free(t->scratch);
	t->scratch = NULL;
	close_pipe(t);
}

int
bridge_first(struct bridge_flow *f, struct slice first, struct slice second)
{
	size_t n = first.n + second.n;

	if (n == 0)
		return 0;
	f->kept = malloc(n);
	if (f->kept == NULL)
		return -1;
	if (first.n > 0)
		memcpy(f->kept, first.p, first.n);
	if (second.n > 0)
		memcpy(f->kept + first.n, second.p, second.n);
	f->off = 0;
	f->n = (uint32_t)n;
	return 0;
}

static void
flow_free(struct bridge_flow *f)
{
	free(f->kept);
	f->kept = NULL;
	f->off = f->n = 0;
}

void
bridge_clear(struct bridge *b)
{
	flow_free(&b->up);
	flow_free(&b->down);
}

/* Write what waits.  0, or -1 with errno. */
static int
flow_flush(struct bridge_flow *f, struct conn *to, uint64_t *count)
{
	ssize_t w;

	if (f->kept == NULL)
		return 0;
	w = conn_write(to, slice_make(f->kept + f->off, f->n - f->off));
	if (w == -1)
		return -1;
	*count += (uint64_t)w;
	f->off += (uint32_t)w;
	if (f->off == f->n)
		flow_free(f);
	return 0;
}

/* What a read has brought: > 0 bytes to go on with, else *ret is the answer. */
static bool
has_bytes(struct bridge_flow *f, ssize_t r, int *ret)
{
	*ret = r == -1 && errno != EAGAIN && errno != EWOULDBLOCK ? -1 : 0;
	f->ended |= r == 0;
	f->bulk = r >= BULK;
	return r > 0;
}

/* Read once, write once, keep the rest.  0, or -1 with errno. */
static int
flow_copy(struct bridge_flow *f, struct conn *from, struct conn *to,
    char *scratch, uint64_t *count)
{
	ssize_t r = conn_read(from, scratch, BRIDGE_PIECE), w;
	int ret;

	if (!has_bytes(f, r, &ret))
		return ret;
	w = conn_write(to, slice_make(scratch, (size_t)r));
	if (w == -1)
		return -1;
	*count += (uint64_t)w;
	if (w == r)
		return 0;
	return bridge_first(
	    f, slice_make(scratch + w, (size_t)(r - w)), slice_make(NULL, 0));
}

/* What is left in the pipe goes into memory, so that it is empty for the next
 * session.  0, or -1 with errno. */
static int
keep_from_pipe(struct bridge_flow *f, struct bridge_tools *t, size_t n)
{
	if (n == 0)
		return 0;
	f->kept = malloc(n);
	if (f->kept == NULL || read(t->pipe[0], f->kept, n) != (ssize_t)n) {
		flow_free(f);
		errno = ENOMEM;
		return -1;
	}
	f->off = 0;
	f->n = (uint32_t)n;
	return 0;
}

/* The same without a copy.  0, or -1 with errno. */
static int
flow_splice(struct bridge_flow *f, struct conn *from, struct conn *to,
    struct bridge_tools *t, uint64_t *count)
{
	ssize_t r = conn_splice_in(from, t->pipe[1], BRIDGE_PIECE), w = 0;
	size_t done = 0;
	int ret;

	if (r == -1 && errno == EINVAL) { /* then all is copied */
		close_pipe(t);
		return 0;
	}
	if (!has_bytes(f, r, &ret))
		return ret;
	while (done < (size_t)r) {
		w = conn_splice_out(to, t->pipe[0], (size_t)r - done);
		if (w <= 0)
			break;
		done += (size_t)w;
	}
	*count += done;
	if (w != -1 && keep_from_pipe(f, t, (size_t)r - done) == 0)
		return 0;
	/* Whatever is in it is nobody's any more. */
	ret = errno;
	close_pipe(t);
	open_pipe(t);
	errno = ret;
	return -1;
}

static int
flow_move(struct bridge_flow *f, struct conn *from, struct conn *to,
    struct bridge_tools *t, uint64_t *count)
{
	if (!f->bulk || !t->has_pipe || !conn_in_clear(from) ||
	    !conn_in_clear(to))
		return flow_copy(f, from, to, t->scratch, count);
	for (int i = 0;
	     i < BULK_TURNS && f->bulk && f->kept == NULL && t->has_pipe; i++)
		if (flow_splice(f, from, to, t, count) == -1)
			return -1;
	return 0;
}

static unsigned int
wants(const struct bridge_flow *source, const struct bridge_flow *sink)
{
	unsigned int w = 0;

	if (!source->ended && source->kept == NULL)
		w |= LOOP_READ;
	if (sink->kept != NULL)
		w |= LOOP_WRITE;
	return w;
}

static enum bridge_state
settle(struct bridge *b, struct conn *client, struct conn *server)
{
	/* Nothing can answer the client any more, once it has the last. */
	if (b->down.ended && b->down.kept == NULL)
		return BRIDGE_ENDED;
	if (b->up.ended && b->up.kept == NULL && !b->up.told_end) {
		b->up.told_end = true;
		conn_shutdown(server);
	}
	conn_want(client, wants(&b->up, &b->down));
	conn_want(server, wants(&b->down, &b->up));
	return BRIDGE_GOES_ON;
}

enum bridge_state
bridge_start(struct bridge *b, struct conn *client, struct conn *server)
{
	if (flow_flush(&b->down, client, &b->sent) == -1 ||
	    flow_flush(&b->up, server, &b->received) == -1)
		return BRIDGE_BROKEN;
	return settle(b, client, server);
}

enum bridge_state
bridge_ready(struct bridge *b, struct conn *client, struct conn *server,
    bool from_client, unsigned int events, struct bridge_tools *tools)
{
	struct conn *ready = from_client ? client : server;
	struct conn *other = from_client ? server : client;
	struct bridge_flow *source = from_client ? &b->up : &b->down;
	struct bridge_flow *sink = from_client ? &b->down : &b->up;
	uint64_t *in = from_client ? &b->received : &b->sent;
	uint64_t *out = from_client ? &b->sent : &b->received;

	/* An error shows itself, with its errno, in the read or the write. */
	if (events & LOOP_ERROR)
		events = LOOP_READ | LOOP_WRITE;
	if ((events & LOOP_WRITE) && flow_flush(sink, ready, out) == -1)
		return BRIDGE_BROKEN;
	if ((events & LOOP_READ) && source->kept == NULL && !source->ended &&
	    flow_move(source, ready, other, tools, in) == -1)
		return BRIDGE_BROKEN;
	return settle(b, client, server);
}
