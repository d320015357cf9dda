/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup_role - see lookup_role.h.
 */
#include "config.h"

#include "perdition/lookup_role.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/msg.h"
#include "perdition/logq.h"
#include "perdition/lookup.h"
#include "perdition/request.h"

#include "common/banned.h"

/* A worker that takes no answer for so long is stuck; its sessions ask
 * again or have given up. */
#define SEND_WAIT_MS 1000
#define LOG_RETRY_MS 100
/* Below this, sending a packet costs more than answering a question. */
#define QUICK_NS 50000

struct role {
	const struct config *config;
	struct lookup *lookup;
	struct logq *log;
	int epoll;
	unsigned int slots;
	bool ended;
	bool log_waits;   /* some lines could not be handed on yet */
	uint64_t cost_ns; /* of a question, a moving average */
	struct lookup_question question;
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
read_control(struct role *r)
{
	struct msg_reader in;
	uint16_t type;
	ssize_t n = msg_recv(ROLE_FD_CONTROL, r->packet, sizeof(r->packet));

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

static bool
send_answer(int fd, struct slice packet)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	if (msg_send(fd, packet) == 0)
		return true;
	if (errno == EAGAIN && poll(&pfd, 1, SEND_WAIT_MS) == 1 &&
	    msg_send(fd, packet) == 0)
		return true;
	log_event(
	    LOG_WARNING, "lookup-answer-lost", LOG_STR("why", strerror(errno)));
	return false;
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

/* False when the worker did not take them. */
static bool
send_answers(struct role *r, int fd)
{
	return r->gathered == 0 ||
	       send_answer(fd, slice_make(r->answers, r->out.n));
}

static void
ask(struct role *r)
{
	uint64_t began = now_ns(), took;

	lookup_ask(r->lookup, &r->question, began / 1000000, &r->answer);
	took = now_ns() - began;
	r->cost_ns = r->cost_ns - r->cost_ns / 8 + took / 8;
	if (r->answer.status == LOOKUP_FAILED)
		log_event(LOG_ERR, "lookup-failed",
		    LOG_SLICE("user",
			slice_make(r->question.user, r->question.user_len)),
		    LOG_STR("why", r->answer.text));
}

/* r->question, to the packet.  False when the worker takes none. */
static bool
answer(struct role *r, int fd)
{
	struct msg_writer before = r->out;
	struct slice text;
	long n;

	ask(r);
	n = lookup_answer_write(&r->answer, r->text, sizeof(r->text));
	if (n == -1) { /* cannot be: every answer is sound and fits */
		log_event(LOG_ERR, "lookup-answer-unsound");
		return true;
	}
	text = slice_make(r->text, (size_t)n);
	msg_put_slice(&r->out, text);
	if (r->out.failed) { /* the packet is full */
		r->out = before;
		if (!send_answers(r, fd))
			return false;
		begin_answers(r);
		msg_put_slice(&r->out, text);
	}
	r->gathered++;
	return true;
}

/* --- questions ---------------------------------------------------------- */

static bool
next_question(struct role *r, struct msg_reader *in)
{
	struct slice text = msg_get_slice(in);

	return !in->failed && lookup_question_parse(text, &r->question) == 0 &&
	       r->question.listener < r->config->listener_count;
}

static void
answer_all(struct role *r, int fd, struct msg_reader *in)
{
	bool quick = is_quick(r);

	begin_answers(r);
	while (in->rest.n > 0) {
		if (!next_question(r, in)) {
			log_event(LOG_ERR, "lookup-question-malformed",
			    LOG_U64("bytes", in->rest.n));
			break;
		}
		if (!answer(r, fd))
			return;
		/* It has become slow: who was answered is not to wait. */
		if (quick && !is_quick(r)) {
			quick = false;
			if (!send_answers(r, fd))
				return;
			begin_answers(r);
		}
	}
	(void)send_answers(r, fd);
}

/* One packet of a worker; what waits there besides is reported again, after
 * the others' turn. */
static void
read_questions(struct role *r, int fd)
{
	struct msg_reader in;
	ssize_t n = msg_recv(fd, r->packet, sizeof(r->packet));

	if (n == -1 && errno == EAGAIN) /* another lookup process took it */
		return;
	if (n == 0 || (n == -1 && errno != EMSGSIZE)) {
		/* Nobody can ask there any more. */
		epoll_ctl(r->epoll, EPOLL_CTL_DEL, fd, NULL);
		return;
	}
	msg_read_init(&in, slice_make(r->packet, n < 0 ? 0 : (size_t)n));
	if (msg_get_u16(&in) == LOOKUP_ASK)
		answer_all(r, fd, &in);
	else
		log_event(
		    LOG_ERR, "lookup-question-malformed", LOG_I64("bytes", n));
}

static void
run(struct role *r)
{
	while (!r->ended) {
		struct epoll_event ready[1 + WORKER_SLOTS];
		int n = epoll_wait(r->epoll, ready, 1 + (int)r->slots,
		    r->log_waits ? LOG_RETRY_MS : -1);

		if (n == -1 && errno != EINTR) {
			log_event(LOG_ERR, "lookup-poll",
			    LOG_STR("why", strerror(errno)));
			return;
		}
		for (int i = 0; i < n; i++) {
			if (ready[i].data.fd == ROLE_FD_CONTROL)
				read_control(r);
			else
				read_questions(r, ready[i].data.fd);
		}
		r->log_waits = !logq_flush(r->log);
	}
}

/* Of the processes that wait at a worker's channel one is woken, not all. */
static int
watch(struct role *r, int fd, uint32_t exclusive)
{
	struct epoll_event ev = { .events = EPOLLIN | exclusive,
		.data.fd = fd };

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int
open_all(struct role *r, struct err *err)
{
	if (r->slots > WORKER_SLOTS)
		return err_set(err, EINVAL, "%u workers' channels", r->slots);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll == -1 || watch(r, ROLE_FD_CONTROL, 0) == -1)
		return err_set(
		    err, errno, "control channel: %s", strerror(errno));
	for (unsigned int i = 0; i < r->slots; i++)
		if (watch(r, ROLE_FD_FIRST + (int)i, EPOLLEXCLUSIVE) == -1)
			return err_set(err, errno, "worker's channel: %s",
			    strerror(errno));
	return lookup_open(&r->lookup, r->config, NULL, err);
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
	lookup_close(&r->lookup);
	if (r->log != NULL)
		logq_close(&r->log);
	if (r->epoll != -1)
		close(r->epoll);
	free(r);
	return ret;
}
