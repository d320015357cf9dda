/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask_process - one process of an ask_pool.
 *
 * A fork of the lookup process, and no more trusted or trusting than that: it
 * has its own channel and nothing else that was open, and it ends with the
 * channel, or when the lookup process dies.
 */
#ifndef PERDITION_ASK_PROCESS_H
#define PERDITION_ASK_PROCESS_H

#include <sys/types.h>

#include "perdition/ask_pool.h"

/* Its first packet: this byte, or another and why it could not open. */
#define ASK_PROCESS_READY 'R'
#define ASK_PROCESS_FAILED 'F'

/* Our end of its channel (SOCK_SEQPACKET, close-on-exec) with *pid set, or -1
 * with errno. */
int ask_process_start(const struct ask_ops *, void *arg, pid_t *pid);

#endif
