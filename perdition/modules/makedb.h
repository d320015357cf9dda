/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makedb - what perditiondb_makedb knows of an entry, and what it asks of
 * a kind of database.
 */
#ifndef PERDITION_MODULES_MAKEDB_H
#define PERDITION_MODULES_MAKEDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/slice.h"
#include "perdition/modules/makedb_server.h"
#include "perdition/modules/map_source.h"
#include "perdition/popmap.h"

/* Texts are sound UTF-8 without control bytes. */
struct makedb_options {
	const char *base;       /* LDAP: the entries' parent */
	const char *classes;    /* object classes with commas between */
	const char *table;      /* SQL */
	const char *columns;    /* user, server, port */
	const char *key_column; /* NULL: the user's */
	const char *delimiter;
	bool no_create;
};

struct makedb_entry {
	struct slice key; /* sound UTF-8, as all of the servers' texts */
	size_t n;         /* at least 1 */
	struct makedb_server server[POPMAP_SERVERS_MAX];
};

struct makedb {
	const struct makedb_options *options;
	const void *dialect; /* the format's own */
	FILE *out;           /* memory */
	const struct map_source *source;
	unsigned long bad; /* lines that were complained about */
};

/* "stdin:line: text" to standard error; nothing will be written. */
void makedb_complain(struct makedb *, unsigned long line, const char *text);

struct makedb_format {
	const char *name; /* "ldap" */
	bool sql;         /* which of the options are for it */
	const void *dialect;
	/* What is wrong with the options, or NULL. */
	const char *(*begin)(struct makedb *);
	/* What is wrong with the entry, or NULL. */
	const char *(*entry)(struct makedb *, const struct makedb_entry *);
	void (*end)(struct makedb *);
};

extern const struct makedb_format makedb_ldap, makedb_mysql, makedb_postgresql,
    makedb_odbc;

#endif
