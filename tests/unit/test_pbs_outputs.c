/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is the same for every type of database file, what is not, and when a
 * file is changed.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <uv.h>

#include "pbs_scratch.h"

#include "../lib/check_run.h"
#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/relay_db.h"
#include "perdition-pbs/relay_file.h"
#include "perdition-pbs/relay_pace.h"

#include "common/banned.h"

static const char *const types[] = {
#ifdef HAVE_BDB
	"hash",
#endif
#ifdef HAVE_LMDB
	"lmdb",
#endif
#ifdef HAVE_CDB
	"cdb",
#endif
};

static struct err err;

/* TYPE:scratch/x of the type of this round */
static const char *
name_of(int i)
{
	static char name[PATH_MAX + 10];

	snprintf(name, sizeof(name), "%s:%s", types[i], scratch_path("x"));
	return name;
}

/* What is done thousands of times is not asserted: each assertion that holds
 * is written to a file, which has no more room than those of the test. */
static struct relay_key
key(const char *text)
{
	struct relay_key k;

	if (relay_key_parse(slice_str(text), "", &k) == -1)
		ck_abort_msg("%s", text);
	return k;
}

static void
put(struct relay_store *s, const char *text, int64_t expires)
{
	struct relay_entry e = { .key = key(text), .expires = expires };

	if (relay_store_touch(s, &e, SLICE(""), 0) == -1)
		ck_abort_msg("%s", text);
}

static void
put_many(struct relay_store *s, int from, int to)
{
	char text[40];

	for (int i = from; i < to; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.%d", i >> 16,
		    i >> 8 & 255, i & 255);
		put(s, text, INT64_MAX / 4);
	}
}

/* The value, or "" for none. */
static const char *
get(const char *name, const char *k)
{
	static char value[DBFILE_VALUE_MAX + 1];
	struct dbfile_reader *r = dbfile_read_open(name, 1000, &err);
	size_t n = 0;
	int ret;

	ret = r == NULL ? -1 : dbfile_get(r, slice_str(k), value, &n, &err);
	if (ret == -1)
		ck_abort_msg("%s", err.msg);
	value[n] = '\0';
	dbfile_read_close(&r);
	return value;
}

static void
write_file(const char *name, const struct relay_store *s)
{
	ck_assert_msg(relay_file_write(
			  name, "", s, (uid_t)-1, (gid_t)-1, NULL, &err) == 0,
	    "%s", err.msg);
}

START_TEST(written_and_read)
{
	struct relay_store *s = relay_store_create();
	const char *name;
	struct stat st;

	scratch_make();
	name = name_of(_i);
	ck_assert_str_eq(dbfile_path(name), scratch_path("x"));
	put(s, "203.0.113.77", 1234567890);
	put(s, "2001:db8:9::1", 1234567891);
	put_many(s, 0, 120000); /* several transactions' worth */
	write_file(name, s);
	ck_assert_int_eq(stat(scratch_path("x"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	ck_assert_str_eq(get(name, "203.0.113.77"), "1234567890");
	ck_assert_str_eq(get(name, "2001:db8:9:0:0:0:0:1"), "1234567891");
	ck_assert_str_eq(get(name, "203.0.113.78"), "");
	ck_assert_str_eq(get(name, "203.0.113.7"), "");
	relay_store_clear(s);
	ck_assert_msg(relay_file_read(name, "", s, 0, INT64_MAX / 2, &err) == 0,
	    "%s", err.msg);
	ck_assert_uint_eq(relay_store_count(s), 120002);
	/* Smaller, and empty, over that; no lock or other file stays. */
	relay_store_clear(s);
	write_file(name, s);
	ck_assert_str_eq(get(name, "203.0.113.77"), "");
	ck_assert_int_eq(unlink(scratch_path("x")), 0);
	scratch_remove();
	ck_assert_int_eq(access(scratch, F_OK), -1);
	relay_store_destroy(&s);
}
END_TEST

START_TEST(changed_in_place)
{
	struct relay_store *s = relay_store_create();
	int64_t now = time(NULL);
	const char *name;
	struct dbfile *f;
	char k[40];

	scratch_make();
	name = name_of(_i);
	put(s, "203.0.113.77", 1234567890);
	write_file(name, s);
	f = dbfile_open(name, &err);
	ck_assert_int_eq(f != NULL, dbfile_changes_in_place(name));
	if (f == NULL) {
		ck_assert_int_eq(err.code, ENOTSUP);
		goto out;
	}
	/* More than the file had room for at first. */
	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(dbfile_lock(f, 20000), 0);
		for (int j = 0; j < 20000; j++) {
			snprintf(
			    k, sizeof(k), "10.%d.%d.%d", i, j >> 8, j & 255);
			ck_assert_int_eq(
			    dbfile_put(f, slice_str(k), SLICE("77"), &err), 0);
		}
		ck_assert_int_eq(dbfile_del(f, SLICE("203.0.113.77"), &err), 0);
		ck_assert_int_eq(dbfile_commit(f, now, &err), 0);
		ck_assert_str_eq(get(name, k), "77");
		ck_assert_str_eq(get(name, "203.0.113.77"), "");
	}
	ck_assert_int_ge(dbfile_lead(f, now), 2);
	ck_assert_str_eq(get(name, "10.1.0.0"), "77");
	ck_assert_int_eq(dbfile_lock(f, 1), 0);
	dbfile_unlock(f);
	ck_assert_int_eq(dbfile_lock(f, 1), 0);
	dbfile_unlock(f);
	write_file(name, s);
	ck_assert_int_eq(dbfile_lock(f, 1), -1);
	ck_assert_int_eq(errno, ESTALE);
	dbfile_close(&f);
out:
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

#ifdef HAVE_LMDB
static int
lock_like_postfix(int fd)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &l);
}

/* Postfix takes fcntl(2) locks, which are of a process. */
START_TEST(lmdb_locks)
{
	char name[PATH_MAX + 10];
	struct relay_store *s = relay_store_create();
	struct dbfile *f;
	int fd[2], status;
	pid_t pid;
	char c;

	scratch_make();
	snprintf(name, sizeof(name), "lmdb:%s", scratch_path("x"));
	write_file(name, s);
	f = dbfile_open(name, &err);
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		int reader = open(scratch_path("x"), O_RDONLY);

		if (lock_like_postfix(reader) == -1 ||
		    write(fd[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	ck_assert_int_eq(read(fd[0], &c, 1), 1);
	ck_assert_int_eq(dbfile_lock(f, 1), -1);
	ck_assert_int_eq(errno, EWOULDBLOCK);
	/* Two readers at once. */
	ck_assert_str_eq(get(name, "z"), "");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(dbfile_lock(f, 1), 0);
	ck_assert_ptr_null(dbfile_read_open(name, 10, &err));
	ck_assert_int_eq(err.code, EWOULDBLOCK);
	pid = fork();
	if (pid == 0) {
		int reader = open(scratch_path("x"), O_RDONLY);

		_exit(lock_like_postfix(reader) == -1 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	dbfile_unlock(f);
	dbfile_close(&f);
	close(fd[0]);
	close(fd[1]);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST
#endif

START_TEST(unknown_types)
{
	/* Only a type's name makes a type; all else is part of the path. */
	ck_assert_str_eq(dbfile_path("/var/lib/x.db"), "/var/lib/x.db");
	ck_assert_str_eq(dbfile_path("btree:/x"), "btree:/x");
	ck_assert_str_eq(dbfile_path("/lmdb:/x"), "/lmdb:/x");
	ck_assert_str_eq(dbfile_path("lmdb:/x"), "/x");
	ck_assert_str_eq(dbfile_path("cdb:x"), "x");
	ck_assert_str_eq(dbfile_path("hash:hash:/x"), "hash:/x");
}
END_TEST

/* --- when ---------------------------------------------------------------- */

/* Changes that could be made within ms, with the lead that they cause. */
static unsigned int
flood(struct relay_pace *p, unsigned int ms, int64_t *lead)
{
	unsigned int n = 0;

	for (unsigned int now = 0; now < ms; now++) {
		if (relay_pace_wait(p, now, *lead > 0 ? *lead : 0) == 0) {
			++*lead;
			relay_pace_took(p, now, *lead > 0 ? *lead : 0);
			n++;
		}
		if (now % 1000 == 999 && *lead > 0)
			--*lead;
	}
	return n;
}

START_TEST(paced)
{
	struct relay_pace p = { .per_second = 10 };
	int64_t lead = 0;

	/* Nothing for long: a second's worth at once. */
	for (int i = 0; i < 10; i++) {
		ck_assert_uint_eq(relay_pace_wait(&p, 5000, 0), 0);
		relay_pace_took(&p, 5000, 0);
	}
	ck_assert_uint_eq(relay_pace_wait(&p, 5000, 0), 100);
	ck_assert_uint_eq(relay_pace_wait(&p, 5099, 0), 1);
	ck_assert_uint_eq(relay_pace_wait(&p, 5100, 0), 0);
	/* Half of the lead allowed: as before; all of it: one a second. */
	ck_assert_uint_eq(relay_pace_wait(&p, 6000, 150), 0);
	p.due = 0;
	relay_pace_took(&p, 6000, 300);
	ck_assert_uint_eq(relay_pace_wait(&p, 6000, 300), 1000);
	p = (struct relay_pace){ .per_second = 10 };
	ck_assert_uint_ge(flood(&p, 10000, &lead), 100);
	ck_assert_uint_le(flood(&p, 3600000, &lead), 4000);
	ck_assert_int_le(lead, 300);
	/* One a second never leads. */
	p = (struct relay_pace){ .per_second = 1 };
	lead = 0;
	flood(&p, 100000, &lead);
	ck_assert_int_le(lead, 1);
}
END_TEST

/* --- the daemon's copy --------------------------------------------------- */

static void
on_prepare(uv_prepare_t *h)
{
	relay_db_flush(h->data);
}

static void
on_close(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

/* Turns of the loop until k is (not) in the file. */
static void
run_until(uv_loop_t *loop, const char *name, const char *k, bool there)
{
	for (int i = 0; i < 20000; i++) {
		uv_run(loop, UV_RUN_NOWAIT);
		if ((get(name, k)[0] != '\0') == there)
			return;
		poll(NULL, 0, 1);
	}
	ck_abort_msg("%s: %s", name, k);
}

/* Small in the loop, large in a child, with changes while that works. */
START_TEST(kept)
{
	struct relay_store *s = relay_store_create();
	struct relay_db_config c = { .prefix = "",
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.changes_per_second = 1000 };
	struct relay_key k1 = key("192.0.2.1"), k2 = key("192.0.2.2"),
			 k3 = key("192.0.2.3");
	uv_prepare_t prepare;
	struct relay_db *d;
	uv_loop_t loop;

	scratch_make();
	c.name = name_of(_i);
	uv_loop_init(&loop);
	d = relay_db_create(&c, s);
	ck_assert_msg(relay_db_rebuild(d, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(relay_db_start(d, &loop), 0);
	uv_prepare_init(&loop, &prepare);
	prepare.data = d;
	uv_prepare_start(&prepare, on_prepare);
	put(s, "192.0.2.1", INT64_MAX / 4);
	relay_db_changed(d, &k1, true);
	run_until(&loop, c.name, "192.0.2.1", true);
	put_many(s, 0, 20000);
	relay_db_all_changed(d);
	relay_db_flush(d); /* the child begins */
	put(s, "192.0.2.2", INT64_MAX / 4);
	relay_db_changed(d, &k2, true);
	relay_store_remove(s, &k1);
	relay_db_changed(d, &k1, true);
	run_until(&loop, c.name, "192.0.2.2", true);
	run_until(&loop, c.name, "192.0.2.1", false);
	ck_assert_str_ne(get(c.name, "10.0.1.1"), "");
	/* All that, and then nothing, while a child is at work. */
	relay_db_all_changed(d);
	relay_db_flush(d);
	relay_store_clear(s);
	relay_db_all_changed(d);
	run_until(&loop, c.name, "192.0.2.2", false);
	ck_assert_str_eq(get(c.name, "10.0.1.1"), "");
	/* The end comes while one is at work. */
	put_many(s, 0, 20000);
	relay_db_all_changed(d);
	relay_db_flush(d);
	put(s, "192.0.2.3", INT64_MAX / 4);
	relay_db_changed(d, &k3, true);
	relay_db_stop(d);
	ck_assert_str_ne(get(c.name, "192.0.2.3"), "");
	uv_walk(&loop, on_close, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	relay_db_destroy(&d);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* none is left */
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* As a user who may write to the file, but not to its directory. */
static int
shut_as_nobody(const char *name)
{
	const uid_t nobody = 65534;
	int ret;

	if (geteuid() == 0)
		ck_assert_int_eq(chown(scratch_path("x"), nobody, nobody), 0);
	ck_assert_int_eq(chmod(scratch, 0555), 0);
	if (geteuid() != 0)
		return dbfile_shut(name, &err);
	ck_assert_int_eq(seteuid(nobody), 0);
	ret = dbfile_shut(name, &err);
	ck_assert_int_eq(seteuid(0), 0);
	return ret;
}

/* By the spare, or by taking the file away: nobody is in it, and who has it
 * open is to look again. */
START_TEST(shut)
{
	struct relay_store *s = relay_store_create();
	int64_t now = time(NULL);
	const char *name;
	struct stat st;
	int fd;

	scratch_make();
	name = name_of(_i);
	put(s, "203.0.113.77", INT64_MAX / 4);
	write_file(name, s);
	ck_assert_msg(dbfile_keep_spare(name, (uid_t)-1, (gid_t)-1, &err) == 0,
	    "%s", err.msg);
	ck_assert_int_eq(access(scratch_path(".x.empty"), F_OK), 0);
	fd = open(scratch_path("x"), O_RDONLY);
	ck_assert_int_eq(dbfile_shut(name, &err), 0);
	ck_assert_str_eq(get(name, "203.0.113.77"), "");
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_mtime, now + 86400);
	close(fd);
	ck_assert_int_eq(stat(scratch_path("x"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	ck_assert_int_lt(st.st_mtime, now + 60);
	ck_assert_int_eq(access(scratch_path(".x.empty"), F_OK), -1);
	/* There is none any more. */
	write_file(name, s);
	ck_assert_int_eq(dbfile_shut(name, &err), 0);
	ck_assert_int_eq(access(scratch_path("x"), F_OK), -1);
	ck_assert_int_eq(dbfile_shut(name, &err), 0);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Nothing may be renamed or removed there: the file stays, and what is
 * remembered of its time is not left behind far ahead of the clock. */
START_TEST(shut_in_place)
{
	struct relay_store *s = relay_store_create();
	struct stat before, st, named;
	const char *name;
	char *map;
	int fd;

	scratch_make();
	name = name_of(_i);
	put(s, "203.0.113.77", INT64_MAX / 4);
	put_many(s, 0, 1000);
	write_file(name, s);
	fd = open(scratch_path("x"), O_RDONLY);
	ck_assert_int_eq(fstat(fd, &before), 0);
	map = mmap(NULL, (size_t)before.st_size, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_msg(shut_as_nobody(name) == 0, "%s", err.msg);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(stat(scratch_path("x"), &named), 0);
	ck_assert_uint_eq(st.st_ino, named.st_ino);
	ck_assert_int_gt(st.st_mtime, time(NULL) - 60);
	ck_assert_int_lt(st.st_mtime, time(NULL) + 600);
	if (strcmp(types[_i], "hash") == 0) {
		ck_assert_int_eq(st.st_size, 0);
	} else {
		/* Its readers have it mapped: no SIGBUS for them. */
		volatile char last = map[st.st_size - 1];

		(void)last;
		ck_assert_int_ge(st.st_size, before.st_size);
		ck_assert_str_eq(get(name, "203.0.113.77"), "");
		ck_assert_int_eq(relay_file_check(name, &err), 0);
	}
	/* The same once more; and then it is made anew. */
	ck_assert_msg(shut_as_nobody(name) == 0, "%s", err.msg);
	ck_assert_int_eq(stat(scratch_path("x"), &named), 0);
	ck_assert_int_gt(named.st_mtime, st.st_mtime);
	ck_assert_int_eq(chmod(scratch, 0755), 0);
	write_file(name, s);
	ck_assert_str_ne(get(name, "203.0.113.77"), "");
	munmap(map, (size_t)before.st_size);
	close(fd);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

#ifdef HAVE_LMDB
/* The file is rewritten in place; the type of what was there is another. */
START_TEST(lmdb_over_something_else)
{
	struct relay_store *s = relay_store_create();
	char name[PATH_MAX + 10], junk[20000];
	struct stat st;
	int ret;

	scratch_make();
	snprintf(name, sizeof(name), "lmdb:%s", scratch_path("x"));
	memset(junk, 'x', sizeof(junk));
	scratch_write("x", "w", junk, sizeof(junk));
	put(s, "203.0.113.77", INT64_MAX / 4);
	ck_assert_int_eq(chmod(scratch_path("x"), 0666), 0);
	ck_assert_int_eq(chmod(scratch, 0555), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	ret = relay_file_write(name, "", s, (uid_t)-1, (gid_t)-1, NULL, &err);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_msg(ret == 0, "%s", err.msg);
	ck_assert_str_ne(get(name, "203.0.113.77"), "");
	ck_assert_int_eq(stat(scratch_path("x"), &st), 0);
	ck_assert_int_ge(st.st_size, (off_t)sizeof(junk));
	ck_assert_int_eq(chmod(scratch, 0755), 0);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST
#endif

/* The configuration gave the path another type since: its spare is no file of
 * this one. */
START_TEST(spare_of_another_type)
{
	const char *name;
	char other[PATH_MAX + 10];

	for (int i = 0; i < COUNT(types); i++) {
		struct relay_store *s = relay_store_create();

		scratch_make();
		snprintf(
		    other, sizeof(other), "%s:%s", types[i], scratch_path("x"));
		ck_assert_int_eq(
		    dbfile_keep_spare(other, (uid_t)-1, (gid_t)-1, &err), 0);
		name = name_of(_i);
		put(s, "203.0.113.77", INT64_MAX / 4);
		write_file(name, s);
		ck_assert_int_eq(dbfile_shut(name, &err), 0);
		ck_assert_int_eq(access(scratch_path(".x.empty"), F_OK), -1);
		if (i == _i)
			ck_assert_str_eq(get(name, "203.0.113.77"), "");
		else
			ck_assert_int_eq(access(scratch_path("x"), F_OK), -1);
		relay_store_destroy(&s);
		scratch_remove();
	}
}
END_TEST

/* --- times --------------------------------------------------------------- */

static int64_t
set_time(int64_t to)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = to } };

	ck_assert_int_eq(utimensat(AT_FDCWD, scratch_path("x"), t, 0), 0);
	return to;
}

static struct stat
state(void)
{
	struct stat st;

	ck_assert_int_eq(stat(scratch_path("x"), &st), 0);
	return st;
}

/* As a writer leaves it that is killed before it renames: the next file has
 * the clock's time again, and changes of the file itself are seen until
 * then. */
START_TEST(time_stuck_ahead)
{
	struct relay_store *s = relay_store_create();
	int64_t now = time(NULL), far;
	const char *name;
	struct dbfile *f;
	struct stat st;
	int fd;

	scratch_make();
	name = name_of(_i);
	write_file(name, s);
	far = set_time(now + 2 * 86400);
	f = dbfile_changes_in_place(name) ? dbfile_open(name, &err) : NULL;
	for (int i = 0; f != NULL && i < 3; i++) {
		ck_assert_int_eq(dbfile_lock(f, 1), 0);
		ck_assert_int_eq(dbfile_commit(f, now, &err), 0);
		ck_assert_int_eq(state().st_mtime, ++far);
	}
	dbfile_close(&f);
	fd = open(scratch_path("x"), O_RDONLY);
	write_file(name, s);
	ck_assert_int_lt(state().st_mtime, now + 3600);
	ck_assert_int_ge(state().st_mtime, now);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_mtime, far);
	close(fd);
	/* The same for the spare. */
	ck_assert_int_eq(
	    dbfile_keep_spare(name, (uid_t)-1, (gid_t)-1, &err), 0);
	set_time(now + 2 * 86400);
	ck_assert_int_eq(dbfile_shut(name, &err), 0);
	ck_assert_int_lt(state().st_mtime, now + 3600);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

static bool
lose_the_new_one(void *arg, struct slice *k, struct slice *value)
{
	(void)arg;
	(void)k;
	(void)value;
	unlink(scratch_path(".x.new"));
	return false;
}

/* No rename: the file is what it was, its time too, for who changes it. */
START_TEST(time_without_rename)
{
	struct relay_store *s = relay_store_create();
	struct dbfile_plan plan = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
	struct dbfile_builder *b;
	struct stat before, after;
	const char *name;
	struct dbfile *f = NULL;

	scratch_make();
	name = name_of(_i);
	write_file(name, s);
	before = state();
	if (dbfile_changes_in_place(name))
		f = dbfile_open(name, &err);
	b = dbfile_build_begin(name, 0, &err);
	ck_assert_ptr_nonnull(b);
	ck_assert_int_eq(
	    dbfile_build_finish(&b, &plan, lose_the_new_one, NULL, &err), -1);
	after = state();
	ck_assert_uint_eq(after.st_ino, before.st_ino);
	ck_assert_int_eq(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	ck_assert_int_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	if (f != NULL)
		ck_assert_int_eq(dbfile_lock(f, 1), 0);
	dbfile_close(&f);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Many parts of one change are one change. */
START_TEST(time_of_parts)
{
	struct relay_store *s = relay_store_create();
	int64_t now = time(NULL), before;
	const char *name;
	struct dbfile *f;

	scratch_make();
	name = name_of(_i);
	write_file(name, s);
	before = state().st_mtime;
	f = dbfile_changes_in_place(name) ? dbfile_open(name, &err) : NULL;
	for (int i = 0; f != NULL && i < 5; i++) {
		ck_assert_int_eq(dbfile_lock(f, 1), 0);
		ck_assert_int_eq(
		    dbfile_put(f, SLICE("192.0.2.1"), SLICE("77"), &err), 0);
		ck_assert_int_eq(i < 4 ? dbfile_commit_part(f, &err)
				       : dbfile_commit(f, now, &err),
		    0);
		if (i < 4)
			ck_assert_int_eq(state().st_mtime, before);
		else
			ck_assert_int_gt(state().st_mtime, before);
	}
	dbfile_close(&f);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* What is only asked for is no change, whether there was room or not: the file
 * is still ours. */
START_TEST(time_of_room)
{
	struct relay_store *s = relay_store_create();
	struct stat before;
	const char *name;
	struct dbfile *f = NULL;

	scratch_make();
	name = name_of(_i);
	write_file(name, s);
	before = state();
	if (dbfile_changes_in_place(name))
		f = dbfile_open(name, &err);
	if (f != NULL) {
		ck_assert_int_eq(dbfile_lock(f, 1), 0);
		dbfile_unlock(f);
		ck_assert_int_eq(state().st_mtim.tv_sec, before.st_mtim.tv_sec);
		ck_assert_int_eq(
		    state().st_mtim.tv_nsec, before.st_mtim.tv_nsec);
		ck_assert_int_eq(dbfile_lock(f, 1), 0);
	}
	dbfile_close(&f);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

#ifdef HAVE_BDB
/*
 * Nothing may be renamed, and a reader holds the lock for longer than what is
 * over may stay after an error: what is alive stays, and goes on staying when
 * the lock is given back.
 */
START_TEST(lock_is_no_error)
{
	struct relay_store *s = relay_store_create();
	struct relay_db_config c = { .prefix = "",
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.changes_per_second = 1000 };
	struct relay_key gone = key("192.0.2.1");
	char name[PATH_MAX + 10];
	uv_prepare_t prepare;
	struct relay_db *d;
	uint64_t began;
	uv_loop_t loop;
	int fd;

	scratch_make();
	snprintf(name, sizeof(name), "hash:%s", scratch_path("x"));
	c.name = name;
	put(s, "192.0.2.1", INT64_MAX / 4);
	put(s, "192.0.2.2", INT64_MAX / 4);
	uv_loop_init(&loop);
	d = relay_db_create(&c, s);
	ck_assert_msg(relay_db_rebuild(d, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(relay_db_start(d, &loop), 0);
	uv_prepare_init(&loop, &prepare);
	prepare.data = d;
	uv_prepare_start(&prepare, on_prepare);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(scratch_path("x"), 65534, 65534), 0);
	ck_assert_int_eq(unlink(scratch_path(".x.empty")), 0);
	ck_assert_int_eq(chmod(scratch, 0555), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	fd = open(scratch_path("x"), O_RDONLY);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	relay_store_remove(s, &gone);
	relay_db_changed(d, &gone, true);
	/* LOCK_PATIENCE_MS, then SHUT_MS, and tries a second apart. */
	uv_update_time(&loop);
	for (began = uv_now(&loop); uv_now(&loop) < began + 6000;) {
		uv_run(&loop, UV_RUN_NOWAIT);
		ck_assert_str_ne(get(name, "192.0.2.2"), "");
		poll(NULL, 0, 5);
	}
	ck_assert_str_ne(get(name, "192.0.2.1"), "");
	close(fd);
	run_until(&loop, name, "192.0.2.1", false);
	ck_assert_str_ne(get(name, "192.0.2.2"), "");
	relay_db_stop(d);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chmod(scratch, 0755), 0);
	uv_walk(&loop, on_close, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	relay_db_destroy(&d);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST
#endif

#ifdef HAVE_LMDB
/* Without room what is over is taken out in small parts, which do not move the
 * file's time on by a second each; what is new comes when there is room. */
START_TEST(deleted_in_parts)
{
	struct relay_store *s = relay_store_create();
	struct relay_db_config c = { .prefix = "",
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.changes_per_second = 1000 };
	struct relay_key later = key("10.0.7.208");
	char name[PATH_MAX + 10], text[40];
	struct rlimit was, lim;
	uv_prepare_t prepare;
	struct relay_db *d;
	struct stat st;
	uv_loop_t loop;

	scratch_make();
	snprintf(name, sizeof(name), "lmdb:%s", scratch_path("x"));
	c.name = name;
	put_many(s, 0, 3000);
	uv_loop_init(&loop);
	d = relay_db_create(&c, s);
	ck_assert_msg(relay_db_rebuild(d, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(relay_db_start(d, &loop), 0);
	uv_prepare_init(&loop, &prepare);
	prepare.data = d;
	uv_prepare_start(&prepare, on_prepare);
	ck_assert_int_eq(stat(scratch_path("x"), &st), 0);
	getrlimit(RLIMIT_FSIZE, &was);
	lim = was;
	lim.rlim_cur = (rlim_t)st.st_size + 500000;
	setrlimit(RLIMIT_FSIZE, &lim);
	put_many(s, 5000, 5500);
	for (int i = 0; i < 5500; i = i == 1999 ? 5000 : i + 1) {
		struct relay_key k;

		snprintf(text, sizeof(text), "10.0.%d.%d", i >> 8, i & 255);
		k = key(text);
		if (i < 2000)
			relay_store_remove(s, &k);
		relay_db_changed(d, &k, true);
	}
	run_until(&loop, name, "10.0.0.0", false);
	run_until(&loop, name, "10.0.7.207", false);
	ck_assert_str_ne(get(name, "10.0.7.208"), "");
	ck_assert_str_eq(get(name, text), ""); /* a new one */
	ck_assert_int_eq(stat(scratch_path("x"), &st), 0);
	ck_assert_int_lt(st.st_mtime, time(NULL) + 60);
	/* What has gone since then. */
	relay_store_remove(s, &later);
	relay_db_changed(d, &later, true);
	run_until(&loop, name, "10.0.7.208", false);
	setrlimit(RLIMIT_FSIZE, &was);
	run_until(&loop, name, text, true);
	ck_assert_str_eq(get(name, "10.0.7.208"), "");
	relay_db_stop(d);
	uv_walk(&loop, on_close, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	relay_db_destroy(&d);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST
#endif

/* As an MTA has it: shared, for a moment. */
static void
lock_shared(int fd, bool lock)
{
	struct flock l = { .l_type = lock ? F_RDLCK : F_UNLCK,
		.l_whence = SEEK_SET };

	/* One of the two is what the type goes by. */
	if (flock(fd, lock ? LOCK_SH : LOCK_UN) == -1 ||
	    fcntl(fd, F_OFD_SETLK, &l) == -1)
		ck_abort_msg("%s", strerror(errno));
}

/* Neither for a batch that puts something in, nor for a new file; what is taken
 * out of an lmdb file takes some. */
static void
take_room(struct rlimit *was)
{
	struct rlimit lim;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, was), 0);
	lim = *was;
	lim.rlim_cur = (rlim_t)state().st_size + 500000;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
	ck_assert_int_eq(mkdir(scratch_path(".x.new"), 0700), 0);
}

static void
add_many(struct relay_db *d, struct relay_store *s, int from, int to)
{
	char text[40];

	put_many(s, from, to);
	for (int i = from; i < to; i++) {
		struct relay_key k;

		snprintf(text, sizeof(text), "10.%d.%d.%d", i >> 16,
		    i >> 8 & 255, i & 255);
		k = key(text);
		relay_db_changed(d, &k, true);
	}
}

static void
take_out(struct relay_db *d, struct relay_store *s, const char *text)
{
	struct relay_key k = key(text);

	relay_store_remove(s, &k);
	relay_db_changed(d, &k, true);
}

/*
 * More entries than are written without a child, no room, and readers that have
 * the lock now and then for a moment, or so many new entries that a new file is
 * tried for again and again: what is over is taken out all the same, and what
 * is alive stays.
 */
START_TEST(kept_without_room)
{
	const int n_new[] = { 100, 1000 };
	bool locks = _i % 2 == 0;
	struct relay_store *s = relay_store_create();
	struct relay_db_config c = { .prefix = "",
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.changes_per_second = 1000 };
	uv_prepare_t prepare;
	struct relay_db *d;
	struct rlimit was;
	uint64_t began, due;
	uv_loop_t loop;
	char text[40];
	int fd, n = 0;

	scratch_make();
	c.name = name_of(_i / 2);
	if (!dbfile_changes_in_place(c.name))
		goto out;
	put_many(s, 0, 1500);
	uv_loop_init(&loop);
	d = relay_db_create(&c, s);
	ck_assert_msg(relay_db_rebuild(d, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(relay_db_start(d, &loop), 0);
	uv_prepare_init(&loop, &prepare);
	prepare.data = d;
	uv_prepare_start(&prepare, on_prepare);
	take_room(&was);
	add_many(d, s, 5000, 5000 + n_new[_i % 2]);
	fd = open(scratch_path("x"), O_RDONLY);
	uv_update_time(&loop);
	began = due = uv_now(&loop);
	while (uv_now(&loop) < began + 8000) {
		lock_shared(fd, locks);
		uv_run(&loop, UV_RUN_NOWAIT);
		poll(NULL, 0, 1);
		lock_shared(fd, false);
		uv_run(&loop, UV_RUN_NOWAIT);
		poll(NULL, 0, 1);
		if (uv_now(&loop) >= due) {
			ck_assert_str_ne(get(c.name, "10.0.4.0"), "");
			snprintf(text, sizeof(text), "10.0.0.%d", n++);
			take_out(d, s, text);
			due += 1000;
		}
	}
	run_until(&loop, c.name, text, false);
	ck_assert_str_ne(get(c.name, "10.0.4.0"), "");
	ck_assert_str_eq(get(c.name, "10.0.19.136"), "");
	/* There is some again. */
	setrlimit(RLIMIT_FSIZE, &was);
	ck_assert_int_eq(rmdir(scratch_path(".x.new")), 0);
	run_until(&loop, c.name, "10.0.19.136", true);
	ck_assert_str_eq(get(c.name, text), "");
	ck_assert_str_ne(get(c.name, "10.0.4.0"), "");
	close(fd);
	relay_db_stop(d);
	uv_walk(&loop, on_close, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	relay_db_destroy(&d);
out:
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("outputs");

	tcase_set_timeout(t, 100);
	tcase_add_loop_test(t, written_and_read, 0, COUNT(types));
	tcase_add_loop_test(t, changed_in_place, 0, COUNT(types));
#ifdef HAVE_LMDB
	tcase_add_test(t, lmdb_locks);
#endif
	tcase_add_test(t, unknown_types);
	tcase_add_test(t, paced);
	tcase_add_loop_test(t, kept, 0, COUNT(types));
#ifdef HAVE_LMDB
	tcase_add_test(t, deleted_in_parts);
#endif
#ifdef HAVE_BDB
	tcase_add_test(t, lock_is_no_error);
#endif
	tcase_add_loop_test(t, kept_without_room, 0, 2 * COUNT(types));
	tcase_add_loop_test(t, shut, 0, COUNT(types));
	tcase_add_loop_test(t, shut_in_place, 0, COUNT(types));
#ifdef HAVE_LMDB
	tcase_add_test(t, lmdb_over_something_else);
#endif
	tcase_add_loop_test(t, spare_of_another_type, 0, COUNT(types));
	tcase_add_loop_test(t, time_stuck_ahead, 0, COUNT(types));
	tcase_add_loop_test(t, time_without_rename, 0, COUNT(types));
	tcase_add_loop_test(t, time_of_room, 0, COUNT(types));
	tcase_add_loop_test(t, time_of_parts, 0, COUNT(types));
	return check_run("outputs", t);
}
