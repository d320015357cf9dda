/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logsession - for servers that tell the client's address in one line and the
 * login in another: who began the session that a process serves.
 *
 * Holds a bounded number; when there are more at a time, some are forgotten,
 * and their logins with them, but none gets another's address.
 */
#ifndef PERDITION_PBS_LOGSESSION_H
#define PERDITION_PBS_LOGSESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "perdition-pbs/loghead.h"

/* A session may have begun so long before its login (RFC 1939 section 3: a
 * server may wait for 10 minutes). */
#define LOGSESSION_MAX 600 /* seconds */

struct logsessions;

struct logsessions *logsessions_create(void); /* NULL with errno */
void logsessions_destroy(struct logsessions **);

/* head: of the line, for its host, ident and process id; a line without the
 * latter begins nothing.  when: seconds since the epoch, as stamped. */
void logsession_begin(struct logsessions *, const struct loghead *head,
    const struct addr *client, int64_t when);

/* A login, or a session's end.  Whether it had begun, LOGSESSION_MAX before
 * when at most; then client is set.  It is forgotten: there is one login. */
bool logsession_end(struct logsessions *, const struct loghead *head,
    int64_t when, struct addr *client);

#endif
