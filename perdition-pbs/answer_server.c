/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer_server - a protocol on a Unix socket; see the header.
 */
#include "config.h"

#include "perdition-pbs/answer_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "perdition-pbs/throttle.h"

#include "common/banned.h"

#define OUT_MAX (4 * ANSWER_REPLY_MAX)
#define LINES_PER_SECOND 10

/* What a connection waits for. */
enum waiting {
	WAIT_REQUEST, /* idle */
	WAIT_REST,    /* of a request */
	WAIT_READER,  /* of replies that the socket does not take */
};

struct conn {
	struct answer_server *server;
	struct conn *next, *prev; /* in a list of server */
	struct buf *in, *out;
	enum waiting waiting;
	uint64_t since; /* ms of the loop: waiting, and nothing was asked */
	bool ending;    /* with what is in out */
	int events;     /* that poll tells of */
	uid_t uid;
	int fd;
	uv_poll_t poll;
};

/* In the order of `since', the first has waited longest. */
struct conn_list {
	struct conn *first, *last;
};

struct answer_server {
	uv_loop_t *loop;
	struct listener *listener;
	struct answer_use use;
	struct conn_list idle, busy;
	struct throttle lines;
	uv_timer_t timer; /* runs while any is busy */
};

/* --- lists --------------------------------------------------------------- */

static struct conn_list *
list_of(struct conn *c)
{
	return c->waiting == WAIT_REQUEST ? &c->server->idle : &c->server->busy;
}

static void
list_add(struct conn *c)
{
	struct conn_list *l = list_of(c);

	c->next = NULL;
	c->prev = l->last;
	*(l->last == NULL ? &l->first : &l->last->next) = c;
	l->last = c;
}

static void
list_remove(struct conn *c)
{
	struct conn_list *l = list_of(c);

	*(c->prev == NULL ? &l->first : &c->prev->next) = c->next;
	*(c->next == NULL ? &l->last : &c->next->prev) = c->prev;
}

/* --- the end of a connection --------------------------------------------- */

static void
on_conn_closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	close(c->fd);
	buf_destroy(&c->in);
	buf_destroy(&c->out);
	free(c);
}

static void
conn_close(struct conn *c)
{
	list_remove(c);
	uv_poll_stop(&c->poll);
	uv_close((uv_handle_t *)&c->poll, on_conn_closed);
	listener_release(c->server->listener);
}

static void
conn_fail(struct conn *c, const char *event)
{
	struct answer_server *s = c->server;

	if (throttle_pass(&s->lines, LINES_PER_SECOND, uv_now(s->loop)))
		log_event(LOG_NOTICE, event,
		    LOG_STR("service", s->use.protocol->name),
		    LOG_U64("uid", c->uid),
		    LOG_STR("consequence", "connection closed"));
	conn_close(c);
}

static void
on_timer(uv_timer_t *t)
{
	struct answer_server *s = t->data;
	struct conn *c;
	uint64_t now = uv_now(s->loop);

	while (
	    (c = s->busy.first) != NULL && now - c->since >= s->use.patience_ms)
		conn_fail(c, "answer-timeout");
	if (c != NULL)
		uv_timer_start(
		    t, on_timer, c->since + s->use.patience_ms - now, 0);
}

/* --- one connection ------------------------------------------------------ */

static void on_ready(uv_poll_t *, int status, int events);

/* While its replies are not read nothing more is: it may not queue. */
static void
conn_watch(struct conn *c)
{
	int events = c->waiting == WAIT_READER ? UV_WRITABLE : UV_READABLE;

	if (c->events != events)
		uv_poll_start(&c->poll, events, on_ready);
	c->events = events;
}

static void
conn_wait(struct conn *c, enum waiting what, bool asked)
{
	struct answer_server *s = c->server;

	if (what == c->waiting && !asked)
		return; /* as long as it has already */
	list_remove(c);
	c->waiting = what;
	c->since = uv_now(s->loop);
	list_add(c);
	conn_watch(c);
	if (what != WAIT_REQUEST && !uv_is_active((uv_handle_t *)&s->timer))
		uv_timer_start(&s->timer, on_timer, s->use.patience_ms, 0);
}

/* false: the connection is broken. */
static bool
flush(struct conn *c)
{
	while (buf_len(c->out) > 0) {
		struct slice data = buf_data(c->out);
		ssize_t n =
		    send(c->fd, data.p, data.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN;
		buf_consume(c->out, (size_t)n);
	}
	return true;
}

/* Replies to what is there, while there is room; how many, or -1. */
static int
reply(struct conn *c)
{
	const struct answer_use *use = &c->server->use;
	int asked = 0;

	while (!c->ending && buf_len(c->in) > 0 &&
	       buf_space(c->out) >= ANSWER_REPLY_MAX) {
		struct slice in = buf_data(c->in);
		ssize_t n = use->protocol->answer(&use->source, in, c->out);

		if (n == -1 || (n == 0 && buf_space(c->in) == 0))
			return -1;
		if (n == 0)
			break;
		buf_consume(c->in, (size_t)n);
		c->ending = use->protocol->once;
		asked++;
	}
	return asked;
}

/* Goes on as far as bytes that have come and a reader who reads allow. */
static void
conn_proceed(struct conn *c)
{
	bool asked = false;
	int n;

	/* Replies that waited for their reader, or there may be no room for
	 * those to questions that have all come. */
	if (!flush(c)) {
		conn_close(c);
		return;
	}
	do {
		n = reply(c);
		if (n == -1) {
			flush(c);
			conn_fail(c, "answer-malformed");
			return;
		}
		asked = asked || n > 0;
		if (!flush(c)) {
			conn_close(c);
			return;
		}
	} while (n > 0 && buf_len(c->out) == 0);
	if (buf_len(c->out) > 0)
		conn_wait(c, WAIT_READER, asked);
	else if (c->ending)
		conn_close(c);
	else
		conn_wait(
		    c, buf_len(c->in) > 0 ? WAIT_REST : WAIT_REQUEST, asked);
}

/* false: there is nothing more to come. */
static bool
receive(struct conn *c)
{
	char *room;
	size_t space = buf_reserve(c->in, &room);
	ssize_t n = recv(c->fd, room, space, MSG_DONTWAIT);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	buf_commit(c->in, (size_t)n);
	return n > 0;
}

static void
on_ready(uv_poll_t *h, int status, int events)
{
	struct conn *c = h->data;

	/* One read in a turn, so that others have theirs. */
	if (status < 0 || ((events & UV_READABLE) != 0 && !receive(c)))
		conn_close(c);
	else
		conn_proceed(c);
}

/* --- new connections ----------------------------------------------------- */

static bool
on_accepted(void *arg, int fd, uid_t uid, bool privileged)
{
	struct answer_server *s = arg;
	struct conn *c = calloc(1, sizeof(*c));

	(void)privileged;
	if (c != NULL) {
		c->in = buf_create(s->use.protocol->request_max);
		c->out = buf_create(OUT_MAX);
	}
	if (c == NULL || c->in == NULL || c->out == NULL ||
	    uv_poll_init(s->loop, &c->poll, fd) != 0) {
		if (c != NULL) {
			buf_destroy(&c->in);
			buf_destroy(&c->out);
		}
		free(c);
		close(fd);
		return false;
	}
	c->poll.data = c;
	c->server = s;
	c->uid = uid;
	c->fd = fd;
	list_add(c);
	/* Who asks once has come to ask now. */
	conn_wait(c, s->use.protocol->once ? WAIT_REST : WAIT_REQUEST, true);
	return true;
}

static void
make_room(void *arg)
{
	struct answer_server *s = arg;

	if (s->idle.first != NULL)
		conn_close(s->idle.first);
}

/* --- life ---------------------------------------------------------------- */

static void
on_closed(uv_handle_t *h)
{
	free(h->data);
}

struct answer_server *
answer_server_create(uv_loop_t *loop, int fd, const char *path,
    const struct listener_peers *peers, const struct answer_use *use,
    struct err *err)
{
	struct answer_server *s = calloc(1, sizeof(*s));
	struct listener_use lu = {
		.max = use->max,
		.event = "answer-refused",
		.reason = "not in mta_user",
		.accepted = on_accepted,
		.make_room = make_room,
		.arg = s,
	};

	if (s == NULL) {
		err_set(err, ENOMEM, "%s: %s", path, strerror(ENOMEM));
		close(fd);
		return NULL;
	}
	s->loop = loop;
	s->use = *use;
	s->listener = listener_create(loop, fd, path, peers, &lu, err);
	if (s->listener == NULL) {
		free(s);
		return NULL;
	}
	uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	return s;
}

void
answer_server_change(struct answer_server *s,
    const struct listener_peers *peers, const struct answer_source *source)
{
	listener_set_peers(s->listener, peers);
	s->use.source = *source;
}

void
answer_server_destroy(struct answer_server **sp)
{
	struct answer_server *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	while (s->idle.first != NULL)
		conn_close(s->idle.first);
	while (s->busy.first != NULL)
		conn_close(s->busy.first);
	listener_destroy(&s->listener);
	uv_close((uv_handle_t *)&s->timer, on_closed);
}
