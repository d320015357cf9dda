/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_channel - popmap questions and answers in bytes, between the lookup
 * process and those that ask maps for it.
 */
#ifndef PERDITION_MAP_CHANNEL_H
#define PERDITION_MAP_CHANNEL_H

#include <sys/socket.h>

#include "common/msg.h"
#include "common/slice.h"
#include "perdition/popmap.h"

/* What a query that was read points to. */
struct map_question {
	struct popmap_query query; /* texts point into the packet */
	struct sockaddr_storage client, local;
	char delimiter[64], protocol[16];
};

/*
 * flags: the module's.  What it says not to look at is left out, so that
 * questions that differ in nothing else are the same bytes; the reader finds
 * unspecified addresses or port 0.  timeout_ms is not part of it: both ends
 * know it.
 */
void map_question_write(
    struct msg_writer *, const struct popmap_query *, unsigned int flags);
/* 0, or -1 with errno EBADMSG. */
int map_question_read(struct slice, struct map_question *);

/* The servers only; the lifetime is the memo's. */
void map_servers_write(struct msg_writer *, const struct popmap_answer *);
/* 0, or -1 with errno EBADMSG. */
int map_servers_read(struct slice, struct popmap_answer *);

#endif
