/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_module - see popmap_module.h.
 */
#include "config.h"

#include "perdition/popmap_module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/slice.h"
#include "perdition/popmap_legacy.h"

#include "common/banned.h"

#define OLD_PREFIX "libperditiondb_"
#define NAME_MAX_LEN 64

struct popmap_module {
	void *dl;
	char *path;
	struct popmap_legacy *legacy; /* when it is one; then ops is NULL */
	const struct popmap_ops *ops;
	struct popmap *map;
};

static bool
is_short_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '_' && c != '-')
			return false;
	}
	return s.n > 0 && s.n <= NAME_MAX_LEN;
}

/* "gdbm" of "libperditiondb_gdbm.so.0.0.0"; false for any other name. */
static bool
old_name(const char *base, struct slice *name)
{
	struct slice s = slice_str(base);
	ptrdiff_t dot;

	if (!slice_starts(s, SLICE(OLD_PREFIX)))
		return false;
	s = slice_skip(s, sizeof(OLD_PREFIX) - 1);
	dot = slice_find(s, '.');
	if (dot == -1 ||
	    !slice_starts(slice_skip(s, (size_t)dot), SLICE(".so")))
		return false;
	*name = slice_make(s.p, (size_t)dot);
	if (slice_eq(*name, SLICE("posix_regex")))
		*name = SLICE("regex");
	return is_short_name(*name);
}

static char *
in_directory(struct slice name, const char *dir, struct err *err)
{
	char *path;

	if (asprintf(&path, "%s/popmap_%.*s.so", dir, (int)name.n, name.p) ==
	    -1) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	return path;
}

char *
popmap_module_find(const char *library, const char *dir, struct err *err)
{
	const char *slash = strrchr(library, '/');
	struct slice name = slice_str(library);
	char *path;

	if (slash == NULL && is_short_name(name))
		return in_directory(name, dir, err);
	if (slash != NULL && access(library, F_OK) == 0) {
		path = strdup(library);
		if (path == NULL)
			err_set(err, ENOMEM, "out of memory");
		return path;
	}
	if (old_name(slash == NULL ? library : slash + 1, &name))
		return in_directory(name, dir, err);
	if (slash == NULL)
		err_set(err, EINVAL,
		    "%s: neither a module's name nor a path with a slash",
		    library);
	else
		err_set(err, errno, "%s: %s", library, strerror(errno));
	return NULL;
}

static int
load(struct popmap_module *m, const char *path, struct err *err)
{
	if (access(path, F_OK) == -1) /* dlopen's words are less clear */
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	m->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (m->dl == NULL) {
		const char *why = dlerror();

		return err_set(err, ENOEXEC, "%s: cannot be loaded: %s", path,
		    why == NULL ? "?" : why);
	}
	m->ops = dlsym(m->dl, "popmap_module");
	if (m->ops == NULL && popmap_legacy_is(m->dl))
		return 0;
	if (m->ops == NULL)
		return err_set(err, ENOEXEC,
		    "%s: not a popmap module (no symbol popmap_module)", path);
	if (m->ops->abi != POPMAP_ABI)
		return err_set(err, ENOEXEC,
		    "%s: made for popmap interface %d, not %d", path,
		    m->ops->abi, POPMAP_ABI);
	if (m->ops->open == NULL || m->ops->lookup == NULL ||
	    m->ops->close == NULL)
		return err_set(err, ENOEXEC, "%s: a function is missing", path);
	return 0;
}

static int
open_map(struct popmap_module *m, const char *options, const char *sysconfdir,
    struct err *err)
{
	struct popmap_error why = { .msg = "" };

	if (m->ops == NULL)
		return popmap_legacy_open(
		    &m->legacy, m->dl, m->path, options, err);
	errno = 0;
	if (m->ops->open(&m->map, options, sysconfdir, &why) == 0)
		return 0;
	/* The interface has no code, but errno tells no such file from no
	 * permission; the message does not depend on it. */
	return err_set(err, errno == 0 ? EINVAL : errno, "popmap %s: %.*s",
	    m->ops->name == NULL ? "?" : m->ops->name,
	    (int)strnlen(why.msg, sizeof(why.msg)), why.msg);
}

int
popmap_module_flags(const char *path, unsigned int *flags, struct err *err)
{
	struct popmap_module m = { .dl = NULL };
	int ret = load(&m, path, err);

	*flags = ret == 0 && m.ops != NULL ? m.ops->flags : 0;
	if (m.dl != NULL)
		dlclose(m.dl);
	return ret;
}

int
popmap_module_open(struct popmap_module **mp, const char *path,
    const char *options, const char *sysconfdir, struct err *err)
{
	struct popmap_module *m = calloc(1, sizeof(*m));
	int ret = -1;

	*mp = m;
	if (m == NULL)
		return err_set(err, ENOMEM, "out of memory");
	m->path = strdup(path);
	if (m->path == NULL)
		err_set(err, ENOMEM, "out of memory");
	else if (load(m, path, err) == 0)
		ret = open_map(
		    m, options == NULL ? "" : options, sysconfdir, err);
	if (ret == -1)
		popmap_module_close(mp);
	return ret;
}

void
popmap_module_close(struct popmap_module **mp)
{
	struct popmap_module *m = *mp;

	if (m == NULL)
		return;
	popmap_legacy_close(&m->legacy);
	if (m->map != NULL)
		m->ops->close(&m->map);
	if (m->dl != NULL)
		dlclose(m->dl);
	free(m->path);
	free(m);
	*mp = NULL;
}

static bool
is_sound(const struct popmap_answer *a)
{
	if (a->n == 0 || a->n > POPMAP_SERVERS_MAX)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (a->server[i].len > sizeof(a->server[i].text))
			return false;
	}
	return true;
}

int
popmap_module_lookup(struct popmap_module *m, const struct popmap_query *q,
    struct popmap_answer *a, struct err *err)
{
	struct popmap_error why = { .msg = "" };
	int ret;

	a->ttl = 0;
	if (m->legacy != NULL)
		return popmap_legacy_lookup(m->legacy, q, a, err);
	a->n = 0;
	ret = m->ops->lookup(m->map, q, a, &why);
	if (ret == 0)
		return 0;
	if (ret == 1 && is_sound(a))
		return 1;
	if (ret == 1)
		return err_set(
		    err, EPROTO, "popmap %s: malformed answer", m->ops->name);
	return err_set(err, EAGAIN, "popmap %s: %.*s", m->ops->name,
	    (int)strnlen(why.msg, sizeof(why.msg)), why.msg);
}
