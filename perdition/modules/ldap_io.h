/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_io - the lowest layer of the library's input and output.
 *
 * The library waits in ldap_result(3), in limited time.  But a handshake of TLS
 * it does to the end: LDAP_OPT_NETWORK_TIMEOUT is no help, for made with
 * GnuTLS (2.5.13) it turns round and round while there is nothing to read.
 * So that is done in this layer, which then waits by itself and fails when time
 * is up.
 */
#ifndef PERDITION_MODULES_LDAP_IO_H
#define PERDITION_MODULES_LDAP_IO_H

#include <lber.h>
#include <stdbool.h>
#include <stdint.h>

struct ldap_io;

/*
 * Below all that sb has.  fd is not blocking; it is closed, and all is freed,
 * with sb.  NULL: out of memory, and fd is still the caller's.
 */
struct ldap_io *ldap_io_add(Sockbuf *sb, int fd);

/* From now on wait for bytes, but only until then; or not, as at first. */
void ldap_io_wait_until(struct ldap_io *, uint64_t deadline);
void ldap_io_never_wait(struct ldap_io *);

/* Whether it has waited in vain. */
bool ldap_io_timed_out(const struct ldap_io *);

#endif
