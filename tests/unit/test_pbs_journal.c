/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal: what comes back after a restart, however the last life ended.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "pbs_scratch.h"

#include "../lib/check_run.h"
#include "perdition-pbs/journal.h"
#include "perdition-pbs/journal_private.h"
#include "perdition-pbs/relay_names.h"

#include "common/banned.h"

#define LIMIT 100000

static struct err err;

/* What happens when a store is cleared next, as it is between the two readings
 * of a journal that tells of the clock; the linker puts it in the place of
 * relay_store_clear(). */
static struct {
	void (*fn)(struct journal *, struct relay_store *);
	struct journal *j;
	struct relay_store *s;
} meanwhile;

void __real_relay_store_clear(struct relay_store *);
void __wrap_relay_store_clear(struct relay_store *);

void
__wrap_relay_store_clear(struct relay_store *s)
{
	void (*fn)(struct journal *, struct relay_store *) = meanwhile.fn;

	__real_relay_store_clear(s);
	meanwhile.fn = NULL;
	if (fn != NULL)
		fn(meanwhile.j, meanwhile.s);
}

/* There is no memory for a position any more. */
static bool no_room_for_positions;

int __real_positions_set(struct positions *, struct slice, struct slice);
int __wrap_positions_set(struct positions *, struct slice, struct slice);

int
__wrap_positions_set(
    struct positions *p, struct slice name, struct slice position)
{
	if (!no_room_for_positions)
		return __real_positions_set(p, name, position);
	errno = ENOMEM;
	return -1;
}

static struct relay_entry
entry(unsigned int i, int64_t expires)
{
	char text[40];
	struct relay_entry e = { .expires = expires };

	snprintf(
	    text, sizeof(text), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
	ck_assert_int_eq(relay_key_parse(slice_str(text), "", &e.key), 0);
	return e;
}

static struct journal *
open_it(struct relay_store *s, int64_t now, uint64_t *torn)
{
	struct journal *j = journal_open(scratch_path("j"), true, 0, &err);

	ck_assert_msg(j != NULL, "%s", err.msg);
	switch (journal_load(j, s, now, LIMIT, torn, &err)) {
	case 1:
		ck_assert_int_eq(journal_start_with(j, s, &err), 0);
		break;
	default:
		ck_abort_msg("%s", err.msg);
	case 0:
		break;
	}
	return j;
}

static void
touch(struct journal *j, unsigned int i, int64_t expires)
{
	struct relay_entry e = entry(i, expires);

	journal_touch(j, &e, SLICE("ann\0\n\xff"));
}

/* Three entries, one of them removed; 1000, 2000 and 3000 are the times. */
static void
write_some(void)
{
	struct relay_store *s = relay_store_create();
	struct relay_key second;
	uint64_t torn;
	struct journal *j = open_it(s, 0, &torn);

	for (unsigned int i = 1; i <= 3; i++)
		touch(j, i, i * 1000);
	second = entry(2, 0).key;
	journal_remove(j, &second);
	journal_save_position(j, SLICE("a log"), SLICE("here"));
	journal_save_position(j, SLICE("another"), SLICE("elsewhere"));
	journal_save_position(j, SLICE("a log"), SLICE("there"));
	journal_save_position(j, SLICE("gone"), SLICE("nowhere"));
	journal_save_position(j, SLICE("gone"), SLICE(""));
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
	ck_assert(!journal_dirty(j));
	journal_close(&j);
	relay_store_destroy(&s);
}

static void
check_positions(const struct journal *j)
{
	const struct positions *p = journal_positions(j);
	struct slice name, position;

	ck_assert(slice_eq(positions_get(p, SLICE("a log")), SLICE("there")));
	ck_assert(
	    slice_eq(positions_get(p, SLICE("another")), SLICE("elsewhere")));
	ck_assert(!positions_at(p, 2, &name, &position));
}

START_TEST(comes_back)
{
	struct relay_store *s = relay_store_create();
	struct journal *j;
	uint64_t torn;

	scratch_make();
	write_some();
	j = open_it(s, 1000, &torn); /* the first is dead by now */
	ck_assert_uint_eq(torn, 0);
	ck_assert_uint_eq(relay_store_count(s), 1);
	ck_assert_int_eq(relay_store_next(s)->expires, 3000);
	ck_assert(slice_eq(
	    relay_store_user(s, relay_store_next(s)), SLICE("ann\0\n\xff")));
	check_positions(j);
	ck_assert_int_eq(journal_snapshot(j, s, &err), 0);
	journal_close(&j);
	relay_store_clear(s);
	j = open_it(s, 1000, &torn);
	ck_assert_uint_eq(torn, 0);
	check_positions(j);
	journal_purge(j);
	journal_close(&j);
	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(relay_store_count(s), 0);
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* The next start finds e, and nothing torn. */
static void
check_start(struct relay_store *s, const struct relay_entry *e)
{
	struct journal *j;
	uint64_t torn;

	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(torn, 0);
	ck_assert_ptr_nonnull(relay_store_find(s, &e->key));
	journal_close(&j);
}

/* A start that is killed before it has begun the journal, with what it found
 * elsewhere, is to be followed by one that does the same. */
START_TEST(not_begun)
{
	struct relay_store *s = relay_store_create();
	struct relay_entry e = entry(9, 9000);
	struct journal *j;
	uint64_t torn;

	scratch_make();
	for (int i = 0; i < 2; i++) {
		j = journal_open(scratch_path("j"), true, 0, &err);
		ck_assert_int_eq(journal_load(j, s, 0, LIMIT, &torn, &err), 1);
		if (i == 0)
			journal_close(&j);
	}
	ck_assert_int_ge(relay_store_touch(s, &e, SLICE("ann"), 0), 0);
	ck_assert_int_eq(journal_snapshot(j, s, &err), 0);
	journal_close(&j);
	check_start(s, &e);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Cut after each byte in turn: never more than was written, never an error. */
START_TEST(torn_anywhere)
{
	char whole[4096];
	size_t n;
	FILE *f;

	scratch_make();
	write_some();
	f = fopen(scratch_path("j"), "r");
	n = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	ck_assert_uint_gt(n, 100);
	for (size_t cut = 0; cut <= n; cut++) {
		struct relay_store *s = relay_store_create();
		struct relay_entry e = entry(9, 9000);
		struct journal *j;
		uint64_t torn;

		scratch_write("j", "w", whole, cut);
		if (cut % 2 == 0) /* garbage behind */
			scratch_write("j", "a", "\xff\x01\x02garbage", 10);
		j = open_it(s, 0, &torn);
		ck_assert_uint_le(relay_store_count(s), 3);
		/* And it goes on from there. */
		journal_touch(j, &e, SLICE(""));
		ck_assert_int_eq(journal_flush(j, s, &err), 0);
		journal_close(&j);
		check_start(s, &e);
		relay_store_destroy(&s);
	}
	scratch_remove();
}
END_TEST

START_TEST(limits)
{
	struct relay_store *s = relay_store_create();
	struct relay_entry e = entry(1, INT64_MAX / 4);
	uint64_t torn;
	struct journal *j, *second;

	scratch_make();
	ck_assert_ptr_null(journal_open(scratch_path("j"), false, 0, &err));
	ck_assert_int_eq(err.code, ENOENT);
	j = open_it(s, 0, &torn);
	second = journal_open(scratch_path("j"), true, 10, &err);
	ck_assert_ptr_null(second);
	ck_assert_int_eq(err.code, EWOULDBLOCK);
	journal_touch(j, &e, SLICE(""));
	/* A snapshot keeps the lock though the file is another. */
	relay_store_touch(s, &e, SLICE(""), 0);
	ck_assert_int_eq(journal_snapshot(j, s, &err), 0);
	second = journal_open(scratch_path("j"), true, 10, &err);
	ck_assert_ptr_null(second);
	journal_close(&j);
	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert_int_eq(relay_store_next(s)->expires, LIMIT);
	journal_close(&j);
	scratch_write(
	    "j", "w", "something else, and long enough for a head", 42);
	j = journal_open(scratch_path("j"), false, 0, &err);
	ck_assert_int_eq(journal_load(j, s, 0, LIMIT, &torn, &err), -1);
	ck_assert_int_eq(err.code, EINVAL);
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* What a start may leave as it is, and who only looks. */
START_TEST(lean)
{
	struct relay_store *s = relay_store_create();
	struct relay_entry e = entry(1, LIMIT + 1);
	struct journal *j;
	uint64_t torn;

	scratch_make();
	ck_assert_int_eq(
	    journal_read(scratch_path("j"), s, 0, LIMIT, &err), -1);
	ck_assert_int_eq(err.code, ENOENT);
	write_some();
	j = open_it(s, 0, &torn);
	ck_assert(journal_is_lean(j, s));
	/* It would come back with each start, and live on from there. */
	journal_touch(j, &e, SLICE("bob"));
	journal_close(&j);
	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert(!journal_is_lean(j, s));
	relay_store_clear(s);
	ck_assert_int_eq(journal_read(scratch_path("j"), s, 0, LIMIT, &err), 0);
	ck_assert_uint_eq(relay_store_count(s), 2);
	ck_assert_int_eq(journal_snapshot(j, s, &err), 0);
	ck_assert(journal_is_lean(j, s));
	/* A torn end is the owner's to cut off. */
	scratch_write("j", "a", "torn", 4);
	relay_store_clear(s);
	ck_assert_int_eq(journal_read(scratch_path("j"), s, 0, LIMIT, &err), 0);
	ck_assert_uint_eq(relay_store_count(s), 2);
	journal_close(&j);
	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(torn, 4);
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Of any length, and some of them of several. */
static struct slice
user_of(unsigned int i)
{
	static char text[RELAY_USER_MAX];
	size_t n = i % 7 == 0 ? 0 : i % 64 + 4;

	memset(text, 'x', sizeof(text));
	i /= 3;
	memcpy(text, &i, sizeof(i));
	return slice_make(text, n);
}

#define MANY 60000u

static void
write_many(void)
{
	struct relay_store *s = relay_store_create();
	uint64_t torn;
	struct journal *j = open_it(s, 0, &torn);

	for (unsigned int i = 0; i < MANY; i++) {
		struct relay_entry e = entry(i, 1 + i * 7919 % MANY);

		journal_touch(j, &e, user_of(i));
	}
	journal_close(&j);
	relay_store_destroy(&s);
}

/* Far more than is read at once, with records of all lengths. */
START_TEST(many)
{
	struct relay_store *s = relay_store_create();
	struct journal *j;
	uint64_t torn;
	int64_t last = 0;
	size_t empty = relay_store_bytes(s);

	scratch_make();
	write_many();
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(torn, 0);
	ck_assert_uint_eq(relay_store_count(s), MANY);
	/* 60 bytes an entry, and 18 and its own length a name. */
	ck_assert_uint_lt(relay_store_bytes(s) - empty, MANY * 120u);
	for (unsigned int i = 0; i < MANY; i++) {
		struct relay_entry e = entry(i, 0);
		const struct relay_entry *got = relay_store_find(s, &e.key);

		ck_assert_ptr_nonnull(got);
		ck_assert_int_eq(got->expires, 1 + i * 7919 % MANY);
		ck_assert(slice_eq(relay_store_user(s, got), user_of(i)));
	}
	while (relay_store_count(s) > 0) {
		struct relay_key k = relay_store_next(s)->key;

		ck_assert_int_ge(relay_store_next(s)->expires, last);
		last = relay_store_next(s)->expires;
		ck_assert(relay_store_remove(s, &k));
	}
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

START_TEST(no_memory_for_positions)
{
	struct relay_store *s = relay_store_create();
	struct journal *j;
	struct stat before, after;
	uint64_t torn;

	scratch_make();
	j = open_it(s, 0, &torn);
	journal_save_position(j, SLICE("/var/log/mail.log"), SLICE("12:34"));
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
	journal_close(&j);
	ck_assert_int_eq(stat(scratch_path("j"), &before), 0);
	j = journal_open(scratch_path("j"), true, 0, &err);
	no_room_for_positions = true;
	ck_assert_int_eq(journal_load(j, s, 0, LIMIT, &torn, &err), -1);
	no_room_for_positions = false;
	ck_assert_int_eq(err.code, ENOMEM);
	journal_close(&j);
	ck_assert_int_eq(stat(scratch_path("j"), &after), 0);
	ck_assert(after.st_size == before.st_size);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

#ifndef SANITIZE
/* Nothing of the file is given up because this process has no memory. */
START_TEST(no_memory)
{
	struct relay_store *s = relay_store_create();
	struct journal *j;
	struct rlimit was, lim;
	struct stat before, after;
	uint64_t torn;
	size_t pages;
	FILE *f;
	int ret;

	scratch_make();
	write_many();
	ck_assert_int_eq(stat(scratch_path("j"), &before), 0);
	j = journal_open(scratch_path("j"), true, 0, &err);
	f = fopen("/proc/self/statm", "r");
	ck_assert_int_eq(fscanf(f, "%zu", &pages), 1);
	fclose(f);
	getrlimit(RLIMIT_AS, &was);
	lim = was;
	lim.rlim_cur = (rlim_t)pages * 4096 + (rlim_t)(3 << 20);
	setrlimit(RLIMIT_AS, &lim);
	ret = journal_load(j, s, 0, LIMIT, &torn, &err);
	setrlimit(RLIMIT_AS, &was);
	ck_assert_int_eq(ret, -1);
	ck_assert_int_eq(err.code, ENOMEM);
	journal_close(&j);
	ck_assert_int_eq(stat(scratch_path("j"), &after), 0);
	ck_assert(after.st_size == before.st_size);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST
#endif

START_TEST(stays_small)
{
	struct relay_store *s = relay_store_create();
	struct journal *j;
	struct stat st;
	uint64_t torn;

	scratch_make();
	j = open_it(s, 0, &torn);
	for (unsigned int i = 0; i < 200000; i++) {
		struct relay_entry e = entry(i % 100, 1000 + i);

		relay_store_touch(s, &e, SLICE(""), 0);
		journal_touch(j, &e, SLICE(""));
		if (i % 1000 == 0)
			ck_assert_int_eq(journal_flush(j, s, &err), 0);
	}
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
	ck_assert_int_eq(stat(scratch_path("j"), &st), 0);
	ck_assert_int_lt(st.st_size, 1200000);
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Each of s, and nothing else. */
static void
same_entries(const struct relay_store *found, const struct relay_store *s)
{
	ck_assert_uint_eq(relay_store_count(found), relay_store_count(s));
	for (size_t i = 0; i < relay_store_count(s); i++) {
		const struct relay_entry *e = relay_store_at(s, i);
		const struct relay_entry *f = relay_store_find(found, &e->key);

		ck_assert(f != NULL);
		ck_assert_int_eq(f->expires, e->expires);
		ck_assert(slice_eq(
		    relay_store_user(found, f), relay_store_user(s, e)));
	}
}

/* What a start would find now. */
static void
check_file(const struct relay_store *s)
{
	struct relay_store *found = relay_store_create();

	ck_assert_int_eq(
	    journal_read(scratch_path("j"), found, 0, LIMIT, &err), 0);
	same_entries(found, s);
	relay_store_destroy(&found);
}

static void
login(struct journal *j, struct relay_store *s, unsigned int i, int64_t expires)
{
	struct relay_entry e = entry(i, expires);

	ck_assert_int_ge(relay_store_touch(s, &e, SLICE("ann"), 0), 0);
	journal_touch(j, &e, SLICE("ann"));
}

static void
drop(struct journal *j, struct relay_store *s, unsigned int i)
{
	struct relay_key k = entry(i, 0).key;

	ck_assert(relay_store_remove(s, &k));
	journal_remove(j, &k);
}

#define SLICED 20000u

/* Entries come, live longer and go between two slices: the file is right at
 * each moment, while the new one is made and when it has the name. */
START_TEST(in_slices)
{
	struct relay_store *s = relay_store_create();
	uint64_t torn;
	struct journal *j;
	unsigned int turns = 0;
	struct stat before, after;

	scratch_make();
	j = open_it(s, 0, &torn);
	for (unsigned int i = 0; i < 2 * SLICED; i++) /* each twice */
		login(j, s, i % SLICED, 500 + i / SLICED * 500);
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
	ck_assert_int_eq(stat(scratch_path("j"), &before), 0);
	ck_assert_int_eq(journal_begin(j, s, &err), 0);
	ck_assert(journal_busy(j));
	for (; journal_busy(j); turns++) {
		ck_assert_uint_lt(turns, 100);
		login(j, s, SLICED + turns, 1000);     /* new, at the end */
		login(j, s, turns, 2000);              /* at the other end */
		login(j, s, SLICED - 1 - turns, 3000); /* taken already */
		drop(j, s, 100 + turns);               /* the last one moves */
		drop(j, s, SLICED / 2 + turns);
		drop(j, s, SLICED - 100 - turns);
		ck_assert_int_eq(journal_flush(j, s, &err), 0);
		check_file(s);
		ck_assert_int_eq(journal_step(j, s, &err), 0);
		check_file(s);
	}
	ck_assert_uint_ge(turns, 3);
	ck_assert_int_eq(stat(scratch_path("j"), &after), 0);
	ck_assert(after.st_ino != before.st_ino);
	ck_assert_int_lt(after.st_size, before.st_size);
	journal_close(&j);
	check_file(s);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* The clock is set, by more than entries live, in the middle of a snapshot: at
 * each moment the file tells what the store has. */
START_TEST(shifted)
{
	static const int64_t deltas[] = { 86400, -86400, 3600, -7200 };
	struct relay_store *s = relay_store_create();
	struct relay_store *read = relay_store_create();
	int64_t now = 1000000;
	struct journal *j;
	uint64_t torn;

	scratch_make();
	j = open_it(s, 0, &torn);
	for (unsigned int i = 0; i < SLICED; i++)
		login(j, s, i, now + 1000);
	for (size_t i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
		if (i == 2)
			ck_assert_int_eq(journal_begin(j, s, &err), 0);
		relay_store_shift(s, deltas[i]);
		journal_shift(j, deltas[i]);
		now += deltas[i];
		login(j, s, (unsigned int)i, now + 2000);
		ck_assert_int_eq(journal_flush(j, s, &err), 0);
		relay_store_clear(read);
		ck_assert_int_eq(journal_read(scratch_path("j"), read, now,
				     now + 2000, &err),
		    0);
		same_entries(read, s);
		ck_assert_int_eq(journal_step(j, s, &err), 0);
	}
	while (journal_busy(j))
		ck_assert_int_eq(journal_step(j, s, &err), 0);
	relay_store_clear(read);
	ck_assert_int_eq(
	    journal_read(scratch_path("j"), read, now, now + 2000, &err), 0);
	same_entries(read, s);
	journal_close(&j);
	relay_store_destroy(&read);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

#define SET 3600 /* seconds: the clock, in each of these */

static void
set_clock(struct journal *j, struct relay_store *s)
{
	relay_store_shift(s, SET);
	journal_shift(j, SET);
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
}

static void
set_clock_and_login(struct journal *j, struct relay_store *s)
{
	set_clock(j, s);
	login(j, s, 3, 9000);
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
}

static void
replace_file(struct journal *j, struct relay_store *s)
{
	ck_assert_int_eq(journal_snapshot(j, s, &err), 0);
	while (journal_busy(j)) /* frees what it was */
		ck_assert_int_eq(journal_step(j, s, &err), 0);
}

/* A journal that is read twice, for a clock that was set; fn is done in
 * between.  Gives what was seen. */
static struct relay_store *
look_while(struct journal *j, struct relay_store *s,
    void (*fn)(struct journal *, struct relay_store *))
{
	struct relay_store *seen = relay_store_create();

	meanwhile.fn = fn;
	meanwhile.j = j;
	meanwhile.s = s;
	ck_assert_int_eq(
	    journal_read(scratch_path("j"), seen, 0, LIMIT, &err), 0);
	ck_assert(meanwhile.fn == NULL);
	return seen;
}

/* Who looks without a lock sees one moment, not some entries as of another
 * time. */
START_TEST(set_while_looked_at)
{
	struct relay_store *s = relay_store_create(), *seen;
	struct journal *j;
	uint64_t torn;
	struct relay_entry first = entry(1, 0);

	scratch_make();
	j = open_it(s, 0, &torn);
	login(j, s, 1, 1000);
	set_clock(j, s);
	seen = look_while(j, s, set_clock_and_login);
	ck_assert_uint_eq(relay_store_count(seen), 1);
	ck_assert_int_eq(
	    relay_store_find(seen, &first.key)->expires, 1000 + SET);
	check_file(s);
	journal_close(&j);
	relay_store_destroy(&seen);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Of a large file that is replaced the end is freed first, also while somebody
 * reads it. */
START_TEST(replaced_while_looked_at)
{
	static char name[RELAY_USER_MAX];
	struct relay_store *s = relay_store_create(), *seen;
	struct relay_entry first = entry(1, 1000 + SET);
	struct journal *j;
	uint64_t torn;

	memset(name, 'x', sizeof(name));
	scratch_make();
	j = open_it(s, 0, &torn);
	login(j, s, 1, 1000);
	set_clock(j, s);
	for (size_t n = 0; n < 17 << 20; n += sizeof(name))
		journal_touch(j, &first, slice_make(name, sizeof(name)));
	login(j, s, 1, 9000);
	seen = look_while(j, s, replace_file);
	same_entries(seen, s);
	journal_close(&j);
	relay_store_destroy(&seen);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

static void
rewrite_file(struct journal *j, struct relay_store *s)
{
	ck_assert_int_eq(journal_rewrite(j, s, &err), 0);
}

/* In a directory that allows no new file the name says nothing. */
START_TEST(rewritten_while_looked_at)
{
	struct relay_store *s = relay_store_create(), *seen;
	struct journal *j;
	uint64_t torn;

	scratch_make();
	j = open_it(s, 0, &torn);
	login(j, s, 1, 1000);
	set_clock(j, s);
	seen = look_while(j, s, rewrite_file);
	same_entries(seen, s);
	journal_close(&j);
	relay_store_destroy(&seen);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

static void
replace_again_and_again(struct journal *j, struct relay_store *s)
{
	replace_file(j, s);
	set_clock(j, s);
	meanwhile.fn = replace_again_and_again;
}

/* Better none than some of it. */
START_TEST(never_seen_whole)
{
	struct relay_store *s = relay_store_create();
	struct relay_store *seen = relay_store_create();
	struct journal *j;
	uint64_t torn;

	scratch_make();
	j = open_it(s, 0, &torn);
	login(j, s, 1, 1000);
	set_clock(j, s);
	meanwhile.fn = replace_again_and_again;
	meanwhile.j = j;
	meanwhile.s = s;
	ck_assert_int_eq(
	    journal_read(scratch_path("j"), seen, 0, LIMIT, &err), -1);
	ck_assert_int_eq(err.code, EAGAIN);
	meanwhile.fn = NULL;
	journal_close(&j);
	relay_store_destroy(&seen);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

static void
save_number(struct journal *j, unsigned int i, struct slice position)
{
	journal_save_position(
	    j, slice_make((const char *)&i, sizeof(i)), position);
}

/* As many positions as there may be, and one that gives room to another: a
 * set clock is no reason to find one too many. */
START_TEST(all_positions)
{
	struct relay_store *s = relay_store_create();
	struct slice name, position;
	struct journal *j;
	uint64_t torn;

	scratch_make();
	j = open_it(s, 0, &torn);
	for (unsigned int i = 0; i < POSITIONS_MAX; i++)
		save_number(j, i, SLICE("here"));
	save_number(j, 0, SLICE(""));
	save_number(j, POSITIONS_MAX, SLICE("there"));
	login(j, s, 1, 1000);
	set_clock(j, s);
	journal_close(&j);
	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(torn, 0);
	ck_assert_uint_eq(relay_store_count(s), 1);
	ck_assert_int_eq(relay_store_next(s)->expires, 1000 + SET);
	ck_assert(positions_at(
	    journal_positions(j), POSITIONS_MAX - 1, &name, &position));
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* Killed in between: the file that has the name has all, and what was begun
 * is no obstacle to the next. */
START_TEST(left_half_made)
{
	struct relay_store *s = relay_store_create();
	uint64_t torn;
	struct journal *j;

	scratch_make();
	j = open_it(s, 0, &torn);
	for (unsigned int i = 0; i < SLICED; i++)
		login(j, s, i, 1000);
	ck_assert_int_eq(journal_begin(j, s, &err), 0);
	login(j, s, SLICED, 1000);
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
	check_file(s);
	journal_close(&j);
	check_file(s);
	scratch_write("j.new", "w", "of a killed one", 15);
	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(relay_store_count(s), SLICED + 1);
	ck_assert_int_eq(journal_snapshot(j, s, &err), 0);
	check_file(s);
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

START_TEST(full_disk)
{
	struct rlimit was, lim;
	struct relay_store *s = relay_store_create();
	static struct relay_entry entries[100];
	struct journal *j;
	uint64_t torn;
	int failed = 0;

	scratch_make();
	signal(SIGXFSZ, SIG_IGN);
	j = open_it(s, 0, &torn);
	getrlimit(RLIMIT_FSIZE, &was);
	lim = was;
	lim.rlim_cur = 1000;
	for (unsigned int i = 0; i < 100; i++)
		entries[i] = entry(i, 5000);
	/* check's own files must not grow meanwhile: no assertion here. */
	setrlimit(RLIMIT_FSIZE, &lim);
	for (unsigned int i = 0; i < 100; i++) {
		relay_store_touch(s, &entries[i], SLICE(""), 0);
		journal_touch(j, &entries[i], SLICE(""));
		if (journal_flush(j, s, &err) == -1)
			failed++;
	}
	setrlimit(RLIMIT_FSIZE, &was);
	ck_assert_int_gt(failed, 0);
	ck_assert(journal_failed(j));
	ck_assert_int_eq(err.code, EFBIG);
	/* There is room again: nothing was lost. */
	ck_assert_int_eq(journal_flush(j, s, &err), 0);
	ck_assert(!journal_failed(j));
	journal_close(&j);
	relay_store_clear(s);
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(torn, 0);
	ck_assert_uint_eq(relay_store_count(s), 100);
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

/* As 3.0.0 wrote it: one position, without a name. */
START_TEST(old_form)
{
	struct {
		char magic[16];
		struct hash_key key;
		uint32_t sum;
		uint16_t len, type;
		char body[8];
	} old = { "perdition-pbs 1", { 1, 2 }, 0, 8, 4, "position" };
	struct relay_store *s = relay_store_create();
	struct journal *j;
	uint64_t torn;

	old.sum = (uint32_t)hash_bytes(
	    &old.key, slice_make((const char *)&old.len, 12));
	scratch_make();
	scratch_write("j", "w", &old, sizeof(old));
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(torn, 0);
	ck_assert(slice_eq(
	    positions_get(journal_positions(j), SLICE("")), SLICE("position")));
	/* And it can be forgotten. */
	journal_save_position(j, SLICE(""), SLICE(""));
	journal_close(&j);
	j = open_it(s, 0, &torn);
	ck_assert_uint_eq(positions_get(journal_positions(j), SLICE("")).n, 0);
	journal_close(&j);
	relay_store_destroy(&s);
	scratch_remove();
}
END_TEST

START_TEST(positions_limits)
{
	static char big[POSITION_BYTES_MAX + 1];
	struct positions *p = positions_create();
	struct slice name, position;
	size_t n = 0;

	memset(big, 'x', sizeof(big));
	for (unsigned int i = 0; i < POSITIONS_MAX; i++) {
		name = slice_make((const char *)&i, sizeof(i));
		ck_assert_int_eq(positions_set(p, name, SLICE("a")), 0);
		ck_assert_int_eq(positions_set(p, name, SLICE("b")), 0);
	}
	ck_assert_int_eq(positions_set(p, SLICE("one more"), SLICE("a")), -1);
	ck_assert_int_eq(errno, ENOSPC);
	name = slice_make((const char *)&n, sizeof(unsigned int));
	ck_assert_int_eq(
	    positions_set(p, name, slice_make(big, sizeof(big))), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(
	    positions_set(
		p, slice_make(big, POSITION_NAME_MAX + 1), SLICE("a")),
	    -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert(slice_eq(positions_get(p, name), SLICE("b")));
	ck_assert_int_eq(
	    positions_set(p, name, slice_make(big, POSITION_BYTES_MAX)), 0);
	ck_assert_int_eq(positions_set(p, name, SLICE("")), 0);
	ck_assert_int_eq(positions_set(p, SLICE("one more"), SLICE("a")), 0);
	while (positions_at(p, n, &name, &position))
		n++;
	ck_assert_uint_eq(n, POSITIONS_MAX);
	positions_destroy(&p);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("journal");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, comes_back);
	tcase_add_test(t, not_begun);
	tcase_add_test(t, torn_anywhere);
	tcase_add_test(t, limits);
	tcase_add_test(t, lean);
	tcase_add_test(t, many);
	tcase_add_test(t, no_memory_for_positions);
#ifndef SANITIZE
	tcase_add_test(t, no_memory);
#endif
	tcase_add_test(t, stays_small);
	tcase_add_test(t, in_slices);
	tcase_add_test(t, shifted);
	tcase_add_test(t, set_while_looked_at);
	tcase_add_test(t, replaced_while_looked_at);
	tcase_add_test(t, rewritten_while_looked_at);
	tcase_add_test(t, never_seen_whole);
	tcase_add_test(t, all_positions);
	tcase_add_test(t, left_half_made);
	tcase_add_test(t, full_disk);
	tcase_add_test(t, old_form);
	tcase_add_test(t, positions_limits);
	return check_run("journal", t);
}
