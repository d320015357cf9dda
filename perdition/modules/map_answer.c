/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_answer - see map_answer.h.
 */
#include "config.h"

#include "perdition/modules/map_answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/banned.h"

int
map_error(struct popmap_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(err->msg, sizeof(err->msg), fmt, ap) < 0)
		err->msg[0] = '\0';
	va_end(ap);
	return -1;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

static struct slice
trim(struct slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = slice_skip(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
map_answer_next(struct slice *list, struct slice *server)
{
	if (list->p == NULL)
		return false;
	if (!slice_cut(list, ',', server))
		*list = slice_make(NULL, 0);
	*server = trim(*server);
	return true;
}

int
map_answer_add(
    struct popmap_answer *a, struct slice server, struct popmap_error *err)
{
	if (server.n == 0)
		return map_error(err, "no server's name where one should be");
	if (a->n == POPMAP_SERVERS_MAX)
		return map_error(
		    err, "more than %d servers", POPMAP_SERVERS_MAX);
	if (server.n > sizeof(a->server[0].text))
		return map_error(
		    err, "longer than %zu bytes", sizeof(a->server[0].text));
	memcpy(a->server[a->n].text, server.p, server.n);
	a->server[a->n].len = server.n;
	a->n++;
	return 0;
}

int
map_answer_set(
    struct popmap_answer *a, struct slice value, struct popmap_error *err)
{
	struct slice server;

	a->n = 0;
	if (value.p == NULL)
		value = SLICE("");
	while (map_answer_next(&value, &server)) {
		if (map_answer_add(a, server, err) == -1)
			return -1;
	}
	return 0;
}

char *
map_path(const char *options, const char *sysconfdir, const char *name,
    struct popmap_error *err)
{
	char *path = NULL;
	int n;

	if (options[0] != '\0')
		n = asprintf(&path, "%s", options);
	else
		n = asprintf(&path, "%s/%s", sysconfdir, name);
	if (n < 0) {
		map_error(err, "out of memory");
		return NULL;
	}
	return path;
}
