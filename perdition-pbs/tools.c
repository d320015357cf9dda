/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tools - the short programs; see the header.
 */
#include "config.h"

#include "perdition-pbs/tools.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "perdition-pbs/control.h"
#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/relay_file.h"
#include "perdition-pbs/setenv.h"
#include "perdition-pbs/tools_private.h"

#include "common/banned.h"

#define EXIT_TRY_LATER 111
#define PUBLISH_MS 5000

static int
status_of(const struct err *err)
{
	switch (err->code) {
	case ENOENT:
	case ENOTDIR:
		return EX_NOINPUT;
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case EWOULDBLOCK:
	case ETIMEDOUT:
		return EX_TEMPFAIL;
	case EINVAL:
		return EX_DATAERR;
	default:
		return EX_IOERR;
	}
}

int
tools_fail(const struct err *err)
{
	fprintf(stderr, PROGRAM ": %s\n", err->msg);
	return status_of(err);
}

/* With the prefix or without; also with the default prefix of 2.2, which
 * scripts of its time have. */
static int
parse_key(const struct pbs_config *c, struct slice word, struct relay_key *k)
{
	if (relay_key_parse(word, c->prefix, k) == 0)
		return 0;
	return relay_key_parse(word, "POP:", k);
}

struct relay_key *
tools_parse_keys(const struct pbs_config *c, int argc, char *const args[])
{
	struct relay_key *keys = calloc((size_t)argc + 1, sizeof(*keys));
	bool bad = keys == NULL;

	for (int i = 0; i < argc && keys != NULL; i++) {
		if (parse_key(c, slice_str(args[i]), &keys[i]) == 0)
			continue;
		fprintf(stderr,
		    PROGRAM ": %s: neither an address nor a network\n",
		    args[i]);
		bad = true;
	}
	if (!bad)
		return keys;
	free(keys);
	return NULL;
}

/* --- insert, remove, purge, expire --------------------------------------- */

/* 1 by a daemon, 0 no daemon keeps this database, -1 with err. */
static int
by_daemon(const struct pbs_config *c, const struct relay_request *q,
    struct relay_result *res, char prefix[RELAY_PREFIX_MAX], struct err *err)
{
	int ret = 0;

	if (c->control_path != NULL)
		ret = control_ask(
		    c->control_path, c->db_path, q, res, prefix, err);
	/* Not to be looked into by us: the file's own permissions will tell
	 * whether it may be changed. */
	if (ret == -1 && err->code == EACCES && !c->wants_state)
		ret = 0;
	if (ret == 0 && c->socket[0] != '\0')
		ret = control_ask(c->socket, c->db_path, q, res, prefix, err);
	if (ret == -1 && err->code == EACCES && !c->wants_socket)
		ret = 0;
	return ret;
}

/* Of what may relay always, which no tool removes. */
static bool
is_forever(struct slice value)
{
	uint64_t expires;

	return slice_u64(value, UINT64_MAX, &expires) == 0 &&
	       expires == (uint64_t)RELAY_FOREVER;
}

/*
 * The daemon has it in memory at once, and in the file when no reader holds
 * that: whoever calls a tool may go on to ask an MTA, so the file is waited
 * for.  Whether each key is there (or is not).
 */
static bool
is_published(const struct pbs_config *c, const struct relay_request *q,
    const char *prefix)
{
	struct err err;
	struct dbfile_reader *r = dbfile_read_open(c->db_path, 0, &err);
	bool all = r != NULL;

	for (size_t i = 0; all && i < q->n; i++) {
		struct relay_spellings s;
		char value[DBFILE_VALUE_MAX];
		size_t n;
		int found;

		relay_key_spell(&q->keys[i], prefix, &s);
		found = dbfile_get(r, slice_str(s.text[0]), value, &n, &err);
		all = found == (q->op == RELAY_INSERT ? 1 : 0) ||
		      (found == 1 && is_forever(slice_make(value, n)));
	}
	dbfile_read_close(&r);
	return all;
}

static int
await_published(const struct pbs_config *c, const struct relay_request *q,
    const char *prefix, struct err *err)
{
	for (int waited = 0; waited < PUBLISH_MS; waited += 2) {
		if (is_published(c, q, prefix))
			return 1;
		poll(NULL, 0, 2);
	}
	return err_set(err, ETIMEDOUT,
	    "%s: the daemon knows, but has not written it yet", c->db_path);
}

static int
by_hand(const struct pbs_config *c, const struct relay_request *q,
    struct relay_result *res, struct err *err)
{
	struct relay_file_config fc = { .names = c->db_names.v,
		.n = c->db_names.n,
		.prefix = c->prefix,
		.journal = c->journal_path };

	pbs_config_rule(c, &fc.rule);
	pbs_config_limits(c, &fc.limits);
	return relay_file_change(&fc, q, time(NULL), res, err);
}

int
tools_carry_out(const struct pbs_config *c, const struct relay_request *q)
{
	char prefix[RELAY_PREFIX_MAX] = ""; /* the daemon's */
	struct relay_result res = { 0 };
	struct err err;
	int ret = by_daemon(c, q, &res, prefix, &err);

	if (ret == 0)
		ret = by_hand(c, q, &res, &err);
	else if (ret == 1 && res.refused == 0 && q->n > 0)
		ret = await_published(c, q, prefix, &err);
	if (ret == -1)
		return tools_fail(&err);
	if (res.refused > 0) {
		fprintf(stderr,
		    PROGRAM ": %zu refused: loopback, a network of option "
			    "never, or no client's address\n",
		    res.refused);
		return EX_NOPERM;
	}
	return q->op == RELAY_REMOVE && res.done == 0 ? EXIT_NOT_THERE : 0;
}

int
tools_change(const struct pbs_config *c, int argc, char *const args[])
{
	static const enum relay_op ops[] = {
		[PBS_INSERT] = RELAY_INSERT,
		[PBS_REMOVE] = RELAY_REMOVE,
		[PBS_PURGE] = RELAY_PURGE,
		[PBS_EXPIRE] = RELAY_EXPIRE,
	};
	bool with_keys = c->mode == PBS_INSERT || c->mode == PBS_REMOVE;
	struct relay_request q = {
		.op = ops[c->mode], .n = (size_t)argc, .timeout = c->timeout
	};
	struct relay_key *keys;
	int status;

	if (with_keys != (argc > 0)) {
		fprintf(stderr, PROGRAM ": %s\n",
		    with_keys ? "which address?" : "takes no addresses");
		return EX_USAGE;
	}
	keys = tools_parse_keys(c, argc, args);
	if (keys == NULL)
		return EX_USAGE;
	q.keys = keys;
	status = tools_carry_out(c, &q);
	free(keys);
	return status;
}

/* --- setenv -------------------------------------------------------------- */

/* The file knows no users. */
static enum setenv_verdict
look_up(const struct pbs_config *c, const struct addr *client)
{
	struct relay_rule rule;
	struct err err;

	pbs_config_rule(c, &rule);
	if (setenv_may_relay(
		c->db_path, c->prefix, &rule, client, time(NULL), &err))
		return SETENV_YES;
	if (err.code != 0 && err.code != ENOENT)
		fprintf(stderr, PROGRAM ": %s\n", err.msg);
	return SETENV_NO;
}

static void
judge(const struct pbs_config *c)
{
	char user[SETENV_USER_MAX] = "";
	enum setenv_verdict v = SETENV_UNKNOWN;
	struct addr client;

	if (!setenv_client(&client))
		return;
	if (c->lookup_socket[0] != '\0')
		v = setenv_ask(c->lookup_socket, &client, user);
	if (v == SETENV_UNKNOWN)
		v = look_up(c, &client);
	if (v == SETENV_YES)
		setenv_allow(user);
}

int
tools_setenv(const struct pbs_config *c, int argc, char *const args[])
{
	if (argc == 0) {
		fprintf(stderr, PROGRAM ": which program?\n");
		return EX_USAGE;
	}
	setenv_drop_user();
	if (c != NULL)
		judge(c);
	execvp(args[0], args);
	fprintf(stderr, PROGRAM ": %s: %s\n", args[0], strerror(errno));
	return EXIT_TRY_LATER;
}
