/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_link - one connection to a Redis server; see the header.
 */
#include "config.h"

#include "perdition-pbs/share_link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/secret.h"

#include "common/banned.h"

#define OUT_MAX (512u * 1024)         /* bytes that wait to be sent */
#define REPLY_MAX (64u * 1024 * 1024) /* bytes of a reply: no real one */
#define READ_SIZE (64u * 1024)
#define READS_PER_TURN 8

enum link_state { RESOLVING, CONNECTING, HANDSHAKE, OPEN, FAILED };

struct share_link {
	struct share_link_config c; /* host is ours */
	enum link_state state;
	bool closed;
	unsigned int handles; /* that the loop still knows */
	uv_getaddrinfo_t lookup;
	struct addrinfo *found, *next; /* addresses; the one to try next */
	int fd;
	uv_poll_t *poll; /* of fd; outlives it until the loop has closed it */
	uv_timer_t timer;
	SSL *ssl;
	bool ssl_wants_write; /* to go on, whatever it was asked for */
	struct buf *out;
	redisReader *reader;
	share_reply *pending[SHARE_LINK_PENDING];
	size_t first, pending_n;
};

static void on_poll(uv_poll_t *, int status, int events);
static void connect_next(struct share_link *, const char *why);

/* --- the end ------------------------------------------------------------- */

static void
release(struct share_link *l)
{
	if (!l->closed || l->handles > 0)
		return;
	if (l->found != NULL)
		uv_freeaddrinfo(l->found);
	buf_destroy(&l->out);
	if (l->reader != NULL)
		redisReaderFree(l->reader);
	free((char *)(uintptr_t)l->c.host);
	free(l);
}

static void
on_handle_closed(uv_handle_t *h)
{
	struct share_link *l = h->data;

	l->handles--;
	release(l);
}

static void
on_poll_closed(uv_handle_t *h)
{
	struct share_link *l = h->data;

	free(h);
	l->handles--;
	release(l);
}

static void
drop_socket(struct share_link *l)
{
	if (l->ssl != NULL) {
		SSL_free(l->ssl);
		l->ssl = NULL;
	}
	if (l->poll != NULL) {
		uv_poll_stop(l->poll);
		uv_close((uv_handle_t *)l->poll, on_poll_closed);
		l->poll = NULL;
	}
	/* Not polled any more, so it may go at once. */
	if (l->fd != -1)
		close(l->fd);
	l->fd = -1;
}

static void
fail(struct share_link *l, const char *why)
{
	if (l->state == FAILED || l->closed)
		return;
	l->state = FAILED;
	uv_timer_stop(&l->timer);
	drop_socket(l);
	l->c.failed(l->c.arg, why);
}

void
share_link_close(struct share_link **lp)
{
	struct share_link *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	l->closed = true;
	drop_socket(l);
	if (l->state == RESOLVING)
		uv_cancel((uv_req_t *)&l->lookup); /* else it ends by itself */
	uv_close((uv_handle_t *)&l->timer, on_handle_closed);
}

/* --- time ---------------------------------------------------------------- */

static void
on_timer(uv_timer_t *t)
{
	struct share_link *l = t->data;
	char why[80];

	if (l->state == OPEN) {
		snprintf(
		    why, sizeof(why), "no answer within %u ms", l->c.answer_ms);
		fail(l, why);
	} else if (l->state == RESOLVING) {
		fail(l, "no answer from the name server");
	} else {
		connect_next(l, strerror(ETIMEDOUT));
	}
}

/* While an answer is due, it has to come. */
static void
watch(struct share_link *l)
{
	if (l->pending_n > 0)
		uv_timer_start(&l->timer, on_timer, l->c.answer_ms, 0);
	else
		uv_timer_stop(&l->timer);
}

/* --- sending ------------------------------------------------------------- */

static void
poll_for(struct share_link *l)
{
	bool write = l->state == CONNECTING || l->ssl_wants_write ||
		     (l->state == OPEN && buf_len(l->out) > 0);

	uv_poll_start(
	    l->poll, UV_READABLE | (write ? UV_WRITABLE : 0), on_poll);
}

/* What can go on: true.  Else the link has failed. */
static bool
tls_continues(struct share_link *l, int ret)
{
	int kind = SSL_get_error(l->ssl, ret);
	char why[256];

	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
		l->ssl_wants_write = kind == SSL_ERROR_WANT_WRITE;
		return true;
	}
	share_tls_why(l->ssl, ret, why, sizeof(why));
	fail(l, why);
	return false;
}

/* Bytes taken; 0: later; -1: failed. */
static ssize_t
write_some(struct share_link *l, struct slice s)
{
	ssize_t n;

	if (l->ssl != NULL) {
		int max = s.n > READ_SIZE ? (int)READ_SIZE : (int)s.n;
		int ret = SSL_write(l->ssl, s.p, max);

		if (ret > 0)
			return ret;
		return tls_continues(l, ret) ? 0 : -1;
	}
	n = send(l->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	fail(l, strerror(errno));
	return -1;
}

static void
flush(struct share_link *l)
{
	while (buf_len(l->out) > 0) {
		ssize_t n = write_some(l, buf_data(l->out));

		if (n == -1)
			return;
		if (n == 0)
			break;
		buf_consume(l->out, (size_t)n);
	}
	poll_for(l);
}

int
share_link_send(
    struct share_link *l, share_reply *fn, const struct slice *words, size_t n)
{
	const char *p[SHARE_LINK_ARGS];
	size_t len[SHARE_LINK_ARGS];
	char *text;
	int bytes, ret;

	if (l->state == FAILED || n > SHARE_LINK_ARGS ||
	    l->pending_n == SHARE_LINK_PENDING)
		return -1;
	for (size_t i = 0; i < n; i++) {
		p[i] = words[i].p;
		len[i] = words[i].n;
	}
	bytes = redisFormatCommandArgv(&text, (int)n, p, len);
	if (bytes < 0)
		return -1;
	ret = buf_put(l->out, slice_make(text, (size_t)bytes));
	secret_wipe(text, (size_t)bytes); /* it may be a password */
	redisFreeCommand(text);
	if (ret == -1)
		return -1;
	l->pending[(l->first + l->pending_n++) % SHARE_LINK_PENDING] = fn;
	if (l->state != OPEN)
		return 0;
	if (l->pending_n == 1)
		watch(l);
	/* Sent with what else this turn brings. */
	poll_for(l);
	return 0;
}

void
share_link_push(struct share_link *l)
{
	if (l->state == OPEN)
		flush(l);
}

/* --- receiving ----------------------------------------------------------- */

/* Bytes; 0: no more for now; -1: failed. */
static ssize_t
read_some(struct share_link *l, char *p, size_t cap)
{
	ssize_t n;

	if (l->ssl != NULL) {
		int ret = SSL_read(l->ssl, p, (int)cap);

		if (ret > 0)
			return ret;
		return tls_continues(l, ret) ? 0 : -1;
	}
	n = recv(l->fd, p, cap, MSG_DONTWAIT);
	if (n > 0)
		return n;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	fail(l, n == 0 ? "connection closed" : strerror(errno));
	return -1;
}

/* Hands out whole replies; false: failed or closed. */
static bool
dispatch(struct share_link *l)
{
	for (;;) {
		share_reply *fn;
		void *reply = NULL;

		if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
			fail(l, l->reader->errstr);
			return false;
		}
		if (reply == NULL)
			break;
		if (l->pending_n == 0) {
			freeReplyObject(reply);
			fail(l, "an answer that nobody asked for");
			return false;
		}
		fn = l->pending[l->first];
		l->first = (l->first + 1) % SHARE_LINK_PENDING;
		l->pending_n--;
		watch(l);
		fn(l->c.arg, reply);
		freeReplyObject(reply);
		if (l->closed || l->state == FAILED)
			return false;
	}
	if (l->reader->len - l->reader->pos <= REPLY_MAX)
		return true;
	fail(l, "too long an answer");
	return false;
}

static void
receive(struct share_link *l)
{
	static char bytes[READ_SIZE];

	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = read_some(l, bytes, sizeof(bytes));

		if (n == -1)
			return;
		if (n == 0)
			break;
		watch(l); /* it comes, if slowly */
		if (redisReaderFeed(l->reader, bytes, (size_t)n) != REDIS_OK) {
			fail(l, strerror(ENOMEM));
			return;
		}
	}
	if (dispatch(l))
		poll_for(l);
}

/* --- connecting ---------------------------------------------------------- */

static void
opened(struct share_link *l)
{
	l->state = OPEN;
	watch(l);
	flush(l);
}

static void
handshake(struct share_link *l)
{
	int ret = SSL_do_handshake(l->ssl);

	l->ssl_wants_write = false;
	if (ret == 1)
		opened(l);
	else if (tls_continues(l, ret))
		poll_for(l);
}

static void
connected(struct share_link *l)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &n) == -1)
		error = errno;
	if (error != 0) {
		connect_next(l, strerror(error));
		return;
	}
	if (l->c.tls == NULL || l->c.port == 0) {
		opened(l);
		return;
	}
	l->ssl = share_tls_start(l->c.tls, l->fd, l->c.host);
	if (l->ssl == NULL) {
		fail(l, "TLS cannot be started");
		return;
	}
	l->state = HANDSHAKE;
	handshake(l);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct share_link *l = poll->data;

	/* After an error of poll, what is tried tells which. */
	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;
	if (l->state == CONNECTING) {
		connected(l);
		return;
	}
	if (l->state == HANDSHAKE) {
		handshake(l);
		return;
	}
	l->ssl_wants_write = false;
	if ((events & UV_READABLE) != 0 || l->ssl != NULL)
		receive(l);
	if (!l->closed && l->state == OPEN && buf_len(l->out) > 0)
		flush(l);
}

static int
dial(struct share_link *l, const struct sockaddr *sa, socklen_t n)
{
	int one = 1;

	l->fd = socket(
	    sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd == -1)
		return -1;
	if (sa->sa_family != AF_UNIX)
		setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(l->fd, sa, n) == -1 && errno != EINPROGRESS)
		return -1;
	l->poll = calloc(1, sizeof(*l->poll));
	if (l->poll == NULL)
		return -1;
	if (uv_poll_init(l->c.loop, l->poll, l->fd) != 0) {
		free(l->poll);
		l->poll = NULL;
		errno = ENOMEM;
		return -1;
	}
	l->handles++;
	l->poll->data = l;
	l->state = CONNECTING;
	uv_timer_start(&l->timer, on_timer, SHARE_LINK_CONNECT_MS, 0);
	poll_for(l);
	return 0;
}

/* The next address, if there is one; why: what became of the last. */
static void
connect_next(struct share_link *l, const char *why)
{
	drop_socket(l);
	while (l->next != NULL) {
		const struct addrinfo *ai = l->next;

		l->next = ai->ai_next;
		if (dial(l, ai->ai_addr, ai->ai_addrlen) == 0)
			return;
		why = strerror(errno);
		drop_socket(l);
	}
	fail(l, why);
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct share_link *l = req->data;

	l->handles--;
	l->found = l->next = found;
	if (!l->closed && l->state == RESOLVING) {
		l->state = CONNECTING;
		connect_next(
		    l, status == 0 ? "no address" : uv_strerror(status));
	}
	release(l);
}

static void
connect_unix(struct share_link *l)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (strlen(l->c.host) >= sizeof(sun.sun_path)) {
		fail(l, strerror(ENAMETOOLONG));
		return;
	}
	memcpy(sun.sun_path, l->c.host, strlen(l->c.host));
	if (dial(l, (const struct sockaddr *)&sun, sizeof(sun)) == -1)
		fail(l, strerror(errno));
}

/* In the loop's next turn, so that failed is never called from open. */
static void
on_begin(uv_timer_t *t)
{
	struct share_link *l = t->data;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	char port[16];
	int ret;

	if (l->c.port == 0) {
		connect_unix(l);
		return;
	}
	snprintf(port, sizeof(port), "%u", l->c.port);
	l->lookup.data = l;
	uv_timer_start(&l->timer, on_timer, SHARE_LINK_CONNECT_MS, 0);
	ret = uv_getaddrinfo(
	    l->c.loop, &l->lookup, on_resolved, l->c.host, port, &hints);
	if (ret != 0)
		fail(l, uv_strerror(ret));
	else
		l->handles++;
}

struct share_link *
share_link_open(const struct share_link_config *c)
{
	struct share_link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->c = *c;
	l->c.host = strdup(c->host);
	l->fd = -1;
	l->state = RESOLVING;
	l->out = buf_create(OUT_MAX);
	l->reader = redisReaderCreate();
	if (l->c.host == NULL || l->out == NULL || l->reader == NULL ||
	    uv_timer_init(c->loop, &l->timer) != 0) {
		l->closed = true;
		release(l);
		errno = ENOMEM;
		return NULL;
	}
	l->handles = 1;
	l->timer.data = l;
	uv_timer_start(&l->timer, on_begin, 0, 0);
	return l;
}
