/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makebdb, makegdbm and makecdb with the modules that read what they make: the
 * same tests for all.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#ifdef WITH_CDB
#include <cdb.h>
#endif

#include "../lib/check_run.h"
#include "map_scratch.h"

#include "common/banned.h"

static const struct {
	const char *module, *tool, *file;
} kinds[] = {
	{ "bdb", "makebdb", "popmap.bdb.db" },
#ifdef WITH_GDBM
	{ "gdbm", "makegdbm", "popmap.gdbm.db" },
#endif
#ifdef WITH_CDB
	{ "cdb", "makecdb", "popmap.cdb" },
#endif
};

static int
make(int kind, struct slice text)
{
	return scratch_tool(
	    kinds[kind].tool, scratch_path(kinds[kind].file), text);
}

static int
make_text(int kind, const char *text)
{
	return make(kind, slice_str(text));
}

static void
expect(struct popmap_module *m, const char *key, int ret, const char *said)
{
	int got = scratch_lookup(m, slice_str(key));

	ck_assert_msg(got == ret, "%s: %d %s", key, got, scratch_said);
	if (ret == -1)
		ck_assert_msg(
		    strstr(scratch_said, said) != NULL, "%s", scratch_said);
	else
		ck_assert_str_eq(scratch_said, said);
}

static const struct {
	const char *key;
	int ret;
	const char *said;
} lookups[] = {
	{ "bob", 1, "h1" },
	{ "al", 1, "alice@h2:143" },
	{ "six", 1, "[2001:db8::1]:143" },
	{ "two", 1, "h1|h2:99" },
	{ "a:b", 1, "h3" },
	{ "#c", 1, "h4" },
	{ "DOM\\user", 1, "h5" },
	{ "back\\", 1, "h6" },
	{ "dos", 1, "h7" },
	{ "sp ace", 1, "h8" },
	{ "last", 1, "h9" },
	{ "bo", 0, "" },
	{ "bobb", 0, "" },
	{ "Bob", 0, "" },
	{ "", 0, "" },
	{ "# c", 0, "" },
};

#define TEXT                                                                   \
	"# comment:x\n\nbob:h1\nal:alice@h2:143\nsix:[2001:db8::1]:143\n"      \
	"two: h1 , h2:99\na\\:b:h3\n\\#c:h4\nDOM\\user:h5\nback\\\\:h6\n"      \
	"dos:h7\r\n  sp ace : h8  \n# last\nlast:h9"

START_TEST(text_to_answer)
{
	struct popmap_module *m;

	ck_assert_int_eq(make_text(_i, TEXT), EX_OK);
	m = scratch_open(kinds[_i].module, "");
	for (int i = 0; i < COUNT(lookups); i++)
		expect(m, lookups[i].key, lookups[i].ret, lookups[i].said);
	ck_assert_int_eq(scratch_lookup(m, SLICE("bob\0")), 0);
	popmap_module_close(&m);

	m = scratch_open(kinds[_i].module, scratch_path(kinds[_i].file));
	expect(m, "bob", 1, "h1");
	popmap_module_close(&m);
}
END_TEST

START_TEST(empty_map)
{
	struct popmap_module *m;

	ck_assert_int_eq(make_text(_i, ""), EX_OK);
	m = scratch_open(kinds[_i].module, "");
	expect(m, "bob", 0, "");
	popmap_module_close(&m);
}
END_TEST

START_TEST(large_map)
{
	enum { USERS = 20000 };
	struct popmap_module *m;
	char *text = malloc(USERS * 40), key[32], said[32];
	size_t n = 0;

	ck_assert_ptr_nonnull(text);
	for (int i = 0; i < USERS; i++)
		n += (size_t)snprintf(
		    text + n, 40, "u%d@ex.org:h%d.ex.org:143\n", i, i % 7);
	ck_assert_int_eq(make(_i, slice_make(text, n)), EX_OK);
	free(text);
	m = scratch_open(kinds[_i].module, "");
	for (int i = 0; i < USERS; i += 997) {
		snprintf(key, sizeof(key), "u%d@ex.org", i);
		snprintf(said, sizeof(said), "h%d.ex.org:143", i % 7);
		expect(m, key, 1, said);
	}
	expect(m, "u20000@ex.org", 0, "");
	popmap_module_close(&m);
}
END_TEST

START_TEST(replaced_and_removed)
{
	struct popmap_module *m;
	const char *path;

	ck_assert_int_eq(make_text(_i, "bob:h1\n"), EX_OK);
	m = scratch_open(kinds[_i].module, "");
	expect(m, "bob", 1, "h1");
	ck_assert_int_eq(make_text(_i, "bob:h2\n"), EX_OK);
	expect(m, "bob", 1, "h2");
	ck_assert_int_eq(make_text(_i, "al:h2\n"), EX_OK);
	expect(m, "bob", 0, "");

	path = scratch_path(kinds[_i].file);
	ck_assert_int_eq(unlink(path), 0);
	expect(m, "al", -1, "No such file or directory");
	ck_assert_ptr_nonnull(strstr(scratch_said, kinds[_i].file));
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect(m, "al", -1, "not a regular file");
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect(m, "al", -1, "not a regular file");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(make_text(_i, "al:h3\n"), EX_OK);
	expect(m, "al", 1, "h3");
	popmap_module_close(&m);
}
END_TEST

/* Another map of the same size written into the same inode. */
START_TEST(changed_in_place)
{
	struct popmap_module *m;
	char *one, *two;
	size_t n1, n2;

	ck_assert_int_eq(make_text(_i, "bob:h1\n"), EX_OK);
	one = scratch_read(kinds[_i].file, &n1);
	ck_assert_int_eq(make_text(_i, "bob:h2\n"), EX_OK);
	two = scratch_read(kinds[_i].file, &n2);
	m = scratch_open(kinds[_i].module, "");
	for (int i = 0; i < 20; i++) {
		scratch_write(kinds[_i].file, slice_make(one, n1));
		expect(m, "bob", 1, "h1");
		scratch_write(kinds[_i].file, slice_make(two, n2));
		expect(m, "bob", 1, "h2");
	}
	popmap_module_close(&m);
	free(one);
	free(two);
}
END_TEST

START_TEST(damaged)
{
	static char junk[8192];
	struct popmap_module *m;
	char *good;
	size_t n;
	struct err err;
	char so[256];

	ck_assert_int_eq(make_text(_i, TEXT), EX_OK);
	good = scratch_read(kinds[_i].file, &n);
	m = scratch_open(kinds[_i].module, "");
	memset(junk, 'j', sizeof(junk));
	scratch_write(kinds[_i].file, slice_make(junk, sizeof(junk)));
	expect(m, "bob", -1, kinds[_i].file);
	scratch_write(kinds[_i].file, SLICE(""));
	expect(m, "bob", -1, kinds[_i].file);
	for (size_t cut = 1; cut < n; cut += n / 9 + 1) {
		int ret;

		scratch_write(kinds[_i].file, slice_make(good, cut));
		ret = scratch_lookup(m, SLICE("bob"));
		ck_assert(
		    ret == -1 || (ret == 1 && strcmp(scratch_said, "h1") == 0));
	}
	scratch_write(kinds[_i].file, slice_make(good, n));
	expect(m, "bob", 1, "h1");
	popmap_module_close(&m);
	free(good);

	scratch_write(kinds[_i].file, slice_make(junk, sizeof(junk)));
	snprintf(
	    so, sizeof(so), "%s/popmap_%s.so", BUILT_MODULES, kinds[_i].module);
	ck_assert_int_eq(popmap_module_open(&m, so, "", scratch, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, kinds[_i].file));
	ck_assert_int_eq(
	    popmap_module_open(&m, so, "/no/such/file", scratch, &err), -1);
	ck_assert_ptr_nonnull(
	    strstr(err.msg, "/no/such/file: No such file or directory"));
}
END_TEST

/* Pages have checksums: a damaged byte may cost an answer, never change it. */
START_TEST(bdb_damaged_byte)
{
	struct popmap_module *m;
	char *good;
	size_t n, failed = 0;

	ck_assert_int_eq(make_text(0, TEXT), EX_OK);
	good = scratch_read(kinds[0].file, &n);
	m = scratch_open("bdb", "");
	for (size_t at = 0; at < n; at += 13) {
		int ret;

		if (at == 26) /* holds the bit that says: checksums */
			continue;
		good[at] = (char)(good[at] ^ 0x41);
		scratch_write(kinds[0].file, slice_make(good, n));
		good[at] = (char)(good[at] ^ 0x41);
		ret = scratch_lookup(m, SLICE("al"));
		ck_assert_msg(
		    ret == -1 ||
			(ret == 1 && strcmp(scratch_said, "alice@h2:143") == 0),
		    "%zu: %d %s", at, ret, scratch_said);
		failed += ret == -1;
	}
	ck_assert_uint_gt(failed, 0);
	popmap_module_close(&m);
	free(good);
}
END_TEST

#ifdef WITH_CDB
/* The file of "bob:h1": tables, the record, and bob's two slots. */
enum { CDB_VALUE_SIZE = 2048 + 4, CDB_SLOTS = 2048 + 8 + 3 + 2 };

static const struct {
	size_t at, n; /* these bytes become 0xff */
} cdb_damages[] = {
	{ 0, 2048 },           /* tables out of the file */
	{ CDB_VALUE_SIZE, 1 }, /* a value longer than the file */
	{ CDB_VALUE_SIZE, 4 },
	{ CDB_SLOTS + 4, 4 }, /* a record out of the file */
	{ CDB_SLOTS + 12, 4 },
};

START_TEST(cdb_damaged)
{
	const char *file = "popmap.cdb";
	int kind = COUNT(kinds) - 1, failed = 0;
	struct popmap_module *m;
	char *good, *bad;
	size_t n;

	ck_assert_int_eq(make_text(kind, "bob:h1\n"), EX_OK);
	good = scratch_read(file, &n);
	bad = scratch_read(file, &n);
	m = scratch_open("cdb", "");
	for (int i = 0; i < COUNT(cdb_damages); i++) {
		size_t at = cdb_damages[i].at;
		int ret;

		memset(bad + at, 0xff, cdb_damages[i].n);
		scratch_write(file, slice_make(bad, n));
		ret = scratch_lookup(m, SLICE("bob"));
		/* Only one of the two slots is used. */
		ck_assert_msg(ret == -1 || at > CDB_SLOTS, "%d: %d", i, ret);
		failed += ret == -1;
		memcpy(bad + at, good + at, cdb_damages[i].n);
	}
	ck_assert_int_eq(failed, COUNT(cdb_damages) - 1);
	/* The descriptor is the one that was opened: cut between two lookups
	 * and under a reader that has seen it whole. */
	for (size_t cut = n; cut-- > 0;) {
		ck_assert_int_eq(truncate(scratch_path(file), (off_t)cut), 0);
		expect(m, "bob", -1, "damaged or cut short");
	}
	/* There are no checksums: any answer, but an end. */
	for (size_t at = 0; at < n; at++) {
		bad[at] = (char)(bad[at] ^ 0x41);
		scratch_write(file, slice_make(bad, n));
		bad[at] = good[at];
		scratch_lookup(m, SLICE("bob"));
	}
	scratch_write(file, slice_make(good, n));
	expect(m, "bob", 1, "h1");
	popmap_module_close(&m);
	free(good);
	free(bad);
}
END_TEST

#define CDB (COUNT(kinds) - 1)

/* Mapped into memory, this would be the end of the process. */
START_TEST(cdb_cut_while_read)
{
	struct popmap_module *m;
	int status;
	size_t n;
	char *good;
	pid_t pid;

	ck_assert_int_eq(make_text(CDB, TEXT), EX_OK);
	good = scratch_read(kinds[CDB].file, &n);
	m = scratch_open("cdb", "");
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		int fd = open(scratch_path(kinds[CDB].file), O_RDWR);

		for (int i = 0; i < 2000; i++) {
			size_t cut = (size_t)i * 7 % n;

			if (ftruncate(fd, (off_t)cut) == -1 ||
			    pwrite(fd, good + cut, n - cut, (off_t)cut) == -1)
				_exit(1);
		}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (scratch_lookup(m, SLICE("bob")) == 1)
			ck_assert_str_eq(scratch_said, "h1");
	}
	ck_assert_int_eq(status, 0);
	expect(m, "bob", 1, "h1");
	popmap_module_close(&m);
	free(good);
}
END_TEST

/* Every key, so that searches that begin at a table's end go on at its
 * beginning, and as many more that are not there. */
START_TEST(cdb_all_keys)
{
	enum { USERS = 5000 };
	struct popmap_module *m;
	char *text = malloc(USERS * 16), key[16];
	size_t n = 0;

	ck_assert_ptr_nonnull(text);
	for (int i = 0; i < USERS; i++)
		n += (size_t)snprintf(text + n, 16, "u%d:h%d\n", i, i % 7);
	ck_assert_int_eq(make(CDB, slice_make(text, n)), EX_OK);
	free(text);
	m = scratch_open("cdb", "");
	for (int i = 0; i < 2 * USERS; i++) {
		snprintf(key, sizeof(key), "u%d", i);
		ck_assert_int_eq(scratch_lookup(m, slice_str(key)), i < USERS);
	}
	popmap_module_close(&m);
}
END_TEST

static void
add_record(struct cdb_make *make, struct slice key, struct slice value)
{
	ck_assert_int_eq(cdb_make_add(make, key.p, (unsigned int)key.n, value.p,
			     (unsigned int)value.n),
	    0);
}

/* What other tools may write. */
START_TEST(cdb_of_others)
{
	static char large[100000];
	struct popmap_module *m;
	struct cdb_make make;
	int fd = open(
	    scratch_path(kinds[CDB].file), O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_eq(cdb_make_start(&make, fd), 0);
	add_record(&make, SLICE("twice"), SLICE("h1"));
	add_record(&make, SLICE("twice"), SLICE("h2"));
	add_record(&make, SLICE("nul"), SLICE("h3\0"));
	add_record(&make, SLICE("a\0b"), SLICE("h4"));
	add_record(&make, SLICE(""), SLICE("h5"));
	add_record(&make, SLICE("empty"), SLICE(""));
	memset(large, 'x', sizeof(large));
	add_record(&make, SLICE("large"), slice_make(large, sizeof(large)));
	add_record(&make, slice_make(large, 1000), SLICE("h6"));
	ck_assert_int_eq(cdb_make_finish(&make), 0);
	close(fd);

	m = scratch_open("cdb", "");
	expect(m, "twice", 1, "h1");
	expect(m, "nul", 1, "h3");
	expect(m, "", 1, "h5");
	expect(m, "a", 0, "");
	ck_assert_int_eq(scratch_lookup(m, SLICE("a\0b")), 1);
	ck_assert_str_eq(scratch_said, "h4");
	expect(m, "empty", -1, "popmap.cdb: value of a key: no server's name");
	expect(m, "large", -1, "damaged");
	expect(m, "twice", 1, "h1");
	ck_assert_int_eq(scratch_lookup(m, slice_make(large, 1000)), 1);
	ck_assert_str_eq(scratch_said, "h6");
	ck_assert_int_eq(scratch_lookup(m, slice_make(large, 999)), 0);
	popmap_module_close(&m);
}
END_TEST
#endif

START_TEST(locked_by_a_writer)
{
	struct popmap_module *m;
	int fd;

	ck_assert_int_eq(make_text(_i, "bob:h1\n"), EX_OK);
	m = scratch_open(kinds[_i].module, "");
	fd = open(scratch_path(kinds[_i].file), O_RDONLY);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	expect(m, "bob", -1, "locked by a program that changes it");
	ck_assert_int_eq(flock(fd, LOCK_UN), 0);
	expect(m, "bob", 1, "h1");
	/* Between lookups nobody is kept out. */
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	popmap_module_close(&m);
}
END_TEST

/* One process makes the map anew all the time, another reads it. */
START_TEST(replaced_while_read)
{
	struct popmap_module *m;
	int status, seen = 0;
	pid_t pid;

	ck_assert_int_eq(make_text(_i, "bob:h1\n"), EX_OK);
	m = scratch_open(kinds[_i].module, "");
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		for (int i = 0; i < 40; i++) {
			if (make_text(_i, i % 2 ? "bob:h1\n" : "bob:h2\n"))
				_exit(1);
		}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		ck_assert_msg(
		    scratch_lookup(m, SLICE("bob")) == 1, "%s", scratch_said);
		seen |= strcmp(scratch_said, "h2") == 0 ? 2 : 1;
	}
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(seen, 3);
	popmap_module_close(&m);
}
END_TEST

static const struct {
	struct slice text;
	const char *said;
} bad[] = {
	{ SLICE("bob:h1\nbob\n"), "stdin:2: no colon behind the key\n" },
	{ SLICE(":h1\n"), "stdin:1: no key in front of the colon\n" },
	{ SLICE("a\\:b\n"), "stdin:1: no colon behind the key\n" },
	{ SLICE("bob: \n"), "stdin:1: no server behind the colon" },
	{ SLICE("bob:h1,,h2\n"), "stdin:1: no server behind the colon" },
	{ SLICE("a:h\nb\0:h\n"), "stdin:2: NUL byte\n" },
	{ SLICE("a:h\001\n"), "stdin:1: control byte in the value\n" },
	{ SLICE("a:h\n\nb:h\na:h\n"), "stdin:4: key of line 1 again\n" },
	{ SLICE("x\na:h\na:h\n"), "stdin:3: key of line 2 again\n" },
};

START_TEST(bad_text)
{
	int kind = _i / COUNT(bad);
	int i = _i % COUNT(bad);
	struct popmap_module *m;
	char *said;
	size_t n;

	ck_assert_int_eq(make_text(kind, "bob:h1\n"), EX_OK);
	ck_assert_int_eq(make(kind, bad[i].text), EX_DATAERR);
	said = scratch_read("said", &n);
	ck_assert_msg(strstr(said, bad[i].said) != NULL, "%s", said);
	ck_assert_ptr_nonnull(strstr(said, "is left as it was"));
	free(said);
	m = scratch_open(kinds[kind].module, "");
	expect(m, "bob", 1, "h1");
	popmap_module_close(&m);
}
END_TEST

START_TEST(disk_full)
{
	struct rlimit was, limit;
	struct popmap_module *m;
	char *said;
	int status;
	size_t n;

	ck_assert_int_eq(make_text(_i, "bob:h1\n"), EX_OK);
	signal(SIGXFSZ, SIG_IGN);
	/* libgdbm loses a page of memory when it cannot make a file. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	limit = was;
	limit.rlim_cur = 2048; /* less than any map */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	status = make_text(_i, "bob:h2\n");
	/* What is asserted is written to a file as well. */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	ck_assert_int_eq(status, EX_CANTCREAT);
	said = scratch_read("said", &n);
	ck_assert_msg(strstr(said, kinds[_i].tool) == said, "%s", said);
	free(said);
	m = scratch_open(kinds[_i].module, "");
	expect(m, "bob", 1, "h1");
	popmap_module_close(&m);
	/* No temporary file: the map, text and said, with . and .. */
	ck_assert_int_eq(unlink(scratch_path(kinds[_i].file)), 0);
	ck_assert_int_eq(unlink(scratch_path("text")), 0);
	ck_assert_int_eq(unlink(scratch_path("said")), 0);
	ck_assert_int_eq(rmdir(scratch), 0);
	ck_assert_int_eq(mkdir(scratch, 0700), 0);
}
END_TEST

START_TEST(where_it_is_written)
{
	struct popmap_module *m;
	struct stat st;
	char target[128];

	/* A file that is replaced keeps its mode, a link stays a link. */
	ck_assert_int_eq(make_text(_i, "bob:h1\n"), EX_OK);
	snprintf(target, sizeof(target), "%s", scratch_path("target"));
	ck_assert_int_eq(rename(scratch_path(kinds[_i].file), target), 0);
	ck_assert_int_eq(symlink("target", scratch_path(kinds[_i].file)), 0);
	ck_assert_int_eq(chmod(target, 0640), 0);
	ck_assert_int_eq(make_text(_i, "bob:h2\n"), EX_OK);
	ck_assert_int_eq(lstat(scratch_path(kinds[_i].file), &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	ck_assert_int_eq(stat(target, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	m = scratch_open(kinds[_i].module, "");
	expect(m, "bob", 1, "h2");
	popmap_module_close(&m);

	ck_assert_int_eq(
	    scratch_tool(kinds[_i].tool, "/no/such/dir/x", SLICE("bob:h1\n")),
	    EX_CANTCREAT);
	ck_assert_int_eq(
	    scratch_tool(kinds[_i].tool, "--bad", SLICE("")), EX_USAGE);
	ck_assert_int_eq(
	    scratch_tool(kinds[_i].tool, scratch_path("said/x"), SLICE("")),
	    EX_CANTCREAT);
	/* Nothing but what was asked for is left. */
	ck_assert_int_eq(unlink(scratch_path("text")), 0);
	ck_assert_int_eq(unlink(scratch_path("said")), 0);
	ck_assert_int_eq(unlink(target), 0);
	ck_assert_int_eq(unlink(scratch_path(kinds[_i].file)), 0);
	ck_assert_int_eq(rmdir(scratch), 0);
	ck_assert_int_eq(mkdir(scratch, 0700), 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_files");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, scratch_make, scratch_remove);
	tcase_add_loop_test(t, text_to_answer, 0, COUNT(kinds));
	tcase_add_loop_test(t, empty_map, 0, COUNT(kinds));
	tcase_add_loop_test(t, large_map, 0, COUNT(kinds));
	tcase_add_loop_test(t, replaced_and_removed, 0, COUNT(kinds));
	tcase_add_loop_test(t, changed_in_place, 0, COUNT(kinds));
	tcase_add_loop_test(t, damaged, 0, COUNT(kinds));
	tcase_add_test(t, bdb_damaged_byte);
#ifdef WITH_CDB
	tcase_add_test(t, cdb_damaged);
	tcase_add_test(t, cdb_cut_while_read);
	tcase_add_test(t, cdb_all_keys);
	tcase_add_test(t, cdb_of_others);
#endif
	tcase_add_loop_test(t, locked_by_a_writer, 0, COUNT(kinds));
	tcase_add_loop_test(t, replaced_while_read, 0, COUNT(kinds));
	tcase_add_loop_test(t, bad_text, 0, COUNT(kinds) * COUNT(bad));
	tcase_add_loop_test(t, disk_full, 0, COUNT(kinds));
	tcase_add_loop_test(t, where_it_is_written, 0, COUNT(kinds));
	return check_run("popmap_files", t);
}
