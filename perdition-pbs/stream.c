/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream - records and requests from a Unix socket; see the header.
 */
#include "config.h"

#include "perdition-pbs/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "perdition-pbs/control.h"

#include "common/banned.h"

#define READS_PER_TURN 8 /* of a connection, so that others have theirs */
/* Anybody may connect and be refused, as fast as he can. */
#define ACCEPTS_PER_TURN 64
#define REFUSALS_SAID 10 /* in a second */

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
	int fd;
	char *path;
	struct stream_peers allowed;
	struct stream_handler handler;
	struct peer *peers;
	size_t n;
	uint64_t refused_ms; /* since when refused_n are counted */
	unsigned int refused_n;
	uv_poll_t poll;
};

/* --- the listening socket ------------------------------------------------ */

static int
unix_address(struct sockaddr_un *sun, const char *path, struct err *err)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sun->sun_path))
		return err_set(err, ENAMETOOLONG,
		    "%s: longer than the %zu bytes of a socket's path", path,
		    sizeof(sun->sun_path) - 1);
	memcpy(sun->sun_path, path, strlen(path));
	return 0;
}

/*
 * With its mode from the start, and given away not by name: who owns the
 * directory could have put something of root's there.
 */
static int
bind_owned(
    int fd, const struct sockaddr_un *sun, mode_t mode, uid_t uid, gid_t gid)
{
	mode_t old = umask(0777 & ~mode);
	int ret = bind(fd, (const struct sockaddr *)sun, sizeof(*sun));
	struct stat st;

	umask(old);
	if (ret == -1 || uid == (uid_t)-1)
		return ret;
	fd = open(sun->sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	errno = EEXIST;
	ret = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_nlink == 1
		  ? fchownat(fd, "", uid, gid, AT_EMPTY_PATH)
		  : -1;
	close(fd);
	return ret;
}

static int
bind_socket(int fd, const char *path, mode_t mode, uid_t uid, gid_t gid,
    struct err *err)
{
	struct sockaddr_un sun;
	struct stat st;

	if (unix_address(&sun, path, err) == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ||
	    errno == EAGAIN)
		return err_set(
		    err, EADDRINUSE, "%s: another process answers there", path);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return err_set(
			    err, EEXIST, "%s: exists and is no socket", path);
		unlink(path); /* if it fails, bind says so */
	}
	if (bind_owned(fd, &sun, mode, uid, gid) == -1 ||
	    listen(fd, SOMAXCONN) == -1)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

int
stream_listen(
    const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return err_set(err, errno, "socket: %s", strerror(errno));
	if (bind_socket(fd, path, mode, uid, gid, err) == 0)
		return fd;
	close(fd);
	return -1;
}

/* --- one connection ------------------------------------------------------ */

static void
on_peer_closed(uv_handle_t *h)
{
	struct peer *p = h->data;

	close(p->fd);
	buf_destroy(&p->in);
	free(p);
}

static void on_connection(uv_poll_t *, int status, int events);

static void
peer_close(struct peer *p)
{
	struct stream *s = p->stream;

	*p->link = p->next;
	if (p->next != NULL)
		p->next->link = p->link;
	s->n--;
	uv_poll_stop(&p->poll);
	uv_close((uv_handle_t *)&p->poll, on_peer_closed);
	/* One may have been left waiting for this place. */
	if (s->fd != -1 && s->n == STREAM_CONNECTIONS - 1)
		uv_poll_start(&s->poll, UV_READABLE, on_connection);
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
on_readable(uv_poll_t *h, int status, int events)
{
	struct peer *p = h->data;

	(void)events;
	if (status < 0) {
		peer_close(p);
		return;
	}
	for (int i = 0; i < READS_PER_TURN; i++) {
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

/* --- new connections ----------------------------------------------------- */

static bool
may_send_events(const struct stream *s, uid_t uid)
{
	for (size_t i = 0; i < s->allowed.events_n; i++)
		if (s->allowed.events[i] == uid)
			return true;
	return false;
}

static void
log_refused(struct stream *s, const struct ucred *cred)
{
	if (uv_now(s->loop) - s->refused_ms >= 1000) {
		s->refused_ms = uv_now(s->loop);
		s->refused_n = 0;
	}
	if (++s->refused_n > REFUSALS_SAID)
		return;
	log_event(LOG_NOTICE, "stream-refused", LOG_U64("uid", cred->uid),
	    LOG_I64("pid", cred->pid), LOG_STR("reason", "not in socket_user"));
}

static bool
peer_create(struct stream *s, int fd, uid_t uid, bool privileged)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return false;
	p->in = buf_create(STREAM_LINE_MAX);
	if (p->in == NULL || uv_poll_init(s->loop, &p->poll, fd) != 0) {
		buf_destroy(&p->in);
		free(p);
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
	s->n++;
	uv_poll_start(&p->poll, UV_READABLE, on_readable);
	return true;
}

static void
accept_one(struct stream *s, int fd)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	bool privileged;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1) {
		close(fd);
		return;
	}
	privileged = cred.uid == 0 || cred.uid == s->allowed.self;
	if (!privileged && !may_send_events(s, cred.uid)) {
		log_refused(s, &cred);
		close(fd);
		return;
	}
	if (!peer_create(s, fd, cred.uid, privileged)) {
		close(fd);
		return;
	}
	log_event(LOG_DEBUG, "stream-accepted", LOG_U64("uid", cred.uid),
	    LOG_I64("pid", cred.pid));
}

static void
on_connection(uv_poll_t *h, int status, int events)
{
	struct stream *s = h->data;

	(void)events;
	if (status < 0)
		return;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd;

		if (s->n == STREAM_CONNECTIONS) {
			uv_poll_stop(&s->poll); /* until one of them goes */
			return;
		}
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd == -1)
			return;
		accept_one(s, fd);
	}
}

struct stream *
stream_create(uv_loop_t *loop, int fd, const char *path,
    const struct stream_peers *peers, const struct stream_handler *handler,
    struct err *err)
{
	struct stream *s = calloc(1, sizeof(*s));
	int ret = 0;

	if (s == NULL || (s->path = strdup(path)) == NULL ||
	    (ret = uv_poll_init(loop, &s->poll, fd)) != 0) {
		err_set(err, ENOMEM, "%s: %s", path,
		    ret != 0 ? uv_strerror(ret) : strerror(ENOMEM));
		if (s != NULL)
			free(s->path);
		free(s);
		close(fd);
		return NULL;
	}
	s->loop = loop;
	s->fd = fd;
	s->allowed = *peers;
	s->handler = *handler;
	s->poll.data = s;
	uv_poll_start(&s->poll, UV_READABLE, on_connection);
	return s;
}

void
stream_set_peers(struct stream *s, const struct stream_peers *peers)
{
	s->allowed = *peers;
}

static void
on_stream_closed(uv_handle_t *h)
{
	struct stream *s = h->data;

	free(s->path);
	free(s);
}

void
stream_destroy(struct stream **sp)
{
	struct stream *s = *sp;
	int fd;

	if (s == NULL)
		return;
	*sp = NULL;
	fd = s->fd;
	s->fd = -1;
	while (s->peers != NULL)
		peer_close(s->peers);
	uv_poll_stop(&s->poll);
	unlink(s->path); /* else the next daemon finds nobody there */
	uv_close((uv_handle_t *)&s->poll, on_stream_closed);
	close(fd);
}
