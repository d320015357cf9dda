/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answers - the services for MTAs; see the header.
 */
#include "config.h"

#include "perdition-pbs/answers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/directory.h"
#include "perdition-pbs/answer.h"
#include "perdition-pbs/answer_server.h"
#include "perdition-pbs/answer_trace.h"

#include "common/banned.h"

/* Whoever connects is told by SO_PEERCRED, and by mta_user whether he may. */
#define SOCKET_MODE 0666

#define PATIENCE_MS 10000

#define FILES_KEPT 256 /* descriptors for everything else */

static const struct {
	size_t path; /* in struct pbs_config */
	const struct answer_protocol *protocol;
} services[] = {
	{ offsetof(struct pbs_config, policy_socket), &answer_policy },
	{ offsetof(struct pbs_config, socketmap_socket), &answer_socketmap },
	{ offsetof(struct pbs_config, lookup_socket), &answer_lookup },
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

struct service {
	struct answers *answers;
	const char *name;
	int fd; /* until the server has it; or -1 */
	struct answer_server *server;
};

struct answers {
	struct answers_world world;
	uv_loop_t *loop;
	struct answer_trace *trace;
	struct service services[SERVICES];
};

static const char *
path_of(const struct pbs_config *c, size_t i)
{
	return *(char *const *)((const char *)c + services[i].path);
}

/* --- questions ----------------------------------------------------------- */

static bool
may_relay(void *arg, const struct addr *client, struct answer_grant *grant)
{
	struct service *s = arg;
	struct answers *a = s->answers;
	const struct relay *r = a->world.relay;
	const struct relay_entry *e =
	    relay_find(r, client, a->world.now(a->world.arg));

	if (e == NULL)
		return false;
	grant->by = e->key;
	grant->user = relay_store_user(r->store, e);
	answer_trace(a->trace, s->name, client, grant, uv_now(a->loop));
	return true;
}

static void
describe(struct service *s, const struct pbs_config *c,
    struct listener_peers *peers, struct answer_source *source)
{
	*peers =
	    (struct listener_peers){ c->mta_uids, c->mta_uids_n, geteuid() };
	*source = (struct answer_source){
		.may_relay = may_relay,
		.arg = s,
		.prefix = c->prefix,
		.header = c->policy_header,
	};
}

/* --- life ---------------------------------------------------------------- */

struct answers *
answers_create(const struct answers_world *world)
{
	struct answers *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->world = *world;
	for (size_t i = 0; i < SERVICES; i++) {
		a->services[i].answers = a;
		a->services[i].name = services[i].protocol->name;
		a->services[i].fd = -1;
	}
	a->trace = answer_trace_create();
	if (a->trace == NULL)
		answers_destroy(&a);
	return a;
}

int
answers_open(struct answers *a, const struct pbs_config *c, struct err *err)
{
	for (size_t i = 0; i < SERVICES; i++) {
		const char *path = path_of(c, i);

		if (path[0] == '\0')
			continue;
		if (directory_make_of(path, c->uid, c->gid, err) == -1)
			return -1;
		a->services[i].fd =
		    listener_open(path, SOCKET_MODE, c->uid, c->gid, err);
		if (a->services[i].fd == -1)
			return -1;
	}
	return 0;
}

/* So many connections of each service that descriptors are left for the
 * database, the log and all else, whatever MTAs do. */
static size_t
connections(void)
{
	rlim_t wanted = SERVICES * ANSWERS_CONNECTIONS + FILES_KEPT;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1)
		return 1;
	if (l.rlim_cur < wanted) {
		l.rlim_cur = l.rlim_max < wanted ? l.rlim_max : wanted;
		if (setrlimit(RLIMIT_NOFILE, &l) == -1)
			getrlimit(RLIMIT_NOFILE, &l);
	}
	if (l.rlim_cur >= wanted)
		return ANSWERS_CONNECTIONS;
	return l.rlim_cur <= FILES_KEPT ? 1
					: (l.rlim_cur - FILES_KEPT) / SERVICES;
}

int
answers_start(struct answers *a, uv_loop_t *loop, const struct pbs_config *c,
    struct err *err)
{
	a->loop = loop;
	for (size_t i = 0; i < SERVICES; i++) {
		struct service *s = &a->services[i];
		struct answer_use use = {
			.protocol = services[i].protocol,
			.patience_ms = PATIENCE_MS,
		};
		struct listener_peers peers;

		if (s->fd == -1)
			continue;
		use.max = connections();
		describe(s, c, &peers, &use.source);
		s->server = answer_server_create(
		    loop, s->fd, path_of(c, i), &peers, &use, err);
		s->fd = -1;
		if (s->server == NULL)
			return -1;
	}
	return 0;
}

void
answers_reload(struct answers *a, const struct pbs_config *c)
{
	for (size_t i = 0; i < SERVICES; i++) {
		struct service *s = &a->services[i];
		struct listener_peers peers;
		struct answer_source source;

		if (s->server == NULL)
			continue;
		describe(s, c, &peers, &source);
		answer_server_change(s->server, &peers, &source);
	}
}

void
answers_stop(struct answers *a)
{
	for (size_t i = 0; i < SERVICES; i++)
		answer_server_destroy(&a->services[i].server);
}

void
answers_destroy(struct answers **ap)
{
	struct answers *a = *ap;

	if (a == NULL)
		return;
	for (size_t i = 0; i < SERVICES; i++)
		if (a->services[i].fd != -1)
			close(a->services[i].fd);
	answer_trace_destroy(&a->trace);
	free(a);
	*ap = NULL;
}
