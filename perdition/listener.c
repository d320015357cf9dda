/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener - makes, shares and closes listening sockets.
 */
#include "config.h"

#include "perdition/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/banned.h"

/* Short queues lose connections when clients come back all at once; the
 * system cuts it to net.core.somaxconn. */
#define BACKLOG 65535

struct listener {
	struct addr asked; /* as configured */
	struct addr bound;
	bool any_family;
};

struct listener_set {
	size_t count;
	unsigned int workers;
	struct listener *listeners; /* count */
	int *fds; /* of worker w, listener i: [w * count + i]; -1 none */
};

static int
set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int
open_socket(
    const struct listener *l, const struct config *c, bool any, bool shared)
{
	struct sockaddr_storage ss = { .ss_family = AF_INET6 };
	socklen_t len;
	int fd;
	int saved;

	if (any) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

		in6->sin6_port = htons(l->bound.port);
		in6->sin6_addr = in6addr_any;
		len = sizeof(*in6);
	} else {
		len = addr_to_sockaddr(&l->bound, &ss);
	}
	fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
	    (!shared || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0) &&
	    (ss.ss_family != AF_INET6 ||
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !any) == 0) &&
	    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) == 0 &&
	    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, c->tcp_keepalive) == 0 &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* "*" on a host without IPv6 is all of IPv4. */
static int
open_any_family(struct listener *l, const struct config *c, bool shared)
{
	struct addr v4 = { .port = l->bound.port };
	int fd = -1;

	if (l->any_family)
		fd = open_socket(l, c, true, shared);
	if (fd != -1 || (l->any_family && errno != EAFNOSUPPORT))
		return fd;
	if (l->any_family) {
		(void)addr_parse_ip(SLICE("0.0.0.0"), &v4);
		v4.port = l->bound.port;
		l->bound = v4;
	}
	return open_socket(l, c, false, shared);
}

static int
bound_port(int fd, struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr addr;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1 ||
	    addr_from_sockaddr(&addr, (struct sockaddr *)&ss) == -1)
		return -1;
	l->bound.port = addr.port;
	return 0;
}

/*
 * SO_REUSEPORT would let a second perdition of the same user bind the same
 * port and take a share of its connections, unnoticed: see first whether the
 * port is free for one who does not share.
 */
static int
probe(struct listener *l, const struct config *c)
{
	int fd = open_any_family(l, c, false);
	int ret;
	int saved;

	if (fd == -1)
		return -1;
	ret = listen(fd, 1);
	if (ret == 0)
		ret = bound_port(fd, l);
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

static int
exit_status(int error)
{
	if (error == EACCES || error == EPERM)
		return EX_NOPERM;
	return error == EMFILE || error == ENFILE || error == ENOMEM
		   ? EX_OSERR
		   : EX_UNAVAILABLE;
}

static int
fail(const struct listener_config *lc, struct err *err)
{
	int error = errno;

	return err_set(err, exit_status(error), "listen %s: %s", lc->text,
	    strerror(error));
}

static const struct listener *
find_old(const struct listener_set *old, const struct listener_config *lc,
    size_t *index)
{
	size_t i;

	for (i = 0; old != NULL && i < old->count; i++) {
		const struct listener *l = &old->listeners[i];

		if (l->any_family == lc->any_family &&
		    l->asked.port == lc->addr.port &&
		    l->asked.scope == lc->addr.scope &&
		    addr_same_ip(&l->asked, &lc->addr)) {
			*index = i;
			return l;
		}
	}
	return NULL;
}

/* From "*" to one address of the same port, say: then the probe would find
 * nobody but ourselves. */
static bool
port_is_ours(const struct listener_set *old, uint16_t port)
{
	size_t i;

	for (i = 0; old != NULL && i < old->count; i++) {
		if (port != 0 && old->listeners[i].bound.port == port)
			return true;
	}
	return false;
}

static int
open_listener(struct listener_set *set, size_t i, const struct config *c,
    const struct listener_set *old, struct err *err)
{
	const struct listener_config *lc = &c->listeners[i];
	struct listener *l = &set->listeners[i];
	const struct listener *was;
	size_t old_index = 0;
	unsigned int w;

	l->asked = l->bound = lc->addr;
	l->any_family = lc->any_family;
	was = find_old(old, lc, &old_index);
	if (was != NULL)
		l->bound = was->bound;
	else if (!port_is_ours(old, lc->addr.port) && probe(l, c) == -1)
		return fail(lc, err);
	for (w = 0; w < set->workers; w++) {
		int *fd = &set->fds[w * set->count + i];

		if (was != NULL && w < old->workers) {
			*fd = fcntl(old->fds[w * old->count + old_index],
			    F_DUPFD_CLOEXEC, 3);
			if (*fd != -1)
				(void)set_option(*fd, SOL_SOCKET, SO_KEEPALIVE,
				    c->tcp_keepalive);
		} else {
			*fd = open_any_family(l, c, true);
		}
		if (*fd == -1)
			return fail(lc, err);
	}
	return 0;
}

/* Once all are bound: nobody connects to half of a start that fails. */
static int
listen_all(
    const struct listener_set *set, const struct config *c, struct err *err)
{
	size_t i;

	for (i = 0; i < set->count * set->workers; i++) {
		if (listen(set->fds[i], BACKLOG) == -1)
			return fail(&c->listeners[i % set->count], err);
	}
	return 0;
}

struct listener_set *
listener_set_open(const struct config *c, unsigned int workers,
    const struct listener_set *old, struct err *err)
{
	struct listener_set *set = calloc(1, sizeof(*set));
	size_t n = c->listener_count * workers;
	size_t i;

	if (set == NULL)
		goto out;
	set->count = c->listener_count;
	set->workers = workers;
	set->listeners = calloc(set->count + 1, sizeof(*set->listeners));
	set->fds = calloc(n + 1, sizeof(*set->fds));
	if (set->listeners == NULL || set->fds == NULL)
		goto out;
	for (i = 0; i < n; i++)
		set->fds[i] = -1;
	for (i = 0; i < set->count; i++) {
		if (open_listener(set, i, c, old, err) == -1) {
			listener_set_close(&set);
			return NULL;
		}
	}
	if (listen_all(set, c, err) == -1)
		listener_set_close(&set);
	return set;
out:
	err_set(err, EX_OSERR, "out of memory");
	listener_set_close(&set);
	return NULL;
}

void
listener_set_close(struct listener_set **sp)
{
	struct listener_set *set = *sp;
	size_t i;

	*sp = NULL;
	if (set == NULL)
		return;
	for (i = 0; set->fds != NULL && i < set->count * set->workers; i++) {
		if (set->fds[i] != -1)
			close(set->fds[i]);
	}
	free(set->fds);
	free(set->listeners);
	free(set);
}

const int *
listener_set_fds(
    const struct listener_set *set, unsigned int worker, size_t *count)
{
	*count = set->count;
	return &set->fds[worker * set->count];
}

const struct addr *
listener_set_addr(const struct listener_set *set, size_t i)
{
	return &set->listeners[i].bound;
}
