/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sql_map - see sql_map.h.
 */
#include "config.h"

#include "perdition/modules/sql_map.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

/* For one host while there is another to try. */
#define CONNECT_MS 1000
/* A part of the time that is left for the way back. */
#define MARGIN_PART 16
#define MARGIN_MAX_MS 250

struct popmap {
	const struct sql_driver *driver;
	struct sql_options options;
	struct sql_statement statement;
	struct sql_client *client; /* NULL: not connected */
};

/* --- for drivers ---------------------------------------------------------- */

uint64_t
sql_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

unsigned int
sql_left_ms(uint64_t until)
{
	uint64_t now = sql_now_ms();

	if (now >= until)
		return 0;
	return until - now > INT_MAX ? INT_MAX : (unsigned int)(until - now);
}

short
sql_wait(int fd, short events, uint64_t until)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	for (;;) {
		int n = poll(&pfd, 1, (int)sql_left_ms(until));

		if (n > 0)
			return pfd.revents;
		if (n == 0 || errno != EINTR)
			return 0;
	}
}

void
sql_where(const struct sql_host *h, char out[SQL_WHERE_MAX])
{
	if (h->port != 0)
		snprintf(out, SQL_WHERE_MAX, "%.80s:%u", h->name,
		    (unsigned int)h->port);
	else
		snprintf(out, SQL_WHERE_MAX, "%.80s", h->name);
}

int
sql_error(struct popmap_error *err, const char *what, const char *text)
{
	struct slice rest = slice_str(text), line;

	slice_cut(&rest, '\n', &line);
	if (line.n == 0)
		line = SLICE("unknown error");
	if (line.n > 300)
		line.n = 300;
	map_error(err, "%.100s: %.*s", what, (int)line.n, line.p);
	for (char *c = err->msg; *c != '\0'; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	return -1;
}

bool
sql_is_data_error(const char *sqlstate)
{
	return sqlstate != NULL && strncmp(sqlstate, "22", 2) == 0;
}

/* --- connections ---------------------------------------------------------- */

/* How long host i may take. */
static uint64_t
connect_until(const struct popmap *map, size_t i, size_t count, uint64_t until)
{
	unsigned int left = sql_left_ms(until);
	unsigned int most = map->options.connect_timeout_ms;

	if (i + 1 < count) {
		left /= (unsigned int)(count - i);
		if (most == 0)
			most = CONNECT_MS;
	}
	if (most != 0 && left > most)
		left = most;
	return sql_now_ms() + left;
}

/* "one; two" in all */
static void
add_error(struct popmap_error *all, const struct popmap_error *one)
{
	struct popmap_error before = *all;

	map_error(all, "%.300s%s%.200s", before.msg,
	    before.msg[0] == '\0' ? "" : "; ", one->msg);
}

/* To the first host that answers.  0, or -1 with err. */
static int
connect_any(struct popmap *map, const struct popmap_query *q, uint64_t until,
    struct popmap_error *err)
{
	bool hostless = map->driver->hostless && !map->options.hosts_given;
	size_t count = hostless ? 1 : map->options.hosts;
	struct sql_target target = {
		.options = &map->options,
		.statement = &map->statement,
		.timeout_ms = q->timeout_ms,
	};

	err->msg[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		struct popmap_error why = { .msg = "" };

		target.host = &map->options.host[i];
		target.until = connect_until(map, i, count, until);
		if (map->driver->connect(&map->client, &target, &why) == 0)
			return 0;
		map->client = NULL;
		add_error(err, &why);
	}
	return -1;
}

static int
ask(struct popmap *map, const struct popmap_query *q, uint64_t until,
    struct popmap_answer *answer, struct popmap_error *err)
{
	int ret;

	answer->n = 0;
	ret = map->driver->query(
	    map->client, &map->statement, q, until, answer, err);
	if (ret == SQL_LOST)
		map->driver->disconnect(&map->client);
	return ret == 1 && answer->n == 0 ? 0 : ret;
}

static uint64_t
deadline(const struct popmap_query *q)
{
	unsigned int margin = q->timeout_ms / MARGIN_PART;

	if (margin > MARGIN_MAX_MS)
		margin = MARGIN_MAX_MS;
	return sql_now_ms() + q->timeout_ms - margin;
}

int
sql_map_lookup(struct popmap *map, const struct popmap_query *q,
    struct popmap_answer *answer, struct popmap_error *err)
{
	uint64_t until = deadline(q);
	int ret = SQL_LOST;

	answer->n = 0;
	/* The connection may have died since, in silence too, when what was
	 * between has forgotten it: half of the time is for a new one. */
	if (map->client != NULL)
		ret = ask(map, q, until - sql_left_ms(until) / 2, answer, err);
	if (ret == SQL_LOST) {
		if (connect_any(map, q, until, err) == -1)
			return -1;
		ret = ask(map, q, until, answer, err);
	}
	return ret == 1 || ret == 0 ? ret : -1;
}

/* --- open and close ------------------------------------------------------- */

int
sql_map_open(struct popmap **mp, const struct sql_driver *driver,
    const char *options, const char *sysconfdir, struct popmap_error *err)
{
	struct popmap *map = calloc(1, sizeof(*map));

	*mp = map;
	if (map == NULL)
		return map_error(err, "out of memory");
	map->driver = driver;
	if (sql_options_parse(&map->options, options, sysconfdir, err) == -1)
		goto bad;
	if (driver->check(&map->options, err) == -1 ||
	    sql_statement_make(
		&map->statement, &map->options, &driver->dialect, err) == -1)
		goto bad;
	return 0;
bad:
	sql_map_close(mp);
	return -1;
}

void
sql_map_close(struct popmap **mp)
{
	struct popmap *map = *mp;

	if (map == NULL)
		return;
	if (map->client != NULL)
		map->driver->disconnect(&map->client);
	sql_statement_clear(&map->statement);
	sql_options_clear(&map->options);
	free(map);
	*mp = NULL;
}
