/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store_load - what millions of entries cost perdition-pbs: memory, the
 * journal, the database file, and the start from them.
 *
 *	store_load ENTRIES NAMES DIRECTORY
 *
 * NAMES is how many users have these entries (0: none is known).  Each step
 * prints a line of JSON: step, seconds, those of the processor (on a busy
 * machine these say more), and what it came to.
 */
#include "config.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "perdition-pbs/journal.h"
#include "perdition-pbs/relay_file.h"
#include "perdition-pbs/relay_store.h"

#include "common/banned.h"

#define NOW 1800000000

struct bench {
	uint32_t entries, names;
	char journal[4096], db[4096];
	struct relay_store *store;
	struct timespec began, cpu;
};

static void
die(const char *what, const struct err *err)
{
	fprintf(stderr, "store_load: %s: %s\n", what,
	    err == NULL ? "failed" : err->msg);
	exit(1);
}

static void
begin(struct bench *b)
{
	clock_gettime(CLOCK_MONOTONIC, &b->began);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b->cpu);
}

static double
since(clockid_t clock, const struct timespec *then)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)(now.tv_sec - then->tv_sec) +
	       (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

static void
end(const struct bench *b, const char *step, const char *name, double value)
{
	printf("{\"step\": \"%s\", \"seconds\": %.3f, \"cpu\": %.3f, "
	       "\"%s\": %.1f}\n",
	    step, since(CLOCK_MONOTONIC, &b->began),
	    since(CLOCK_PROCESS_CPUTIME_ID, &b->cpu), name, value);
	fflush(stdout);
}

/* All different, in no order, as are the times. */
static struct relay_entry
entry_of(uint32_t i)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint32_t ip = UINT32_C(0x20000000) |
		      (i * UINT32_C(2654435761) & UINT32_C(0xfffffff));
	struct relay_entry e = { .expires = NOW + 1 + ip % 3600 };

	memcpy(&e.key.ip, mapped, sizeof(mapped));
	for (int n = 0; n < 4; n++)
		e.key.ip.s6_addr[12 + n] = (uint8_t)(ip >> 8 * (3 - n));
	e.key.prefix = 128;
	return e;
}

static struct slice
name_of(const struct bench *b, uint32_t i, char text[32])
{
	int n = b->names == 0 ? 0
			      : snprintf(text, 32, "user%07" PRIu32 "@isp.net",
				    i % b->names);

	return slice_make(text, (size_t)n);
}

static double
allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}

static void
fill(struct bench *b)
{
	double before = allocated();
	char text[32];

	begin(b);
	for (uint32_t i = 0; i < b->entries; i++) {
		struct relay_entry e = entry_of(i);

		if (relay_store_touch(b->store, &e, name_of(b, i, text), NOW) ==
		    -1)
			die("touch", NULL);
	}
	end(b, "fill", "bytes_an_entry", (allocated() - before) / b->entries);
	printf("{\"step\": \"size\", \"bytes_an_entry\": %.1f}\n",
	    (double)relay_store_bytes(b->store) / b->entries);
}

static void
save(struct bench *b)
{
	struct err err;
	uint64_t torn;
	struct journal *j = journal_open(b->journal, true, 0, &err);

	if (j == NULL)
		die("journal", &err);
	if (journal_load(j, b->store, NOW, NOW + 3600, &torn, &err) == -1)
		die("journal", &err);
	begin(b);
	if (journal_snapshot(j, b->store, &err) == -1)
		die("journal", &err);
	end(b, "snapshot", "entries", b->entries);
	journal_close(&j);
}

static void
load(struct bench *b)
{
	struct err err;
	uint64_t torn;
	struct journal *j = journal_open(b->journal, false, 0, &err);

	if (j == NULL)
		die("journal", &err);
	relay_store_clear(b->store);
	begin(b);
	if (journal_load(j, b->store, NOW, NOW + 3600, &torn, &err) == -1)
		die("journal", &err);
	end(b, "load", "entries", (double)relay_store_count(b->store));
	journal_close(&j);
}

static void
build(struct bench *b)
{
	struct relay_written w;
	struct err err;

	begin(b);
	if (relay_file_write(
		b->db, "", b->store, (uid_t)-1, (gid_t)-1, &w, &err) == -1)
		die("database", &err);
	end(b, "build", "records", (double)w.records);
}

/* One second's worth of them, then all the others. */
static void
expire(struct bench *b)
{
	size_t n = 0;

	for (int64_t now = NOW + 1; relay_store_count(b->store) > 0;
	     now += 3600) {
		const struct relay_entry *e;

		begin(b);
		n = 0;
		while ((e = relay_store_next(b->store)) != NULL &&
		       e->expires <= now) {
			struct relay_key k = e->key;

			relay_store_remove(b->store, &k);
			n++;
		}
		end(b, "expire", "entries", (double)n);
	}
	printf("{\"step\": \"empty\", \"bytes\": %zu}\n",
	    relay_store_bytes(b->store));
}

int
main(int argc, char *argv[])
{
	static struct bench b;
	struct rusage ru;

	if (argc != 4) {
		fprintf(stderr, "usage: store_load ENTRIES NAMES DIRECTORY\n");
		return 2;
	}
	b.entries = (uint32_t)strtoul(argv[1], NULL, 10);
	b.names = (uint32_t)strtoul(argv[2], NULL, 10);
	snprintf(b.journal, sizeof(b.journal), "%s/journal", argv[3]);
	snprintf(b.db, sizeof(b.db), "%s/relay.db", argv[3]);
	b.store = relay_store_create();
	if (b.store == NULL)
		die("store", NULL);
	fill(&b);
	save(&b);
	load(&b);
	build(&b);
	expire(&b);
	getrusage(RUSAGE_SELF, &ru);
	printf("{\"step\": \"peak\", \"kib\": %ld}\n", ru.ru_maxrss);
	relay_store_destroy(&b.store);
	return 0;
}
