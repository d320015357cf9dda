/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setenv_ask - the daemon's word about a client; see setenv.h.  Apart from
 * what reads databases, as the small program needs no library.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition-pbs/setenv.h"

#include "common/banned.h"

#define SECONDS 1 /* for all of it: the daemon answers from memory */

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = SECONDS };
	size_t len = strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(sun.sun_path))
		return -1;
	memcpy(sun.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* The limit for sending is also that for connecting. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ==
		0 &&
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Bytes before its end, or -1.  The reply ends with the connection; what has
 * not ended until then, or is too long, is none. */
static ssize_t
read_reply(int fd, int64_t until, char reply[SETENV_REPLY_MAX + 1])
{
	size_t n = 0;

	while (n <= SETENV_REPLY_MAX) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - now_ms();
		ssize_t got;

		if (left <= 0 || poll(&p, 1, (int)left) != 1)
			return -1;
		got =
		    recv(fd, reply + n, SETENV_REPLY_MAX + 1 - n, MSG_DONTWAIT);
		if (got == -1)
			return -1;
		if (got == 0)
			return (ssize_t)n;
		n += (size_t)got;
	}
	return -1;
}

/* Between its quotes as it came: what is in there is printable ASCII, and a
 * name that needs no quotes has none, as in a line of the log. */
static void
copy_user(struct slice quoted, char user[SETENV_USER_MAX])
{
	char name[ANSWER_USER_MAX];
	struct slice bare;
	size_t used;
	long n = log_unquote(quoted, &used, name, sizeof(name));

	if (n <= 0 || used != quoted.n || quoted.n >= SETENV_USER_MAX)
		return;
	bare = slice_make(name, (size_t)n);
	if (log_is_bare(bare))
		quoted = bare;
	memcpy(user, quoted.p, quoted.n);
	user[quoted.n] = '\0';
}

enum setenv_verdict
setenv_parse_reply(struct slice reply, char user[SETENV_USER_MAX])
{
	user[0] = '\0';
	if (slice_eq(reply, SLICE("no")))
		return SETENV_NO;
	if (slice_eq(reply, SLICE("yes")))
		return SETENV_YES;
	if (!slice_starts(reply, SLICE("yes ")))
		return SETENV_UNKNOWN;
	copy_user(slice_skip(reply, 4), user);
	return SETENV_YES;
}

enum setenv_verdict
setenv_ask(
    const char *path, const struct addr *client, char user[SETENV_USER_MAX])
{
	char line[6 + ADDR_TEXT_MAX + 1] = "relay ";
	char reply[SETENV_REPLY_MAX + 1];
	int64_t until = now_ms() + SECONDS * 1000;
	ssize_t n = -1;
	size_t len;
	int fd;

	user[0] = '\0';
	if (client->scope != 0)
		return SETENV_NO; /* no address of one client alone */
	fd = connect_to(path);
	if (fd == -1)
		return SETENV_UNKNOWN;
	len = 6 + addr_write_ip(client, line + 6);
	line[len++] = '\n';
	if (send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len)
		n = read_reply(fd, until, reply);
	close(fd);
	if (n == -1)
		return SETENV_UNKNOWN;
	return setenv_parse_reply(slice_make(reply, (size_t)n), user);
}
