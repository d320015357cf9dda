/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation - one configuration, what it is told to whom, and the children
 * that work by it.
 */
#include "config.h"

#include "perdition/master_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret.h"

#include "common/banned.h"

#define FILES_WANTED 65536u /* of all workers together */
#define WORKERS_A_CORE 4u   /* at most, for the sake of files */

/* Those that this process may use. */
static unsigned int
processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == -1 ||
	    CPU_COUNT(&set) < 1)
		return 1;
	return (unsigned int)CPU_COUNT(&set);
}

/* A session is two files.  Where a process may have few, more processes hold
 * the sessions of a large site; not many more, for each costs some memory. */
static unsigned int
workers_for_files(unsigned int cores)
{
	struct rlimit files;
	rlim_t n;

	if (getrlimit(RLIMIT_NOFILE, &files) == -1 || files.rlim_cur == 0)
		return cores;
	n = FILES_WANTED / files.rlim_cur;
	if (n * files.rlim_cur < FILES_WANTED)
		n++;
	if (n <= cores)
		return cores;
	return n < WORKERS_A_CORE * cores ? (unsigned int)n
					  : WORKERS_A_CORE * cores;
}

static unsigned int
count_workers(const struct config *c)
{
	unsigned int n = c->workers;

	if (n == 0)
		n = workers_for_files(processors());
	return n < WORKER_SLOTS / 2 ? n : WORKER_SLOTS / 2;
}

/* A sealed memfd: no role can change what the next one is told. */
static int
text_to_memfd(const char *text, size_t n)
{
	int fd =
	    memfd_create("perdition-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;
	ssize_t w;

	while (fd != -1 && done < n) {
		w = write(fd, text + done, n - done);
		if (w == -1) {
			close(fd);
			return -1;
		}
		done += (size_t)w;
	}
	if (fd != -1)
		(void)fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

static char *
config_text(const struct config *c, bool secrets, size_t *n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, n);
	int ret;

	if (f == NULL)
		return NULL;
	ret = config_write_role(c, secrets, f);
	if (fclose(f) != 0 || ret == -1) {
		free(text);
		return NULL;
	}
	return text;
}

static int
make_texts(struct generation *gen)
{
	char *secret;
	size_t n;

	gen->text = config_text(&gen->config, false, &gen->text_len);
	secret = config_text(&gen->config, true, &n);
	if (gen->text != NULL)
		gen->config_fd = text_to_memfd(gen->text, gen->text_len);
	if (secret != NULL) {
		gen->secret_fd = text_to_memfd(secret, n);
		secret_wipe(secret, n);
	}
	free(secret);
	return gen->config_fd == -1 || gen->secret_fd == -1 ? -1 : 0;
}

static void
channel_close(int fd[2])
{
	if (fd[0] != -1)
		close(fd[0]);
	if (fd[1] != -1)
		close(fd[1]);
	fd[0] = fd[1] = -1;
}

/* Slots with channels of their own: what is left in the channel of a worker
 * that has gone for good must not reach another. */
static int
take_slots(struct generation *gen, struct err *err)
{
	struct master *m = gen->master;
	unsigned int want = count_workers(&gen->config);
	unsigned int slot;

	for (slot = 0; slot < WORKER_SLOTS && gen->worker_count < want;
	     slot++) {
		if (m->slot_used[slot])
			continue;
		if (msg_pair(m->lookup_channel[slot]) == -1)
			return err_set(err, EX_OSERR, "lookup channel: %s",
			    strerror(errno));
		shared_slot_wipe(m->shared, slot);
		m->slot_used[slot] = true;
		gen->slots[gen->worker_count++] = slot;
	}
	if (gen->worker_count < want)
		return err_set(err, EX_TEMPFAIL,
		    "%u workers of former configurations still have open "
		    "sessions: there is room for %d in all",
		    WORKER_SLOTS - gen->worker_count, WORKER_SLOTS);
	return 0;
}

static void
give_slots(struct generation *gen)
{
	struct master *m = gen->master;
	unsigned int i;

	if (gen->keep_workers)
		return;
	for (i = 0; i < gen->worker_count; i++) {
		channel_close(m->lookup_channel[gen->slots[i]]);
		m->slot_used[gen->slots[i]] = false;
	}
}

static struct post **
make_posts(struct generation *gen, enum role role, unsigned int n)
{
	struct post **posts = calloc(n, sizeof(struct post *));
	unsigned int i;

	for (i = 0; posts != NULL && i < n; i++) {
		posts[i] = post_create(
		    gen, role, i, role == ROLE_WORKER ? gen->slots[i] : 0);
		if (posts[i] == NULL) {
			while (i > 0)
				post_destroy(&posts[--i]);
			free(posts);
			return NULL;
		}
	}
	return posts;
}

static bool
same_for_workers(const struct generation *a, const struct generation *b)
{
	return a->text_len == b->text_len &&
	       memcmp(a->text, b->text, a->text_len) == 0 &&
	       tls_memfds_same(&a->tls, &b->tls);
}

static int
fill_in(struct generation *gen, bool keep, struct err *err)
{
	const struct generation *current = gen->master->current;

	if (make_texts(gen) == -1)
		return err_set(err, EX_OSERR, "configuration in memory: %s",
		    strerror(errno));
	gen->keep_workers =
	    keep && current != NULL && same_for_workers(gen, current);
	if (gen->keep_workers) {
		gen->worker_count = current->worker_count;
		memcpy(gen->slots, current->slots, sizeof(gen->slots));
	} else {
		if (take_slots(gen, err) == -1)
			return -1;
		gen->listeners =
		    listener_set_open(&gen->config, gen->worker_count,
			current == NULL ? NULL : current->listeners, err);
		if (gen->listeners == NULL)
			return -1;
		gen->workers = make_posts(gen, ROLE_WORKER, gen->worker_count);
	}
	gen->lookups =
	    make_posts(gen, ROLE_LOOKUP, gen->config.lookup_processes);
	gen->lookup_count = gen->config.lookup_processes;
	gen->log = post_create(gen, ROLE_LOG, 0, 0);
	if (gen->lookups == NULL || gen->log == NULL ||
	    (gen->workers == NULL && !gen->keep_workers))
		return err_set(err, EX_OSERR, "out of memory");
	return 0;
}

struct generation *
generation_create(struct master *m, struct config *config,
    struct tls_memfds *tls, bool keep, struct err *err)
{
	struct generation *gen = calloc(1, sizeof(*gen));

	if (gen == NULL) {
		config_clear(config);
		tls_memfds_close(tls);
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	gen->config = *config;
	memset(config, 0, sizeof(*config));
	gen->tls = *tls;
	*tls = TLS_MEMFDS_NONE;
	gen->master = m;
	gen->config_fd = gen->secret_fd = -1;
	if (fill_in(gen, keep, err) == -1)
		generation_destroy(&gen);
	return gen;
}

static void
destroy_posts(struct post **posts, unsigned int n)
{
	unsigned int i;

	for (i = 0; posts != NULL && i < n; i++)
		post_destroy(&posts[i]);
	free(posts);
}

void
generation_free_slots(struct generation *gen)
{
	destroy_posts(gen->workers, gen->worker_count);
	gen->workers = NULL;
	give_slots(gen);
	gen->worker_count = 0;
}

void
generation_destroy(struct generation **gp)
{
	struct generation *gen = *gp;

	*gp = NULL;
	if (gen == NULL)
		return;
	generation_free_slots(gen);
	destroy_posts(gen->lookups, gen->lookup_count);
	post_destroy(&gen->log);
	listener_set_close(&gen->listeners);
	if (gen->config_fd != -1)
		close(gen->config_fd);
	if (gen->secret_fd != -1)
		close(gen->secret_fd);
	tls_memfds_close(&gen->tls);
	free(gen->text);
	config_clear(&gen->config);
	free(gen);
}

/* Posts by number, whatever their role; NULL behind the last. */
static struct post *
nth_post(const struct generation *gen, unsigned int i)
{
	unsigned int workers = gen->workers == NULL ? 0 : gen->worker_count;

	if (i == 0)
		return gen->log;
	i--;
	if (i < gen->lookup_count)
		return gen->lookups[i];
	i -= gen->lookup_count;
	return i < workers ? gen->workers[i] : NULL;
}

int
generation_start(struct generation *gen, struct err *err)
{
	struct post *p;
	unsigned int i;

	for (i = 0; (p = nth_post(gen, i)) != NULL; i++) {
		if (p->role != ROLE_WORKER && post_fill(p, err) == -1)
			return -1;
	}
	return 0;
}

int
generation_go_on(struct generation *gen, struct err *err)
{
	struct post *p;
	unsigned int i;

	for (i = 0; (p = nth_post(gen, i)) != NULL; i++) {
		if (p->role != ROLE_WORKER && p->state != POST_READY)
			return 0;
	}
	if (gen->workers_started)
		return 0;
	gen->workers_started = true;
	for (i = 0; (p = nth_post(gen, i)) != NULL; i++) {
		if (p->role == ROLE_WORKER && post_fill(p, err) == -1)
			return -1;
	}
	return 0;
}

const struct post *
generation_late(const struct generation *gen)
{
	const struct post *p;
	unsigned int i;

	for (i = 0; (p = nth_post(gen, i)) != NULL; i++) {
		if (p->state != POST_READY)
			return p;
	}
	return NULL;
}

bool
generation_ready(const struct generation *gen)
{
	return generation_late(gen) == NULL;
}

unsigned int
generation_living(const struct generation *gen, enum role role)
{
	const struct post *p;
	unsigned int n = 0;
	unsigned int i;

	for (i = 0; (p = nth_post(gen, i)) != NULL; i++) {
		if (p->role == role && p->process != NULL)
			n++;
	}
	return n;
}

void
generation_send(struct generation *gen, enum role role, enum request_type type)
{
	struct post *p;
	unsigned int i;

	for (i = 0; (p = nth_post(gen, i)) != NULL; i++) {
		if (p->role == role && p->process != NULL)
			post_send(p, type);
	}
}

void
generation_move_workers(struct generation *to, struct generation *from)
{
	unsigned int i;

	to->workers = from->workers;
	to->listeners = from->listeners;
	to->keep_workers = false;
	for (i = 0; i < to->worker_count; i++)
		to->workers[i]->gen = to;
	from->workers = NULL;
	from->listeners = NULL;
	from->worker_count = 0; /* its slots are to's now */
}
