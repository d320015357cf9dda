/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_snapshot - a new journal with no more than what is alive.
 *
 * Made a slice at a time, while entries come and go: what happens meanwhile
 * goes to both files, in the order in which it happens.  Of the store's dense
 * array the end is taken first: an entry that moves into a gap comes from
 * there, and one that is new gets there.  So the new file tells of each entry
 * as it was at some time, and of all that happened to it since then.
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

#include "perdition-pbs/journal_private.h"

#include "common/banned.h"

#define SLICE_ENTRIES 4096u    /* two milliseconds */
#define SLICE_BYTES (16 << 20) /* of what is freed: a millisecond */
#define DISK_BYTES (1u << 20)  /* handed to the disk at once */
#define PATIENCE 4             /* grown by a part of so much: tried again */

/* --- the end of one ------------------------------------------------------ */

static void
close_old(struct journal *j)
{
	if (j->old_fd != -1)
		close(j->old_fd);
	j->old_fd = -1;
}

/* Freeing gigabytes at once takes long. */
static void
free_old(struct journal *j)
{
	j->old_size -= j->old_size < SLICE_BYTES ? j->old_size : SLICE_BYTES;
	if (j->old_fd != -1 && j->old_size > 0 &&
	    ftruncate(j->old_fd, j->old_size) == 0)
		return;
	close_old(j);
}

static void
drop_next(struct journal *j)
{
	if (j->next == NULL)
		return;
	if (j->next->fd != -1) {
		unlink(j->tmp);
		close(j->next->fd);
	}
	free(j->next);
	j->next = NULL;
}

void
journal_abandon(struct journal *j)
{
	drop_next(j);
	close_old(j);
}

/* With errno. */
static int
give_up(struct journal *j, struct err *err)
{
	journal_fail(err, j->tmp);
	drop_next(j);
	j->not_below = j->out.size + j->out.size / PATIENCE;
	return -1;
}

static int
finish(struct journal *j, struct err *err)
{
	if (journal_write(j->next) == -1 || rename(j->tmp, j->path) == -1)
		return give_up(j, err);
	close_old(j);
	j->old_fd = j->out.fd;
	j->old_size = (off_t)j->out.size;
	flock(j->old_fd, LOCK_UN);
	j->out = *j->next;
	free(j->next);
	j->next = NULL;
	j->cut = false;
	j->not_below = 0;
	return 0;
}

/* --- its making ---------------------------------------------------------- */

static void
put_positions(const struct journal *j, struct journal_out *o)
{
	struct slice name, position;

	for (size_t i = 0; positions_at(j->positions, i, &name, &position); i++)
		journal_put_position(j, o, name, position);
}

/* What may relay always is the configuration's business. */
static void
put_entry(const struct journal *j, struct journal_out *o,
    const struct relay_store *s, size_t i)
{
	const struct relay_entry *e = relay_store_at(s, i);

	if (e->expires != RELAY_FOREVER)
		journal_put_touch(j, o, e, relay_store_user(s, e));
}

/* Or the rename would have to wait for all of it; nobody waits for this. */
static void
hand_to_disk(struct journal *j)
{
	if (j->next->size - j->on_disk < DISK_BYTES)
		return;
	sync_file_range(j->next->fd, (off_t)j->on_disk,
	    (off_t)(j->next->size - j->on_disk), SYNC_FILE_RANGE_WRITE);
	j->on_disk = j->next->size;
}

int
journal_step(struct journal *j, const struct relay_store *s, struct err *err)
{
	size_t n = SLICE_ENTRIES;

	if (j->next == NULL) {
		free_old(j);
		return 0;
	}
	if (j->left > relay_store_count(s))
		j->left = relay_store_count(s);
	for (; n > 0 && j->left > 0; n--)
		put_entry(j, j->next, s, --j->left);
	if (j->next->error != 0) {
		errno = j->next->error;
		return give_up(j, err);
	}
	hand_to_disk(j);
	return j->left == 0 ? finish(j, err) : 0;
}

/* The new file, locked before it has the name.  0, or -1 with errno. */
static int
open_next(struct journal *j)
{
	struct journal_out *o = j->next;
	struct stat st;

	unlink(j->tmp);
	o->fd = open(j->tmp,
	    O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (o->fd == -1 || flock(o->fd, LOCK_EX | LOCK_NB) == -1 ||
	    journal_write_header(j, o) == -1)
		return -1;
	if (geteuid() == 0 && fstat(j->out.fd, &st) == 0 &&
	    fchown(o->fd, st.st_uid, st.st_gid) == -1)
		return -1;
	return 0;
}

int
journal_begin(struct journal *j, const struct relay_store *s, struct err *err)
{
	if (j->next != NULL)
		return 0;
	j->next = calloc(1, sizeof(*j->next));
	if (j->next == NULL)
		return give_up(j, err);
	if (open_next(j) == -1)
		return give_up(j, err);
	j->left = relay_store_count(s);
	j->on_disk = 0;
	put_positions(j, j->next);
	return journal_step(j, s, err);
}

bool
journal_busy(const struct journal *j)
{
	return j->next != NULL || j->old_fd != -1;
}

int
journal_snapshot(
    struct journal *j, const struct relay_store *s, struct err *err)
{
	int ret = journal_begin(j, s, err);

	while (ret == 0 && j->next != NULL)
		ret = journal_step(j, s, err);
	return ret;
}

int
journal_settle(struct journal *j, const struct relay_store *s, struct err *err)
{
	int ret = journal_flush(j, s, err);

	return j->next == NULL ? ret : journal_snapshot(j, s, err);
}

int
journal_rewrite(struct journal *j, const struct relay_store *s, struct err *err)
{
	j->out.pending_n = 0;
	if (ftruncate(j->out.fd, 0) == -1 ||
	    journal_write_header(j, &j->out) == -1) {
		j->out.error = errno;
		return journal_fail(err, j->path);
	}
	put_positions(j, &j->out);
	for (size_t i = 0; i < relay_store_count(s) && j->out.error == 0; i++)
		put_entry(j, &j->out, s, i);
	if (journal_write(&j->out) == -1)
		return journal_fail(err, j->path);
	j->cut = false;
	return 0;
}
