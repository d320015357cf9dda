/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logq - a short queue of packets, the last one still being filled.
 */
#include "config.h"

#include "perdition/logq.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/request.h"

#include "common/banned.h"

/* A packet takes any one record: AUTH_LINE_MAX and the little around it. */
#define BATCH_SIZE (16 * 1024)
#define BATCHES (LOGQ_MAX / BATCH_SIZE)
#define CLOSE_WAIT_MS 1000
#define GATHER_MS 2

struct batch {
	size_t n;
	char bytes[BATCH_SIZE];
};

struct logq {
	int fd;
	pid_t pid;
	const char *ident;
	struct batch *batches[BATCHES]; /* oldest first; [0] always allocated */
	size_t used;                    /* 1: only the one being filled */
	uint64_t lost, lost_unsaid;
	bool installed;
	uv_loop_t *loop;
	uv_prepare_t *prepare; /* own memory: libuv frees it a turn later */
	uv_poll_t *poll;
	uv_timer_t *gather;
	uint64_t sent_at; /* ms of the loop's clock */
	bool polling;
};

static struct batch *
batch_create(void)
{
	struct batch *b = malloc(sizeof(*b));
	uint16_t type = LOG_BATCH;

	if (b == NULL)
		return NULL;
	memcpy(b->bytes, &type, sizeof(type));
	b->n = sizeof(type);
	return b;
}

static bool
batch_empty(const struct batch *b)
{
	return b->n == sizeof(uint16_t);
}

struct logq *
logq_open(int fd)
{
	struct logq *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->batches[0] = batch_create();
	if (q->batches[0] == NULL) {
		free(q);
		return NULL;
	}
	q->used = 1;
	q->fd = fd;
	q->pid = getpid();
	q->ident = "";
	return q;
}

static bool
record_write(struct logq *q, struct batch *b, enum log_record type, int level,
    const char *ident, struct slice text)
{
	struct msg_writer w;

	msg_write_init(&w, b->bytes + b->n, sizeof(b->bytes) - b->n);
	msg_put_u8(&w, (uint8_t)type);
	msg_put_u8(&w, (uint8_t)level);
	msg_put_u32(&w, (uint32_t)q->pid);
	msg_put_slice(&w, slice_str(ident));
	msg_put_slice(&w, text);
	if (w.failed)
		return false;
	b->n += w.n;
	return true;
}

static bool
record_add(struct logq *q, enum log_record type, int level, const char *ident,
    struct slice text)
{
	struct batch *b = q->batches[q->used - 1];

	if (record_write(q, b, type, level, ident, text))
		return true;
	if (q->used == BATCHES || batch_empty(b))
		return false;
	b = batch_create();
	if (b == NULL)
		return false;
	q->batches[q->used++] = b;
	return record_write(q, b, type, level, ident, text);
}

/* Each loss is told once, before the first line that finds room again. */
static void
say_lost(struct logq *q)
{
	char line[64];
	int n;

	if (q->lost_unsaid == 0)
		return;
	n = snprintf(line, sizeof(line), "event=log-lost lines=%llu",
	    (unsigned long long)q->lost_unsaid);
	if (record_add(q, LOG_RECORD_LINE, LOG_WARNING, "",
		slice_make(line, (size_t)n)))
		q->lost_unsaid = 0;
}

static void
put(struct logq *q, enum log_record type, int level, const char *ident,
    struct slice text)
{
	say_lost(q);
	if (q->lost_unsaid > 0 || !record_add(q, type, level, ident, text)) {
		q->lost++;
		q->lost_unsaid++;
	}
}

void
logq_line(struct logq *q, int level, struct slice line)
{
	put(q, LOG_RECORD_LINE, level, q->ident, line);
}

static void
sink(void *arg, int level, struct slice line)
{
	logq_line(arg, level, line);
}

void
logq_install(struct logq *q)
{
	q->installed = true;
	log_set_sink(sink, q);
}

void
logq_set_ident(struct logq *q, const char *ident)
{
	q->ident = ident;
}

void
logq_auth(struct logq *q, const struct auth_event *ev, const char *ident)
{
	char record[AUTH_LINE_MAX];
	ssize_t n;

	n = auth_event_write_record(ev, record, sizeof(record));
	if (n < 1) {
		q->lost++;
		q->lost_unsaid++;
		return;
	}
	put(q, LOG_RECORD_AUTH, LOG_NOTICE, ident,
	    slice_make(record, (size_t)n - 1)); /* without its newline */
}

/* The oldest packet is sent: free it, or keep the last one to fill again. */
static void
shift(struct logq *q)
{
	if (q->used == 1) {
		q->batches[0]->n = sizeof(uint16_t);
		return;
	}
	free(q->batches[0]);
	q->used--;
	memmove(
	    &q->batches[0], &q->batches[1], q->used * sizeof(q->batches[0]));
	q->batches[q->used] = NULL;
}

bool
logq_flush(struct logq *q)
{
	say_lost(q);
	while (!batch_empty(q->batches[0])) {
		const struct batch *b = q->batches[0];

		if (msg_send(q->fd, slice_make(b->bytes, b->n)) == -1) {
			if (errno == EINTR)
				continue;
			return false;
		}
		shift(q);
		say_lost(q);
	}
	return true;
}

uint64_t
logq_lost(const struct logq *q)
{
	return q->lost;
}

static void
on_writable(uv_poll_t *handle, int status, int events)
{
	struct logq *q = handle->data;

	(void)events;
	if (status == 0 && !logq_flush(q) && errno == EAGAIN)
		return;
	/* All sent, or the channel is broken, which polling cannot mend. */
	uv_poll_stop(handle);
	q->polling = false;
}

static void
on_gathered(uv_timer_t *handle)
{
	(void)handle; /* the end of this turn sends */
}

static void
on_prepare(uv_prepare_t *handle)
{
	struct logq *q = handle->data;

	/* The first line after a silence goes at once; in a storm one packet
	 * carries those of some milliseconds, or the log process would be
	 * woken for each. */
	if (batch_empty(q->batches[0]))
		return;
	if (q->used == 1 && uv_now(q->loop) < q->sent_at + GATHER_MS) {
		if (!uv_is_active((uv_handle_t *)q->gather))
			uv_timer_start(q->gather, on_gathered, GATHER_MS, 0);
		return;
	}
	q->sent_at = uv_now(q->loop);
	if (logq_flush(q) || q->polling || errno != EAGAIN)
		return;
	if (uv_poll_start(q->poll, UV_WRITABLE, on_writable) == 0) {
		uv_unref((uv_handle_t *)q->poll);
		q->polling = true;
	}
}

static void
on_closed(uv_handle_t *handle)
{
	free(handle);
}

int
logq_attach(struct logq *q, uv_loop_t *loop)
{
	uv_prepare_t *prepare = calloc(1, sizeof(*prepare));
	uv_poll_t *poll_handle = calloc(1, sizeof(*poll_handle));
	uv_timer_t *gather = calloc(1, sizeof(*gather));
	int error = UV_ENOMEM;

	if (prepare == NULL || poll_handle == NULL || gather == NULL)
		goto fail;
	error = uv_poll_init(loop, poll_handle, q->fd);
	if (error != 0)
		goto fail;
	uv_prepare_init(loop, prepare);
	uv_timer_init(loop, gather);
	uv_unref((uv_handle_t *)gather);
	prepare->data = q;
	poll_handle->data = q;
	uv_prepare_start(prepare, on_prepare);
	uv_unref((uv_handle_t *)prepare);
	uv_unref((uv_handle_t *)poll_handle);
	q->loop = loop;
	q->prepare = prepare;
	q->poll = poll_handle;
	q->gather = gather;
	return 0;
fail:
	free(gather);
	free(prepare);
	free(poll_handle);
	errno = -error;
	return -1;
}

/* What a role says when it ends is often what matters most. */
static void
flush_waiting(struct logq *q)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLOUT };
	int tries = CLOSE_WAIT_MS / 100;

	while (!logq_flush(q) && errno == EAGAIN && tries-- > 0)
		poll(&pfd, 1, 100);
}

void
logq_close(struct logq **qp)
{
	struct logq *q = *qp;
	size_t i;

	*qp = NULL;
	if (q == NULL)
		return;
	if (q->installed)
		log_set_sink(NULL, NULL);
	flush_waiting(q);
	if (q->loop != NULL) {
		uv_close((uv_handle_t *)q->prepare, on_closed);
		uv_close((uv_handle_t *)q->poll, on_closed);
		uv_close((uv_handle_t *)q->gather, on_closed);
	}
	for (i = 0; i < q->used; i++)
		free(q->batches[i]);
	free(q);
}
