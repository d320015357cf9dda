/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup_role - see lookup_role.h.
 */
#include "config.h"

#include "perdition/lookup_role.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/msg.h"
#include "perdition/logq.h"
#include "perdition/lookup.h"
#include "perdition/outbox.h"
#include "perdition/request.h"

#include "common/banned.h"

/* Bytes of answers kept for a worker that does not take them; when it has
 * stopped for so long, its sessions have given up. */
#define ANSWERS_MAX (1024 * 1024)
#define LOG_RETRY_MS 100
/* How much of map_timeout a question has here: less than its session, more
 * than a map. */
#define LIMIT_PERCENT 97
/* Below this, sending a packet costs more than answering a question. */
#define QUICK_NS 50000

struct worker {
	struct watch watch; /* first: an event's pointer is to it */
	struct role *role;
	struct outbox answers; /* while there are some, nothing is read */
	bool losing;           /* answers; logged */
};

/* A question whose answer is on its way. */
struct pending {
	struct memo_waiter waiter; /* first: wake() is given this */
	struct role *role;
	struct pending *next, **prev; /* of all, in the order of asking */
	struct pending *ready;        /* the next one to be asked again */
	struct resolve_when when;
	uint64_t asked_ms;
	struct worker *worker; /* who asked */
	struct lookup_question question;
};

struct role {
	struct watch control; /* first: an event's pointer is to it */
	const struct config *config;
	struct lookup *lookup;
	struct logq *log;
	int epoll;
	unsigned int slots;
	struct worker worker[WORKER_SLOTS];
	struct pending *oldest, **newest; /* list */
	struct pending *ready, **last_ready;
	struct pending *spare; /* for the next question */
	bool ended;
	bool log_waits;   /* some lines could not be handed on yet */
	uint64_t cost_ns; /* of a question, a moving average */
	struct lookup_answer answer;
	char packet[MSG_MAX];
	char text[MSG_MAX];    /* one answer */
	char answers[MSG_MAX]; /* the packet that is being made */
	struct msg_writer out; /* into it */
	unsigned int gathered; /* answers in it */
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int
tell_ready(void)
{
	uint16_t type = CONTROL_READY;

	return msg_send(
	    ROLE_FD_CONTROL, slice_make((const char *)&type, sizeof(type)));
}

static void
read_control(struct watch *w, uint64_t now_ms)
{
	struct role *r = (struct role *)w;
	struct msg_reader in;
	uint16_t type;
	ssize_t n = msg_recv(w->fd, r->packet, sizeof(r->packet));

	(void)now_ms;
	if (n == -1 && (errno == EAGAIN || errno == EMSGSIZE))
		return;
	if (n <= 0) { /* no master, no use */
		r->ended = true;
		return;
	}
	msg_read_init(&in, slice_make(r->packet, (size_t)n));
	type = msg_get_u16(&in);
	if (type == CONTROL_STOP || type == CONTROL_DRAIN)
		r->ended = true;
	else
		log_event(LOG_ERR, "control-unknown", LOG_U64("type", type));
}

static int
watch(struct role *r, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, w->fd, &ev);
}

/* Of the processes that wait for questions at a worker's channel one is woken,
 * not all. */
static int
watch_questions(struct worker *w)
{
	return watch(w->role, &w->watch, EPOLLIN | EPOLLEXCLUSIVE);
}

/* Not both: what is exclusive cannot be modified, and a worker that takes no
 * answers is to ask for no more. */
static void
watch_other(struct worker *w)
{
	int ret;

	epoll_ctl(w->role->epoll, EPOLL_CTL_DEL, w->watch.fd, NULL);
	ret = outbox_is_empty(&w->answers)
		  ? watch_questions(w)
		  : watch(w->role, &w->watch, EPOLLOUT);
	if (ret == -1)
		log_event(
		    LOG_ERR, "lookup-poll", LOG_STR("why", strerror(errno)));
}

static void
send_answer(struct worker *w, struct slice packet)
{
	bool waited = !outbox_is_empty(&w->answers);

	if (outbox_send(&w->answers, w->watch.fd, packet, ANSWERS_MAX) == -1 &&
	    !w->losing) {
		w->losing = true;
		log_event(LOG_WARNING, "lookup-answer-lost",
		    LOG_U64("worker", (uint64_t)(w - w->role->worker)),
		    LOG_STR("why", strerror(errno)));
	}
	if (!waited && !outbox_is_empty(&w->answers))
		watch_other(w);
}

/* --- answers ------------------------------------------------------------ */

static bool
is_quick(const struct role *r)
{
	return r->cost_ns < QUICK_NS;
}

static void
begin_answers(struct role *r)
{
	msg_write_init(&r->out, r->answers, sizeof(r->answers));
	msg_put_u16(&r->out, LOOKUP_ANSWER);
	msg_put_u8(&r->out, is_quick(r));
	r->gathered = 0;
}

static void
send_answers(struct role *r, struct worker *w)
{
	if (r->gathered > 0)
		send_answer(w, slice_make(r->answers, r->out.n));
}

/* Whether there is an answer, in r->answer. */
static bool
ask(struct role *r, struct pending *p)
{
	uint64_t began = now_ns(), took;
	bool done;

	p->when.now_ms = began / 1000000;
	done = lookup_ask(r->lookup, &p->question, &p->when, &r->answer);
	took = now_ns() - began;
	r->cost_ns = r->cost_ns - r->cost_ns / 8 + took / 8;
	return done;
}

/* r->answer, to the packet. */
static void
answer(struct role *r, const struct lookup_question *q, struct worker *w)
{
	struct msg_writer before = r->out;
	struct slice text;
	long n;

	if (r->answer.status == LOOKUP_FAILED)
		log_event(LOG_ERR, "lookup-failed",
		    LOG_SLICE("user", slice_make(q->user, q->user_len)),
		    LOG_STR("why", r->answer.text));
	n = lookup_answer_write(&r->answer, r->text, sizeof(r->text));
	if (n == -1) { /* cannot be: every answer is sound and fits */
		log_event(LOG_ERR, "lookup-answer-unsound");
		return;
	}
	text = slice_make(r->text, (size_t)n);
	msg_put_slice(&r->out, text);
	if (r->out.failed) { /* the packet is full */
		r->out = before;
		send_answers(r, w);
		begin_answers(r);
		msg_put_slice(&r->out, text);
	}
	r->gathered++;
}

/* --- questions that wait ------------------------------------------------ */

/* The woken is asked again later, not in the midst of another question. */
static void
wake(struct memo_waiter *w, uint64_t now_ms)
{
	struct pending *p = (struct pending *)w;
	struct role *r = p->role;

	(void)now_ms;
	p->ready = NULL;
	*r->last_ready = p;
	r->last_ready = &p->ready;
}

static void
keep(struct role *r, struct pending *p)
{
	p->next = NULL;
	p->prev = r->newest;
	*r->newest = p;
	r->newest = &p->next;
}

static void
drop(struct role *r, struct pending *p)
{
	memo_waiter_leave(&p->waiter);
	*p->prev = p->next;
	if (p->next == NULL)
		r->newest = p->prev;
	else
		p->next->prev = p->prev;
	free(p);
}

/* A place for the next question; NULL with errno. */
static struct pending *
spare(struct role *r)
{
	struct pending *p = r->spare;

	if (p == NULL)
		p = malloc(sizeof(*p));
	r->spare = p;
	if (p == NULL)
		return NULL;
	memset(p, 0, offsetof(struct pending, question));
	p->waiter.wake = wake;
	p->role = r;
	p->when.waiter = &p->waiter;
	return p;
}

/* One answer that nobody else's is to wait for. */
static void
answer_alone(struct role *r, struct pending *p)
{
	begin_answers(r);
	answer(r, &p->question, p->worker);
	send_answers(r, p->worker);
	drop(r, p);
}

static void
ask_ready(struct role *r)
{
	while (r->ready != NULL) {
		struct pending *p = r->ready;

		r->ready = p->ready;
		if (r->ready == NULL)
			r->last_ready = &r->ready;
		if (ask(r, p))
			answer_alone(r, p);
	}
}

static uint64_t
limit_ms(const struct role *r)
{
	return (uint64_t)r->config->map_timeout * 10 * LIMIT_PERCENT;
}

/* All have the same time, so the oldest is the first. */
static void
give_up(struct role *r, uint64_t now_ms)
{
	while (
	    r->oldest != NULL && now_ms >= r->oldest->asked_ms + limit_ms(r)) {
		struct pending *p = r->oldest;

		lookup_give_up(
		    &p->question, "no answer within map_timeout", &r->answer);
		answer_alone(r, p);
	}
}

/* --- questions ---------------------------------------------------------- */

static bool
parse_question(struct role *r, struct slice text, struct lookup_question *q)
{
	return lookup_question_parse(text, q) == 0 &&
	       q->listener < r->config->listener_count;
}

static void
take_question(struct role *r, struct pending *p, struct worker *w)
{
	p->asked_ms = now_ns() / 1000000;
	p->when.since = lookup_replies(r->lookup);
	p->worker = w;
	if (ask(r, p)) {
		/* What one map is asked for while another is, is not awaited
		 * by this question any more. */
		memo_waiter_leave(&p->waiter);
		answer(r, &p->question, w);
		return;
	}
	r->spare = NULL;
	keep(r, p);
}

static void
answer_all(struct role *r, struct worker *w, struct msg_reader *in)
{
	bool quick = is_quick(r);

	begin_answers(r);
	while (in->rest.n > 0) {
		struct pending *p = spare(r);
		struct slice text = msg_get_slice(in);

		if (p == NULL) /* the sessions' time limits decide */
			break;
		if (in->failed || !parse_question(r, text, &p->question)) {
			log_event(LOG_ERR, "lookup-question-malformed",
			    LOG_U64("bytes", in->rest.n));
			break;
		}
		take_question(r, p, w);
		/* It has become slow: who was answered is not to wait. */
		if (quick && !is_quick(r)) {
			quick = false;
			send_answers(r, w);
			begin_answers(r);
		}
	}
	send_answers(r, w);
}

/* One packet of a worker; what waits there besides is reported again, after
 * the others' turn. */
static void
read_questions(struct worker *w)
{
	struct role *r = w->role;
	struct msg_reader in;
	ssize_t n = msg_recv(w->watch.fd, r->packet, sizeof(r->packet));

	if (n == -1 && errno == EAGAIN) /* another lookup process took it */
		return;
	if (n == 0 || (n == -1 && errno != EMSGSIZE)) {
		/* Nobody can ask there any more. */
		epoll_ctl(r->epoll, EPOLL_CTL_DEL, w->watch.fd, NULL);
		return;
	}
	msg_read_init(&in, slice_make(r->packet, n < 0 ? 0 : (size_t)n));
	if (msg_get_u16(&in) == LOOKUP_ASK)
		answer_all(r, w, &in);
	else
		log_event(
		    LOG_ERR, "lookup-question-malformed", LOG_I64("bytes", n));
}

static void
worker_ready(struct watch *watched, uint64_t now_ms)
{
	struct worker *w = (struct worker *)watched;

	(void)now_ms;
	if (outbox_is_empty(&w->answers)) {
		read_questions(w);
		return;
	}
	/* On failure nobody is there, which reading tells. */
	(void)outbox_flush(&w->answers, watched->fd);
	if (!outbox_is_empty(&w->answers))
		return;
	w->losing = false;
	watch_other(w);
}

/* Until when epoll may sleep, ms; -1 for as long as it likes. */
static int
sleep_ms(const struct role *r)
{
	uint64_t due = lookup_due(r->lookup), now = now_ns() / 1000000;
	uint64_t most = r->log_waits ? LOG_RETRY_MS : UINT64_MAX;

	if (r->oldest != NULL && r->oldest->asked_ms + limit_ms(r) < due)
		due = r->oldest->asked_ms + limit_ms(r);
	if (due != UINT64_MAX && (due <= now || due - now < most))
		most = due <= now ? 0 : due - now;
	if (most == UINT64_MAX)
		return -1;
	return most > INT_MAX ? INT_MAX : (int)most;
}

static void
turn(struct role *r, struct epoll_event *ready, int n)
{
	uint64_t now = now_ns() / 1000000;

	for (int i = 0; i < n; i++) {
		struct watch *w = ready[i].data.ptr;

		/* An event before this one may have closed it. */
		if (w->fd != -1)
			w->ready(w, now);
	}
	lookup_tick(r->lookup, now);
	ask_ready(r);
	give_up(r, now);
	r->log_waits = !logq_flush(r->log);
}

static void
run(struct role *r)
{
	while (!r->ended) {
		struct epoll_event ready[64];
		int n = epoll_wait(r->epoll, ready, 64, sleep_ms(r));

		if (n == -1 && errno != EINTR) {
			log_event(LOG_ERR, "lookup-poll",
			    LOG_STR("why", strerror(errno)));
			return;
		}
		turn(r, ready, n);
	}
}

static int
open_all(struct role *r, struct err *err)
{
	struct lookup_settings set = { .config = r->config };

	if (r->slots > WORKER_SLOTS)
		return err_set(err, EINVAL, "%u workers' channels", r->slots);
	r->epoll = set.epoll = epoll_create1(EPOLL_CLOEXEC);
	r->control = (struct watch){ read_control, ROLE_FD_CONTROL };
	if (r->epoll == -1 || watch(r, &r->control, EPOLLIN) == -1)
		return err_set(
		    err, errno, "control channel: %s", strerror(errno));
	for (unsigned int i = 0; i < r->slots; i++) {
		r->worker[i] = (struct worker){
			.watch = { worker_ready, ROLE_FD_FIRST + (int)i },
			.role = r,
		};
		if (watch_questions(&r->worker[i]) == -1)
			return err_set(err, errno, "worker's channel: %s",
			    strerror(errno));
	}
	return lookup_open(&r->lookup, &set, err);
}

static void
forget_all(struct role *r)
{
	while (r->oldest != NULL)
		drop(r, r->oldest);
	for (unsigned int i = 0; i < r->slots; i++)
		outbox_clear(&r->worker[i].answers);
	free(r->spare);
}

int
lookup_role_run(
    const struct config *config, unsigned int slots, struct err *err)
{
	struct role *r = calloc(1, sizeof(*r));
	int ret = -1;

	if (r == NULL)
		return err_set(err, ENOMEM, "out of memory");
	r->epoll = -1;
	r->newest = &r->oldest;
	r->last_ready = &r->ready;
	r->cost_ns = 100 * QUICK_NS; /* until it has shown */
	r->config = config;
	r->slots = slots;
	r->log = logq_open(ROLE_FD_LOG);
	if (r->log == NULL) {
		err_set(err, errno, "log channel: %s", strerror(errno));
		goto out;
	}
	logq_install(r->log);
	if (open_all(r, err) == -1)
		goto out;
	if (tell_ready() == -1) {
		err_set(err, errno, "control channel: %s", strerror(errno));
		goto out;
	}
	run(r);
	ret = 0;
out:
	forget_all(r);
	lookup_close(&r->lookup);
	if (r->log != NULL)
		logq_close(&r->log);
	if (r->epoll != -1)
		close(r->epoll);
	free(r);
	return ret;
}
