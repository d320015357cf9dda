/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sql_options - what the modules for SQL databases are told.
 *
 * The text of map_library_opt is either that of perdition 2.2,
 *
 *   host[:port[:database[:table[:user[:password[:servercol[:usercol[:portcol
 *
 * in which an empty field keeps its default, but for an empty portcol: there
 * is no such column; or it begins with a "key=value" and has more of them with
 * white space between, where a value may stand in single or double quotes,
 * in which that quote is written twice.  Pure, but for the password's file.
 */
#ifndef PERDITION_MODULES_SQL_OPTIONS_H
#define PERDITION_MODULES_SQL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "perdition/popmap.h"

#define SQL_HOSTS_MAX 16
#define SQL_NAME_MAX 63 /* bytes; PostgreSQL cuts longer ones silently */

enum sql_tls {
	SQL_TLS_UNSAID, /* as the client's library thinks */
	SQL_TLS_NONE,
	SQL_TLS_PREFER,
	SQL_TLS_REQUIRE,
	SQL_TLS_VERIFY, /* certificate and name; tls_ca is set */
};

struct sql_host {
	char *name;    /* no brackets; with a '/' first a Unix socket's path */
	uint16_t port; /* 0: the client's default */
};

/* Texts have no NUL inside and are never NULL, unless it is said. */
struct sql_options {
	struct sql_host host[SQL_HOSTS_MAX]; /* to be tried in this order */
	size_t hosts;                        /* at least 1 */
	bool hosts_given;                    /* in the second form */
	uint16_t port; /* of hosts without one of their own */
	char *database, *table, *user, *password;
	char *server_column;
	char *user_column, *port_column; /* empty: there is none */
	char *key_column;                /* what is compared with the key */
	char *query;                     /* instead of table and columns; or
					  * NULL */
	enum sql_tls tls;
	char *tls_ca;                    /* path, or NULL */
	unsigned int connect_timeout_ms; /* of one attempt; 0: not said */
};

/*
 * sysconfdir: where a password_file without a slash in front is.
 * 0, or -1 with err, which holds no value of user, password or query, and
 * nothing allocated.
 */
int sql_options_parse(struct sql_options *, const char *text,
    const char *sysconfdir, struct popmap_error *err);
void sql_options_clear(struct sql_options *); /* wipes the password */

#endif
