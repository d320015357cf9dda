/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask_pool - see ask_pool.h.
 */
#include "config.h"

#include "perdition/ask_pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/ask_process.h"

#include "common/banned.h"

#define START_WAIT_MS 30000
/* What cannot be started now is not tried at each request. */
#define PAUSE_MS 500
/* How long the killed may take to be gone. */
#define REAP_MS 10
/* Requests at a process: the one that it serves, and the next. */
#define AT_ONCE 2
/* Who is slower gains nothing from the next request's being there. */
#define QUICK_MS 2
/* Who takes so long with one has the next one taken back: it may never end. */
#define STUCK_MS 20
/* Of the weights of the moving average of how long requests take. */
#define SHARES 16

struct waiting {
	struct waiting *next;
	void *owner;
	uint64_t until; /* ms, when it is given up */
	size_t n;
	char bytes[];
};

enum process_state {
	PROCESS_NONE,
	PROCESS_STARTING, /* has not said yet whether it could open */
	PROCESS_IDLE,
	PROCESS_BUSY,
	PROCESS_ENDING, /* killed or ended; its pid is still taken */
};

struct process {
	struct watch watch; /* first: an event's pointer is to it */
	struct ask_pool *pool;
	enum process_state state;
	pid_t pid;
	uint64_t until; /* BUSY, STARTING: then it is killed; ENDING: then it is
			 * looked for */
	uint64_t since; /* BUSY: with the first of its requests */
	unsigned int sent;                /* requests it has not answered */
	struct waiting *request[AT_ONCE]; /* those; NULL: it was given up */
};

struct ask_pool {
	struct ask_pool_settings set;
	void *state; /* where whoever asks serves */
	bool opened;
	bool failing;
	uint64_t took; /* ms / SHARES, on average, for a request */
	uint64_t pause_until;
	char why[256]; /* the last start that failed */
	struct waiting *head, **tail;
	char *packet; /* MSG_MAX bytes */
	struct process process[];
};

static void
finish(struct ask_pool *p, struct waiting *r, struct slice reply,
    const char *why, uint64_t now)
{
	void *owner = r->owner;

	free(r);
	if (reply.p == NULL)
		p->failing = true;
	p->set.done(owner, reply, why, now);
}

static void
fail(struct ask_pool *p, struct waiting *r, const char *why, uint64_t now)
{
	finish(p, r, slice_make(NULL, 0), why, now);
}

static struct waiting *
dequeue(struct ask_pool *p)
{
	struct waiting *r = p->head;

	p->head = r->next;
	if (p->head == NULL)
		p->tail = &p->head;
	return r;
}

/* To those that wait, in front of all that were asked for later. */
static void
put_back(struct ask_pool *p, struct waiting *r)
{
	struct waiting **at = &p->head;

	while (*at != NULL && (*at)->until < r->until)
		at = &(*at)->next;
	r->next = *at;
	*at = r;
	if (r->next == NULL)
		p->tail = &r->next;
}

/* --- processes ---------------------------------------------------------- */

static void
process_reap(struct process *c, uint64_t now)
{
	pid_t got = waitpid(c->pid, NULL, WNOHANG);

	c->until = now + REAP_MS;
	if (got == c->pid || (got == -1 && errno == ECHILD))
		c->state = PROCESS_NONE;
}

/* The first of its requests is done with; NULL when nobody wants it. */
static struct waiting *
next_request(struct process *c, uint64_t now)
{
	struct waiting *r = c->request[0];

	c->sent--;
	memmove(
	    &c->request[0], &c->request[1], c->sent * sizeof(c->request[0]));
	c->state = c->sent == 0 ? PROCESS_IDLE : PROCESS_BUSY;
	c->since = now;
	c->until = now + c->pool->set.limit_ms;
	return r;
}

/* Those behind the first are to be served by others. */
static void
take_back(struct process *c)
{
	for (unsigned int i = 1; i < c->sent; i++) {
		if (c->request[i] != NULL)
			put_back(c->pool, c->request[i]);
		c->request[i] = NULL;
	}
}

/* Nothing comes from it any more. */
static void
process_end(struct process *c, uint64_t now)
{
	epoll_ctl(c->pool->set.epoll, EPOLL_CTL_DEL, c->watch.fd, NULL);
	close(c->watch.fd);
	c->watch.fd = -1;
	kill(c->pid, SIGKILL);
	c->state = PROCESS_ENDING;
	process_reap(c, now);
}

static void
process_lost(struct process *c, const char *why, uint64_t now)
{
	struct ask_pool *p = c->pool;
	struct waiting *r = c->sent == 0 ? NULL : c->request[0];
	bool starting = c->state == PROCESS_STARTING;

	take_back(c);
	c->sent = 0;
	process_end(c, now);
	log_event(LOG_WARNING, "lookup-helper-lost",
	    LOG_STR("map", p->set.ops->name), LOG_STR("why", why));
	if (starting)
		p->pause_until = now + PAUSE_MS;
	if (r != NULL)
		fail(p, r, why, now);
}

static void pump(struct ask_pool *, uint64_t now);

static void
take_start(struct process *c, struct slice packet, uint64_t now)
{
	struct ask_pool *p = c->pool;
	struct slice text;

	if (packet.n == 1 && packet.p[0] == ASK_PROCESS_READY) {
		c->state = PROCESS_IDLE;
		p->why[0] = '\0';
		return;
	}
	text = slice_skip(packet, packet.n > 0);
	if (text.n >= sizeof(p->why))
		text.n = sizeof(p->why) - 1;
	memcpy(p->why, text.p, text.n);
	p->why[text.n] = '\0';
	process_lost(c, p->why, now);
}

static void
take_reply(struct process *c, struct slice packet, uint64_t now)
{
	struct ask_pool *p = c->pool;
	struct waiting *r;

	p->took = p->took - p->took / SHARES + (now - c->since);
	r = next_request(c, now);
	if (r != NULL)
		finish(p, r, packet, NULL, now);
}

static void
process_ready(struct watch *w, uint64_t now)
{
	struct process *c = (struct process *)w;
	struct ask_pool *p = c->pool;
	ssize_t n = msg_recv(w->fd, p->packet, MSG_MAX);

	if (n == -1 && errno == EAGAIN)
		return;
	/* When it ended with a request unread, that is told before what it had
	 * answered. */
	if (n == 0)
		n = msg_recv(w->fd, p->packet, MSG_MAX);
	if (n <= 0)
		process_lost(c, "its process ended", now);
	else if (c->state == PROCESS_STARTING)
		take_start(c, slice_make(p->packet, (size_t)n), now);
	else if (c->sent > 0)
		take_reply(c, slice_make(p->packet, (size_t)n), now);
	pump(p, now);
}

static int
process_start(struct ask_pool *p, struct process *c, uint64_t now)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &c->watch };
	int fd = ask_process_start(p->set.ops, p->set.arg, &c->pid);

	if (fd == -1)
		return -1;
	c->watch.fd = fd;
	c->state = PROCESS_STARTING;
	c->sent = 0;
	c->until = now + (p->set.limit_ms > START_WAIT_MS ? p->set.limit_ms
							  : START_WAIT_MS);
	if (epoll_ctl(p->set.epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
		return 0;
	process_end(c, now);
	return -1;
}

/* --- what waits --------------------------------------------------------- */

static unsigned int
index_of(const struct ask_pool *p, enum process_state state)
{
	unsigned int i = 0;

	while (i < p->set.processes && p->process[i].state != state)
		i++;
	return i;
}

static bool
has(const struct ask_pool *p, enum process_state state)
{
	return index_of(p, state) < p->set.processes;
}

static struct process *
find(struct ask_pool *p, enum process_state state)
{
	return has(p, state) ? &p->process[index_of(p, state)] : NULL;
}

/* All are busy: the one at which the next request waits least, if that is
 * worth it. */
static struct process *
find_second(struct ask_pool *p, uint64_t now)
{
	struct process *best = NULL;

	if (p->took >= QUICK_MS * SHARES)
		return NULL;
	for (unsigned int i = 0; i < p->set.processes; i++) {
		struct process *c = &p->process[i];

		if (c->state != PROCESS_BUSY)
			return NULL;
		if (c->sent < AT_ONCE && now < c->since + STUCK_MS &&
		    (best == NULL || c->since < best->since))
			best = c;
	}
	return best;
}

/* False when c took it not, and is busy with another. */
static bool
hand_over(struct ask_pool *p, struct process *c, uint64_t now)
{
	struct waiting *r = dequeue(p);

	if (c->state == PROCESS_IDLE) {
		c->state = PROCESS_BUSY;
		c->since = now;
		c->until = now + p->set.limit_ms;
	}
	c->request[c->sent++] = r;
	if (msg_send(c->watch.fd, slice_make(r->bytes, r->n)) == 0)
		return true;
	if (c->sent > 1) {
		c->sent--;
		put_back(p, r);
		return false;
	}
	if (errno == EPIPE) { /* it has ended: r is no reason */
		c->sent = 0;
		put_back(p, r);
		process_lost(c, "its process ended", now);
		return true;
	}
	process_lost(c, strerror(errno), now);
	return true;
}

/* No process is alive and none may be started yet. */
static void
fail_all(struct ask_pool *p, uint64_t now)
{
	struct waiting *list = p->head;

	p->head = NULL;
	p->tail = &p->head;
	while (list != NULL) {
		struct waiting *r = list;

		list = r->next;
		fail(p, r, p->why[0] == '\0' ? "cannot be started" : p->why,
		    now);
	}
}

/* One more for those that wait, unless one is on its way for them. */
static void
start_more(struct ask_pool *p, uint64_t now)
{
	struct process *c = find(p, PROCESS_NONE);

	if (c == NULL || has(p, PROCESS_STARTING))
		return;
	if (now >= p->pause_until) {
		if (process_start(p, c, now) == 0)
			return;
		p->pause_until = now + PAUSE_MS;
		log_event(LOG_ERR, "lookup-helper-start",
		    LOG_STR("map", p->set.ops->name),
		    LOG_STR("why", strerror(errno)));
	}
	if (!has(p, PROCESS_BUSY))
		fail_all(p, now);
}

static void
pump(struct ask_pool *p, uint64_t now)
{
	struct process *c;

	while (p->head != NULL) {
		c = find(p, PROCESS_IDLE);
		if (c == NULL)
			c = find_second(p, now);
		if (c == NULL || !hand_over(p, c, now))
			break;
	}
	if (p->head != NULL)
		start_more(p, now);
}

static void
serve_here(struct ask_pool *p, struct slice request, void *owner, uint64_t now)
{
	struct msg_writer w;

	msg_write_init(&w, p->packet, MSG_MAX);
	p->set.ops->serve(p->state, request, &w);
	if (w.failed)
		p->set.done(owner, slice_make(NULL, 0), "reply too long", now);
	else
		p->set.done(owner, slice_make(p->packet, w.n), NULL, now);
}

int
ask_pool_ask(
    struct ask_pool *p, struct slice request, void *owner, uint64_t now_ms)
{
	struct waiting *r;

	if (p->set.processes == 0) {
		serve_here(p, request, owner, now_ms);
		return 0;
	}
	r = malloc(sizeof(*r) + request.n);
	if (r == NULL)
		return -1;
	r->next = NULL;
	r->owner = owner;
	r->until = now_ms + p->set.limit_ms;
	r->n = request.n;
	memcpy(r->bytes, request.p, request.n);
	*p->tail = r;
	p->tail = &r->next;
	pump(p, now_ms);
	return 0;
}

/* --- time --------------------------------------------------------------- */

static void
process_tick(struct process *c, uint64_t now)
{
	static const char why[] = "no answer in time";

	if (c->state == PROCESS_ENDING)
		process_reap(c, now);
	if (c->state != PROCESS_BUSY && c->state != PROCESS_STARTING)
		return;
	if (now >= c->until) {
		c->pool->took += c->pool->set.limit_ms;
		process_lost(c, why, now);
		return;
	}
	if (now >= c->since + STUCK_MS)
		take_back(c);
	for (unsigned int i = 0; i < c->sent; i++) {
		struct waiting *r = c->request[i];

		if (r == NULL || now < r->until)
			continue;
		/* It waited for its turn; the process goes on with it. */
		c->request[i] = NULL;
		fail(c->pool, r, why, now);
	}
}

void
ask_pool_tick(struct ask_pool *p, uint64_t now_ms)
{
	for (unsigned int i = 0; i < p->set.processes; i++)
		process_tick(&p->process[i], now_ms);
	while (p->head != NULL && now_ms >= p->head->until)
		fail(p, dequeue(p), "no answer in time", now_ms);
	pump(p, now_ms);
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
process_due(const struct process *c)
{
	uint64_t due = c->until;

	if (c->state == PROCESS_NONE || c->state == PROCESS_IDLE)
		return UINT64_MAX;
	for (unsigned int i = 0; i < c->sent; i++) {
		if (c->request[i] == NULL)
			continue;
		due = sooner(due, c->request[i]->until);
		if (i > 0)
			due = sooner(due, c->since + STUCK_MS);
	}
	return due;
}

uint64_t
ask_pool_due(const struct ask_pool *p)
{
	uint64_t due = p->head == NULL ? UINT64_MAX : p->head->until;

	for (unsigned int i = 0; i < p->set.processes; i++) {
		const struct process *c = &p->process[i];

		due = sooner(due, process_due(c));
	}
	if (p->head != NULL && has(p, PROCESS_NONE) &&
	    !has(p, PROCESS_STARTING))
		due = sooner(due, p->pause_until);
	return due;
}

bool
ask_pool_failing(const struct ask_pool *p)
{
	return p->failing;
}

void
ask_pool_set_failing(struct ask_pool *p, bool failing)
{
	p->failing = failing;
}

/* --- begin and end ------------------------------------------------------ */

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The first process, to see whether it can be. */
static int
try_start(struct ask_pool *p, struct err *err)
{
	struct process *c = &p->process[0];
	struct pollfd pfd = { .events = POLLIN };
	int got;

	if (process_start(p, c, now_ms()) == -1)
		return err_set(
		    err, errno, "%s: %s", p->set.ops->name, strerror(errno));
	pfd.fd = c->watch.fd;
	do
		got = poll(&pfd, 1, START_WAIT_MS);
	while (got == -1 && errno == EINTR);
	if (got != 1)
		return err_set(err, ETIMEDOUT, "popmap %s: does not open",
		    p->set.ops->name);
	process_ready(&c->watch, now_ms());
	if (c->state == PROCESS_IDLE)
		return 0;
	if (p->why[0] == '\0') /* it was killed, perhaps for want of memory */
		return err_set(err, EAGAIN,
		    "%s: its process ended while it started", p->set.ops->name);
	return err_set(err, EINVAL, "%s", p->why);
}

int
ask_pool_open(
    struct ask_pool **pp, const struct ask_pool_settings *set, struct err *err)
{
	struct ask_pool *p =
	    calloc(1, sizeof(*p) + set->processes * sizeof(struct process));
	int ret = -1;

	*pp = p;
	if (p == NULL)
		return err_set(err, ENOMEM, "out of memory");
	p->set = *set;
	p->tail = &p->head;
	p->took = QUICK_MS * SHARES; /* until it has shown */
	for (unsigned int i = 0; i < set->processes; i++) {
		p->process[i].watch = (struct watch){ process_ready, -1 };
		p->process[i].pool = p;
	}
	p->packet = malloc(MSG_MAX);
	if (p->packet == NULL)
		err_set(err, ENOMEM, "out of memory");
	else if (set->processes > 0)
		ret = set->late ? 0 : try_start(p, err);
	else
		ret = set->ops->open(set->arg, &p->state, err);
	p->opened = ret == 0;
	if (ret == -1)
		ask_pool_close(pp);
	return ret;
}

void
ask_pool_close(struct ask_pool **pp)
{
	struct ask_pool *p = *pp;

	if (p == NULL)
		return;
	for (unsigned int i = 0; i < p->set.processes; i++) {
		struct process *c = &p->process[i];

		for (unsigned int k = 0; k < c->sent; k++)
			free(c->request[k]);
		/* Those that do nothing end by themselves, in good order. */
		if (c->state == PROCESS_IDLE)
			close(c->watch.fd);
		else if (c->watch.fd != -1)
			process_end(c, 0);
	}
	while (p->head != NULL)
		free(dequeue(p));
	if (p->set.processes == 0 && p->opened)
		p->set.ops->close(p->state);
	free(p->packet);
	free(p);
	*pp = NULL;
}
