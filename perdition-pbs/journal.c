/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal - append and snapshot; see the header.
 */
#include "config.h"

#include "perdition-pbs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/journal_private.h"

#include "common/banned.h"

#define GROWN_MIN (1024 * 1024) /* bytes; smaller files are left alone */
#define LEAN_FACTOR 2           /* times: that a start leaves alone */
#define GROWN_FACTOR 4          /* times what a snapshot would take */

int
journal_fail(struct err *err, const char *path)
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

bool
journal_has_name(const struct journal *j, struct stat *st)
{
	struct stat named;

	return fstat(j->out.fd, st) == 0 && stat(j->path, &named) == 0 &&
	       st->st_dev == named.st_dev && st->st_ino == named.st_ino;
}

static int
open_locked(struct journal *j, bool create, unsigned int wait_ms)
{
	struct stat st;
	int fd;

	for (int tries = 0; tries < 100; tries++) {
		fd = open(j->path,
		    O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
			(create ? O_CREAT : 0),
		    0600);
		j->out.fd = fd;
		if (fd == -1 || dbfile_flock(fd, LOCK_EX, wait_ms) == -1)
			return -1;
		/* A snapshot may have taken its place while we waited. */
		if (journal_has_name(j, &st)) {
			if (st.st_nlink == 1)
				return 0;
			errno = EMLINK; /* another's file too, perhaps */
			return -1;
		}
		close(fd);
		j->out.fd = -1;
	}
	errno = EWOULDBLOCK;
	return -1;
}

/* What fits no more is lost from the file: it takes a snapshot to mend. */
int
journal_write(struct journal_out *o)
{
	if (o->error == 0 && o->pending_n > 0 &&
	    write_all(o->fd, o->pending, o->pending_n) == -1) {
		o->error = errno;
		/* Works on a full disk too; if not, the checksum tells. */
		if (ftruncate(o->fd, (off_t)o->size) == -1)
			o->error = errno;
	}
	if (o->error == 0)
		o->size += o->pending_n;
	o->pending_n = 0;
	errno = o->error;
	return o->error == 0 ? 0 : -1;
}

void
journal_close(struct journal **jp)
{
	struct journal *j = *jp;

	if (j == NULL)
		return;
	journal_abandon(j);
	if (j->out.fd != -1) {
		journal_write(&j->out);
		close(j->out.fd);
	}
	positions_destroy(&j->positions);
	free(j->path);
	free(j->tmp);
	free(j);
	*jp = NULL;
}

struct journal *
journal_create(const char *path, struct err *err)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	j->out.fd = j->old_fd = -1;
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
	struct journal *j = journal_create(path, err);

	if (j == NULL)
		return NULL;
	if (open_locked(j, may_create, wait_ms) == -1) {
		journal_fail(err, path);
		journal_close(&j);
		return NULL;
	}
	unlink(j->tmp); /* of a killed predecessor; the lock is ours */
	return j;
}

int
journal_chown(struct journal *j, uid_t uid, gid_t gid)
{
	return fchown(j->out.fd, uid, gid);
}

/* --- writing ------------------------------------------------------------- */

uint32_t
journal_checksum(const struct journal *j, const char *record, size_t n)
{
	return (uint32_t)hash_bytes(&j->key,
	    slice_make(record + sizeof(uint32_t), n - sizeof(uint32_t)));
}

int
journal_write_header(const struct journal *j, struct journal_out *o)
{
	struct header h;

	memset(&h, 0, sizeof(h));
	memcpy(h.magic, JOURNAL_MAGIC, sizeof(h.magic));
	h.key = j->key;
	if (write_all(o->fd, &h, sizeof(h)) == -1)
		return -1;
	o->size = sizeof(h);
	o->error = 0;
	o->pending_n = 0;
	return 0;
}

static size_t
make_record(const struct journal *j, char out[RECORD_MAX],
    enum record_type type, struct slice body)
{
	struct record_head head = { 0, (uint16_t)body.n, (uint16_t)type };
	size_t n = sizeof(head) + body.n;

	memcpy(out, &head, sizeof(head));
	if (body.n > 0)
		memcpy(out + sizeof(head), body.p, body.n);
	head.sum = journal_checksum(j, out, n);
	memcpy(out, &head, sizeof(head));
	return n;
}

static void
put(struct journal_out *o, const char *record, size_t n)
{
	if (n > PENDING_MAX - o->pending_n)
		journal_write(o);
	if (o->error != 0)
		return;
	memcpy(o->pending + o->pending_n, record, n);
	o->pending_n += n;
}

/* To what is being made as well: it has the entry as it was, or will have it
 * as it is by now. */
static void
append(struct journal *j, enum record_type type, struct slice body)
{
	char record[RECORD_MAX];
	size_t n = make_record(j, record, type, body);

	put(&j->out, record, n);
	if (j->next != NULL)
		put(j->next, record, n);
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

#define TOUCH_MAX (sizeof(struct record_entry) + RELAY_USER_MAX)

static struct slice
touch_body(char body[TOUCH_MAX], const struct relay_entry *e, struct slice user)
{
	struct record_entry r = record_entry(&e->key, e->expires);

	if (user.n > RELAY_USER_MAX)
		user.n = RELAY_USER_MAX;
	memcpy(body, &r, sizeof(r));
	if (user.n > 0)
		memcpy(body + sizeof(r), user.p, user.n);
	return slice_make(body, sizeof(r) + user.n);
}

void
journal_touch(struct journal *j, const struct relay_entry *e, struct slice user)
{
	char body[TOUCH_MAX];

	append(j, RECORD_TOUCH, touch_body(body, e, user));
}

void
journal_put_touch(const struct journal *j, struct journal_out *o,
    const struct relay_entry *e, struct slice user)
{
	char record[RECORD_MAX], body[TOUCH_MAX];
	size_t n =
	    make_record(j, record, RECORD_TOUCH, touch_body(body, e, user));

	put(o, record, n);
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

void
journal_shift(struct journal *j, int64_t delta)
{
	append(
	    j, RECORD_SHIFT, slice_make((const char *)&delta, sizeof(delta)));
}

static struct slice
position_body(char body[POSITION_MAX], struct slice name, struct slice position)
{
	uint16_t n = (uint16_t)name.n;

	memcpy(body, &n, sizeof(n));
	if (name.n > 0)
		memcpy(body + sizeof(n), name.p, name.n);
	if (position.n > 0)
		memcpy(body + sizeof(n) + name.n, position.p, position.n);
	return slice_make(body, sizeof(n) + name.n + position.n);
}

void
journal_save_position(
    struct journal *j, struct slice name, struct slice position)
{
	char body[POSITION_MAX];

	if (positions_set(j->positions, name, position) == 0)
		append(j, RECORD_POSITION, position_body(body, name, position));
}

void
journal_put_position(const struct journal *j, struct journal_out *o,
    struct slice name, struct slice position)
{
	char record[RECORD_MAX], body[POSITION_MAX];
	size_t n = make_record(
	    j, record, RECORD_POSITION, position_body(body, name, position));

	put(o, record, n);
}

/* --- keeping it small ---------------------------------------------------- */

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

static bool
has_grown(const struct journal *j, const struct relay_store *s)
{
	return j->out.size > GROWN_MIN && j->out.size >= j->not_below &&
	       j->out.size > GROWN_FACTOR * snapshot_size(j, s);
}

static bool
is_denied(const struct err *err)
{
	return err->code == EACCES || err->code == EPERM || err->code == EROFS;
}

/* 0, or -1 with err: the file misses something yet. */
static int
is_whole(const struct journal *j, struct err *err)
{
	errno = j->out.error;
	return errno == 0 ? 0 : journal_fail(err, j->path);
}

int
journal_flush(struct journal *j, const struct relay_store *s, struct err *err)
{
	int ret = journal_write(&j->out);

	/* What is being made has all that is missed here. */
	if (j->next != NULL || (ret == 0 && !has_grown(j, s)))
		return is_whole(j, err);
	if (journal_begin(j, s, err) == 0)
		return is_whole(j, err);
	/* A directory that allows no new file. */
	return is_denied(err) ? journal_rewrite(j, s, err) : -1;
}

bool
journal_is_lean(const struct journal *j, const struct relay_store *s)
{
	return !j->cut && j->out.error == 0 &&
	       j->out.size + j->out.pending_n <=
		   GROWN_MIN + LEAN_FACTOR * snapshot_size(j, s);
}

bool
journal_failed(const struct journal *j)
{
	return j->out.error != 0;
}

bool
journal_dirty(const struct journal *j)
{
	return j->out.error != 0 || j->out.pending_n > 0;
}
