/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database file: locks, times, renames, what readers see; and the tools
 * that work on it alone.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "pbs_scratch.h"

#include "../lib/check_run.h"
#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/relay_db.h"
#include "perdition-pbs/relay_file.h"
#include "perdition-pbs/setenv.h"

#include "common/banned.h"

static struct err err;

static struct relay_entry
entry(const char *text, int64_t expires)
{
	struct relay_entry e = { .expires = expires };

	ck_assert_int_eq(relay_key_parse(slice_str(text), "", &e.key), 0);
	return e;
}

static void
put(struct relay_store *s, const char *text, int64_t expires)
{
	struct relay_entry e = entry(text, expires);

	ck_assert_int_ne(relay_store_touch(s, &e, SLICE(""), 0), -1);
}

static void
write_file(struct relay_store *s, const char *prefix)
{
	ck_assert_msg(relay_file_write(scratch_path("x.db"), prefix, s,
			  (uid_t)-1, (gid_t)-1, NULL, &err) == 0,
	    "%s", err.msg);
}

/* The value, or "" for none. */
static const char *
get(const char *key)
{
	static char value[DBFILE_VALUE_MAX + 1];
	struct dbfile_reader *r =
	    dbfile_read_open(scratch_path("x.db"), 1000, &err);
	size_t n = 0;
	int ret;

	ck_assert_msg(r != NULL, "%s", err.msg);
	ret = dbfile_get(r, slice_str(key), value, &n, &err);
	ck_assert_int_ge(ret, 0);
	value[n] = '\0';
	dbfile_read_close(&r);
	return value;
}

static int64_t
mtime(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_mtime;
}

START_TEST(spelled_for_all)
{
	struct relay_store *s = relay_store_create();
	struct stat st;

	scratch_make();
	umask(077); /* MTAs have to read it all the same */
	put(s, "203.0.113.77", 1234567890);
	put(s, "2001:db8:9::1", 1234567891);
	write_file(s, "");
	ck_assert_str_eq(get("203.0.113.77"), "1234567890");
	ck_assert_str_eq(get("2001:db8:9::1"), "1234567891");
	ck_assert_str_eq(get("2001:db8:9:0:0:0:0:1"), "1234567891");
	ck_assert_str_eq(get("203.0.113.78"), "");
	ck_assert_int_eq(stat(scratch_path("x.db"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	ck_assert_int_eq(access(scratch_path(".x.db.new"), F_OK), -1);
	relay_store_clear(s);
	ck_assert_int_eq(relay_file_read(scratch_path("x.db"), "", s,
			     1234567890, 1234567890, &err),
	    0);
	ck_assert_uint_eq(relay_store_count(s), 1); /* one is past its time */
	ck_assert_int_eq(relay_store_next(s)->expires, 1234567890);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Who can open the new file can lock it, and nothing would be published. */
START_TEST(nobody_elses)
{
	struct relay_store *s = relay_store_create();
	struct dbfile_builder *b;
	struct stat st;

	scratch_make();
	umask(0);
	b = dbfile_build_begin(scratch_path("x.db"), 0, &err);
	ck_assert_ptr_nonnull(b);
	ck_assert_int_eq(stat(scratch_path(".x.db.new"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	dbfile_build_cancel(&b);
	/* What somebody put under that name is not emptied. */
	scratch_write("precious", "w", "gold", 4);
	ck_assert_int_eq(
	    link(scratch_path("precious"), scratch_path(".x.db.new")), 0);
	put(s, "203.0.113.77", 1234567890);
	write_file(s, "");
	ck_assert_str_eq(get("203.0.113.77"), "1234567890");
	ck_assert_int_eq(stat(scratch_path("precious"), &st), 0);
	ck_assert_int_eq(st.st_size, 4);
	ck_assert_int_eq(mkfifo(scratch_path(".x.db.new"), 0666), 0);
	write_file(s, "");
	ck_assert_int_eq(stat(scratch_path("x.db"), &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0644);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

static int
tool(enum relay_op op, const char *address, int64_t now,
    struct relay_result *res)
{
	char *name = strdup(scratch_path("x.db"));
	struct relay_file_config c = { .names = &name,
		.n = 1,
		.prefix = "pop:",
		.rule = { .v4_mask = 32, .v6_mask = 64 },
		.limits = { .timeout = 100,
		    .max_entries = 1000,
		    .max_new_per_second = 1000 } };
	struct relay_entry e;
	struct relay_request q = { .op = op, .timeout = 50 };
	int ret;

	if (address != NULL) {
		e = entry(address, 0);
		q.keys = &e.key;
		q.n = 1;
	}
	ret = relay_file_change(&c, &q, now, res, &err);
	free(name);
	return ret;
}

static void
put_raw(const char *key, struct slice value)
{
	struct dbfile *f = dbfile_open(scratch_path("x.db"), &err);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(dbfile_lock(f, 1), 0);
	ck_assert_int_eq(dbfile_put(f, slice_str(key), value, &err), 0);
	ck_assert_int_eq(dbfile_commit(f, 1000, &err), 0);
	dbfile_close(&f);
}

/* An access.db is not made anew, nor opened to a tool; a file of
 * perdition-pbs 2.2 is. */
START_TEST(something_elses)
{
	struct relay_store *s = relay_store_create();
	struct relay_result res;
	struct stat before, after;

	scratch_make();
	write_file(s, "");
	put_raw("POP:192.0.2.1", SLICE("1"));
	put_raw("TIME:POP:192.0.2.1", SLICE("\x01\x02\x03\x04\0\0\0\0"));
	put_raw("POP:192.0.2.2", SLICE("x"));
	put_raw("TIME:POP:192.0.2.2", SLICE("\x01\x02\x03\x04\0\0\0\0"));
	ck_assert_int_eq(relay_file_read(scratch_path("x.db"), "", s, 0,
			     INT64_MAX / 2, &err),
	    0);
	put_raw("connect:192.0.2.7", SLICE("RELAY"));
	ck_assert_int_eq(stat(scratch_path("x.db"), &before), 0);
	ck_assert_int_eq(relay_file_read(scratch_path("x.db"), "", s, 0,
			     INT64_MAX / 2, &err),
	    -1);
	ck_assert_int_eq(err.code, EEXIST);
	ck_assert_ptr_nonnull(strstr(err.msg, "\"connect:192.0.2.7\""));
	ck_assert_int_eq(tool(RELAY_INSERT, "192.0.2.1", 1000, &res), -1);
	ck_assert_int_eq(err.code, EEXIST);
	ck_assert_int_eq(stat(scratch_path("x.db"), &after), 0);
	ck_assert(before.st_ino == after.st_ino);
	ck_assert_str_eq(get("connect:192.0.2.7"), "RELAY");
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

START_TEST(changed_in_place)
{
	struct relay_store *s = relay_store_create();
	int64_t now = time(NULL), before;
	struct dbfile *f;
	int reader;

	scratch_make();
	put(s, "203.0.113.77", 1234567890);
	write_file(s, "");
	f = dbfile_open(scratch_path("x.db"), &err);
	ck_assert_msg(f != NULL, "%s", err.msg);
	reader = open(scratch_path("x.db"), O_RDONLY);
	before = mtime(reader);
	/* An MTA is looking something up. */
	ck_assert_int_eq(flock(reader, LOCK_SH), 0);
	ck_assert_int_eq(dbfile_lock(f, 1), -1);
	ck_assert_int_eq(errno, EWOULDBLOCK);
	flock(reader, LOCK_UN);
	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(dbfile_lock(f, 2), 0);
		ck_assert_int_eq(flock(reader, LOCK_SH | LOCK_NB), -1);
		ck_assert_int_eq(
		    dbfile_put(f, SLICE("192.0.2.1"), SLICE("77"), &err), 0);
		ck_assert_int_eq(dbfile_del(f, SLICE("203.0.113.77"), &err), 0);
		ck_assert_int_eq(dbfile_commit(f, now, &err), 0);
		ck_assert_int_eq(flock(reader, LOCK_SH | LOCK_NB), 0);
		flock(reader, LOCK_UN);
		/* A second at least for each change, for the same inode. */
		ck_assert_int_ge(mtime(reader), before + i);
		ck_assert_str_eq(get("192.0.2.1"), "77");
		ck_assert_str_eq(get("203.0.113.77"), "");
	}
	ck_assert_int_ge(dbfile_lead(f, now), 2);
	/* Somebody else changes it: ours is stale. */
	ck_assert_int_eq(
	    futimens(reader, (struct timespec[2]){ { 1, 0 }, { 1, 0 } }), 0);
	ck_assert_int_eq(dbfile_lock(f, 1), -1);
	ck_assert_int_eq(errno, ESTALE);
	dbfile_close(&f);
	f = dbfile_open(scratch_path("x.db"), &err);
	write_file(s, "");
	ck_assert_int_eq(dbfile_lock(f, 1), -1);
	ck_assert_int_eq(errno, ESTALE);
	/* The old inode's time went up as well, for sessions that have it. */
	ck_assert_int_gt(mtime(reader), 1);
	dbfile_close(&f);
	close(reader);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

START_TEST(no_room)
{
	struct relay_store *s = relay_store_create();
	struct rlimit was, lim;
	struct dbfile *f;
	struct stat st;

	scratch_make();
	put(s, "203.0.113.77", 1234567890);
	write_file(s, "");
	f = dbfile_open(scratch_path("x.db"), &err);
	ck_assert_int_eq(stat(scratch_path("x.db"), &st), 0);
	getrlimit(RLIMIT_FSIZE, &was);
	lim = was;
	lim.rlim_cur = (rlim_t)st.st_size;
	setrlimit(RLIMIT_FSIZE, &lim);
	ck_assert_int_eq(dbfile_lock(f, 1), -1);
	ck_assert_int_eq(errno, EFBIG);
	/* Taking out goes on. */
	ck_assert_int_eq(dbfile_lock(f, 0), 0);
	ck_assert_int_eq(dbfile_del(f, SLICE("203.0.113.77"), &err), 0);
	ck_assert_int_eq(dbfile_commit(f, 1, &err), 0);
	setrlimit(RLIMIT_FSIZE, &was);
	ck_assert_str_eq(get("203.0.113.77"), "");
	dbfile_close(&f);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

static const struct {
	const char *content;
	size_t n;
	int code;
} bad_files[] = {
	{ NULL, 0, ENOENT },
	{ "", 0, 0 },
	{ "no database", 11, 0 },
};

START_TEST(unreadable)
{
	struct relay_store *s = relay_store_create();
	struct addr a;
	struct relay_rule rule = { .v4_mask = 32, .v6_mask = 64 };

	scratch_make();
	if (bad_files[_i].content != NULL)
		scratch_write(
		    "x.db", "w", bad_files[_i].content, bad_files[_i].n);
	ck_assert_ptr_null(dbfile_read_open(scratch_path("x.db"), 0, &err));
	if (bad_files[_i].code != 0)
		ck_assert_int_eq(err.code, bad_files[_i].code);
	ck_assert_ptr_nonnull(strstr(err.msg, "x.db"));
	ck_assert_ptr_null(dbfile_open(scratch_path("x.db"), &err));
	addr_parse_ip(SLICE("203.0.113.77"), &a);
	ck_assert(
	    !setenv_may_relay(scratch_path("x.db"), "", &rule, &a, 0, &err));
	/* No reader makes one. */
	if (bad_files[_i].content == NULL)
		ck_assert_int_eq(access(scratch_path("x.db"), F_OK), -1);
	/* And it can be made anew over that. */
	put(s, "203.0.113.77", 1234567890);
	write_file(s, "");
	ck_assert_str_eq(get("203.0.113.77"), "1234567890");
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

START_TEST(roomy)
{
	struct relay_store *s = relay_store_create();
	struct dbfile *f;
	char text[40];

	scratch_make();
	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "10.0.%d.%d", i >> 8, i & 255);
		put(s, text, 1234567890);
	}
	write_file(s, "");
	f = dbfile_open(scratch_path("x.db"), &err);
	ck_assert(dbfile_roomy(f, 30000));
	ck_assert(!dbfile_roomy(f, 1000000));
	dbfile_close(&f);
	ck_assert_str_eq(get("10.0.77.255"), "1234567890");
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Bytes changed at random, cut short: an answer in time, whatever it is. */
START_TEST(damaged)
{
	static char whole[1 << 18];
	struct relay_store *s = relay_store_create();
	struct relay_rule rule = { .v4_mask = 32, .v6_mask = 64 };
	uint64_t x = 88172645463325252u;
	struct addr a;
	size_t n;
	FILE *f;

	scratch_make();
	for (int i = 0; i < 300; i++) {
		char text[40];

		snprintf(text, sizeof(text), "10.0.%d.%d", i >> 8, i & 255);
		put(s, text, 1234567890);
	}
	write_file(s, "");
	f = fopen(scratch_path("x.db"), "r");
	n = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	addr_parse_ip(SLICE("10.0.0.7"), &a);
	for (int round = 0; round < 100; round++) {
		static char bad[sizeof(whole)];
		struct relay_store *back = relay_store_create();

		memcpy(bad, whole, n);
		for (int i = 0; i < 1 + round * 3; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* Half of them in the first pages. */
			bad[x % (i % 2 == 0 ? 8192 : n)] = (char)(x >> 40);
		}
		scratch_write(
		    "x.db", "w", bad, round % 4 == 0 ? 4096 * (1 + x % 20) : n);
		relay_file_read(
		    scratch_path("x.db"), "", back, 0, INT64_MAX / 2, &err);
		ck_assert_uint_le(relay_store_count(back), 300);
		setenv_may_relay(scratch_path("x.db"), "", &rule, &a, 0, &err);
		relay_store_destroy(&back);
	}
	write_file(s, "");
	ck_assert_str_eq(get("10.0.0.7"), "1234567890");
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* --- kill -9 while changing, then a daemon's start ----------------------- */

static void
change_for_ever(void)
{
	struct dbfile *f = dbfile_open(scratch_path("x.db"), &err);
	char key[40];

	for (unsigned int i = 0; f != NULL; i++) {
		int n = snprintf(key, sizeof(key), "10.%u.%u.%u", i >> 16 & 255,
		    i >> 8 & 255, i & 255);

		if (dbfile_lock(f, 1) == -1 ||
		    dbfile_put(f, slice_make(key, (size_t)n), SLICE("9"),
			&err) == -1 ||
		    dbfile_commit(f, time(NULL), &err) == -1)
			break;
	}
	_exit(1);
}

START_TEST(killed)
{
	struct relay_store *s = relay_store_create();

	scratch_make();
	put(s, "203.0.113.77", 1234567890);
	for (int round = 0; round < 5; round++) {
		struct relay_db_config c = { scratch_path("x.db"), "",
			(uid_t)-1, (gid_t)-1, 10 };
		struct relay_db *d = relay_db_create(&c, s);
		int64_t changed;
		int status, fd;
		pid_t pid;

		ck_assert_msg(relay_db_rebuild(d, &err) == 0, "%s", err.msg);
		relay_db_destroy(&d);
		ck_assert_str_eq(get("203.0.113.77"), "1234567890");
		fd = open(scratch_path("x.db"), O_RDONLY);
		changed = mtime(fd) + 20;
		pid = fork();
		if (pid == 0)
			change_for_ever();
		while (
		    mtime(fd) < changed && waitpid(pid, &status, WNOHANG) == 0)
			sched_yield();
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		close(fd);
		/* The lock went with it. */
		fd = open(scratch_path("x.db"), O_RDONLY);
		ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
		close(fd);
	}
	write_file(s, "");
	ck_assert_str_eq(get("203.0.113.77"), "1234567890");
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* --- tools --------------------------------------------------------------- */

START_TEST(on_the_file_alone)
{
	struct relay_result res;

	scratch_make();
	/* Only an insertion makes the file. */
	ck_assert_int_eq(tool(RELAY_REMOVE, "192.0.2.1", 1000, &res), -1);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_int_eq(tool(RELAY_EXPIRE, NULL, 1000, &res), -1);
	ck_assert_int_eq(access(scratch_path("x.db"), F_OK), -1);
	ck_assert_int_eq(tool(RELAY_INSERT, "192.0.2.1", 1000, &res), 0);
	ck_assert_int_eq(tool(RELAY_INSERT, "192.0.2.2", 1020, &res), 0);
	ck_assert_int_eq(tool(RELAY_INSERT, "127.0.0.1", 1020, &res), 0);
	ck_assert_uint_eq(res.refused, 1);
	ck_assert_str_eq(get("pop:192.0.2.1"), "1050");
	ck_assert_int_eq(tool(RELAY_EXPIRE, NULL, 1050, &res), 0);
	ck_assert_uint_eq(res.done, 1);
	ck_assert_str_eq(get("pop:192.0.2.1"), "");
	ck_assert_str_eq(get("pop:192.0.2.2"), "1070");
	ck_assert_int_eq(tool(RELAY_REMOVE, "192.0.2.2", 1050, &res), 0);
	ck_assert_uint_eq(res.done, 1);
	ck_assert_str_eq(get("pop:192.0.2.2"), "");
	ck_assert_int_eq(tool(RELAY_REMOVE, "192.0.2.2", 1050, &res), 0);
	ck_assert_uint_eq(res.done, 0);
	/* Purging needs nothing readable. */
	scratch_write("x.db", "w", "junk", 4);
	ck_assert_int_eq(tool(RELAY_INSERT, "192.0.2.1", 1000, &res), -1);
	ck_assert_int_eq(tool(RELAY_PURGE, NULL, 1000, &res), 0);
	ck_assert_str_eq(get("pop:192.0.2.1"), "");
	scratch_remove();
}
END_TEST

START_TEST(who_sets_relayclient)
{
	struct relay_store *s = relay_store_create();
	struct relay_rule rule = { .v4_mask = 32, .v6_mask = 64 };
	static const struct {
		const char *client;
		int64_t now;
		bool may;
	} clients[] = {
		{ "203.0.113.77", 1000, true },
		{ "::ffff:203.0.113.77", 1000, true },
		{ "203.0.113.77", 2000, false }, /* there, but dead */
		{ "203.0.113.78", 1000, false },
		{ "2001:db8:9::1", 1000, true },
		{ "2001:db8:9::2", 1000, true }, /* its /64 */
		{ "2001:db8:a::2", 1000, false },
	};

	scratch_make();
	put(s, "203.0.113.77", 2000);
	put(s, "2001:db8:9::/64", 2000);
	write_file(s, "pop:");
	for (int i = 0; i < COUNT(clients); i++) {
		struct addr a;

		addr_parse_ip(slice_str(clients[i].client), &a);
		ck_assert_int_eq(setenv_may_relay(scratch_path("x.db"),
				     "pop:", &rule, &a, clients[i].now, &err),
		    clients[i].may);
	}
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

START_TEST(which_client)
{
	struct addr a, want;

	unsetenv("TCP6REMOTEIP");
	addr_parse_ip(SLICE("203.0.113.77"), &want);
	setenv("TCPREMOTEIP", "203.0.113.77", 1);
	ck_assert(setenv_client(&a));
	ck_assert(addr_same_ip(&a, &want));
	setenv("TCPREMOTEIP", "::ffff:203.0.113.77", 1); /* couriertcpd */
	ck_assert(setenv_client(&a));
	ck_assert(addr_same_ip(&a, &want));
	setenv("TCPREMOTEIP", "nonsense", 1);
	setenv("TCP6REMOTEIP", "203.0.113.77", 1);
	ck_assert(!setenv_client(&a));
	unsetenv("TCPREMOTEIP");
	ck_assert(setenv_client(&a));
	unsetenv("TCP6REMOTEIP");
	close(STDIN_FILENO);
	ck_assert(!setenv_client(&a));
}
END_TEST

START_TEST(what_the_server_is_told)
{
	unsetenv("RELAYCLIENT");
	setenv("RELAYUSER", "eve", 1);
	setenv_drop_user();
	ck_assert_ptr_null(getenv("RELAYUSER"));
	setenv_allow("");
	ck_assert_str_eq(getenv("RELAYCLIENT"), "");
	ck_assert_ptr_null(getenv("RELAYUSER"));
	unsetenv("RELAYCLIENT");
	setenv_allow("bob");
	ck_assert_str_eq(getenv("RELAYCLIENT"), "");
	ck_assert_str_eq(getenv("RELAYUSER"), "bob");
	/* Who may relay anyway was let in by nobody. */
	setenv_drop_user();
	setenv("RELAYCLIENT", "@x", 1);
	setenv_allow("bob");
	ck_assert_str_eq(getenv("RELAYCLIENT"), "@x");
	ck_assert_ptr_null(getenv("RELAYUSER"));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("dbfile");

	tcase_set_timeout(t, 60);
	/* A damaged file may keep the child busy until its alarm. */
	tcase_set_timeout(t, 100);
	tcase_add_test(t, spelled_for_all);
	tcase_add_test(t, nobody_elses);
	tcase_add_test(t, something_elses);
	tcase_add_test(t, changed_in_place);
	tcase_add_test(t, no_room);
	tcase_add_loop_test(t, unreadable, 0, COUNT(bad_files));
	tcase_add_test(t, roomy);
	tcase_add_test(t, damaged);
	tcase_add_test(t, killed);
	tcase_add_test(t, on_the_file_alone);
	tcase_add_test(t, who_sets_relayclient);
	tcase_add_test(t, which_client);
	tcase_add_test(t, what_the_server_is_told);
	return check_run("dbfile", t);
}
