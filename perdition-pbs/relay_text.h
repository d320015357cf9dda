/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_text - an entry as text, for export and import, the tools' requests
 * and other programs.
 *
 *   203.0.113.77 1800000000 "bob"
 *   2001:db8:9::/64 1800000000 ""
 * The address or network, when it expires in seconds since 1970 UTC, and the
 * user, always quoted, with \" and \\ and \xHH for all that is no printable
 * ASCII; "" is not known.  Single spaces between, nothing around.
 */
#ifndef PERDITION_PBS_RELAY_TEXT_H
#define PERDITION_PBS_RELAY_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "common/slice.h"
#include "perdition-pbs/relay_names.h"
#include "perdition-pbs/relay_store.h"

#define RELAY_LINE_MAX 2304 /* bytes; every byte of a user escaped */

/* Length written, without a newline, or -1 with errno ENOSPC. */
long relay_text_write(
    const struct relay_entry *, struct slice user, char *out, size_t cap);

/*
 * Takes one entry off the front of *text.  *user points into memory.  NULL, or
 * what is wrong with it, and *text is no longer of use.
 */
const char *relay_text_parse(struct slice *text, struct relay_entry *,
    char memory[RELAY_USER_MAX], struct slice *user);

/*
 * One object of JSON in a line of ASCII: address, expires, left (seconds),
 * always, user (a string, or null: not known) and, if the user's bytes are no
 * UTF-8, user_hex, which has them all, while in user each that is wrong has
 * become U+FFFD.
 */
void relay_text_json(
    FILE *, const struct relay_entry *, struct slice user, int64_t now);

#endif
