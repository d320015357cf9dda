/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets between roles.  The kernel keeps their bounds, so a message is
 * never half read; what is inside is checked byte by byte all the same.
 */
#include "config.h"

#include "common/msg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/banned.h"

void
msg_write_init(struct msg_writer *w, char *mem, size_t cap)
{
	*w = (struct msg_writer){ .p = mem, .cap = cap };
}

void
msg_put_bytes(struct msg_writer *w, const void *p, size_t n)
{
	if (w->failed || n > w->cap - w->n) {
		w->failed = 1;
		return;
	}
	if (n != 0)
		memcpy(w->p + w->n, p, n);
	w->n += n;
}

void
msg_put_u8(struct msg_writer *w, uint8_t v)
{
	msg_put_bytes(w, &v, sizeof(v));
}

void
msg_put_u16(struct msg_writer *w, uint16_t v)
{
	msg_put_bytes(w, &v, sizeof(v));
}

void
msg_put_u32(struct msg_writer *w, uint32_t v)
{
	msg_put_bytes(w, &v, sizeof(v));
}

void
msg_put_u64(struct msg_writer *w, uint64_t v)
{
	msg_put_bytes(w, &v, sizeof(v));
}

void
msg_put_slice(struct msg_writer *w, struct slice s)
{
	if (s.n > UINT32_MAX) {
		w->failed = 1;
		return;
	}
	msg_put_u32(w, (uint32_t)s.n);
	msg_put_bytes(w, s.p, s.n);
}

void
msg_read_init(struct msg_reader *r, struct slice s)
{
	*r = (struct msg_reader){ .rest = s };
}

void
msg_get_bytes(struct msg_reader *r, void *p, size_t n)
{
	if (r->failed || n > r->rest.n) {
		r->failed = 1;
		if (n != 0)
			memset(p, 0, n);
		return;
	}
	if (n == 0)
		return;
	memcpy(p, r->rest.p, n);
	r->rest = slice_skip(r->rest, n);
}

uint8_t
msg_get_u8(struct msg_reader *r)
{
	uint8_t v;

	msg_get_bytes(r, &v, sizeof(v));
	return v;
}

uint16_t
msg_get_u16(struct msg_reader *r)
{
	uint16_t v;

	msg_get_bytes(r, &v, sizeof(v));
	return v;
}

uint32_t
msg_get_u32(struct msg_reader *r)
{
	uint32_t v;

	msg_get_bytes(r, &v, sizeof(v));
	return v;
}

uint64_t
msg_get_u64(struct msg_reader *r)
{
	uint64_t v;

	msg_get_bytes(r, &v, sizeof(v));
	return v;
}

struct slice
msg_get_slice(struct msg_reader *r)
{
	uint32_t n = msg_get_u32(r);
	struct slice s;

	if (r->failed || n > r->rest.n) {
		r->failed = 1;
		return slice_make(NULL, 0);
	}
	s = slice_make(r->rest.p, n);
	if (n != 0)
		r->rest = slice_skip(r->rest, n);
	return s;
}

bool
msg_get_text(struct msg_reader *r, char *out, size_t cap)
{
	struct slice s = msg_get_slice(r);

	if (s.n >= cap || slice_find(s, '\0') != -1)
		return false;
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

int
msg_read_done(const struct msg_reader *r)
{
	return !r->failed && r->rest.n == 0;
}

int
msg_pair(int fd[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd);
}

int
msg_send(int fd, struct slice s)
{
	ssize_t n;

	if (s.n == 0 || s.n > MSG_MAX) {
		/* An empty packet would look like the end to its reader. */
		errno = s.n == 0 ? EINVAL : EMSGSIZE;
		return -1;
	}
	do
		n = send(fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n != -1)
		return 0;
	if (errno == ENOBUFS)
		errno = EAGAIN;
	else if (errno == ECONNRESET || errno == ENOTCONN)
		errno = EPIPE;
	return -1;
}

ssize_t
msg_recv(int fd, char *mem, size_t cap)
{
	ssize_t n;

	do /* MSG_TRUNC: the real length, also of a packet that is too long */
		n = recv(fd, mem, cap, MSG_DONTWAIT | MSG_TRUNC);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == ECONNRESET)
		return 0; /* it ended with packets of ours unread */
	if (n != -1 && (size_t)n > cap) {
		errno = EMSGSIZE;
		return -1;
	}
	return n;
}
