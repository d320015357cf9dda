/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setenv - the qmail way: RELAYCLIENT in the environment of an SMTP server
 * that tcpserver starts for a client which may relay, and in RELAYUSER whose
 * login let it in.
 *
 * Fails closed: whatever goes wrong, the server runs, without RELAYCLIENT.
 */
#ifndef PERDITION_PBS_SETENV_H
#define PERDITION_PBS_SETENV_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/answer.h"
#include "perdition-pbs/relay_rule.h"

#define SETENV_USER_MAX (ANSWER_USER_MAX + 1) /* with its NUL */
#define SETENV_REPLY_MAX (4 + ANSWER_USER_MAX)

enum setenv_verdict { SETENV_UNKNOWN, SETENV_NO, SETENV_YES };

/*
 * The client: TCP6REMOTEIP or TCPREMOTEIP, or else the peer of fd 0.
 * false: neither tells.
 */
bool setenv_client(struct addr *);

/*
 * The daemon's word, through its lookup_socket at path; SETENV_UNKNOWN: there
 * is none within a second.  With SETENV_YES user is who opened the address, as
 * RELAYUSER has it; empty: not known.  Needs no library.
 */
enum setenv_verdict setenv_ask(
    const char *path, const struct addr *client, char user[SETENV_USER_MAX]);

/* What a reply to the verb relay says, whole as it came.  A user written
 * otherwise than answer_quote_user() writes it is none. */
enum setenv_verdict setenv_parse_reply(
    struct slice reply, char user[SETENV_USER_MAX]);

/* Whether client may relay always, or path holds a record for it that is alive
 * at now; *err is set when it cannot be told. */
bool setenv_may_relay(const char *path, const char *prefix,
    const struct relay_rule *, const struct addr *client, int64_t now,
    struct err *err);

/* Takes a RELAYUSER away that somebody else has set: it could blame anybody.
 * To be called whatever else is done. */
void setenv_drop_user(void);

/* Sets RELAYCLIENT to nothing, and RELAYUSER to user unless that is empty; but
 * a RELAYCLIENT that is set stays, and is nobody's doing. */
void setenv_allow(const char *user);

#endif
