/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_load - what a journal tells; see the header.
 */
#include "config.h"

#include "perdition-pbs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition-pbs/journal_private.h"

#include "common/banned.h"

static bool
apply_position(struct journal *j, unsigned int type, struct slice body)
{
	uint16_t n = 0;

	if (type == RECORD_POSITION) {
		if (body.n < sizeof(n))
			return false;
		memcpy(&n, body.p, sizeof(n));
		body = slice_skip(body, sizeof(n));
	}
	return n <= body.n && positions_set(j->positions, slice_make(body.p, n),
				  slice_skip(body, n)) == 0;
}

static bool
apply(struct journal *j, struct relay_store *s, unsigned int type,
    struct slice body, int64_t now, int64_t limit)
{
	struct record_entry r;
	struct relay_entry e;
	struct slice user;

	if (type == RECORD_PURGE) {
		relay_store_clear(s);
		return true;
	}
	if (type == RECORD_SOURCE || type == RECORD_POSITION)
		return apply_position(j, type, body);
	if (body.n < sizeof(r) ||
	    (type != RECORD_TOUCH && type != RECORD_REMOVE))
		return false;
	memcpy(&r, body.p, sizeof(r));
	user = slice_skip(body, sizeof(r));
	memset(&e, 0, sizeof(e));
	e.key.ip = r.ip;
	e.key.prefix = r.prefix;
	/* A clock that was wrong then, or is now, must not open for years. */
	e.expires = r.expires < limit ? r.expires : limit;
	j->cut = j->cut || r.expires > limit;
	if (r.prefix > 128)
		return false;
	if (type == RECORD_REMOVE)
		relay_store_remove(s, &e.key);
	else if (e.expires > now)
		return relay_store_touch(s, &e, user, now) != -1;
	return true;
}

/* Records are taken in groups, so that the store can fetch from memory what
 * all of a group need: on a file of millions that is what takes the time. */
struct group {
	FILE *f;
	int64_t now, limit;
	size_t n;
	char record[RELAY_STORE_FETCH][RECORD_MAX];
};

/* The next record, if it is whole.  Its length, or 0. */
static size_t
read_record(const struct journal *j, FILE *f, char record[RECORD_MAX])
{
	struct record_head head;
	size_t n;

	/* In parentheses: glibc has a macro of this name too, which gcc warns
	 * of with -fsanitize=undefined. */
	if ((fread_unlocked)(record, sizeof(head), 1, f) != 1)
		return 0;
	memcpy(&head, record, sizeof(head));
	n = sizeof(head) + head.len;
	if (n > RECORD_MAX ||
	    (head.len > 0 &&
		(fread_unlocked)(record + sizeof(head), head.len, 1, f) != 1) ||
	    journal_checksum(j, record, n) != head.sum)
		return 0;
	return n;
}

static void
fetch_group(const struct group *g, const struct relay_store *s)
{
	struct relay_key keys[RELAY_STORE_FETCH];
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		struct record_head head;
		struct record_entry r;

		memcpy(&head, g->record[i], sizeof(head));
		if (head.len < sizeof(r))
			continue;
		/* What is no entry's does no harm. */
		memcpy(&r, g->record[i] + sizeof(head), sizeof(r));
		memset(&keys[n], 0, sizeof(keys[n]));
		keys[n].ip = r.ip;
		keys[n++].prefix = r.prefix;
	}
	relay_store_fetch(s, keys, n);
}

/* Whether there may be more. */
static bool
load_group(struct journal *j, struct group *g, struct relay_store *s)
{
	bool more = true;

	for (g->n = 0; g->n < RELAY_STORE_FETCH; g->n++)
		if (read_record(j, g->f, g->record[g->n]) == 0)
			break;
	more = g->n == RELAY_STORE_FETCH;
	fetch_group(g, s);
	for (size_t i = 0; i < g->n; i++) {
		struct record_head head;

		memcpy(&head, g->record[i], sizeof(head));
		if (!apply(j, s, head.type,
			slice_make(g->record[i] + sizeof(head), head.len),
			g->now, g->limit))
			return false;
		j->size += sizeof(head) + head.len;
	}
	return more;
}

static int
load_all(struct journal *j, FILE *f, struct relay_store *s, int64_t now,
    int64_t limit, off_t size)
{
	struct group *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return -1;
	g->f = f;
	g->now = now;
	g->limit = limit;
	relay_store_load(s, (size_t)size / (sizeof(struct record_head) +
					       sizeof(struct record_entry)));
	while (load_group(j, g, s))
		continue;
	relay_store_loaded(s);
	free(g);
	return 0;
}

/* As a power failure leaves a file whose size was known and its data not. */
static bool
is_zero(const struct header *h)
{
	static const struct header zero;

	return memcmp(h, &zero, sizeof(zero)) == 0;
}

/* From the start.  0, 1: there is nothing, or -1 with err. */
static int
read_all(struct journal *j, FILE *f, struct relay_store *s, int64_t now,
    int64_t limit, off_t *size, struct err *err)
{
	struct stat st;
	struct header h;

	if (fstat(j->fd, &st) == -1 || fseek(f, 0, SEEK_SET) == -1)
		return journal_fail(err, j->path);
	*size = st.st_size;
	memset(&h, 0, sizeof(h));
	if (fread(&h, sizeof(h), 1, f) != 1 || is_zero(&h))
		return 1;
	if (memcmp(h.magic, JOURNAL_MAGIC, sizeof(h.magic)) != 0)
		return err_set(
		    err, EINVAL, "%s: not a journal of perdition-pbs", j->path);
	j->key = h.key;
	j->size = sizeof(h);
	if (load_all(j, f, s, now, limit, st.st_size) == -1)
		return journal_fail(err, j->path);
	return 0;
}

/* A stream on the file, or NULL with err. */
static FILE *
open_stream(const struct journal *j, struct err *err)
{
	int fd = dup(j->fd);
	FILE *f = fd == -1 ? NULL : fdopen(fd, "r");

	if (f == NULL) {
		journal_fail(err, j->path);
		if (fd != -1)
			close(fd);
	}
	return f;
}

int
journal_load(struct journal *j, struct relay_store *s, int64_t now,
    int64_t limit, uint64_t *torn, struct err *err)
{
	FILE *f = open_stream(j, err);
	off_t size = 0;
	int ret;

	*torn = 0;
	if (f == NULL)
		return -1;
	ret = read_all(j, f, s, now, limit, &size, err);
	fclose(f);
	if (ret == -1)
		return -1;
	*torn = (uint64_t)size - (ret == 1 ? 0 : j->size);
	if (ret == 0 && *torn > 0 && ftruncate(j->fd, (off_t)j->size) == -1)
		return journal_fail(err, j->path);
	if (ret == 1 &&
	    (ftruncate(j->fd, 0) == -1 || journal_write_header(j, j->fd) == -1))
		return journal_fail(err, j->path);
	return ret;
}

int
journal_read(const char *path, struct relay_store *s, int64_t now,
    int64_t limit, struct err *err)
{
	struct journal *j = journal_create(path, err);
	FILE *f = NULL;
	off_t size;
	int ret = -1;

	if (j == NULL)
		return -1;
	j->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (j->fd == -1)
		journal_fail(err, path);
	else
		f = open_stream(j, err);
	if (f != NULL) {
		ret = read_all(j, f, s, now, limit, &size, err);
		fclose(f);
	}
	journal_close(&j);
	return ret == -1 ? -1 : 0;
}

const struct positions *
journal_positions(const struct journal *j)
{
	return j->positions;
}
