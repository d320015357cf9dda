/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_legacy - see popmap_legacy.h.
 */
#include "config.h"

#include "perdition/popmap_legacy.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "common/addr.h"
#include "common/slice.h"

#include "common/banned.h"

/* Results of the libraries' functions. */
#define DBSERVER_FOUND 0
#define DBSERVER_ACCESS (-1)
#define DBSERVER_NO_KEY (-2)

/* Part of the old interface: the libraries refer to these by name, so they
 * cannot hang off a struct. */
extern struct utsname *system_uname;
extern struct sockaddr_storage *peername, *sockname;
struct utsname *system_uname;
struct sockaddr_storage *peername, *sockname;

struct popmap_legacy {
	const char *path;
	char *options; /* they may keep a pointer, and write to it */
	int (*init)(char *options);
	int (*fini)(void);
	int (*get)(
	    const char *key, const char *options, char **value, size_t *len);
	int (*get2)(const char *key, const char *options, char **user,
	    char **server, char **port);
	bool open;
	struct utsname uname;
	struct sockaddr_storage peer, sock;
};

/* POSIX lets a pointer to a function come out of dlsym(3); ISO C has no cast
 * for it. */
static void
find(void *dl, const char *name, void *function)
{
	void *p = dlsym(dl, name);

	memcpy(function, &p, sizeof(p));
}

bool
popmap_legacy_is(void *dl)
{
	return dlsym(dl, "dbserver_get") != NULL ||
	       dlsym(dl, "dbserver_get2") != NULL;
}

int
popmap_legacy_open(struct popmap_legacy **lp, void *dl, const char *path,
    const char *options, struct err *err)
{
	struct popmap_legacy *l = calloc(1, sizeof(*l));
	int code = 0;

	*lp = l;
	if (l == NULL)
		return err_set(err, ENOMEM, "out of memory");
	l->path = path;
	find(dl, "dbserver_init", &l->init);
	find(dl, "dbserver_fini", &l->fini);
	find(dl, "dbserver_get", &l->get);
	find(dl, "dbserver_get2", &l->get2);
	l->options = strdup(options);
	if (l->options == NULL || uname(&l->uname) == -1) {
		err_set(err, errno, "%s: %s", path, strerror(errno));
		popmap_legacy_close(lp);
		return -1;
	}
	system_uname = &l->uname;
	peername = &l->peer;
	sockname = &l->sock;
	if (l->init != NULL)
		code = l->init(l->options);
	if (code != 0) {
		err_set(
		    err, EINVAL, "%s: dbserver_init: result %d", path, code);
		popmap_legacy_close(lp);
		return -1;
	}
	l->open = true;
	return 0;
}

void
popmap_legacy_close(struct popmap_legacy **lp)
{
	struct popmap_legacy *l = *lp;

	if (l == NULL)
		return;
	if (l->open && l->fini != NULL)
		l->fini();
	system_uname = NULL;
	peername = sockname = NULL;
	free(l->options);
	free(l);
	*lp = NULL;
}

static void
copy_sockaddr(struct sockaddr_storage *to, const struct sockaddr *from)
{
	memset(to, 0, sizeof(*to));
	memcpy(to, from,
	    from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					: sizeof(struct sockaddr_in));
}

static int
result(const struct popmap_legacy *l, int code, struct err *err)
{
	if (code == DBSERVER_FOUND)
		return 1;
	if (code == DBSERVER_NO_KEY)
		return 0;
	if (code == DBSERVER_ACCESS)
		return err_set(
		    err, EAGAIN, "%s: the map cannot be accessed", l->path);
	return err_set(err, EAGAIN, "%s: result %d", l->path, code);
}

static int
malformed(const struct popmap_legacy *l, struct err *err)
{
	return err_set(err, EPROTO, "%s: malformed answer", l->path);
}

/* "user<delimiter>server:port" of the three; user and port may be NULL. */
static int
join(const struct popmap_legacy *l, const char *user, const char *delimiter,
    const char *server, const char *port, struct popmap_answer *a,
    struct err *err)
{
	bool has_user = user != NULL && user[0] != '\0';
	bool has_port = port != NULL && port[0] != '\0';
	struct addr addr;
	bool v6;
	int n;

	if (server == NULL || server[0] == '\0')
		return malformed(l, err);
	v6 = addr_parse_ip(slice_str(server), &addr) == 0 &&
	     strchr(server, ':') != NULL;
	n = snprintf(a->server[0].text, sizeof(a->server[0].text),
	    "%s%s%s%s%s%s%s", has_user ? user : "", has_user ? delimiter : "",
	    v6 ? "[" : "", server, v6 ? "]" : "", has_port ? ":" : "",
	    has_port ? port : "");
	if (n < 0 || (size_t)n >= sizeof(a->server[0].text))
		return malformed(l, err);
	a->server[0].len = (size_t)n;
	a->n = 1;
	return 1;
}

static int
ask_get2(struct popmap_legacy *l, const char *key, const char *delimiter,
    struct popmap_answer *a, struct err *err)
{
	char *user = NULL, *server = NULL, *port = NULL;
	int ret =
	    result(l, l->get2(key, l->options, &user, &server, &port), err);

	if (ret == 1)
		ret = join(l, user, delimiter, server, port, a, err);
	free(user);
	free(server);
	free(port);
	return ret;
}

static int
ask_get(struct popmap_legacy *l, const char *key, struct popmap_answer *a,
    struct err *err)
{
	char *value = NULL;
	size_t n = 0;
	int ret = result(l, l->get(key, l->options, &value, &n), err);

	if (ret == 1) {
		/* Some count a NUL or a newline at the end. */
		while (value != NULL && n > 0 &&
		       (value[n - 1] == '\0' || value[n - 1] == '\n'))
			n--;
		if (value == NULL || n == 0 || n > sizeof(a->server[0].text)) {
			ret = malformed(l, err);
		} else {
			memcpy(a->server[0].text, value, n);
			a->server[0].len = n;
			a->n = 1;
		}
	}
	free(value);
	return ret;
}

int
popmap_legacy_lookup(struct popmap_legacy *l, const struct popmap_query *q,
    struct popmap_answer *a, struct err *err)
{
	char *key;
	int ret;

	a->n = 0;
	if (q->key.n > 0 && memchr(q->key.p, '\0', q->key.n) != NULL)
		return 0; /* as text that ends there it would be another key */
	key = strndup(q->key.n == 0 ? "" : q->key.p, q->key.n);
	if (key == NULL)
		return err_set(err, ENOMEM, "out of memory");
	copy_sockaddr(&l->peer, q->client_addr);
	copy_sockaddr(&l->sock, q->local_addr);
	if (l->get2 != NULL)
		ret = ask_get2(l, key, q->delimiter, a, err);
	else
		ret = ask_get(l, key, a, err);
	free(key);
	return ret;
}
