/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_file - the database as a whole file; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "perdition-pbs/guard.h"
#include "perdition-pbs/journal.h"
#include "perdition-pbs/relay_order.h"

#include "common/banned.h"

#define WAIT_MS 5000         /* for another tool, or an MTA */
#define BUILD_WAIT_MS 200    /* for a killed daemon's child to end, too */
#define READ_SECONDS 60      /* for millions of entries */
#define CHECKED 1000         /* records, to know another's file */
#define AHEAD 16             /* entries fetched from memory in advance */
#define NO_LIMIT 1000000000u /* max_new_per_second: a tool is no flood */

/* --- writing ------------------------------------------------------------- */

struct walk { /* through all spellings of all entries */
	const struct relay_store *store;
	const char *prefix;
	uint32_t *order; /* NULL: as they come */
	size_t order_n, order_at;
	size_t entry, spelling;
	struct relay_spellings s;
	char value[DBFILE_VALUE_MAX];
	size_t value_n;
};

static void
spell(struct walk *w, size_t entry)
{
	const struct relay_entry *e = relay_store_at(w->store, entry);

	relay_key_spell(&e->key, w->prefix, &w->s);
	w->value_n = slice_put_u64(w->value, (uint64_t)e->expires);
}

/* From memory; it may lie across two lines of the cache. */
static void
fetch(const struct relay_entry *e)
{
	__builtin_prefetch(e);
	__builtin_prefetch((const char *)(e + 1) - 1);
}

static bool
walk_next(void *arg, struct slice *key, struct slice *value)
{
	struct walk *w = arg;

	if (w->order != NULL) {
		uint32_t next;

		if (w->order_at == w->order_n)
			return false;
		if (w->order_at + AHEAD < w->order_n)
			fetch(relay_store_at(w->store,
			    RELAY_ORDER_ENTRY(w->order[w->order_at + AHEAD])));
		next = w->order[w->order_at++];
		spell(w, RELAY_ORDER_ENTRY(next));
		w->spelling = RELAY_ORDER_SPELLING(next);
	} else if (w->spelling == w->s.n) {
		if (w->entry == relay_store_count(w->store))
			return false;
		spell(w, w->entry++);
		w->spelling = 0;
	}
	*key = slice_str(w->s.text[w->spelling++]);
	*value = slice_make(w->value, w->value_n);
	return true;
}

static size_t
count_records(const struct relay_store *store, const char *prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < relay_store_count(store); i++)
		n += relay_key_spellings_max(
		    &relay_store_at(store, i)->key, prefix);
	return n;
}

static int
finish(struct dbfile_builder **b, const char *prefix,
    const struct relay_store *store, uid_t uid, gid_t gid,
    struct relay_written *written, struct err *err)
{
	struct walk w = { .store = store, .prefix = prefix };
	int ret;
	struct dbfile_plan plan = {
		.records = count_records(store, prefix),
		.uid = uid,
		.gid = gid,
		.in_place = &written->in_place,
	};

	written->records = plan.records;
	w.order = relay_order_make(store, prefix, plan.records, &w.order_n);
	ret = dbfile_build_finish(b, &plan, walk_next, &w, err);
	free(w.order);
	return ret;
}

int
relay_file_write(const char *name, const char *prefix,
    const struct relay_store *store, uid_t uid, gid_t gid,
    struct relay_written *w, struct err *err)
{
	struct dbfile_builder *b = dbfile_build_begin(name, BUILD_WAIT_MS, err);
	struct relay_written ignored;

	if (w == NULL)
		w = &ignored;
	*w = (struct relay_written){ 0 };
	if (b == NULL)
		return -1;
	return finish(&b, prefix, store, uid, gid, w, err);
}

/* --- reading ------------------------------------------------------------- */

bool
relay_file_parse(struct slice key, struct slice value, const char *prefix,
    struct relay_entry *e)
{
	struct relay_spellings s;
	uint64_t expires;

	memset(e, 0, sizeof(*e));
	if (relay_key_parse(key, prefix, &e->key) == -1 ||
	    slice_u64(value, INT64_MAX / 2, &expires) == -1)
		return false;
	relay_key_spell(&e->key, prefix, &s);
	e->expires = (int64_t)expires;
	return slice_eq(key, slice_str(s.text[0]));
}

struct reading {
	const char *path, *prefix;
	struct relay_store *store;
	int64_t now, limit;
	struct err *err;
	size_t most; /* records that are looked at */
	int ret;     /* until the end has come: -1 */
};

/* What the child sends: entries, then how it ended. */
struct item {
	struct relay_entry e;
	bool last;
	int ret; /* of the last */
	struct err err;
};

/*
 * Whether a record is neither ours (all our values are digits) nor of
 * perdition-pbs 2.2 (which kept a record TIME:KEY beside each KEY): then the
 * file is somebody's access.db, and making it anew would destroy it.
 */
static bool
is_foreign(struct dbfile_reader *reader, struct slice key, struct slice value)
{
	char old[5 + DBFILE_KEY_MAX] = "TIME:", ignored[DBFILE_VALUE_MAX];
	struct err err;
	uint64_t number;
	size_t n;

	if (slice_u64(value, UINT64_MAX, &number) == 0 ||
	    slice_starts(key, SLICE("TIME:")))
		return false;
	memcpy(old + 5, key.p, key.n);
	return dbfile_get(
		   reader, slice_make(old, 5 + key.n), ignored, &n, &err) != 1;
}

static int
refuse_foreign(const struct reading *r, struct slice key, struct err *err)
{
	char text[4 * DBFILE_KEY_MAX + 3];
	long n = log_quote(key, text, sizeof(text));

	return err_set(err, EEXIST,
	    "%s: holds records of something else, such as %.*s: name another "
	    "db_file, or move this one away",
	    r->path, (int)(n < 0 ? 0 : n), text);
}

static void
read_in_child(void *arg, FILE *out)
{
	struct reading *r = arg;
	struct item end = { .last = true, .ret = -1 }, item;
	struct slice key, value;
	struct dbfile_reader *reader =
	    dbfile_read_open(r->path, WAIT_MS, &end.err);

	memset(&item, 0, sizeof(item));
	if (reader != NULL) {
		end.ret = 0;
		for (size_t i = 0; i < r->most; i++) {
			end.ret = dbfile_each(reader, &key, &value, &end.err);
			if (end.ret != 1)
				break;
			end.ret = 0;
			if (is_foreign(reader, key, value)) {
				end.ret = refuse_foreign(r, key, &end.err);
				break;
			}
			if (relay_file_parse(key, value, r->prefix, &item.e) &&
			    item.e.expires > r->now)
				fwrite(&item, sizeof(item), 1, out);
		}
	}
	fwrite(&end, sizeof(end), 1, out);
}

static void
take_items(void *arg, FILE *in)
{
	struct reading *r = arg;
	struct item item;

	while (fread(&item, sizeof(item), 1, in) == 1) {
		if (item.last) {
			r->ret = item.ret;
			*r->err = item.err;
			return;
		}
		/* What may relay always is the configuration's business. */
		if (item.e.expires >= RELAY_FOREVER && r->limit < RELAY_FOREVER)
			continue;
		if (item.e.expires > r->limit)
			item.e.expires = r->limit;
		if (relay_store_touch(r->store, &item.e, SLICE(""), r->now) ==
		    -1) {
			err_set(r->err, errno, "%s", strerror(errno));
			return;
		}
	}
	err_set(r->err, EINVAL, "%s: damaged", r->path);
}

int
relay_file_read(const char *path, const char *prefix, struct relay_store *store,
    int64_t now, int64_t limit, struct err *err)
{
	struct reading r = { path, prefix, store, now, limit, err, SIZE_MAX,
		-1 };
	struct guard_work w = { read_in_child, take_items, &r, READ_SECONDS };

	return guard_run(&w, err) == -1 ? -1 : r.ret;
}

int
relay_file_check(const char *path, struct err *err)
{
	/* Nothing is alive so late, so that nothing is read into a store. */
	struct reading r = { path, "", NULL, INT64_MAX, 0, err, CHECKED, -1 };
	struct guard_work w = { read_in_child, take_items, &r, READ_SECONDS };

	return guard_run(&w, err) == -1 ? -1 : r.ret;
}

/* --- changing ------------------------------------------------------------ */

static void
import(struct relay *r, const struct relay_request *q, int64_t now,
    struct relay_result *res)
{
	size_t n = relay_store_count(q->entries);

	for (size_t i = 0; i < n; i++)
		if (!relay_rule_allows(
			&r->rule, &relay_store_at(q->entries, i)->key))
			res->refused++;
	for (size_t i = 0; i < n && q->op == RELAY_IMPORT; i++) {
		const struct relay_entry *e = relay_store_at(q->entries, i);
		struct slice user = relay_store_user(q->entries, e);

		if (res->refused > 0)
			return;
		switch (relay_import(r, e, user, now)) {
		case RELAY_NOMEM:
			res->refused++;
			break;
		case RELAY_OLD:
			break;
		default:
			res->done++;
		}
	}
}

void
relay_execute(struct relay *r, const struct relay_request *q, int64_t now,
    struct relay_result *res)
{
	*res = (struct relay_result){ 0 };
	if (q->op == RELAY_CHECK || q->op == RELAY_IMPORT)
		import(r, q, now, res);
	if (q->op == RELAY_PURGE)
		res->done = relay_purge(r);
	if (q->op == RELAY_EXPIRE)
		res->done = relay_expire(r, now, 0);
	for (size_t i = 0; i < q->n; i++) {
		if (q->op == RELAY_REMOVE) {
			res->done += relay_remove(r, &q->keys[i]) ? 1 : 0;
			continue;
		}
		switch (relay_insert(r, &q->keys[i], now + q->timeout, now)) {
		case RELAY_NEVER:
		case RELAY_NOMEM:
			res->refused++;
			break;
		default:
			res->done++;
		}
	}
}

/*
 * What is there, from the journal if the daemon left one, else from the
 * file, with which a journal is begun then.  Those past their time are loaded
 * too (from 0 on) when expiring them is what the caller has come for; else they
 * must not get into the file again.
 */
static int
load(const struct relay_file_config *c, const struct relay_request *q,
    struct relay *r, int64_t now, struct err *err)
{
	int64_t from = q->op == RELAY_EXPIRE ? 0 : now;
	uint64_t torn;
	int ret = 1;

	if (r->journal != NULL)
		ret = journal_load(
		    r->journal, r->store, from, RELAY_FOREVER - 1, &torn, err);
	if (ret != 1)
		return ret;
	if (q->op != RELAY_PURGE && /* that also of what cannot be read */
	    relay_file_read(c->names[0], c->prefix, r->store, from,
		RELAY_FOREVER, err) == -1 &&
	    ((q->op != RELAY_INSERT && q->op != RELAY_IMPORT) ||
		err->code != ENOENT))
		return -1;
	return r->journal == NULL
		   ? 0
		   : journal_start_with(r->journal, r->store, err);
}

static void
on_changed(void *arg, const struct relay_key *k, bool urgent)
{
	bool *differs = arg;

	(void)k;
	(void)urgent;
	*differs = true;
}

static void
on_all_changed(void *arg)
{
	on_changed(arg, NULL, true);
}

static int
change(const struct relay_file_config *c, const struct relay_request *q,
    struct relay *r, struct dbfile_builder *b[RELAY_FILES_MAX], int64_t now,
    struct relay_result *res, struct err *err)
{
	struct relay_written ignored;
	bool differs = false;
	int ret = 0;

	if (load(c, q, r, now, err) == -1)
		return -1;
	relay_attach(r, &(struct relay_sink){ .changed = on_changed,
			    .all_changed = on_all_changed,
			    .arg = &differs });
	relay_apply_rules(r, now);
	relay_execute(r, q, now, res);
	/* What expired is not in the journal's records: leave it out whole. */
	if (r->journal != NULL &&
	    (q->op == RELAY_EXPIRE
		    ? journal_snapshot(r->journal, r->store, err)
		    : journal_settle(r->journal, r->store, err)) == -1)
		return -1;
	if (!differs)
		return 0;
	for (size_t i = 0; ret == 0 && i < c->n; i++)
		ret = finish(&b[i], c->prefix, r->store, (uid_t)-1, (gid_t)-1,
		    &ignored, err);
	return ret;
}

int
relay_file_change(const struct relay_file_config *c,
    const struct relay_request *q, int64_t now, struct relay_result *res,
    struct err *err)
{
	struct relay r = {
		.store = relay_store_create(),
		.rule = c->rule,
		.limits = c->limits,
	};
	struct dbfile_builder *b[RELAY_FILES_MAX] = { NULL };
	int ret = -1;

	r.limits.max_new_per_second = NO_LIMIT;
	if (r.store == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		goto out;
	}
	if (c->journal != NULL) {
		r.journal = journal_open(c->journal, false, WAIT_MS / 10, err);
		if (r.journal == NULL && err->code == EWOULDBLOCK)
			err_set(err, EWOULDBLOCK,
			    "%s: kept by a daemon that does not answer",
			    c->names[0]);
		if (r.journal == NULL && err->code != ENOENT)
			goto out;
	}
	for (size_t i = 0; i < c->n; i++) {
		b[i] = dbfile_build_begin(c->names[i], WAIT_MS, err);
		if (b[i] == NULL)
			goto out;
	}
	ret = change(c, q, &r, b, now, res, err);
out:
	for (size_t i = 0; i < c->n; i++)
		dbfile_build_cancel(&b[i]);
	journal_close(&r.journal);
	relay_store_destroy(&r.store);
	return ret;
}
