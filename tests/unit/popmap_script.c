/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A popmap module for tests that does what its key says; also the proof that
 * perdition/popmap.h stands alone.
 */
#include "perdition/popmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct popmap {
	char *options;
	unsigned int asked; /* how often */
};

extern const struct popmap_ops popmap_module;

static int
script_open(struct popmap **map, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	*map = NULL;
	if (strcmp(options, "bad") == 0) {
		snprintf(
		    err->msg, sizeof(err->msg), "bad options, %s", sysconfdir);
		return -1;
	}
	if (strcmp(options, "hang") == 0)
		pause();
	*map = calloc(1, sizeof(**map));
	if (*map == NULL)
		return -1;
	(*map)->options = strdup(options);
	return 0;
}

static bool
is(struct popmap_text key, const char *text)
{
	return key.n == strlen(text) && memcmp(key.p, text, key.n) == 0;
}

static void
add(struct popmap_answer *a, const char *text)
{
	a->server[a->n].len = strlen(text);
	memcpy(a->server[a->n].text, text, strlen(text));
	a->n++;
}

/* Everything that was in the query, as a host name. */
static void
describe(const struct popmap_query *q, struct popmap_answer *a)
{
	char text[256];

	snprintf(text, sizeof(text), "%.*s-%.*s-%.*s-%s-%d-%d-%d-%u",
	    (int)q->user.n, q->user.p, (int)q->local.n, q->local.p,
	    (int)q->domain.n, q->domain.p, q->protocol,
	    q->client_addr->sa_family == AF_INET,
	    q->local_addr->sa_family == AF_INET6, q->client_tls, q->port);
	for (char *p = text; *p != '\0'; p++) {
		if (*p == '@')
			*p = '_';
	}
	add(a, text);
}

/* Whether there is the file ".../trouble" that the options name. */
static bool
in_trouble(const struct popmap *map)
{
	return strstr(map->options, "/trouble") != NULL &&
	       access(map->options, F_OK) == 0;
}

static int
script_lookup(struct popmap *map, const struct popmap_query *q,
    struct popmap_answer *a, struct popmap_error *err)
{
	map->asked++;
	if (is(q->key, "hang")) /* until it is killed */
		pause();
	if (is(q->key, "die"))
		_exit(1);
	if (is(q->key, "count") || is(q->key, "brief") || is(q->key, "once")) {
		char text[32];

		snprintf(text, sizeof(text), "n%u.p%u", map->asked,
		    (unsigned int)getpid());
		a->ttl = is(q->key, "brief")  ? 1
			 : is(q->key, "once") ? POPMAP_TTL_NONE
					      : 0;
		add(a, text);
		return 1;
	}
	if (is(q->key, "fail") || in_trouble(map)) {
		snprintf(err->msg, sizeof(err->msg), "told to");
		return -1;
	}
	if (is(q->key, "speechless"))
		return -1;
	if (is(q->key, "none")) {
		a->n = 1;
		return 0;
	}
	if (is(q->key, "empty"))
		return 1;
	if (is(q->key, "many")) {
		a->n = POPMAP_SERVERS_MAX + 1;
		return 1;
	}
	if (is(q->key, "long")) {
		add(a, "x");
		a->server[0].len = sizeof(a->server[0].text) + 1;
		return 1;
	}
	if (is(q->key, "odd"))
		return 7;
	if (is(q->key, "query")) {
		describe(q, a);
		return 1;
	}
	if (is(q->key, "three")) {
		add(a, "al@192.0.2.1");
		add(a, "192.0.2.2:99");
		add(a, "al@[2001:db8::3]:99");
		return 1;
	}
	add(a, map->options);
	return 1;
}

static void
script_close(struct popmap **map)
{
	if (*map == NULL)
		return;
	free((*map)->options);
	free(*map);
	*map = NULL;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "script",
	.open = script_open,
	.lookup = script_lookup,
	.close = script_close,
};
