/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn - a non-blocking socket in the loop.
 */
#include "config.h"

#include "perdition/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perdition/tls/tls.h"

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
	c->tls = NULL;
	c->wants = 0;
	return 0;
}

void
conn_start_tls(struct conn *c, struct tls *tls)
{
	c->tls = tls;
}

int
conn_handshake(struct conn *c, struct err *err)
{
	int r = tls_handshake(c->tls, err);

	if (r == 0)
		loop_io_want(&c->io,
		    tls_waits_to_write(c->tls) ? LOOP_WRITE : LOOP_READ);
	return r;
}

ssize_t
conn_read(struct conn *c, char *p, size_t n)
{
	ssize_t r;

	if (c->tls != NULL)
		return tls_read(c->tls, p, n);
	do
		r = recv(c->fd, p, n, 0);
	while (r == -1 && errno == EINTR);
	return r;
}

ssize_t
conn_write(struct conn *c, struct slice s)
{
	ssize_t r;

	if (c->tls != NULL)
		return tls_write(c->tls, s, loop_now(c->io.loop));
	do
		r = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
	while (r == -1 && errno == EINTR);
	if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return r;
}

bool
conn_in_clear(const struct conn *c)
{
	return c->tls == NULL;
}

ssize_t
conn_splice_in(struct conn *c, int pipe, size_t n)
{
	ssize_t r;

	do
		r = splice(c->fd, NULL, pipe, NULL, n,
		    SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (r == -1 && errno == EINTR);
	return r;
}

ssize_t
conn_splice_out(struct conn *c, int pipe, size_t n)
{
	ssize_t r;

	do
		r = splice(pipe, NULL, c->fd, NULL, n,
		    SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (r == -1 && errno == EINTR);
	if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return r;
}

void
conn_shutdown(struct conn *c)
{
	if (c->tls != NULL)
		tls_shutdown(c->tls);
	/* Fails only where the peer is gone, which the next read tells. */
	(void)shutdown(c->fd, SHUT_WR);
}

void
conn_want(struct conn *c, unsigned int events)
{
	unsigned int socket = events;

	c->wants = (uint8_t)events;
	if (c->tls != NULL && (events & LOOP_READ)) {
		if (tls_waits_to_write(c->tls))
			socket |= LOOP_WRITE;
		if (tls_pending(c->tls))
			loop_io_post(&c->io, LOOP_READ);
	}
	loop_io_want(&c->io, socket);
}

unsigned int
conn_events(const struct conn *c, unsigned int ready)
{
	if (c->tls != NULL && (ready & LOOP_WRITE) && (c->wants & LOOP_READ) &&
	    tls_waits_to_write(c->tls))
		ready |= LOOP_READ;
	return ready;
}

bool
conn_close(struct conn *c, void (*closed)(struct loop_io *))
{
	if (c->fd == -1)
		return false;
	tls_destroy(&c->tls);
	loop_io_close(&c->io, closed);
	close(c->fd);
	c->fd = -1;
	return true;
}
