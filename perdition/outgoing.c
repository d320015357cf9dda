/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outgoing - see outgoing.h.
 */
#include "config.h"

#include "perdition/outgoing.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#include "common/banned.h"

static void
set_socket(int fd, int level, int name)
{
	int on = 1;

	/* Without it a session works all the same. */
	(void)setsockopt(fd, level, name, &on, sizeof(on));
}

/* The port is chosen by connect(), which needs it free for that server only. */
static int
bind_source(int fd, const struct addr *source)
{
	struct sockaddr_storage ss;
	struct addr any_port = *source;
	socklen_t n;

	any_port.port = 0;
	n = addr_to_sockaddr(&any_port, &ss);
	set_socket(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	return bind(fd, (struct sockaddr *)&ss, n);
}

/* source: NULL for the one that the system chooses. */
static int
connect_from(
    const struct config *c, const struct addr *source, const struct addr *to)
{
	struct sockaddr_storage ss;
	socklen_t n = addr_to_sockaddr(to, &ss);
	int fd, e;

	fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	set_socket(fd, IPPROTO_TCP, TCP_NODELAY);
	if (c->tcp_keepalive)
		set_socket(fd, SOL_SOCKET, SO_KEEPALIVE);
	if ((source == NULL || bind_source(fd, source) == 0) &&
	    (connect(fd, (struct sockaddr *)&ss, n) == 0 ||
		errno == EINPROGRESS))
		return fd;
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

int
outgoing_connect(const struct config *c, size_t *turn, const struct addr *to)
{
	bool some = false;

	for (size_t i = 0; i < c->source_count; i++) {
		const struct addr *source =
		    &c->sources[(*turn)++ % c->source_count];
		int fd;

		if (addr_is_v4(source) != addr_is_v4(to))
			continue;
		some = true;
		fd = connect_from(c, source, to);
		if (fd != -1 || errno != EADDRNOTAVAIL)
			return fd;
	}
	/* None of them is of that family: the system chooses. */
	if (!some)
		return connect_from(c, NULL, to);
	errno = EADDRNOTAVAIL;
	return -1;
}

void
outgoing_check(const struct config *c)
{
	for (size_t i = 0; i < c->source_count; i++) {
		const struct addr *a = &c->sources[i];
		int fd = socket(addr_is_v4(a) ? AF_INET : AF_INET6,
		    SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd == -1 || bind_source(fd, a) == -1)
			log_event(LOG_WARNING, "config",
			    LOG_STR("option", "outgoing_bind_address"),
			    LOG_ADDR("address", a),
			    LOG_STR("text", strerror(errno)));
		if (fd != -1)
			close(fd);
	}
}
