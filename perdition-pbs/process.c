/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process - becoming an ordinary user; see the header.
 */
#include "config.h"

#include "perdition-pbs/process.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include "common/banned.h"

int
process_become(
    uid_t uid, gid_t gid, const gid_t *groups, size_t n, struct err *err)
{
	if (setgroups(n, groups) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		return err_set(err, errno,
		    "cannot become user %u, group %u: %s", (unsigned int)uid,
		    (unsigned int)gid, strerror(errno));
	/* It must not have worked by half. */
	if (uid != 0 && setuid(0) == 0)
		return err_set(err, EPERM, "root could be had back");
	return 0;
}
