/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_socket - a connected socket to an LDAP server, in limited time.
 *
 * Made here and not by the library, whose time-out is for each address of a
 * name, and that blocks in what it does with the socket then.
 */
#ifndef PERDITION_MODULES_LDAP_SOCKET_H
#define PERDITION_MODULES_LDAP_SOCKET_H

#include <stdint.h>

#include "perdition/modules/ldap_options.h"
#include "perdition/popmap.h"

/* Milliseconds of the monotonic clock. */
uint64_t ldap_now_ms(void);

/* How long until then, at most max; 0 when it is over. */
unsigned int ldap_ms_left(uint64_t deadline, unsigned int max);

/*
 * Tries the addresses of the server in turn, each at most limit_ms, none
 * after the deadline.  Looking a name up takes as long as the resolver does.
 * A non-blocking socket, or -1 with err.
 */
int ldap_socket_connect(const struct ldap_server *, unsigned int limit_ms,
    uint64_t deadline, struct popmap_error *);

#endif
