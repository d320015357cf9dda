/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_load - what a journal tells; see the header.
 */
#include "config.h"

#include "perdition-pbs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition-pbs/journal_private.h"

#include "common/banned.h"

/* Of one who only looks; a snapshot takes far longer than to read it. */
#define READ_TRIES 3

/* What has to be known to take records. */
struct load {
	struct journal *j;
	struct relay_store *store;
	int64_t now, limit;
	struct err *err;
	/* By how much the clock was set from here on until the end, if that
	 * is known; and of what has been read. */
	int64_t to_come, shifted;
	off_t end; /* nothing that the file has from here on is read */
};
#define LOAD_ALL ((off_t)INT64_MAX)

/* 1, 0: it is none of ours, or -1 with err. */
static int
apply_position(struct load *l, unsigned int type, struct slice body)
{
	uint16_t n = 0;

	if (type == RECORD_POSITION) {
		if (body.n < sizeof(n))
			return 0;
		memcpy(&n, body.p, sizeof(n));
		body = slice_skip(body, sizeof(n));
	}
	if (n > body.n)
		return 0;
	if (positions_set(l->j->positions, slice_make(body.p, n),
		slice_skip(body, n)) == 0)
		return 1;
	return errno == ENOMEM ? journal_fail(l->err, l->j->path) : 0;
}

/* The same. */
static int
apply_touch(struct load *l, const struct record_entry *r, struct slice user)
{
	int64_t expires = r->expires + l->to_come;
	struct relay_entry e;

	memset(&e, 0, sizeof(e));
	e.key.ip = r->ip;
	e.key.prefix = r->prefix;
	/* A clock that was wrong then, or is now, must not open for years. */
	e.expires = expires < l->limit ? expires : l->limit;
	l->j->cut = l->j->cut || expires > l->limit;
	if (e.expires <= l->now)
		return 1;
	/* The rest of the file is not to be given up for that. */
	if (relay_store_touch(l->store, &e, user, l->now) == -1)
		return journal_fail(l->err, l->j->path);
	return 1;
}

static bool
apply_shift(struct load *l, struct slice body)
{
	int64_t delta;

	if (body.n != sizeof(delta))
		return false;
	memcpy(&delta, body.p, sizeof(delta));
	l->to_come -= delta;
	l->shifted += delta;
	return true;
}

static int
apply(struct load *l, unsigned int type, struct slice body)
{
	struct record_entry r;
	struct relay_key k;

	if (type == RECORD_PURGE) {
		relay_store_clear(l->store);
		return 1;
	}
	if (type == RECORD_SOURCE || type == RECORD_POSITION)
		return apply_position(l, type, body);
	if (type == RECORD_SHIFT)
		return apply_shift(l, body) ? 1 : 0;
	if (body.n < sizeof(r))
		return 0;
	memcpy(&r, body.p, sizeof(r));
	if (r.prefix > 128)
		return 0;
	if (type == RECORD_TOUCH)
		return apply_touch(l, &r, slice_skip(body, sizeof(r)));
	if (type != RECORD_REMOVE)
		return 0;
	memset(&k, 0, sizeof(k));
	k.ip = r.ip;
	k.prefix = r.prefix;
	relay_store_remove(l->store, &k);
	return 1;
}

/* --- the file, piece by piece -------------------------------------------- */

#define PIECE ((size_t)1 << 20) /* bytes */

struct reader {
	int fd;
	off_t next; /* of the file: what follows end */
	off_t last; /* of the file: where it is taken to end */
	char *buf;  /* of PIECE */
	size_t at, end;
	bool ended; /* nothing follows */
};

/* Has n bytes at hand, or all that there are; what was at hand moves.  0, or
 * -1 with errno. */
static int
read_ahead(struct reader *r, size_t n)
{
	if (r->end - r->at >= n || r->ended)
		return 0;
	memmove(r->buf, r->buf + r->at, r->end - r->at);
	r->end -= r->at;
	r->at = 0;
	while (r->end < PIECE) {
		size_t most = PIECE - r->end;
		ssize_t got;

		if (r->last - r->next < (off_t)most)
			most = (size_t)(r->last - r->next);
		got = pread(r->fd, r->buf + r->end, most, r->next);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		r->ended = got == 0;
		if (got == 0)
			break;
		r->end += (size_t)got;
		r->next += got;
	}
	return 0;
}

/* The next n of what is at hand; NULL: not so many. */
static const char *
take(struct reader *r, size_t n)
{
	const char *p = r->buf + r->at;

	if (r->end - r->at < n)
		return NULL;
	r->at += n;
	return p;
}

/* --- records ------------------------------------------------------------- */

/* Records are taken in groups, so that the store can fetch from memory what
 * all of a group need: on a file of millions that is what takes the time. */
struct group {
	size_t n;
	struct record {
		unsigned int type;
		struct slice body;
	} records[RELAY_STORE_FETCH];
};
static_assert(PIECE > RELAY_STORE_FETCH * RECORD_MAX,
    "what is at hand does not hold a group");

/* The next record, if it is whole. */
static bool
read_record(const struct journal *j, struct reader *r, struct record *out)
{
	struct record_head head;
	const char *p = take(r, sizeof(head));
	size_t n;

	if (p == NULL)
		return false;
	memcpy(&head, p, sizeof(head));
	n = sizeof(head) + head.len;
	if (n > RECORD_MAX || take(r, head.len) == NULL ||
	    journal_checksum(j, p, n) != head.sum)
		return false;
	*out = (struct record){ head.type,
		slice_make(p + sizeof(head), head.len) };
	return true;
}

static void
fetch_group(const struct group *g, const struct relay_store *s)
{
	struct relay_key keys[RELAY_STORE_FETCH];
	struct slice users[RELAY_STORE_FETCH];
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		struct record_entry r;

		if (g->records[i].body.n < sizeof(r))
			continue;
		/* What is no entry's does no harm. */
		memcpy(&r, g->records[i].body.p, sizeof(r));
		memset(&keys[n], 0, sizeof(keys[n]));
		keys[n].ip = r.ip;
		keys[n].prefix = r.prefix;
		users[n++] = slice_skip(g->records[i].body, sizeof(r));
	}
	relay_store_fetch(s, keys, users, n);
}

/* 1: there may be more, 0, or -1 with err. */
static int
load_group(struct load *l, struct reader *r)
{
	struct group g = { 0 };

	if (read_ahead(r, RELAY_STORE_FETCH * RECORD_MAX) == -1)
		return journal_fail(l->err, l->j->path);
	while (g.n < RELAY_STORE_FETCH && read_record(l->j, r, &g.records[g.n]))
		g.n++;
	fetch_group(&g, l->store);
	for (size_t i = 0; i < g.n; i++) {
		const struct record *record = &g.records[i];
		int ret = apply(l, record->type, record->body);

		if (ret != 1)
			return ret;
		l->j->out.size += sizeof(struct record_head) + record->body.n;
	}
	return g.n == RELAY_STORE_FETCH ? 1 : 0;
}

/* About how many records there are in so many bytes, by those at hand. */
static size_t
count_records(const struct reader *r, off_t size)
{
	struct record_head head;
	size_t n = 0, at = r->at;

	while (r->end - at > sizeof(head)) {
		memcpy(&head, r->buf + at, sizeof(head));
		if (head.len >= r->end - at - sizeof(head))
			break;
		at += sizeof(head) + head.len;
		n++;
	}
	return n == 0 ? 0 : (size_t)size / ((at - r->at) / n);
}

static int
load_all(struct load *l, struct reader *r, off_t size)
{
	int ret;

	if (read_ahead(r, RELAY_STORE_FETCH * RECORD_MAX) == -1)
		return journal_fail(l->err, l->j->path);
	relay_store_load(l->store, count_records(r, size));
	do
		ret = load_group(l, r);
	while (ret == 1);
	relay_store_loaded(l->store);
	return ret;
}

/* As a power failure leaves a file whose size was known and its data not. */
static bool
is_zero(const struct header *h)
{
	static const struct header zero;

	return memcmp(h, &zero, sizeof(zero)) == 0;
}

static int
read_from(struct load *l, struct reader *r, off_t size)
{
	struct journal *j = l->j;
	struct header h;
	const char *p;

	if (read_ahead(r, sizeof(h)) == -1)
		return journal_fail(l->err, j->path);
	p = take(r, sizeof(h));
	if (p != NULL)
		memcpy(&h, p, sizeof(h));
	if (p == NULL || is_zero(&h))
		return 1;
	if (memcmp(h.magic, JOURNAL_MAGIC, sizeof(h.magic)) != 0)
		return err_set(l->err, EINVAL,
		    "%s: not a journal of perdition-pbs", j->path);
	j->key = h.key;
	j->out.size = sizeof(h);
	return load_all(l, r, size);
}

/* From the start.  0, 1: there is nothing, or -1 with err. */
static int
read_once(struct load *l, off_t *size)
{
	struct reader r = { .fd = l->j->out.fd, .last = l->end };
	struct stat st;
	int ret = -1;

	r.buf = malloc(PIECE);
	if (r.buf == NULL || fstat(r.fd, &st) == -1)
		journal_fail(l->err, l->j->path);
	else
		ret = read_from(l, &r, st.st_size);
	*size = r.buf == NULL ? 0 : st.st_size;
	free(r.buf);
	return ret;
}

/*
 * What an entry's time has become is known at the end only, and those that seem
 * dead, or to live for too long, may not be.  So a file that tells of the clock
 * being set is read once more: it is rare, and a snapshot follows it.
 */
static int
read_all(struct load *l, off_t *size)
{
	int ret = read_once(l, size);

	if (ret != 0 || l->shifted == 0)
		return ret;
	relay_store_clear(l->store);
	positions_clear(l->j->positions); /* there may not be room for both */
	l->j->cut = true; /* or the next start would do the same */
	l->to_come = l->shifted;
	/* What has come since, without a lock, may set the clock again. */
	l->end = (off_t)l->j->out.size;
	return read_once(l, size);
}

int
journal_load(struct journal *j, struct relay_store *s, int64_t now,
    int64_t limit, uint64_t *torn, struct err *err)
{
	struct load l = { j, s, now, limit, err, 0, 0, LOAD_ALL };
	off_t size = 0;
	int ret = read_all(&l, &size);

	*torn = 0;
	if (ret == -1)
		return -1;
	*torn = (uint64_t)size - (ret == 1 ? 0 : j->out.size);
	if (ret == 0 && *torn > 0 &&
	    ftruncate(j->out.fd, (off_t)j->out.size) == -1)
		return journal_fail(err, j->path);
	if (ret == 1 && hash_key_make(&j->key) == -1)
		return journal_fail(err, j->path);
	return ret;
}

int
journal_start_with(
    struct journal *j, const struct relay_store *s, struct err *err)
{
	/* At once with all of it: a kill must not leave a journal that tells
	 * of nobody, and the files be made by that. */
	if (relay_store_count(s) > 0 && journal_snapshot(j, s, err) == 0)
		return 0;
	if (ftruncate(j->out.fd, 0) == -1 ||
	    journal_write_header(j, &j->out) == -1)
		return journal_fail(err, j->path);
	/* In a directory that allows no new file. */
	for (size_t i = 0; i < relay_store_count(s); i++) {
		const struct relay_entry *e = relay_store_at(s, i);

		journal_touch(j, e, relay_store_user(s, e));
	}
	return journal_flush(j, s, err);
}

/* 0, 1: it was made anew meanwhile, or -1 with err. */
static int
read_named(const char *path, struct relay_store *s, int64_t now, int64_t limit,
    struct err *err)
{
	struct journal *j = journal_create(path, err);
	struct load l = { j, s, now, limit, err, 0, 0, LOAD_ALL };
	struct stat st;
	off_t size;
	int ret = -1;

	if (j == NULL)
		return -1;
	j->out.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (j->out.fd == -1)
		journal_fail(err, path);
	else
		ret = read_all(&l, &size);
	/* In a directory that allows no new file it keeps its name; the clock,
	 * if it was read of, is what tells then. */
	if (ret != -1)
		ret = journal_has_name(j, &st) && l.to_come == 0 ? 0 : 1;
	journal_close(&j);
	return ret;
}

/* A file that a snapshot has replaced is freed from its end on, perhaps before
 * that was read. */
int
journal_read(const char *path, struct relay_store *s, int64_t now,
    int64_t limit, struct err *err)
{
	int ret = read_named(path, s, now, limit, err);

	for (int tries = 1; ret == 1 && tries < READ_TRIES; tries++) {
		relay_store_clear(s);
		ret = read_named(path, s, now, limit, err);
	}
	return ret != 1 ? ret
			: err_set(err, EAGAIN,
			      "%s: made anew each time that it is read", path);
}

const struct positions *
journal_positions(const struct journal *j)
{
	return j->positions;
}
