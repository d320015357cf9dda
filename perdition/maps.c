/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps - see maps.h.
 */
#include "config.h"

#include "perdition/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "perdition/map_channel.h"
#include "perdition/popmap_module.h"

#include "common/banned.h"

#define SYSCONF_PERDITION SYSCONFDIR "/perdition"
/* A map answers, or is given up, so much before the session gives up: it is to
 * be told why, and to get an old answer where one may be used. */
#define LIMIT_PERCENT 90

struct map {
	struct maps *maps;
	const char *library, *options; /* the configuration's */
	char *path;
	char *name;                   /* for messages: "ldap" */
	struct popmap_module *module; /* NULL where the pool has it */
	struct ask_pool *pool;        /* NULL where it is asked here */
	struct ask_ops ops;
	unsigned int flags; /* the module's */
};

struct maps {
	const struct config *config;
	const struct maps_trace *trace;
	unsigned int limit_ms;
	struct memo *memo;
	struct memo_times times;
	struct popmap_answer *scratch; /* of a pool's process; large */
	char *packet;                  /* MSG_MAX: a question in bytes */
	size_t n;
	struct map map[];
};

/* A module that keeps its time is to say why it failed before it is killed. */
static unsigned int
module_ms(const struct maps *ms)
{
	return ms->limit_ms - ms->limit_ms / 20;
}

/* --- in the processes that ask ------------------------------------------ */

static int
module_open(void *arg, void **state, struct err *err)
{
	struct map *m = arg;

	if (popmap_module_open(
		&m->module, m->path, m->options, SYSCONF_PERDITION, err) == -1)
		return -1;
	*state = m;
	return 0;
}

static void
module_serve(void *state, struct slice request, struct msg_writer *reply)
{
	struct map *m = state;
	struct popmap_answer *a = m->maps->scratch;
	struct map_question q;
	struct err err;
	int ret;

	/* The first byte tells maps apart in the memo. */
	if (map_question_read(slice_skip(request, 1), &q) == -1) {
		memo_reply_begin(reply, MEMO_FAILED, 0);
		msg_put_bytes(reply, "malformed question", 18);
		return;
	}
	q.query.timeout_ms = module_ms(m->maps);
	ret = popmap_module_lookup(m->module, &q.query, a, &err);
	memo_reply_begin(reply,
	    ret == 1   ? MEMO_FOUND
	    : ret == 0 ? MEMO_NONE
		       : MEMO_FAILED,
	    ret == -1 ? 0 : a->ttl);
	if (ret == 1)
		map_servers_write(reply, a);
	else if (ret == -1)
		msg_put_bytes(reply, err.msg, strlen(err.msg));
}

static void
module_close(void *state)
{
	struct map *m = state;

	popmap_module_close(&m->module);
}

size_t
maps_count(const struct maps *ms)
{
	return ms->n;
}

unsigned int
maps_limit_ms(const struct config *c)
{
	unsigned int s = c->map_timeout == 0 ? 1 : c->map_timeout;

	return s * (1000 / 100) * LIMIT_PERCENT;
}

/* --- opening ------------------------------------------------------------ */

/* "ldap" of ".../popmap_ldap.so"; else the file's name. */
static char *
name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct slice s = slice_str(slash == NULL ? path : slash + 1), name;

	if (slice_starts(s, SLICE("popmap_")))
		s = slice_skip(s, sizeof("popmap_") - 1);
	return slice_cut(&s, '.', &name) ? slice_dup(name) : slice_dup(s);
}

static int
open_map(struct map *m, int epoll, struct err *err)
{
	const struct config *c = m->maps->config;
	struct ask_pool_settings set = {
		.ops = &m->ops,
		.arg = m,
		.processes = c->map_connections == 0 ? 1 : c->map_connections,
		.limit_ms = m->maps->limit_ms,
		.epoll = epoll,
		.done = memo_done,
	};

	m->path = popmap_module_find(m->library, c->module_dir, err);
	if (m->path == NULL)
		return -1;
	m->name = name_of(m->path);
	if (m->name == NULL)
		return err_set(err, ENOMEM, "out of memory");
	if (popmap_module_flags(m->path, &m->flags, err) == -1)
		return -1;
	if (epoll == -1 || m->flags & POPMAP_QUICK)
		return popmap_module_open(
		    &m->module, m->path, m->options, SYSCONF_PERDITION, err);
	m->ops = (struct ask_ops){ m->name, module_open, module_serve,
		module_close };
	return ask_pool_open(&m->pool, &set, err);
}

static void
set_times(struct maps *ms)
{
	const struct config *c = ms->config;

	ms->times = (struct memo_times){
		.found = (uint64_t)c->popmap_cache * 1000,
		.none = (uint64_t)c->popmap_cache * 1000,
		.stale = (uint64_t)c->popmap_cache_stale * 1000,
	};
	ms->limit_ms = maps_limit_ms(c);
}

int
maps_open(struct maps **msp, const struct config *config, int epoll,
    const struct maps_trace *trace, uint64_t *replies, struct err *err)
{
	size_t most = config->map_library.n;
	struct maps *ms = calloc(1, sizeof(*ms) + most * sizeof(struct map));
	int ret = 0;

	*msp = ms;
	if (ms == NULL)
		return err_set(err, ENOMEM, "out of memory");
	ms->config = config;
	ms->trace = trace;
	set_times(ms);
	ms->scratch = calloc(1, sizeof(*ms->scratch));
	ms->packet = malloc(MSG_MAX);
	ms->memo = memo_create(
	    config->popmap_cache_size == 0 ? 1 : config->popmap_cache_size,
	    replies);
	if (ms->scratch == NULL || ms->packet == NULL || ms->memo == NULL)
		ret = err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; ret == 0 && i < most; i++) {
		struct map *m = &ms->map[ms->n];

		if (config->map_library.v[i][0] == '\0') /* no map */
			continue;
		ms->n++;
		m->maps = ms;
		m->library = config->map_library.v[i];
		m->options = i < config->map_library_opt.n
				 ? config->map_library_opt.v[i]
				 : "";
		ret = open_map(m, epoll, err);
	}
	if (ret == -1)
		maps_close(msp);
	return ret;
}

void
maps_close(struct maps **msp)
{
	struct maps *ms = *msp;

	if (ms == NULL)
		return;
	for (size_t i = 0; i < ms->n; i++) {
		struct map *m = &ms->map[i];

		ask_pool_close(&m->pool);
		popmap_module_close(&m->module);
		free(m->path);
		free(m->name);
	}
	memo_destroy(&ms->memo);
	free(ms->scratch);
	free(ms->packet);
	free(ms);
	*msp = NULL;
}

/* --- asking ------------------------------------------------------------- */

/* One question and who asks it. */
struct asking {
	struct popmap_query *query;
	uint64_t now_ms, since;
	struct memo_waiter *waiter;
	struct popmap_answer *answer;
	struct err *err;
};

static int
ask_pool_of(struct maps *ms, struct map *m, struct asking *k)
{
	struct msg_writer w;
	struct slice key, answer;

	msg_write_init(&w, ms->packet, MSG_MAX);
	msg_put_u8(&w, (uint8_t)(m - ms->map));
	map_question_write(&w, k->query, m->flags);
	if (w.failed)
		return 0; /* longer than what any map holds */
	key = slice_make(ms->packet, w.n);
	switch (memo_get(ms->memo, m->pool, &ms->times, key, key, k->now_ms,
	    k->since, k->waiter, &answer)) {
	case MEMO_NONE:
		return 0;
	case MEMO_WAIT:
		return MAPS_WAIT;
	case MEMO_FOUND:
		if (map_servers_read(answer, k->answer) == 0)
			return 1;
		answer = SLICE("malformed answer");
		/* fall through */
	default:
		return err_set(k->err, EAGAIN, "map %s: %.*s", m->name,
		    (int)(answer.n > 200 ? 200 : answer.n), answer.p);
	}
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int
ask_map(struct maps *ms, struct map *m, struct asking *k)
{
	uint64_t began;
	int ret;

	if (m->pool != NULL)
		return ask_pool_of(ms, m, k);
	k->query->timeout_ms = module_ms(ms);
	if (ms->trace == NULL)
		return popmap_module_lookup(
		    m->module, k->query, k->answer, k->err);
	began = now_ns();
	ret = popmap_module_lookup(m->module, k->query, k->answer, k->err);
	ms->trace->asked(ms->trace->arg, m->name, k->query->key,
	    now_ns() - began, ret, k->answer, k->err);
	return ret;
}

/* All keys of one map. */
static int
ask_keys(struct maps *ms, struct map *m, const struct popmap_text *keys,
    size_t n, struct asking *k)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < n; i++) {
		k->query->key = keys[i];
		ret = ask_map(ms, m, k);
	}
	return ret;
}

int
maps_ask(struct maps *ms, struct popmap_query *query,
    const struct popmap_text *keys, size_t n, uint64_t now_ms, uint64_t since,
    struct memo_waiter *w, struct popmap_answer *answer, struct err *err)
{
	struct err why;
	struct asking k = { query, now_ms, since, w, answer, &why };
	bool failed = false;

	for (size_t i = 0; i < ms->n; i++) {
		int ret = ask_keys(ms, &ms->map[i], keys, n, &k);

		if (ret == 1 || ret == MAPS_WAIT)
			return ret;
		if (ret == 0)
			continue;
		if (!failed) /* the first is the one to look at */
			*err = why;
		failed = true;
		if (!ms->config->map_fallthrough)
			break;
	}
	return failed ? -1 : 0;
}

void
maps_tick(struct maps *ms, uint64_t now_ms)
{
	for (size_t i = 0; i < ms->n; i++) {
		if (ms->map[i].pool != NULL)
			ask_pool_tick(ms->map[i].pool, now_ms);
	}
}

uint64_t
maps_due(const struct maps *ms)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < ms->n; i++) {
		uint64_t at = ms->map[i].pool == NULL
				  ? UINT64_MAX
				  : ask_pool_due(ms->map[i].pool);

		if (at < due)
			due = at;
	}
	return due;
}
