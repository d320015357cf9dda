/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream - records and requests from a Unix socket; see the header.
 */
#include "config.h"

#include "perdition-pbs/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "perdition-pbs/control.h"

#include "common/banned.h"

#define READS_PER_TURN 8 /* of a connection, so that others have theirs */
#define READS_AT_END 256 /* more than a socket holds */

struct peer {
	struct stream *stream;
	struct peer *next, **link;
	struct buf *in;
	uid_t uid;
	bool privileged; /* may send requests too */
	int fd;
	uv_poll_t poll;
};

struct stream {
	uv_loop_t *loop;
	struct listener *listener;
	struct stream_handler handler;
	struct peer *peers;
};

/* --- one connection ------------------------------------------------------ */

static void
on_peer_closed(uv_handle_t *h)
{
	struct peer *p = h->data;

	close(p->fd);
	buf_destroy(&p->in);
	free(p);
}

static void
peer_close(struct peer *p)
{
	*p->link = p->next;
	if (p->next != NULL)
		p->next->link = p->link;
	uv_poll_stop(&p->poll);
	uv_close((uv_handle_t *)&p->poll, on_peer_closed);
	listener_release(p->stream->listener);
}

static bool
serve_request(struct peer *p, struct slice line)
{
	char reply[STREAM_REPLY_MAX];
	size_t n =
	    p->stream->handler.control(p->stream->handler.arg, line, reply);

	/* A tool that does not read its answer is not waited for. */
	return send(p->fd, reply, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

static bool
serve_line(struct peer *p, struct slice line)
{
	struct stream *s = p->stream;
	struct auth_event ev;

	if (control_is(line))
		return p->privileged && serve_request(p, line);
	if (auth_event_parse_record(line, &ev) != 1)
		return false;
	s->handler.event(s->handler.arg, &ev);
	return true;
}

/* All whole lines.  false: the connection has to go. */
static bool
serve_lines(struct peer *p)
{
	for (;;) {
		struct slice data = buf_data(p->in);
		ptrdiff_t nl = slice_find(data, '\n');

		if (nl == -1)
			return buf_space(p->in) > 0;
		if (!serve_line(p, slice_make(data.p, (size_t)nl)))
			return false;
		buf_consume(p->in, (size_t)nl + 1);
	}
}

static void
malformed(struct peer *p)
{
	log_event(LOG_ERR, "stream-malformed", LOG_U64("uid", p->uid),
	    LOG_STR("consequence", "connection closed"));
	peer_close(p);
}

static void
read_peer(struct peer *p, int reads)
{
	while (reads-- > 0) {
		char *room;
		size_t space = buf_reserve(p->in, &room);
		ssize_t n = recv(p->fd, room, space, MSG_DONTWAIT);

		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			peer_close(p); /* half a record is none */
			return;
		}
		buf_commit(p->in, (size_t)n);
		if (!serve_lines(p)) {
			malformed(p);
			return;
		}
	}
}

static void
on_readable(uv_poll_t *h, int status, int events)
{
	(void)events;
	if (status < 0)
		peer_close(h->data);
	else
		read_peer(h->data, READS_PER_TURN);
}

/* --- new connections ----------------------------------------------------- */

static bool
on_accepted(void *arg, int fd, uid_t uid, bool privileged)
{
	struct stream *s = arg;
	struct peer *p = calloc(1, sizeof(*p));

	if (p != NULL)
		p->in = buf_create(STREAM_LINE_MAX);
	if (p == NULL || p->in == NULL ||
	    uv_poll_init(s->loop, &p->poll, fd) != 0) {
		if (p != NULL)
			buf_destroy(&p->in);
		free(p);
		close(fd);
		return false;
	}
	p->poll.data = p;
	p->stream = s;
	p->uid = uid;
	p->privileged = privileged;
	p->fd = fd;
	p->next = s->peers;
	p->link = &s->peers;
	if (p->next != NULL)
		p->next->link = &p->next;
	s->peers = p;
	uv_poll_start(&p->poll, UV_READABLE, on_readable);
	log_event(LOG_DEBUG, "stream-accepted", LOG_U64("uid", uid));
	return true;
}

struct stream *
stream_create(uv_loop_t *loop, int fd, const char *path,
    const struct listener_peers *peers, const struct stream_handler *handler,
    struct err *err)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct listener_use use = {
		.max = STREAM_CONNECTIONS,
		.event = "stream-refused",
		.reason = "not in socket_user",
		.accepted = on_accepted,
		.arg = s,
	};

	if (s == NULL) {
		err_set(err, ENOMEM, "%s: %s", path, strerror(ENOMEM));
		close(fd);
		return NULL;
	}
	s->loop = loop;
	s->handler = *handler;
	s->listener = listener_create(loop, fd, path, peers, &use, err);
	if (s->listener == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
stream_set_peers(struct stream *s, const struct listener_peers *peers)
{
	listener_set_peers(s->listener, peers);
}

void
stream_drain(struct stream *s)
{
	struct peer *p;

	listener_accept(s->listener);
	p = s->peers;
	while (p != NULL) {
		struct peer *next = p->next;

		read_peer(p, READS_AT_END);
		p = next;
	}
}

void
stream_destroy(struct stream **sp)
{
	struct stream *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	while (s->peers != NULL)
		peer_close(s->peers);
	listener_destroy(&s->listener);
	free(s);
}
