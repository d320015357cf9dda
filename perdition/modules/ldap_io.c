/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_io - see ldap_io.h.
 */
#include "config.h"

#include "perdition/modules/ldap_io.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perdition/modules/ldap_socket.h"

#include "common/banned.h"

struct ldap_io {
	int fd;
	bool waits, timed_out;
	uint64_t deadline;
};

/*
 * Whether to try again, after errno and what there is to wait for.  When not,
 * errno is for the caller.
 */
static bool
again(struct ldap_io *io, short events)
{
	struct pollfd pfd = { .fd = io->fd, .events = events };

	if (errno == EINTR)
		return true;
	if (errno != EAGAIN || !io->waits)
		return false;
	while (
	    poll(&pfd, 1, (int)ldap_ms_left(io->deadline, INT32_MAX)) == -1) {
		if (errno != EINTR)
			return false;
	}
	if (pfd.revents != 0)
		return true;
	/* Not EAGAIN, at which the handshake would go on. */
	errno = ETIMEDOUT;
	io->timed_out = true;
	return false;
}

static ber_slen_t
io_read(Sockbuf_IO_Desc *sbiod, void *p, ber_len_t n)
{
	struct ldap_io *io = sbiod->sbiod_pvt;
	ssize_t got;

	do
		got = recv(io->fd, p, n, 0);
	while (got == -1 && again(io, POLLIN));
	return got;
}

static ber_slen_t
io_write(Sockbuf_IO_Desc *sbiod, void *p, ber_len_t n)
{
	struct ldap_io *io = sbiod->sbiod_pvt;
	ssize_t put;

	do
		put = send(io->fd, p, n, MSG_NOSIGNAL);
	while (put == -1 && again(io, POLLOUT));
	return put;
}

static int
io_setup(Sockbuf_IO_Desc *sbiod, void *arg)
{
	sbiod->sbiod_pvt = arg;
	return 0;
}

static int
io_remove(Sockbuf_IO_Desc *sbiod)
{
	free(sbiod->sbiod_pvt);
	sbiod->sbiod_pvt = NULL;
	return 0;
}

static int
io_ctrl(Sockbuf_IO_Desc *sbiod, int option, void *arg)
{
	(void)sbiod;
	(void)option;
	(void)arg;
	return 0; /* none is known here */
}

static int
io_close(Sockbuf_IO_Desc *sbiod)
{
	struct ldap_io *io = sbiod->sbiod_pvt;

	return close(io->fd);
}

struct ldap_io *
ldap_io_add(Sockbuf *sb, int fd)
{
	/* The library's argument is not const; it does not change it. */
	static Sockbuf_IO layer = {
		.sbi_setup = io_setup,
		.sbi_remove = io_remove,
		.sbi_ctrl = io_ctrl,
		.sbi_read = io_read,
		.sbi_write = io_write,
		.sbi_close = io_close,
	};
	struct ldap_io *io = calloc(1, sizeof(*io));

	if (io == NULL)
		return NULL;
	io->fd = fd;
	if (ber_sockbuf_add_io(sb, &layer, LBER_SBIOD_LEVEL_PROVIDER, io) == 0)
		return io;
	free(io);
	return NULL;
}

void
ldap_io_wait_until(struct ldap_io *io, uint64_t deadline)
{
	io->waits = true;
	io->deadline = deadline;
}

void
ldap_io_never_wait(struct ldap_io *io)
{
	io->waits = false;
}

bool
ldap_io_timed_out(const struct ldap_io *io)
{
	return io->timed_out;
}
