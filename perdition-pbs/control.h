/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control - what a tool asks of the running daemon, over its socket.
 *
 * The daemon's memory is the truth, so the tools change that and not the
 * file below it.  One line a request, one line an answer:
 *   perdition-pbs 1 insert "/etc/mail/popauth.db" 3600 203.0.113.77
 *   perdition-pbs 1 remove "/etc/mail/popauth.db" 0 203.0.113.77
 *   perdition-pbs 1 purge "/etc/mail/popauth.db" 0
 *   perdition-pbs 1 expire "/etc/mail/popauth.db" 0
 *   perdition-pbs 1 check "/etc/mail/popauth.db" 0 ENTRY...
 *   perdition-pbs 1 import "/etc/mail/popauth.db" 0 ENTRY...
 *   ok DONE REFUSED "PREFIX" | other | error TEXT
 * "other": the daemon there keeps another database.  ENTRY as in relay_text.h,
 * as many as fit in AUTH_LINE_MAX; all of them are checked before the first is
 * imported, so that a rule that forbids one stops the whole.
 */
#ifndef PERDITION_PBS_CONTROL_H
#define PERDITION_PBS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/relay_file.h"

#define CONTROL_REPLY_MAX 512
#define CONTROL_DB_MAX 4096 /* bytes of the database's path */

bool control_is(struct slice line);

/* A request as read, which may have made a store for its entries. */
struct control_request {
	struct relay_request q;
	struct relay_key key;
	struct relay_store *entries;
	size_t db_n;
	char db[CONTROL_DB_MAX];
};

/* 0, or -1 with errno EBADMSG or ENOMEM.  q.keys points into r, which has to be
 * cleared in any case. */
int control_parse(struct slice line, struct control_request *r);
void control_clear(struct control_request *r);

/* Length with newline, or -1 (ENOSPC).  key: NULL for purge and expire. */
long control_write(enum relay_op, const char *db, unsigned int timeout,
    const struct relay_key *key, char *out, size_t cap);

/* Check and import: entries from *at on, as many as fit, and moves *at. */
long control_write_entries(enum relay_op, const char *db,
    const struct relay_store *entries, size_t *at, char *out, size_t cap);

/* prefix: what the daemon's keys begin with; a tool may not know. */
size_t control_reply_ok(const struct relay_result *, const char *prefix,
    char out[CONTROL_REPLY_MAX]);
size_t control_reply_other(char out[CONTROL_REPLY_MAX]);
size_t control_reply_error(const char *text, char out[CONTROL_REPLY_MAX]);

/*
 * The tool's side: 1 done, with *res and prefix filled; 0 nobody listens there,
 * or a daemon with another database; -1 with err (EACCES: it does not listen to
 * us; ETIMEDOUT).
 */
int control_ask(const char *socket, const char *db,
    const struct relay_request *, struct relay_result *res,
    char prefix[RELAY_PREFIX_MAX], struct err *);

#endif
