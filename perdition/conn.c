/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn - a non-blocking socket in the loop.
 */
#include "config.h"

#include "perdition/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/banned.h"

int
conn_open(struct loop *loop, struct conn *c, int fd,
    void (*ready)(struct loop_io *, unsigned int events))
{
	if (loop_io_open(loop, &c->io, fd, ready) == -1) {
		close(fd);
		c->fd = -1;
		return -1;
	}
	c->fd = fd;
	return 0;
}

ssize_t
conn_read(struct conn *c, char *p, size_t n)
{
	ssize_t r;

	do
		r = recv(c->fd, p, n, 0);
	while (r == -1 && errno == EINTR);
	return r;
}

ssize_t
conn_write(struct conn *c, struct slice s)
{
	ssize_t r;

	do
		r = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
	while (r == -1 && errno == EINTR);
	if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return r;
}

void
conn_shutdown(struct conn *c)
{
	/* Fails only where the peer is gone, which the next read tells. */
	(void)shutdown(c->fd, SHUT_WR);
}

void
conn_want(struct conn *c, unsigned int events)
{
	loop_io_want(&c->io, events);
}

bool
conn_close(struct conn *c, void (*closed)(struct loop_io *))
{
	if (c->fd == -1)
		return false;
	loop_io_close(&c->io, closed);
	close(c->fd);
	c->fd = -1;
	return true;
}
