/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup_client - a worker's questions to the lookup processes, many in
 * flight.
 *
 * Nothing waits here: a question that the channel does not take yet is kept
 * and sent when there is room.  Time limits are the asker's.
 */
#ifndef PERDITION_LOOKUP_CLIENT_H
#define PERDITION_LOOKUP_CLIENT_H

#include <stdint.h>

#include "perdition/loop.h"
#include "perdition/request.h"

struct lookup_client;

/*
 * fd: the worker's end of its lookup channel; borrowed.
 * answered: called from the loop, once for each question that was not
 * forgotten; owner is what was given when asking.
 * NULL with errno.
 */
struct lookup_client *lookup_client_create(struct loop *, int fd,
    void (*answered)(void *owner, const struct lookup_answer *));
void lookup_client_destroy(struct lookup_client **);

/*
 * Copies the question; its id is set here.  Returns the id, or 0 with errno
 * (EAGAIN: too many open; ENOMEM).
 */
uint64_t lookup_client_ask(
    struct lookup_client *, struct lookup_question *, void *owner);

/* The owner no longer wants the answer; 0 is ignored. */
void lookup_client_forget(struct lookup_client *, uint64_t id);

/* A lookup process died, maybe with a question in hand: ask all again. */
void lookup_client_again(struct lookup_client *);

#endif
