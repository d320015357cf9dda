/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_socket - see ldap_socket.h.
 */
#include "config.h"

#include "perdition/modules/ldap_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

uint64_t
ldap_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

unsigned int
ldap_ms_left(uint64_t deadline, unsigned int max)
{
	uint64_t now = ldap_now_ms();

	if (now >= deadline)
		return 0;
	return deadline - now < max ? (unsigned int)(deadline - now) : max;
}

/* 0, or -1 with errno. */
static int
wait_connected(int fd, unsigned int limit_ms, uint64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	uint64_t end = ldap_now_ms() + ldap_ms_left(deadline, limit_ms);
	socklen_t len = sizeof(int);
	int error = 0, n;

	do
		n = poll(&pfd, 1, (int)ldap_ms_left(end, limit_ms));
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	if (n == 0)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		return -1;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* A connected descriptor, or -1 with errno. */
static int
dial(const struct sockaddr *addr, socklen_t len, unsigned int limit_ms,
    uint64_t deadline)
{
	int fd = socket(
	    addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd == -1)
		return -1;
	if (connect(fd, addr, len) == 0 ||
	    (errno == EINPROGRESS &&
		wait_connected(fd, limit_ms, deadline) == 0))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/*
 * A connection rests between lookups, maybe behind a firewall that forgets it;
 * a server that has gone without a word is to be noticed meanwhile.
 */
static void
keep_alive(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60 },       /* s */
		{ IPPROTO_TCP, TCP_KEEPINTVL, 10 },      /* s */
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },         /* probes */
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 30000 } /* ms */
	};

	/* It works without them. */
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
		    &options[i].value, sizeof(options[i].value));
}

static int
connect_local(const struct ldap_server *s, struct popmap_error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	/* ldap_options has looked that it fits. */
	memcpy(sun.sun_path, s->host, strlen(s->host) + 1);
	/* Never in progress: EAGAIN when the server's queue is full. */
	fd = dial((struct sockaddr *)&sun, sizeof(sun), 0, 0);
	if (fd == -1)
		map_error(err, "%s: %s", s->host, strerror(errno));
	return fd;
}

static int
connect_network(const struct ldap_server *s, unsigned int limit_ms,
    uint64_t deadline, struct popmap_error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	struct addrinfo *list, *ai;
	int code = getaddrinfo(s->host, s->port, &hints, &list);
	int fd = -1, error = ETIMEDOUT;

	if (code != 0)
		return map_error(err, "%s: %s", s->name,
		    code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
	for (ai = list; fd == -1 && ai != NULL; ai = ai->ai_next) {
		if (ldap_ms_left(deadline, 1) == 0)
			break;
		fd = dial(ai->ai_addr, ai->ai_addrlen, limit_ms, deadline);
		error = errno;
	}
	freeaddrinfo(list);
	if (fd == -1)
		return map_error(err, "%s: %s", s->name, strerror(error));
	keep_alive(fd);
	return fd;
}

int
ldap_socket_connect(const struct ldap_server *s, unsigned int limit_ms,
    uint64_t deadline, struct popmap_error *err)
{
	if (s->scheme == LDAP_SCHEME_LOCAL)
		return connect_local(s, err);
	return connect_network(s, limit_ms, deadline, err);
}
