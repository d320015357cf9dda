/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener - a Unix socket, and who may connect to it; see the header.
 */
#include "config.h"

#include "perdition-pbs/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition-pbs/throttle.h"

#include "common/banned.h"

/* Anybody may connect and be refused, as fast as he can. */
#define ACCEPTS_PER_TURN 64
#define LINES_PER_SECOND 10
#define RETRY_MS 100 /* when there are no descriptors left */

struct listener {
	uv_loop_t *loop;
	int fd;
	char *path;
	struct listener_peers allowed;
	struct listener_use use;
	size_t n;
	bool failing; /* accept4(), and it was said */
	unsigned int open_handles;
	struct throttle refused;
	uv_poll_t poll;
	uv_timer_t retry;
};

/* --- making it ----------------------------------------------------------- */

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
listener_open(
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

/* --- new connections ----------------------------------------------------- */

static bool
is_listed(const struct listener *l, uid_t uid)
{
	for (size_t i = 0; i < l->allowed.n; i++)
		if (l->allowed.uids[i] == uid)
			return true;
	return false;
}

static void
log_refused(struct listener *l, const struct ucred *cred)
{
	if (throttle_pass(&l->refused, LINES_PER_SECOND, uv_now(l->loop)))
		log_event(LOG_NOTICE, l->use.event, LOG_U64("uid", cred->uid),
		    LOG_I64("pid", cred->pid), LOG_STR("socket", l->path),
		    LOG_STR("reason", l->use.reason));
}

static void
serve(struct listener *l, int fd)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	bool privileged;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1) {
		close(fd);
		return;
	}
	privileged = cred.uid == 0 || cred.uid == l->allowed.self;
	if (!privileged && !is_listed(l, cred.uid)) {
		log_refused(l, &cred);
		close(fd);
		return;
	}
	if (l->use.accepted(l->use.arg, fd, cred.uid, privileged))
		l->n++;
}

static void on_connection(uv_poll_t *, int status, int events);

static void
on_retry(uv_timer_t *t)
{
	struct listener *l = t->data;

	uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

/* Whoever waits keeps the socket readable: look again in a while. */
static void
accept_failed(struct listener *l, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	uv_poll_stop(&l->poll);
	uv_timer_start(&l->retry, on_retry, RETRY_MS, 0);
	if (!l->failing)
		log_event(LOG_ERR, "accept-error", LOG_STR("socket", l->path),
		    LOG_STR("error", strerror(error)),
		    LOG_STR("consequence", "connections wait"));
	l->failing = true;
}

void
listener_accept(struct listener *l)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd;

		if (l->n == l->use.max && i > 0)
			return; /* it is not known whether one waits */
		if (l->n == l->use.max && l->use.make_room != NULL)
			l->use.make_room(l->use.arg);
		if (l->n == l->use.max) {
			uv_poll_stop(&l->poll); /* until one of them goes */
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd == -1) {
			accept_failed(l, errno);
			return;
		}
		l->failing = false;
		serve(l, fd);
	}
}

static void
on_connection(uv_poll_t *h, int status, int events)
{
	(void)events;
	if (status >= 0)
		listener_accept(h->data);
}

/* --- life ---------------------------------------------------------------- */

static void
on_closed(uv_handle_t *h)
{
	struct listener *l = h->data;

	if (--l->open_handles > 0)
		return;
	free(l->path);
	free(l);
}

struct listener *
listener_create(uv_loop_t *loop, int fd, const char *path,
    const struct listener_peers *peers, const struct listener_use *use,
    struct err *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	int ret = 0;

	if (l == NULL || (l->path = strdup(path)) == NULL ||
	    (ret = uv_poll_init(loop, &l->poll, fd)) != 0) {
		err_set(err, ENOMEM, "%s: %s", path,
		    ret != 0 ? uv_strerror(ret) : strerror(ENOMEM));
		if (l != NULL)
			free(l->path);
		free(l);
		close(fd);
		return NULL;
	}
	uv_timer_init(loop, &l->retry);
	l->loop = loop;
	l->fd = fd;
	l->allowed = *peers;
	l->use = *use;
	l->open_handles = 2;
	l->poll.data = l->retry.data = l;
	uv_poll_start(&l->poll, UV_READABLE, on_connection);
	return l;
}

void
listener_set_peers(struct listener *l, const struct listener_peers *peers)
{
	l->allowed = *peers;
}

size_t
listener_count(const struct listener *l)
{
	return l->n;
}

void
listener_release(struct listener *l)
{
	/* One may have been left waiting for this place. */
	if (l->n-- == l->use.max && !uv_is_active((uv_handle_t *)&l->retry))
		uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

void
listener_destroy(struct listener **lp)
{
	struct listener *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	unlink(l->path); /* else the next daemon finds nobody there */
	uv_poll_stop(&l->poll);
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->retry, on_closed);
	close(l->fd);
}
