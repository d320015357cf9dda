/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_load - ask a popmap as a lookup process does, as fast as it answers.
 *
 *	popmap_load LIBRARY OPTIONS KEYS NAMES SECONDS CONNECTIONS FLIGHT
 *
 * KEYS is how a key is made of a number ("user%u@example.org"), NAMES how many
 * there are, FLIGHT how many questions are under way at once.  FLIGHT 0: each
 * of CONNECTIONS processes asks the module itself in a loop, with no lookup
 * process between: what the database gives to a direct client.
 * One line of JSON: lookups, found, failed, seconds, p50_us, p99_us, pss_kib.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/maps.h"
#include "perdition/popmap_module.h"

#include "common/banned.h"

#define FLIGHT_MAX 1024u
#define PROCESSES_MAX 64u
#define BUCKETS 4096u /* of 1/16 of a power of two of nanoseconds */

struct count {
	uint64_t lookups, found, failed, bucket[BUCKETS];
};

struct flight {
	struct memo_waiter waiter; /* first */
	struct load *load;
	struct flight *ready;
	uint64_t began_ns, since;
	char key[512];
};

struct load {
	struct config config;
	char *library, *options;
	const char *keys;
	unsigned int names, flights, connections;
	uint64_t end_ns;
	uint32_t chance;
	uint64_t replies;
	struct maps *maps;
	int epoll;
	struct count *count;
	struct flight flight[FLIGHT_MAX], *ready;
	struct popmap_answer answer;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Logarithmic, 16 steps for each doubling. */
static unsigned int
bucket_of(uint64_t ns)
{
	unsigned int bits = 63 - (unsigned int)__builtin_clzll(ns | 16);

	return bits * 16 + (unsigned int)((ns >> (bits - 4)) & 15);
}

static uint64_t
ns_of(unsigned int bucket)
{
	return ((uint64_t)16 + bucket % 16) << (bucket / 16 - 4);
}

static void
note(struct count *c, int ret, uint64_t took)
{
	c->lookups++;
	c->found += ret == 1;
	c->failed += ret == -1;
	c->bucket[bucket_of(took)]++;
}

static void
make_key(struct load *l, char *out, size_t cap)
{
	char number[16];
	const char *at = strstr(l->keys, "%u");

	l->chance = l->chance * 1664525u + 1013904223u;
	snprintf(number, sizeof(number), "%u", (l->chance >> 8) % l->names);
	snprintf(
	    out, cap, "%.*s%s%s", (int)(at - l->keys), l->keys, number, at + 2);
}

static struct popmap_query
make_query(const char *key)
{
	static const struct sockaddr_in any = { .sin_family = AF_INET };

	return (struct popmap_query){
		.key = { key, strlen(key) },
		.user = { key, strlen(key) },
		.delimiter = "@",
		.protocol = "imap4",
		.client_addr = (const struct sockaddr *)&any,
		.local_addr = (const struct sockaddr *)&any,
		.port = 143,
		.timeout_ms = 9000,
	};
}

/* --- through a lookup process's maps ------------------------------------ */

static void
wake(struct memo_waiter *w, uint64_t now_ms)
{
	struct flight *f = (struct flight *)w;

	(void)now_ms;
	f->ready = f->load->ready;
	f->load->ready = f;
}

/* Asks until it has to wait. */
static void
fly(struct load *l, struct flight *f)
{
	struct err err;

	for (;;) {
		struct popmap_query q = make_query(f->key);
		struct popmap_text key = q.key;
		uint64_t now = now_ns();
		int ret = maps_ask(l->maps, &q, &key, 1, now / 1000000,
		    f->since, &f->waiter, &l->answer, &err);

		if (ret == MAPS_WAIT)
			return;
		now = now_ns();
		note(l->count, ret, now - f->began_ns);
		if (now >= l->end_ns)
			return;
		make_key(l, f->key, sizeof(f->key));
		f->began_ns = now;
		f->since = l->replies;
	}
}

static void
turn(struct load *l)
{
	struct epoll_event ready[64];
	int n = epoll_wait(l->epoll, ready, 64, 100);

	for (int i = 0; i < n; i++) {
		struct watch *w = ready[i].data.ptr;

		if (w->fd != -1)
			w->ready(w, now_ns() / 1000000);
	}
	maps_tick(l->maps, now_ns() / 1000000);
	while (l->ready != NULL) {
		struct flight *f = l->ready;

		l->ready = f->ready;
		fly(l, f);
	}
}

static int
run_maps(struct load *l)
{
	struct err err;

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (maps_open(&l->maps, &l->config, l->epoll, NULL, &l->replies,
		&err) == -1) {
		fprintf(stderr, "popmap_load: %s\n", err.msg);
		return -1;
	}
	for (unsigned int i = 0; i < l->flights; i++) {
		struct flight *f = &l->flight[i];

		f->waiter.wake = wake;
		f->load = l;
		make_key(l, f->key, sizeof(f->key));
		f->began_ns = now_ns();
		fly(l, f);
	}
	while (now_ns() < l->end_ns)
		turn(l);
	return 0;
}

/* --- the module itself -------------------------------------------------- */

static int
ask_directly(struct load *l, const char *path)
{
	struct popmap_module *m;
	struct err err;

	if (popmap_module_open(&m, path, l->options, "/etc", &err) == -1) {
		fprintf(stderr, "popmap_load: %s\n", err.msg);
		return -1;
	}
	while (now_ns() < l->end_ns) {
		char key[512];
		struct popmap_query q;
		uint64_t began;
		int ret;

		make_key(l, key, sizeof(key));
		q = make_query(key);
		began = now_ns();
		ret = popmap_module_lookup(m, &q, &l->answer, &err);
		note(l->count, ret, now_ns() - began);
	}
	popmap_module_close(&m);
	return 0;
}

static int
run_directly(struct load *l)
{
	struct count *each = mmap(NULL, l->connections * sizeof(*each),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct err err;
	char *path = popmap_module_find(l->library, l->config.module_dir, &err);
	int ret = 0;

	if (each == MAP_FAILED || path == NULL)
		return -1;
	for (unsigned int i = 0; i < l->connections; i++) {
		pid_t pid = fork();

		if (pid != 0)
			continue;
		l->count = &each[i];
		l->chance = i;
		_exit(ask_directly(l, path) == 0 ? 0 : 1);
	}
	for (unsigned int i = 0; i < l->connections; i++) {
		int status;

		if (wait(&status) == -1 || status != 0)
			ret = -1;
	}
	for (unsigned int i = 0; i < l->connections; i++) {
		l->count->lookups += each[i].lookups;
		l->count->found += each[i].found;
		l->count->failed += each[i].failed;
		for (unsigned int b = 0; b < BUCKETS; b++)
			l->count->bucket[b] += each[i].bucket[b];
	}
	free(path);
	return ret;
}

/* --- what is told ------------------------------------------------------- */

static double
percentile_us(const struct count *c, unsigned int percent)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < BUCKETS; i++) {
		sum += c->bucket[i];
		if (sum * 100 >= c->lookups * percent && sum > 0)
			return (double)ns_of(i) / 1000;
	}
	return 0;
}

static unsigned long
pss_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	unsigned long kib = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "Pss: %lu", &kib) == 1)
			break;
	}
	fclose(f);
	return kib;
}

int
main(int argc, char *argv[])
{
	static struct load load;
	struct load *l = &load;
	uint64_t began;
	unsigned int seconds;
	int ret;

	if (argc != 9 || strstr(argv[4], "%u") == NULL) {
		fprintf(stderr, "usage: popmap_load MODULE_DIR LIBRARY OPTIONS "
				"KEYS NAMES SECONDS CONNECTIONS FLIGHT\n");
		return 64;
	}
	l->library = argv[2];
	l->options = argv[3];
	l->keys = argv[4];
	l->names = (unsigned int)strtoul(argv[5], NULL, 10);
	seconds = (unsigned int)strtoul(argv[6], NULL, 10);
	l->connections = (unsigned int)strtoul(argv[7], NULL, 10);
	l->flights = (unsigned int)strtoul(argv[8], NULL, 10);
	if (l->names == 0 || l->flights > FLIGHT_MAX ||
	    l->connections > PROCESSES_MAX)
		return 64;
	l->count = calloc(1, sizeof(*l->count));
	if (l->count == NULL)
		return 71;
	l->config = (struct config){
		.map_library = { &l->library, 1 },
		.map_library_opt = { &l->options, 1 },
		.module_dir = argv[1],
		.map_timeout = 10,
		.map_connections = l->connections,
		.popmap_cache_size = 1000,
	};
	began = now_ns();
	l->end_ns = began + (uint64_t)seconds * 1000000000;
	ret = l->flights == 0 ? run_directly(l) : run_maps(l);
	printf("{\"lookups\": %llu, \"found\": %llu, \"failed\": %llu, "
	       "\"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
	       "\"pss_kib\": %lu}\n",
	    (unsigned long long)l->count->lookups,
	    (unsigned long long)l->count->found,
	    (unsigned long long)l->count->failed,
	    (double)(now_ns() - began) / 1e9, percentile_us(l->count, 50),
	    percentile_us(l->count, 99), pss_kib());
	maps_close(&l->maps);
	free(l->count);
	return ret == 0 ? 0 : 1;
}
