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

struct journal *
journal_create(const char *path, struct err *err)
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
	struct journal *j = journal_create(path, err);

	if (j == NULL)
		return NULL;
	if (open_locked(j, may_create, wait_ms) == -1) {
		journal_fail(err, path);
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

/* --- writing ------------------------------------------------------------- */

uint32_t
journal_checksum(const struct journal *j, const char *record, size_t n)
{
	return (uint32_t)hash_bytes(&j->key,
	    slice_make(record + sizeof(uint32_t), n - sizeof(uint32_t)));
}

int
journal_write_header(struct journal *j, int fd)
{
	struct header h;

	memset(&h, 0, sizeof(h));
	memcpy(h.magic, JOURNAL_MAGIC, sizeof(h.magic));
	if (hash_key_make(&h.key) == -1 || write_all(fd, &h, sizeof(h)) == -1)
		return -1;
	j->key = h.key;
	j->size = sizeof(h);
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

	if (journal_write_header(j, fd) == -1)
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
	journal_fail(err, j->tmp);
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
		return journal_fail(err, j->path);
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
