/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shared - a memfd that all workers map.
 *
 * A worker that was taken over can write what it likes here, so nothing read
 * from it is used as an index or a length: the worst that a liar reaches is a
 * wrong count.
 */
#include "config.h"

#include "perdition/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

#define COUNTERS 32768u    /* each slot's; a power of two */
#define COUNTER_PROBES 64u /* neighbours looked at before it is full */
#define SERVERS 512u /* real-servers that are remembered; a power of two */
#define SERVER_PROBES 16u

#define PENALTY_FIRST_MS 1000u
#define PENALTY_MAX_MS 60000u

struct counter {
	_Atomic uint64_t hash;  /* 0: free */
	_Atomic uint32_t count; /* 0 with a hash: free, but probing goes on */
};

struct server {
	_Atomic uint64_t hash; /* 0: free */
	_Atomic uint64_t until_ms;
	_Atomic uint32_t failures;
};

struct slot {
	_Atomic uint32_t sessions;
	_Atomic uint32_t counters; /* that are in use, so that idle slots cost
				    * a reader nothing */
	/* Behind them a page's rest is wasted, so that wiping can punch. */
	_Alignas(4096) struct counter counter[COUNTERS];
};

struct area {
	struct hash_key key;
	_Atomic uint32_t turn;
	struct server server[SERVERS];
	_Alignas(4096) struct slot slot[WORKER_SLOTS];
};

struct shared {
	struct area *area;
};

static struct shared *
attach(int fd)
{
	struct shared *s = calloc(1, sizeof(*s));
	void *p;

	if (s == NULL)
		return NULL;
	p = mmap(
	    NULL, sizeof(*s->area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		free(s);
		return NULL;
	}
	s->area = p;
	return s;
}

struct shared *
shared_create(int *fd)
{
	struct shared *s = NULL;
	int saved;

	*fd = memfd_create("perdition-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd == -1)
		return NULL;
	if (ftruncate(*fd, sizeof(struct area)) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		s = attach(*fd);
	if (s != NULL && hash_key_make(&s->area->key) == -1)
		shared_detach(&s);
	if (s == NULL) {
		saved = errno;
		close(*fd);
		*fd = -1;
		errno = saved;
	}
	return s;
}

struct shared *
shared_attach(int fd)
{
	struct stat st;

	/* Reading behind the end would be a signal, not an error. */
	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size != (off_t)sizeof(struct area)) {
		errno = EINVAL;
		return NULL;
	}
	return attach(fd);
}

void
shared_detach(struct shared **sp)
{
	struct shared *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	munmap(s->area, sizeof(*s->area));
	free(s);
}

void
shared_slot_wipe(struct shared *s, unsigned int slot)
{
	struct slot *p = &s->area->slot[slot % WORKER_SLOTS];

	if (madvise(p, sizeof(*p), MADV_REMOVE) == -1)
		memset(p, 0, sizeof(*p));
}

uint32_t
shared_turn(struct shared *s)
{
	return atomic_fetch_add_explicit(
	    &s->area->turn, 1, memory_order_relaxed);
}

void
shared_sessions_add(struct shared *s, unsigned int slot, int delta)
{
	atomic_fetch_add_explicit(&s->area->slot[slot % WORKER_SLOTS].sessions,
	    (uint32_t)delta, memory_order_relaxed);
}

uint32_t
shared_sessions(const struct shared *s)
{
	uint32_t sum = 0;
	unsigned int i;

	for (i = 0; i < WORKER_SLOTS; i++)
		sum += atomic_load_explicit(
		    &s->area->slot[i].sessions, memory_order_relaxed);
	return sum;
}

uint64_t
shared_hash(const struct shared *s, struct slice kind, struct slice name)
{
	struct {
		uint64_t kind, name;
	} both;
	uint64_t h;

	/* One inside the other, so that no kind and name run together. */
	both.kind = hash_bytes(&s->area->key, kind);
	both.name = hash_bytes(&s->area->key, name);
	h = hash_bytes(
	    &s->area->key, slice_make((const char *)&both, sizeof(both)));
	return h == 0 ? 1 : h;
}

/* The counter of this hash in a slot, or NULL. */
static struct counter *
counter_find(struct slot *slot, uint64_t hash)
{
	unsigned int i;

	for (i = 0; i < COUNTER_PROBES; i++) {
		struct counter *c = &slot->counter[(hash + i) % COUNTERS];
		uint64_t have =
		    atomic_load_explicit(&c->hash, memory_order_relaxed);

		if (have == hash)
			return c;
		if (have == 0)
			return NULL;
	}
	return NULL;
}

/* A free one for it; only by the slot's own worker. */
static struct counter *
counter_take(struct slot *slot, uint64_t hash)
{
	unsigned int i;

	for (i = 0; i < COUNTER_PROBES; i++) {
		struct counter *c = &slot->counter[(hash + i) % COUNTERS];

		if (atomic_load_explicit(&c->count, memory_order_relaxed) != 0)
			continue;
		atomic_store_explicit(&c->hash, hash, memory_order_relaxed);
		atomic_fetch_add_explicit(
		    &slot->counters, 1, memory_order_relaxed);
		return c;
	}
	return NULL;
}

/* An entry that nothing counts is made free where no probing needs it, and
 * those before it that were kept only for its sake. */
static void
counter_drop(struct slot *slot, struct counter *c)
{
	size_t i = (size_t)(c - slot->counter);

	atomic_fetch_sub_explicit(&slot->counters, 1, memory_order_relaxed);
	while (atomic_load_explicit(&slot->counter[(i + 1) % COUNTERS].hash,
		   memory_order_relaxed) == 0 &&
	       atomic_load_explicit(
		   &slot->counter[i].hash, memory_order_relaxed) != 0 &&
	       atomic_load_explicit(
		   &slot->counter[i].count, memory_order_relaxed) == 0) {
		atomic_store_explicit(
		    &slot->counter[i].hash, 0, memory_order_relaxed);
		i = (i + COUNTERS - 1) % COUNTERS;
	}
}

uint32_t
shared_count(const struct shared *s, uint64_t hash)
{
	uint32_t sum = 0;
	unsigned int i;

	for (i = 0; i < WORKER_SLOTS; i++) {
		struct slot *slot = &s->area->slot[i];
		struct counter *c;

		if (atomic_load_explicit(
			&slot->counters, memory_order_relaxed) == 0)
			continue;
		c = counter_find(slot, hash);
		if (c != NULL)
			sum += atomic_load_explicit(
			    &c->count, memory_order_relaxed);
	}
	return sum;
}

uint32_t
shared_count_add(
    struct shared *s, unsigned int number, uint64_t hash, int delta)
{
	struct slot *slot = &s->area->slot[number % WORKER_SLOTS];
	struct counter *c = counter_find(slot, hash);
	uint32_t count = 0;

	if (c != NULL)
		count = atomic_load_explicit(&c->count, memory_order_relaxed);
	if (delta > 0) {
		if (c == NULL)
			c = counter_take(slot, hash);
		else if (count == 0)
			atomic_fetch_add_explicit(
			    &slot->counters, 1, memory_order_relaxed);
		if (c != NULL)
			atomic_store_explicit(&c->count,
			    count + (uint32_t)delta, memory_order_relaxed);
	} else if (delta < 0 && count > 0) {
		count = count > -(uint32_t)delta ? count + (uint32_t)delta : 0;
		atomic_store_explicit(&c->count, count, memory_order_relaxed);
		if (count == 0)
			counter_drop(slot, c);
	}
	return shared_count(s, hash);
}

static uint64_t
server_hash(const struct shared *s, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	size_t n = addr_write_port(addr, text);

	return shared_hash(s, SLICE("server"), slice_make(text, n));
}

static struct server *
server_find(const struct shared *s, uint64_t hash)
{
	unsigned int i;

	for (i = 0; i < SERVER_PROBES; i++) {
		struct server *p = &s->area->server[(hash + i) % SERVERS];

		if (atomic_load(&p->hash) == hash)
			return p;
	}
	return NULL;
}

/* A place for it: a free one, or else that of the server among the neighbours
 * whose penalty ends first. */
static struct server *
server_take(struct shared *s, uint64_t hash)
{
	struct server *oldest = NULL;
	unsigned int i;

	for (i = 0; i < SERVER_PROBES; i++) {
		struct server *p = &s->area->server[(hash + i) % SERVERS];
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&p->hash, &none, hash) ||
		    none == hash)
			return p;
		if (oldest == NULL ||
		    atomic_load(&p->until_ms) < atomic_load(&oldest->until_ms))
			oldest = p;
	}
	atomic_store(&oldest->failures, 0);
	atomic_store(&oldest->until_ms, 0);
	atomic_store(&oldest->hash, hash);
	return oldest;
}

void
shared_server_failed(struct shared *s, const struct addr *addr, uint64_t now_ms)
{
	uint64_t hash = server_hash(s, addr);
	struct server *p = server_find(s, hash);
	uint32_t failures;
	uint64_t ms = PENALTY_FIRST_MS;
	uint32_t i;

	if (p == NULL)
		p = server_take(s, hash);
	/* Many sessions that fail together are one failure. */
	if (atomic_load(&p->until_ms) > now_ms)
		return;
	failures = atomic_load(&p->failures);
	for (i = 0; i < failures && ms < PENALTY_MAX_MS; i++)
		ms *= 2;
	if (ms >= PENALTY_MAX_MS)
		ms = PENALTY_MAX_MS;
	else
		atomic_store(&p->failures, failures + 1);
	atomic_store(&p->until_ms, now_ms + ms);
}

void
shared_server_worked(struct shared *s, const struct addr *addr)
{
	struct server *p = server_find(s, server_hash(s, addr));

	if (p == NULL || atomic_load(&p->failures) == 0)
		return;
	atomic_store(&p->failures, 0);
	atomic_store(&p->until_ms, 0);
}

bool
shared_server_penalised(
    const struct shared *s, const struct addr *addr, uint64_t now_ms)
{
	struct server *p = server_find(s, server_hash(s, addr));

	return p != NULL && atomic_load(&p->until_ms) > now_ms;
}
