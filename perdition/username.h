/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * username - the user's name in each of the three states of a login.
 *
 * Pure: a copy in, a copy out.  In each state: strip or add the domain, then
 * lower case, as the options for that state say.
 */
#ifndef PERDITION_USERNAME_H
#define PERDITION_USERNAME_H

#include <stddef.h>

#include "common/slice.h"
#include "perdition/config.h"

/*
 * user: as the client sent it.  domain: found for add_domain, "" for none.
 * Bytes written to out, or -1 with errno ENAMETOOLONG.
 */
long username_rewrite(const struct config *, enum name_state state,
    struct slice user, const char *domain, char *out, size_t cap);

/*
 * Cut at the last domain_delimiter.  False when there is none: local is all
 * of user, domain is empty.
 */
bool username_split(struct slice user, const char *delimiter,
    struct slice *local, struct slice *domain);

#endif
