/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tools_list - list and export: who may relay, and in whose name.
 *
 * The database says who may relay, the journal whose logins these were; its
 * values are digits, since MTAs read them.  Both are only read.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/log.h"
#include "perdition-pbs/journal.h"
#include "perdition-pbs/relay_file.h"
#include "perdition-pbs/relay_text.h"
#include "perdition-pbs/tools.h"
#include "perdition-pbs/tools_private.h"

#include "common/banned.h"

struct listing {
	const struct pbs_config *config;
	int64_t now;
	struct relay_store *file, *journal;
	struct relay_key *keys; /* of the words, n of them */
	size_t n;
};

static void
clear(struct listing *l)
{
	relay_store_destroy(&l->file);
	relay_store_destroy(&l->journal);
	free(l->keys);
}

/* Both sources.  0, or an exit status. */
static int
load(struct listing *l, const struct pbs_config *c)
{
	struct err err = { 0 };

	l->config = c;
	l->now = time(NULL);
	l->file = relay_store_create();
	l->journal = relay_store_create();
	if (l->file == NULL || l->journal == NULL)
		return EX_OSERR;
	if (relay_file_read(c->db_path, c->prefix, l->file, l->now,
		RELAY_FOREVER, &err) == -1)
		return tools_fail(&err);
	/* Without one, or for somebody who may not see names: without. */
	if (c->journal_path != NULL &&
	    journal_read(c->journal_path, l->journal, l->now, RELAY_FOREVER - 1,
		&err) == -1 &&
	    err.code != ENOENT && err.code != EACCES)
		fprintf(stderr, PROGRAM ": users are not known: %s\n", err.msg);
	return 0;
}

static struct slice
user_of(const struct listing *l, const struct relay_key *k)
{
	const struct relay_entry *e = relay_store_find(l->journal, k);

	return e == NULL ? slice_make(NULL, 0)
			 : relay_store_user(l->journal, e);
}

/* --- one entry ----------------------------------------------------------- */

static void
print_text(const struct listing *l, const struct relay_entry *e)
{
	char text[RELAY_TEXT_MAX], date[40] = "?";
	char quoted[4 * RELAY_USER_MAX + 2];
	struct slice user = user_of(l, &e->key);
	time_t t = (time_t)e->expires;
	struct tm tm;
	long n = user.n == 0 ? 0 : log_quote(user, quoted, sizeof(quoted));

	relay_key_write(&e->key, text);
	if (gmtime_r(&t, &tm) != NULL)
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("%s %" PRId64 " %s %" PRId64 "%s%.*s\n", text, e->expires, date,
	    e->expires - l->now, n > 0 ? " " : "", (int)n, quoted);
}

static void
print_json(const struct listing *l, const struct relay_entry *e)
{
	relay_text_json(stdout, e, user_of(l, &e->key), l->now);
}

static void
print_export(const struct listing *l, const struct relay_entry *e)
{
	char line[RELAY_LINE_MAX];
	long n = relay_text_write(e, user_of(l, &e->key), line, sizeof(line));

	/* What may relay always is in the configuration. */
	if (e->expires != RELAY_FOREVER)
		printf("%.*s\n", (int)n, line);
}

/* --- all of them --------------------------------------------------------- */

static int
by_expiry(const void *va, const void *vb)
{
	const struct relay_entry *a = va, *b = vb;

	if (a->expires != b->expires)
		return a->expires < b->expires ? -1 : 1;
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

/* The address itself, or a network that it lies in. */
static bool
concerns(const struct relay_entry *e, const struct relay_key *k)
{
	struct addr_net net = { .ip = e->key.ip, .prefix = e->key.prefix };
	struct addr a = { .ip = k->ip };

	return e->key.prefix <= k->prefix && addr_net_has(&net, &a);
}

static bool
is_wanted(const struct listing *l, const struct relay_entry *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (concerns(e, &l->keys[i]))
			return true;
	return l->n == 0;
}

static int
print_all(const struct listing *l,
    void (*print)(const struct listing *, const struct relay_entry *))
{
	size_t count = relay_store_count(l->file), n = 0;
	struct relay_entry *all = calloc(count + 1, sizeof(*all));

	if (all == NULL)
		return EX_OSERR;
	for (size_t i = 0; i < count; i++)
		if (is_wanted(l, relay_store_at(l->file, i)))
			all[n++] = *relay_store_at(l->file, i);
	qsort(all, n, sizeof(*all), by_expiry);
	for (size_t i = 0; i < n; i++)
		print(l, &all[i]);
	free(all);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		perror(PROGRAM ": standard output");
		return EX_IOERR;
	}
	return l->n > 0 && n == 0 ? EXIT_NOT_THERE : 0;
}

int
tools_list(const struct pbs_config *c, int argc, char *const args[])
{
	struct listing l = { .keys = tools_parse_keys(c, argc, args),
		.n = (size_t)argc };
	int status = EX_USAGE;

	if (l.keys != NULL)
		status = load(&l, c);
	if (status == 0)
		status = print_all(&l, c->json ? print_json : print_text);
	clear(&l);
	return status;
}

int
tools_export(const struct pbs_config *c, int argc)
{
	struct listing l = { 0 };
	int status;

	if (argc > 0) {
		fprintf(stderr, PROGRAM ": takes no addresses\n");
		return EX_USAGE;
	}
	status = load(&l, c);
	if (status == 0)
		status = print_all(&l, print_export);
	clear(&l);
	return status;
}
