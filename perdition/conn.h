/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn - one side of a session: a socket, and how bytes go through it.
 *
 * Whether they are encrypted is decided here and nowhere else.  Keeps no
 * bytes: what cannot be written is the caller's to keep.
 */
#ifndef PERDITION_CONN_H
#define PERDITION_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition/loop.h"

struct tls;

struct conn {
	struct loop_io io;
	struct tls *tls; /* NULL: in clear */
	int fd;          /* -1: none */
	uint8_t wants;   /* what conn_want() said */
};

/* Takes fd, even on failure.  0, or -1 with errno. */
int conn_open(struct loop *, struct conn *, int fd,
    void (*ready)(struct loop_io *, unsigned int events));

/*
 * TLS from here on: takes tls, which is to be shaken hands with before
 * anything is read or written.
 */
void conn_start_tls(struct conn *, struct tls *);

/* As tls_handshake(); with 0 the socket is waited for as it needs. */
int conn_handshake(struct conn *, struct err *);

/* Bytes read, 0 at the peer's end, or -1 with errno (EAGAIN: none there). */
ssize_t conn_read(struct conn *, char *, size_t);

/* Bytes written, maybe fewer, maybe 0; or -1 with errno (never EAGAIN). */
ssize_t conn_write(struct conn *, struct slice);

/*
 * For what needs no look, between two that are in clear (conn_in_clear()): up
 * to n bytes from the socket into a pipe, and from the pipe to the socket.
 * What they return is as above.  EINVAL: not with this kind of socket.
 */
bool conn_in_clear(const struct conn *);
ssize_t conn_splice_in(struct conn *, int pipe, size_t n);
ssize_t conn_splice_out(struct conn *, int pipe, size_t n);

/* The peer is told that nothing more will come. */
void conn_shutdown(struct conn *);

/* To be called whenever something was read and nothing is to be missed: TLS
 * may hold bytes that the socket will not announce again. */
void conn_want(struct conn *, unsigned int events);

/* What the socket's readiness means: TLS may have to write before it can read.
 */
unsigned int conn_events(const struct conn *, unsigned int ready);

/* Closes the socket now; closed() is called when the memory may be freed.
 * false: there was no socket, closed() will not be called. */
bool conn_close(struct conn *, void (*closed)(struct loop_io *));

#endif
