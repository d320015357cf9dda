/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_wire - what hosts tell each other of their relay entries, as text.
 *
 * One line a change, several lines a message.  Clocks of hosts differ: times
 * are durations, in milliseconds, counted from when the message was sent.
 *   open 203.0.113.77 3600000 0 "bob"
 *   open 2001:db8:9::/64 1800000 250 ""
 *   shut 203.0.113.77 0
 *   shut all 0
 *   tell all
 * open ADDRESS LEFT AGE "USER": may relay for LEFT from now; opened AGE ago.
 * The name is written as log.h quotes values.  shut ADDRESS AGE: the
 * administrator shut it, or all, AGE ago.  tell all: a host has missed some of
 * that, and asks to hear it again.  What is read may come from anyone who can
 * write to where it was kept.  Pure; knows neither rules nor Redis.
 */
#ifndef PERDITION_PBS_SHARE_WIRE_H
#define PERDITION_PBS_SHARE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition-pbs/relay_key.h"

#define SHARE_USER_MAX 255                   /* bytes; longer names are cut */
#define SHARE_MS_MAX (400ull * 86400 * 1000) /* more than any timeout */
/* Any line with its newline: a name of 255 bytes, each as \xHH. */
#define SHARE_LINE_MAX 1280

enum share_kind { SHARE_OPEN, SHARE_SHUT, SHARE_SHUT_ALL, SHARE_TELL_ALL };

struct share_change {
	enum share_kind kind;
	struct relay_key key; /* of SHARE_OPEN and SHARE_SHUT */
	uint64_t left_ms;     /* of SHARE_OPEN */
	uint64_t age_ms;      /* not of SHARE_TELL_ALL */
	size_t user_n;        /* of SHARE_OPEN */
	char user[SHARE_USER_MAX];
};

/* Any bytes; what is longer than SHARE_USER_MAX is cut. */
void share_change_user(struct share_change *, struct slice user);

/* Bytes written, newline included, or -1 with errno ENOSPC. */
long share_wire_write(const struct share_change *, char *out, size_t cap);

/*
 * Cuts the first line off text.  1 with c filled, 0 at the end of text, -1
 * with errno EBADMSG for a line that share_wire_write() does not write; the
 * next call goes on behind it.
 */
int share_wire_read(struct slice *text, struct share_change *c);

#endif
