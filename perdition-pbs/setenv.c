/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setenv - RELAYCLIENT for those who may relay; see the header.
 */
#include "config.h"

#include "perdition-pbs/setenv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/guard.h"
#include "perdition-pbs/relay_key.h"

#include "common/banned.h"

/* A writer has the lock for milliseconds; an SMTP client waits longer. */
#define WAIT_MS 3000
#define SECONDS 5 /* for all of it */

static bool
is_alive(struct dbfile_reader *r, const struct relay_key *k, const char *prefix,
    int64_t now, struct err *err)
{
	struct relay_spellings s;
	char value[DBFILE_VALUE_MAX];
	uint64_t expires;
	size_t n;

	relay_key_spell(k, prefix, &s);
	return dbfile_get(r, slice_str(s.text[0]), value, &n, err) == 1 &&
	       slice_u64(slice_make(value, n), INT64_MAX, &expires) == 0 &&
	       (int64_t)expires > now;
}

struct question {
	const char *path, *prefix;
	const struct relay_rule *rule;
	const struct addr *client;
	int64_t now;
	struct answer {
		bool may;
		struct err err;
	} answer;
};

static void
look_in_child(void *arg, FILE *out)
{
	struct question *q = arg;
	struct relay_key keys[RELAY_RULE_KEYS];
	size_t n = relay_rule_keys(q->rule, q->client, true, keys);
	struct answer a;
	struct dbfile_reader *r;

	memset(&a, 0, sizeof(a));
	r = dbfile_read_open(q->path, WAIT_MS, &a.err);
	for (size_t i = 0; r != NULL && i < n && !a.may; i++)
		a.may = is_alive(r, &keys[i], q->prefix, q->now, &a.err);
	fwrite(&a, sizeof(a), 1, out);
}

static void
take_answer(void *arg, FILE *in)
{
	struct question *q = arg;

	if (fread(&q->answer, sizeof(q->answer), 1, in) == 1)
		return;
	q->answer.may = false;
	err_set(&q->answer.err, EINVAL, "%s: damaged", q->path);
}

bool
setenv_may_relay(const char *path, const char *prefix,
    const struct relay_rule *rule, const struct addr *client, int64_t now,
    struct err *err)
{
	struct question q = { path, prefix, rule, client, now, { 0 } };
	struct guard_work w = { look_in_child, take_answer, &q, SECONDS };

	*err = (struct err){ 0 };
	if (client->scope != 0)
		return false;
	if (relay_rule_always_has(rule, client))
		return true;
	if (guard_run(&w, err) == -1)
		return false;
	*err = q.answer.err;
	return q.answer.may;
}
