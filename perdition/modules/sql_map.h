/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sql_map - a popmap in an SQL database: when to connect to which host, how
 * long to try, when once more, and what a row comes to.
 *
 * One connection is opened at the first lookup and kept.  Knows no database;
 * each module hands in a driver.
 */
#ifndef PERDITION_MODULES_SQL_MAP_H
#define PERDITION_MODULES_SQL_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"
#include "perdition/modules/sql_options.h"
#include "perdition/modules/sql_text.h"
#include "perdition/popmap.h"

struct sql_client; /* a driver's connection, with its prepared statement */

/* What a driver's connect is given. */
struct sql_target {
	const struct sql_options *options;
	const struct sql_statement *statement;
	const struct sql_host *host;
	unsigned int timeout_ms; /* for a lookup; the database should end a
				  * statement that takes longer */
	uint64_t until;          /* give up then; as of sql_now_ms() */
};

/* A driver's query returns these besides 1 and 0. */
#define SQL_REFUSED (-1) /* -1, but the connection is sound */
#define SQL_LOST (-2)    /* -1, and a new connection might do better */

struct sql_driver {
	struct sql_dialect dialect; /* for the check at open; and target's */
	/* Options that are not for this database.  0, or -1 with err. */
	int (*check)(const struct sql_options *, struct popmap_error *);
	/* In the form of perdition 2.2 the host says nothing. */
	bool hostless;
	/* Opens and prepares.  0 with *client set; or -1 with err and none. */
	int (*connect)(struct sql_client **, const struct sql_target *,
	    struct popmap_error *);
	/* Adds a row a server.  statement: as in target.  1 also without
	 * a server; 0: there is no such key, whatever the database says. */
	int (*query)(struct sql_client *, const struct sql_statement *,
	    const struct popmap_query *, uint64_t until, struct popmap_answer *,
	    struct popmap_error *);
	void (*disconnect)(struct sql_client **);
};

/* popmap_ops.open for driver; lookup and close are popmap_ops' own. */
int sql_map_open(struct popmap **, const struct sql_driver *,
    const char *options, const char *sysconfdir, struct popmap_error *);
int sql_map_lookup(struct popmap *, const struct popmap_query *,
    struct popmap_answer *, struct popmap_error *);
void sql_map_close(struct popmap **);

/* --- for drivers -----------------------------------------------------------
 */

uint64_t sql_now_ms(void); /* monotonic */
/* Milliseconds until then; 0 when it is over. */
unsigned int sql_left_ms(uint64_t until);
/* poll(2) on one descriptor: what happened, 0 at the time until. */
short sql_wait(int fd, short events, uint64_t until);

#define SQL_WHERE_MAX 100 /* of what a message calls a connection */
void sql_where(const struct sql_host *, char out[SQL_WHERE_MAX]);

/* "what: text" with the first line of text; always -1. */
int sql_error(struct popmap_error *, const char *what, const char *text);

/* Whether the five letters are those of a data exception: of this key, or of
 * a row, not of the connection. */
bool sql_is_data_error(const char *sqlstate);

/*
 * Joins columns to a server of answer; p is NULL for a NULL.  A row without a
 * server adds none.  0, or -1 with err: too long, too many.
 */
struct sql_row {
	struct slice server, user, port;
};
int sql_row_add(struct popmap_answer *, const struct sql_row *,
    const char *delimiter, struct popmap_error *);
#define SQL_COLUMNS 3 /* server, user, port */

#endif
