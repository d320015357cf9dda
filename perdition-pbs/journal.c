/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal - append, snapshot, replay; see the header.
 *
 * File: a header (magic, a random key), then records of a head (checksum,
 * length, type) and a body.  The checksum is a keyed hash over the rest of
 * the record.  Numbers are in host order: the file never leaves its host.
 */
#include "config.h"

#include "perdition-pbs/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/addr.h"
#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/relay_names.h"

#include "common/banned.h"

#define PENDING_MAX 65536       /* bytes that wait */
#define GROWN_MIN (1024 * 1024) /* bytes; smaller files are left alone */
#define LEAN_FACTOR 2           /* times: that a start leaves alone */
#define GROWN_FACTOR 4          /* times what a snapshot would take */

static const char magic[16] = "perdition-pbs 1";

struct header {
	char magic[sizeof(magic)];
	struct hash_key key;
};

enum record_type {
	RECORD_TOUCH = 1,
	RECORD_REMOVE,
	RECORD_PURGE,
	RECORD_SOURCE,       /* of old: the only source's position */
	RECORD_POSITION = 16 /* name's length (16 bits), name, position */
};

struct record_head {
	uint32_t sum; /* over all that follows */
	uint16_t len; /* of the body */
	uint16_t type;
};

struct record_entry { /* body of RECORD_TOUCH, before the user's name, and
			 of RECORD_REMOVE */
	struct in6_addr ip;
	int64_t expires; /* 0 in RECORD_REMOVE */
	uint8_t prefix, zero[7];
};

#define POSITION_MAX (sizeof(uint16_t) + POSITION_NAME_MAX + POSITION_BYTES_MAX)
#define RECORD_MAX (sizeof(struct record_head) + POSITION_MAX)
/* With a name of some length. */
#define RECORD_TYPICAL                                                         \
	(sizeof(struct record_head) + sizeof(struct record_entry) + 24)
static_assert(sizeof(struct record_entry) + RELAY_USER_MAX <= POSITION_MAX,
    "RECORD_MAX does not hold every record");

struct journal {
	char *path, *tmp;
	int fd;
	struct hash_key key;
	uint64_t size; /* of the file's good part */
	size_t pending_n;
	bool failed; /* the file misses something: only a snapshot helps */
	bool cut;    /* it has an entry that lives for longer than it should */
	struct positions *positions;
	char pending[PENDING_MAX];
};

static int
fail(struct err *err, const char *path)
{
	int error = errno;

	return err_set(err, error, "%s: %s", path, strerror(error));
}

/* 0, or -1 with errno; a short write is a full disk. */
static int
write_all(int fd, const void *p, size_t n)
{
	const char *c = p;

	while (n > 0) {
		ssize_t w = write(fd, c, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w <= 0) {
			if (w == 0)
				errno = ENOSPC;
			return -1;
		}
		c += w;
		n -= (size_t)w;
	}
	return 0;
}

/* --- opening ------------------------------------------------------------- */

static int
open_locked(struct journal *j, bool create, unsigned int wait_ms)
{
	struct stat st, named;

	for (int tries = 0; tries < 100; tries++) {
		j->fd = open(j->path,
		    O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
			(create ? O_CREAT : 0),
		    0600);
		if (j->fd == -1 || dbfile_flock(j->fd, LOCK_EX, wait_ms) == -1)
			return -1;
		/* A snapshot may have taken its place while we waited. */
		if (fstat(j->fd, &st) == 0 && stat(j->path, &named) == 0 &&
		    st.st_dev == named.st_dev && st.st_ino == named.st_ino) {
			if (st.st_nlink == 1)
				return 0;
			errno = EMLINK; /* another's file too, perhaps */
			return -1;
		}
		close(j->fd);
		j->fd = -1;
	}
	errno = EWOULDBLOCK;
	return -1;
}

/* What fits no more is lost from the file: the next flush takes a snapshot. */
static int
write_pending(struct journal *j)
{
	if (j->failed)
		return -1;
	if (j->pending_n == 0)
		return 0;
	if (write_all(j->fd, j->pending, j->pending_n) == -1) {
		int error = errno;

		/* Works on a full disk too; if not, the checksum tells. */
		if (ftruncate(j->fd, (off_t)j->size) == -1)
			error = errno;
		j->failed = true;
		j->pending_n = 0;
		errno = error;
		return -1;
	}
	j->size += j->pending_n;
	j->pending_n = 0;
	return 0;
}

void
journal_close(struct journal **jp)
{
	struct journal *j = *jp;

	if (j == NULL)
		return;
	if (j->fd != -1) {
		write_pending(j);
		close(j->fd);
	}
	positions_destroy(&j->positions);
	free(j->path);
	free(j->tmp);
	free(j);
	*jp = NULL;
}

static struct journal *
create(const char *path, struct err *err)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	j->fd = -1;
	j->positions = positions_create();
	j->path = strdup(path);
	if (j->positions == NULL || j->path == NULL ||
	    asprintf(&j->tmp, "%s.new", path) == -1) {
		j->tmp = NULL;
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		journal_close(&j);
	}
	return j;
}

struct journal *
journal_open(
    const char *path, bool may_create, unsigned int wait_ms, struct err *err)
{
	struct journal *j = create(path, err);

	if (j == NULL)
		return NULL;
	if (open_locked(j, may_create, wait_ms) == -1) {
		fail(err, path);
		j->pending_n = 0;
		journal_close(&j);
	}
	return j;
}

int
journal_chown(struct journal *j, uid_t uid, gid_t gid)
{
	return fchown(j->fd, uid, gid);
}

/* --- loading ------------------------------------------------------------- */

static uint32_t
checksum(const struct journal *j, const char *record, size_t n)
{
	return (uint32_t)hash_bytes(&j->key,
	    slice_make(record + sizeof(uint32_t), n - sizeof(uint32_t)));
}

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
	    checksum(j, record, n) != head.sum)
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

static int
write_header(struct journal *j, int fd)
{
	struct header h;

	memset(&h, 0, sizeof(h));
	memcpy(h.magic, magic, sizeof(magic));
	if (hash_key_make(&h.key) == -1 || write_all(fd, &h, sizeof(h)) == -1)
		return -1;
	j->key = h.key;
	j->size = sizeof(h);
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
		return fail(err, j->path);
	*size = st.st_size;
	memset(&h, 0, sizeof(h));
	if (fread(&h, sizeof(h), 1, f) != 1 || is_zero(&h))
		return 1;
	if (memcmp(h.magic, magic, sizeof(magic)) != 0)
		return err_set(
		    err, EINVAL, "%s: not a journal of perdition-pbs", j->path);
	j->key = h.key;
	j->size = sizeof(h);
	if (load_all(j, f, s, now, limit, st.st_size) == -1)
		return fail(err, j->path);
	return 0;
}

/* A stream on the file, or NULL with err. */
static FILE *
open_stream(const struct journal *j, struct err *err)
{
	int fd = dup(j->fd);
	FILE *f = fd == -1 ? NULL : fdopen(fd, "r");

	if (f == NULL) {
		fail(err, j->path);
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
		return fail(err, j->path);
	if (ret == 1 &&
	    (ftruncate(j->fd, 0) == -1 || write_header(j, j->fd) == -1))
		return fail(err, j->path);
	return ret;
}

int
journal_read(const char *path, struct relay_store *s, int64_t now,
    int64_t limit, struct err *err)
{
	struct journal *j = create(path, err);
	FILE *f = NULL;
	off_t size;
	int ret = -1;

	if (j == NULL)
		return -1;
	j->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (j->fd == -1)
		fail(err, path);
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

/* --- writing ------------------------------------------------------------- */

static size_t
make_record(const struct journal *j, char out[RECORD_MAX],
    enum record_type type, struct slice body)
{
	struct record_head head = { 0, (uint16_t)body.n, (uint16_t)type };
	size_t n = sizeof(head) + body.n;

	memcpy(out, &head, sizeof(head));
	if (body.n > 0)
		memcpy(out + sizeof(head), body.p, body.n);
	head.sum = checksum(j, out, n);
	memcpy(out, &head, sizeof(head));
	return n;
}

static void
append(struct journal *j, enum record_type type, struct slice body)
{
	char record[RECORD_MAX];
	size_t n = make_record(j, record, type, body);

	if (n > PENDING_MAX - j->pending_n)
		write_pending(j);
	if (j->failed)
		return;
	memcpy(j->pending + j->pending_n, record, n);
	j->pending_n += n;
}

static struct record_entry
record_entry(const struct relay_key *k, int64_t expires)
{
	struct record_entry r;

	memset(&r, 0, sizeof(r));
	r.ip = k->ip;
	r.prefix = k->prefix;
	r.expires = expires;
	return r;
}

void
journal_touch(struct journal *j, const struct relay_entry *e, struct slice user)
{
	struct record_entry r = record_entry(&e->key, e->expires);
	char body[sizeof(r) + RELAY_USER_MAX];

	if (user.n > RELAY_USER_MAX)
		user.n = RELAY_USER_MAX;
	memcpy(body, &r, sizeof(r));
	if (user.n > 0)
		memcpy(body + sizeof(r), user.p, user.n);
	append(j, RECORD_TOUCH, slice_make(body, sizeof(r) + user.n));
}

void
journal_remove(struct journal *j, const struct relay_key *k)
{
	struct record_entry r = record_entry(k, 0);

	append(j, RECORD_REMOVE, slice_make((const char *)&r, sizeof(r)));
}

void
journal_purge(struct journal *j)
{
	append(j, RECORD_PURGE, SLICE(""));
}

static void
append_position(struct journal *j, struct slice name, struct slice position)
{
	char body[POSITION_MAX];
	uint16_t n = (uint16_t)name.n;

	memcpy(body, &n, sizeof(n));
	if (name.n > 0)
		memcpy(body + sizeof(n), name.p, name.n);
	if (position.n > 0)
		memcpy(body + sizeof(n) + name.n, position.p, position.n);
	append(j, RECORD_POSITION,
	    slice_make(body, sizeof(n) + name.n + position.n));
}

void
journal_save_position(
    struct journal *j, struct slice name, struct slice position)
{
	if (positions_set(j->positions, name, position) == 0)
		append_position(j, name, position);
}

static size_t
positions_size(const struct journal *j)
{
	struct slice name, position;
	size_t n = 0;

	for (size_t i = 0; positions_at(j->positions, i, &name, &position); i++)
		n += sizeof(struct record_head) + sizeof(uint16_t) + name.n +
		     position.n;
	return n;
}

static size_t
snapshot_size(const struct journal *j, const struct relay_store *s)
{
	return sizeof(struct header) + positions_size(j) +
	       relay_store_count(s) * RECORD_TYPICAL;
}

/* Everything alive, through the memory for what waits. */
static int
write_snapshot(struct journal *j, const struct relay_store *s, int fd)
{
	struct slice name, position;
	int old = j->fd;
	int ret = -1;

	if (write_header(j, fd) == -1)
		return -1;
	j->fd = fd;
	j->failed = false;
	j->pending_n = 0;
	for (size_t i = 0; positions_at(j->positions, i, &name, &position); i++)
		append_position(j, name, position);
	for (size_t i = 0; i < relay_store_count(s) && !j->failed; i++) {
		const struct relay_entry *e = relay_store_at(s, i);

		/* What may relay always is the configuration's business. */
		if (e->expires != RELAY_FOREVER)
			journal_touch(j, e, relay_store_user(s, e));
	}
	if (write_pending(j) == 0)
		ret = 0;
	j->fd = old;
	return ret;
}

int
journal_snapshot(
    struct journal *j, const struct relay_store *s, struct err *err)
{
	struct stat st;
	int fd = -1;

	unlink(j->tmp); /* of a killed predecessor; the lock is ours */
	fd = open(j->tmp,
	    O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	/* The new file is locked before it has the name. */
	if (fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1 ||
	    write_snapshot(j, s, fd) == -1)
		goto out;
	if (geteuid() == 0 && fstat(j->fd, &st) == 0 &&
	    fchown(fd, st.st_uid, st.st_gid) == -1)
		goto out;
	if (rename(j->tmp, j->path) == -1)
		goto out;
	close(j->fd);
	j->fd = fd;
	j->cut = false;
	return 0;
out:
	fail(err, j->tmp);
	j->failed = true;
	j->pending_n = 0;
	if (fd != -1) {
		unlink(j->tmp);
		close(fd);
	}
	return -1;
}

int
journal_flush(struct journal *j, const struct relay_store *s, struct err *err)
{
	if (!j->failed && write_pending(j) == 0) {
		if (j->size > GROWN_MIN &&
		    j->size > GROWN_FACTOR * snapshot_size(j, s))
			return journal_snapshot(j, s, err);
		return 0;
	}
	if (j->failed && journal_snapshot(j, s, err) == 0)
		return 0;
	/* A directory that allows no new file: rewrite this one.  A kill
	 * meanwhile costs entries, as the disk being full did already. */
	if (err->code == EACCES || err->code == EPERM || err->code == EROFS) {
		if (ftruncate(j->fd, 0) == 0 &&
		    write_snapshot(j, s, j->fd) == 0)
			return 0;
		j->failed = true;
		return fail(err, j->path);
	}
	return -1;
}

bool
journal_is_lean(const struct journal *j, const struct relay_store *s)
{
	return !j->cut && !j->failed &&
	       j->size + j->pending_n <=
		   GROWN_MIN + LEAN_FACTOR * snapshot_size(j, s);
}

bool
journal_failed(const struct journal *j)
{
	return j->failed;
}

bool
journal_dirty(const struct journal *j)
{
	return j->failed || j->pending_n > 0;
}
