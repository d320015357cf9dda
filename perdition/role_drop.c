/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * role_drop - gives up, for good, what a role has no use for.
 *
 * Root becomes the configured user, a worker is locked into a directory that
 * is empty and has no name any more.  Who was not root has less to give up:
 * what the system then does not allow is skipped.
 */
#include "config.h"

#include "perdition/role.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#ifdef HAVE_LIBCAP_NG
#include <cap-ng.h>
#endif

#include "common/log.h"

#include "common/banned.h"

struct ids {
	uid_t uid;
	gid_t gid;
};

static int
find_ids(const struct config *c, struct ids *ids, struct err *err)
{
	const struct passwd *pw = getpwnam(c->username);
	const struct group *gr = getgrnam(c->group);

	if (pw == NULL)
		return err_set(err, EINVAL,
		    "username %s: there is no such user", c->username);
	if (gr == NULL)
		return err_set(
		    err, EINVAL, "group %s: there is no such group", c->group);
	ids->uid = pw->pw_uid;
	ids->gid = gr->gr_gid;
	return 0;
}

static void
skipped(const char *what)
{
	log_event(LOG_DEBUG, "confine", LOG_STR("skipped", what),
	    LOG_STR("reason", strerror(errno)));
}

#ifdef SANITIZE
/* A sanitizer reads /proc when it has something to say. */
static int
enter_empty_directory(struct err *err)
{
	(void)err;
	return 0;
}
#else
static int
enter_empty_directory(struct err *err)
{
	char path[] = "/run/perdition.XXXXXX";
	char other[] = "/tmp/perdition.XXXXXX";
	char *dir = mkdtemp(path);

	if (dir == NULL)
		dir = mkdtemp(other);
	if (dir == NULL)
		return err_set(err, errno, "%s: %s", other, strerror(errno));
	if (chdir(dir) == -1 || rmdir(dir) == -1 || chroot(".") == -1 ||
	    chdir("/") == -1)
		return err_set(
		    err, errno, "chroot to %s: %s", dir, strerror(errno));
	return 0;
}
#endif

#ifdef HAVE_LIBCAP_NG
static void
drop_capabilities(capng_select_t set)
{
	capng_clear(set);
	if (capng_apply(set) != 0)
		skipped("capabilities");
}
#else
#define drop_capabilities(set) ((void)0)
#endif

static int
become(enum role role, const struct config *c, const struct ids *ids,
    struct err *err)
{
	int groups;

	/* A map or a log file may be readable to a group of the user; a worker
	 * opens no file. */
	if (role == ROLE_LOOKUP || role == ROLE_LOG)
		groups = initgroups(c->username, ids->gid);
	else
		groups = setgroups(1, &ids->gid);
	if (groups == -1 || setresgid(ids->gid, ids->gid, ids->gid) == -1 ||
	    setresuid(ids->uid, ids->uid, ids->uid) == -1)
		return err_set(err, errno, "becoming %s:%s: %s", c->username,
		    c->group, strerror(errno));
	if (ids->uid != 0 && setuid(0) != -1)
		return err_set(
		    err, EPERM, "becoming %s: root came back", c->username);
	return 0;
}

static void
set_limits(enum role role)
{
	struct rlimit none = { 0, 0 };
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		skipped("core limit");
	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		return;
	/* A popmap module may use select(2), which knows no more. */
	if (role == ROLE_WORKER || role == ROLE_INETD ||
	    files.rlim_max < FD_SETSIZE)
		files.rlim_cur = files.rlim_max;
	else
		files.rlim_cur = FD_SETSIZE;
	if (setrlimit(RLIMIT_NOFILE, &files) == -1)
		skipped("file limit");
}

int
role_drop(enum role role, const struct config *c, struct err *err)
{
	bool worker = role == ROLE_WORKER || role == ROLE_INETD;
	struct ids ids;

	set_limits(role);
	if (geteuid() == 0) {
		if (find_ids(c, &ids, err) == -1)
			return -1;
		if (worker && enter_empty_directory(err) == -1)
			return -1;
		drop_capabilities(CAPNG_SELECT_BOUNDS);
		if (become(role, c, &ids, err) == -1)
			return -1;
	}
	drop_capabilities(CAPNG_SELECT_CAPS);
#ifdef PR_CAP_AMBIENT
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		skipped("ambient capabilities");
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		skipped("no_new_privs");
#ifndef SANITIZE /* the leak check at exit traces the process itself */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		skipped("dumpable");
#endif
	return 0;
}
