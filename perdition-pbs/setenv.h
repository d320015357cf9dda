/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setenv - the qmail way: RELAYCLIENT in the environment of an SMTP server
 * that tcpserver starts for a client which may relay.
 *
 * Fails closed: whatever goes wrong, the server runs, without RELAYCLIENT.
 */
#ifndef PERDITION_PBS_SETENV_H
#define PERDITION_PBS_SETENV_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "perdition-pbs/relay_rule.h"

/*
 * The client: TCP6REMOTEIP or TCPREMOTEIP, or else the peer of fd 0.
 * false: neither tells.
 */
bool setenv_client(struct addr *);

/* Whether client may relay always, or path holds a record for it that is alive
 * at now; *err is set when it cannot be told. */
bool setenv_may_relay(const char *path, const char *prefix,
    const struct relay_rule *, const struct addr *client, int64_t now,
    struct err *err);

/* Sets RELAYCLIENT to nothing, unless it is set: that one stays. */
void setenv_allow(void);

#endif
