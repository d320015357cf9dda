/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookup_client - open questions in a table, named by index and generation.
 */
#include "config.h"

#include "perdition/lookup_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/msg.h"

#include "common/banned.h"

#define QUESTIONS_MAX 16384u /* open at once in one worker */
#define PACKETS_A_TURN 64u   /* read before the sessions get their turn */
#define SEND_AT_ONCE 16u
#define PACKET_QUESTIONS 32u /* together, to a map that answers quickly */
#define NONE UINT32_MAX

struct question {
	void *owner; /* NULL: the place is free */
	char *text;  /* as a packet holds it, to send it again */
	uint32_t len;
	uint32_t generation;
	uint32_t next; /* in the free list, or in the queue to be sent */
	bool queued;
};

struct lookup_client {
	struct loop_io io;
	int fd;
	void (*answered)(void *owner, const struct lookup_answer *);
	struct question *q;
	uint32_t n;          /* places in q */
	uint32_t free;       /* list of free places */
	uint32_t open;       /* questions with an owner */
	bool gone;           /* nobody will ever answer here */
	bool quick;          /* the map; as the last answer said */
	uint32_t head, tail; /* queue of those not sent yet */
	uint32_t generation; /* of the next question; random at the start, so
			      * that answers to a dead worker match nothing */
	struct lookup_answer answer; /* too large for a stack */
	char packet[MSG_MAX];
};

static void send_queued(struct lookup_client *);
static void turn_ends(void *);

static void
wait_for(struct lookup_client *c)
{
	unsigned int events = LOOP_READ | (c->head == NONE ? 0 : LOOP_WRITE);

	/* The end of a channel would be reported again and again. */
	loop_io_want(&c->io, c->gone ? 0 : events);
}

static struct question *
find(struct lookup_client *c, uint64_t id)
{
	uint32_t i = (uint32_t)id;

	if (i >= c->n || c->q[i].owner == NULL ||
	    c->q[i].generation != (uint32_t)(id >> 32))
		return NULL;
	return &c->q[i];
}

/* A queued one stays in the queue with no owner until its turn comes. */
static void
release(struct lookup_client *c, struct question *q)
{
	free(q->text);
	q->text = NULL;
	if (q->owner != NULL)
		c->open--;
	q->owner = NULL;
	if (q->queued)
		return;
	q->next = c->free;
	c->free = (uint32_t)(q - c->q);
}

static void
take_answer(struct lookup_client *c, const struct lookup_answer *a)
{
	struct question *q = find(c, a->id);
	void *owner;

	if (q == NULL) /* forgotten, or answered twice */
		return;
	owner = q->owner;
	release(c, q);
	c->answered(owner, a);
}

static void
take_packet(struct lookup_client *c, struct slice packet)
{
	struct msg_reader in;
	bool sound;

	msg_read_init(&in, packet);
	sound = msg_get_u16(&in) == LOOKUP_ANSWER;
	if (sound)
		c->quick = msg_get_u8(&in) == 1;
	while (sound && in.rest.n > 0) {
		struct slice text = msg_get_slice(&in);

		sound =
		    !in.failed && lookup_answer_parse(text, &c->answer) == 0;
		if (sound)
			take_answer(c, &c->answer);
	}
	if (!sound)
		log_event(LOG_ERR, "lookup-answer-malformed",
		    LOG_U64("bytes", packet.n));
}

static void
read_answers(struct lookup_client *c)
{
	for (unsigned int i = 0; i < PACKETS_A_TURN; i++) {
		ssize_t r = msg_recv(c->fd, c->packet, sizeof(c->packet));

		if (r <= 0) {
			/* The master is dead, and its lookup processes. */
			c->gone = r == 0;
			return;
		}
		take_packet(c, slice_make(c->packet, (size_t)r));
		if (c->open == 0)
			return;
	}
}

static void
channel_ready(struct loop_io *io, unsigned int events)
{
	struct lookup_client *c = (struct lookup_client *)io;

	if (events & (LOOP_READ | LOOP_ERROR))
		read_answers(c);
	if (events & LOOP_WRITE)
		send_queued(c);
	wait_for(c);
}

struct lookup_client *
lookup_client_create(struct loop *loop, int fd,
    void (*answered)(void *owner, const struct lookup_answer *))
{
	struct lookup_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->fd = fd;
	c->answered = answered;
	c->free = c->head = c->tail = NONE;
	if (getrandom(&c->generation, sizeof(c->generation), 0) !=
		(ssize_t)sizeof(c->generation) ||
	    loop_io_open(loop, &c->io, fd, channel_ready) == -1) {
		free(c);
		return NULL;
	}
	wait_for(c);
	loop_at_turn_end(loop, turn_ends, c);
	return c;
}

static void
channel_closed(struct loop_io *io)
{
	free(io);
}

void
lookup_client_destroy(struct lookup_client **cp)
{
	struct lookup_client *c = *cp;

	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->n; i++)
		free(c->q[i].text);
	free(c->q);
	loop_at_turn_end(c->io.loop, NULL, NULL);
	loop_io_want(&c->io, 0);
	loop_io_close(&c->io, channel_closed); /* frees c, its first member */
	*cp = NULL;
}

static int
grow(struct lookup_client *c)
{
	uint32_t n = c->n == 0 ? 64 : c->n * 2;
	struct question *q;

	if (n > QUESTIONS_MAX) {
		errno = EAGAIN;
		return -1;
	}
	q = reallocarray(c->q, n, sizeof(*q));
	if (q == NULL)
		return -1;
	memset(q + c->n, 0, (n - c->n) * sizeof(*q));
	for (uint32_t i = n; i-- > c->n;) {
		q[i].next = c->free;
		c->free = i;
	}
	c->q = q;
	c->n = n;
	return 0;
}

static void
enqueue(struct lookup_client *c, uint32_t i)
{
	c->q[i].queued = true;
	c->q[i].next = NONE;
	if (c->head == NONE)
		c->head = i;
	else
		c->q[c->tail].next = i;
	c->tail = i;
}

/* Take the first out of the queue; it is sent, or nobody wants it. */
static void
dequeue(struct lookup_client *c)
{
	struct question *q = &c->q[c->head];

	c->head = q->next;
	q->queued = false;
	if (q->owner == NULL)
		release(c, q);
}

/* The packets of one system call. */
struct packets {
	struct mmsghdr msg[SEND_AT_ONCE];
	/* Of each: its type, then questions. */
	struct iovec iov[SEND_AT_ONCE][1 + PACKET_QUESTIONS];
	unsigned int n;
};

/*
 * The next ones that somebody wants: each in a packet of its own, so that they
 * spread over the lookup processes, or together where the map needs less time
 * for all of them than a packet does.
 */
static void
gather(struct lookup_client *c, struct packets *p)
{
	static const uint16_t type = LOOKUP_ASK;
	const unsigned int most = 1 + (c->quick ? PACKET_QUESTIONS : 1);
	struct iovec *iov;
	uint32_t i;

	while (c->head != NONE && c->q[c->head].owner == NULL)
		dequeue(c);
	i = c->head;
	for (p->n = 0; p->n < SEND_AT_ONCE; p->n++) {
		size_t n = 0;

		iov = p->iov[p->n];
		iov[n++] =
		    (struct iovec){ (void *)(uintptr_t)&type, sizeof(type) };
		for (; i != NONE && c->q[i].owner != NULL && n < most;
		     i = c->q[i].next)
			iov[n++] = (struct iovec){ c->q[i].text, c->q[i].len };
		if (n == 1)
			return;
		p->msg[p->n].msg_hdr =
		    (struct msghdr){ .msg_iov = iov, .msg_iovlen = n };
	}
}

static void
send_queued(struct lookup_client *c)
{
	struct packets p;

	for (gather(c, &p); p.n > 0; gather(c, &p)) {
		int sent =
		    sendmmsg(c->fd, p.msg, p.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent == -1 && errno == EINTR)
			continue;
		if (sent == -1 && (errno == EAGAIN || errno == ENOBUFS))
			return;
		/* Nobody is there: the askers' time limits decide. */
		if (sent == -1)
			sent = (int)p.n;
		for (int i = 0; i < sent; i++)
			for (size_t n = p.msg[i].msg_hdr.msg_iovlen; n > 1; n--)
				dequeue(c);
	}
	c->tail = NONE;
}

/* Those of one turn go together: the lookup process that the first wakes
 * finds the others there. */
static void
turn_ends(void *arg)
{
	struct lookup_client *c = arg;

	if (c->head == NONE || c->io.want & LOOP_WRITE)
		return;
	send_queued(c);
	wait_for(c);
}

uint64_t
lookup_client_ask(
    struct lookup_client *c, struct lookup_question *question, void *owner)
{
	char text[sizeof(*question) + 64];
	struct msg_writer w;
	struct question *q;
	uint32_t i;
	long n;

	if (c->free == NONE && grow(c) == -1)
		return 0;
	i = c->free;
	q = &c->q[i];
	if (++c->generation == 0)
		c->generation = 1; /* so that no id is 0 */
	question->id = (uint64_t)c->generation << 32 | i;
	n = lookup_question_write(question, text, sizeof(text));
	if (n == -1)
		return 0;
	q->len = (uint32_t)sizeof(uint32_t) + (uint32_t)n;
	q->text = malloc(q->len);
	if (q->text == NULL)
		return 0;
	msg_write_init(&w, q->text, q->len);
	msg_put_slice(&w, slice_make(text, (size_t)n));
	c->free = q->next;
	q->owner = owner;
	c->open++;
	q->generation = c->generation;
	enqueue(c, i);
	return question->id;
}

void
lookup_client_forget(struct lookup_client *c, uint64_t id)
{
	struct question *q = id == 0 ? NULL : find(c, id);

	if (q != NULL)
		release(c, q);
}

void
lookup_client_again(struct lookup_client *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->q[i].owner != NULL && !c->q[i].queued)
			enqueue(c, i);
}
