/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msg - messages between the roles of one program, over SOCK_SEQPACKET.
 *
 * Both ends are the same program on the same host, so numbers travel in host
 * order; but a role may have been taken over, so a reader checks every length
 * and treats anything odd as hostile.  Knows no message's meaning.
 */
#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/slice.h"

#define MSG_MAX 65536 /* bytes of one packet */

struct msg_writer {
	char *p;
	size_t n, cap;
	int failed; /* something did not fit; test once, at the end */
};

void msg_write_init(struct msg_writer *, char *mem, size_t cap);
void msg_put_u8(struct msg_writer *, uint8_t);
void msg_put_u16(struct msg_writer *, uint16_t);
void msg_put_u32(struct msg_writer *, uint32_t);
void msg_put_u64(struct msg_writer *, uint64_t);
void msg_put_bytes(struct msg_writer *, const void *, size_t); /* no length */
void msg_put_slice(struct msg_writer *, struct slice); /* u32 length, bytes */

struct msg_reader {
	struct slice rest;
	int failed; /* ran past the end; all getters give 0 or empty from then
		     */
};

void msg_read_init(struct msg_reader *, struct slice);
uint8_t msg_get_u8(struct msg_reader *);
uint16_t msg_get_u16(struct msg_reader *);
uint32_t msg_get_u32(struct msg_reader *);
uint64_t msg_get_u64(struct msg_reader *);
void msg_get_bytes(struct msg_reader *, void *, size_t);
struct slice msg_get_slice(struct msg_reader *); /* points into the message */
/* A slice as a string in cap bytes; false when it is too long for them or has
 * a NUL inside. */
bool msg_get_text(struct msg_reader *, char *out, size_t cap);
int msg_read_done(const struct msg_reader *); /* 1: all read, nothing failed */

/* A close-on-exec pair.  0, or -1 with errno. */
int msg_pair(int fd[2]);

/*
 * One packet, never blocking (MSG_DONTWAIT), never SIGPIPE.
 * msg_send: 0, or -1 with errno (EAGAIN: full; EPIPE: nobody there).
 * msg_recv: its length, 0 when the peer is gone, or -1 with errno (EAGAIN;
 * EMSGSIZE: longer than cap, dropped).
 */
int msg_send(int fd, struct slice);
ssize_t msg_recv(int fd, char *mem, size_t cap);

#endif
