/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_link - a list of records in the order of their coming, and a table that
 * finds the one of an address in it.
 */
#include "config.h"

#include "perdition/pbs_link.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

#include "common/banned.h"

#define BUCKETS 8192u /* a power of two; the queue holds some 20,000 */
#define RETRY_FIRST_MS 200u
#define RETRY_MAX_MS 1000u
/* Who hangs up soon after each connection does not want us (another uid, say):
 * each connection has every living session announced, so ask less often. */
#define SHORT_LIFE_MS 2000u
#define SHORT_LIVES_FREE 3u
#define RETRY_UNWANTED_MAX_MS 30000u

struct entry {
	struct entry *next, *prev; /* in the queue */
	struct entry *chain;       /* in the bucket */
	bool keyed;                /* in the table: permits client to relay */
	struct addr client;
	size_t n;
	char bytes[]; /* the record with its newline */
};

struct pbs_link {
	uv_loop_t *loop;
	struct sockaddr_un path;
	void (*connected)(void *arg);
	void *arg;
	int fd; /* -1: not connected */
	uv_poll_t *poll;
	bool polling_write;
	uv_timer_t *timer;
	unsigned int failures, short_lives;
	uint64_t since_ms; /* of the connection */
	struct hash_key key;
	struct entry *head, *tail;
	struct entry *bucket[BUCKETS];
	size_t bytes;  /* queued, with struct entry */
	size_t offset; /* of head that the socket has taken */
	uint64_t dropped;
};

static void try_connect(struct pbs_link *link);

static void
on_closed(uv_handle_t *handle)
{
	free(handle);
}

/* --- the queue ------------------------------------------------------------ */

static struct entry **
entry_find(struct pbs_link *link, const struct addr *client)
{
	uint64_t h = hash_bytes(&link->key,
	    slice_make((const char *)&client->ip, sizeof(client->ip)));
	struct entry **p = &link->bucket[h % BUCKETS];

	while (*p != NULL && !addr_same_ip(&(*p)->client, client))
		p = &(*p)->chain;
	return p;
}

static void
entry_remove(struct pbs_link *link, struct entry *e)
{
	struct entry **p;

	if (e->keyed) {
		p = entry_find(link, &e->client);
		*p = e->chain;
	}
	if (e->prev != NULL)
		e->prev->next = e->next;
	else
		link->head = e->next;
	if (e->next != NULL)
		e->next->prev = e->prev;
	else
		link->tail = e->prev;
	link->bytes -= sizeof(*e) + e->n;
	free(e);
}

static void
entry_append(struct pbs_link *link, struct entry *e)
{
	struct entry **p;

	e->next = NULL;
	e->prev = link->tail;
	if (link->tail != NULL)
		link->tail->next = e;
	else
		link->head = e;
	link->tail = e;
	link->bytes += sizeof(*e) + e->n;
	if (e->keyed) {
		p = entry_find(link, &e->client);
		e->chain = *p;
		*p = e;
	}
}

/* The oldest go, but not the one that is half on its way. */
static void
make_room(struct pbs_link *link)
{
	struct entry *e;

	while (link->bytes > PBS_LINK_QUEUE_MAX) {
		e = link->head;
		if (link->offset > 0)
			e = e->next;
		if (e == NULL)
			return;
		entry_remove(link, e);
		link->dropped++;
	}
}

static void
replace_older(struct pbs_link *link, const struct addr *client)
{
	struct entry *old = *entry_find(link, client);

	if (old == NULL)
		return;
	if (old == link->head && link->offset > 0) {
		/* Half sent: it has to go out, and the new one after it. */
		*entry_find(link, client) = old->chain;
		old->keyed = false;
		return;
	}
	entry_remove(link, old);
}

void
pbs_link_send(
    struct pbs_link *link, const struct auth_event *ev, struct slice record)
{
	bool permits = ev->ok && ev->kind != AUTH_CLOSE;
	struct entry *e;

	if (link->fd == -1 && !permits)
		return;
	/* Half of the room is for those that open something. */
	if (!permits && link->bytes > PBS_LINK_QUEUE_MAX / 2) {
		link->dropped++;
		return;
	}
	e = malloc(sizeof(*e) + record.n + 1);
	if (e == NULL) {
		link->dropped++;
		return;
	}
	e->keyed = permits;
	e->client = ev->client;
	e->chain = NULL;
	e->n = record.n + 1;
	memcpy(e->bytes, record.p, record.n);
	e->bytes[record.n] = '\n';
	if (permits)
		replace_older(link, &ev->client);
	entry_append(link, e);
	make_room(link);
}

/* --- the connection ------------------------------------------------------- */

static void
on_timer(uv_timer_t *timer)
{
	try_connect(timer->data);
}

static unsigned int
doubled(unsigned int ms, unsigned int times, unsigned int max)
{
	while (times-- > 0 && ms < max)
		ms *= 2;
	return ms < max ? ms : max;
}

static void
retry_later(struct pbs_link *link)
{
	unsigned int ms;

	ms = doubled(RETRY_FIRST_MS, link->failures, RETRY_MAX_MS);
	if (link->short_lives > SHORT_LIVES_FREE)
		ms = doubled(RETRY_MAX_MS, link->short_lives - SHORT_LIVES_FREE,
		    RETRY_UNWANTED_MAX_MS);
	uv_timer_start(link->timer, on_timer, ms, 0);
}

static void
close_socket(struct pbs_link *link)
{
	if (link->poll != NULL)
		uv_close((uv_handle_t *)link->poll, on_closed);
	link->poll = NULL;
	link->polling_write = false;
	if (link->fd != -1)
		close(link->fd);
	link->fd = -1;
	link->offset = 0; /* the next connection gets the whole record */
}

/* Records that permit nothing are of use only to who listens now. */
static void
forget_the_rest(struct pbs_link *link)
{
	struct entry *e = link->head;
	struct entry *next;

	for (; e != NULL; e = next) {
		next = e->next;
		if (!e->keyed)
			entry_remove(link, e);
	}
}

static void
lost(struct pbs_link *link, const char *why)
{
	log_event(LOG_WARNING, "pbs-lost",
	    LOG_STR("socket", link->path.sun_path), LOG_STR("reason", why));
	if (uv_now(link->loop) - link->since_ms < SHORT_LIFE_MS)
		link->short_lives++;
	else
		link->short_lives = 0;
	link->failures = 0;
	close_socket(link);
	forget_the_rest(link);
	retry_later(link);
}

static void on_event(uv_poll_t *handle, int status, int events);

static void
want_write(struct pbs_link *link, bool want)
{
	if (link->poll == NULL || link->polling_write == want)
		return;
	link->polling_write = want;
	uv_poll_start(
	    link->poll, UV_READABLE | (want ? UV_WRITABLE : 0), on_event);
}

static void
take_sent(struct pbs_link *link, size_t n)
{
	while (n > 0) {
		size_t left = link->head->n - link->offset;

		if (n < left) {
			link->offset += n;
			return;
		}
		n -= left;
		link->offset = 0;
		entry_remove(link, link->head);
	}
}

static ssize_t
send_some(struct pbs_link *link)
{
	struct iovec iov[64];
	struct msghdr msg = { .msg_iov = iov };
	size_t offset = link->offset;
	struct entry *e;
	size_t i = 0;
	ssize_t n;

	for (e = link->head; e != NULL && i < 64; e = e->next) {
		iov[i].iov_base = e->bytes + offset;
		iov[i++].iov_len = e->n - offset;
		offset = 0;
	}
	msg.msg_iovlen = i;
	do
		n = sendmsg(link->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n;
}

bool
pbs_link_flush(struct pbs_link *link)
{
	ssize_t n;

	while (link->fd != -1 && link->head != NULL) {
		n = send_some(link);
		if (n == -1 && (errno == EAGAIN || errno == ENOBUFS)) {
			want_write(link, true);
			return false;
		}
		if (n == -1) {
			lost(link, strerror(errno));
			return true;
		}
		take_sent(link, (size_t)n);
	}
	want_write(link, false);
	return true;
}

static void
on_event(uv_poll_t *handle, int status, int events)
{
	struct pbs_link *link = handle->data;
	char ignored[256];
	ssize_t n;

	if (status < 0) {
		lost(link, uv_strerror(status));
		return;
	}
	if ((events & UV_READABLE) != 0) {
		n = recv(link->fd, ignored, sizeof(ignored), MSG_DONTWAIT);
		if (n == 0) {
			lost(link, "closed by perdition-pbs");
			return;
		}
		if (n == -1 && errno != EAGAIN && errno != EINTR) {
			lost(link, strerror(errno));
			return;
		}
	}
	if ((events & UV_WRITABLE) != 0)
		pbs_link_flush(link);
}

static int
watch(struct pbs_link *link)
{
	uv_poll_t *poll = calloc(1, sizeof(*poll));

	if (poll == NULL)
		return -1;
	if (uv_poll_init(link->loop, poll, link->fd) != 0) {
		free(poll);
		return -1;
	}
	poll->data = link;
	link->poll = poll;
	return uv_poll_start(poll, UV_READABLE, on_event) == 0 ? 0 : -1;
}

static void
try_connect(struct pbs_link *link)
{
	link->fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd == -1 ||
	    connect(link->fd, (const struct sockaddr *)&link->path,
		sizeof(link->path)) == -1 ||
	    watch(link) == -1) {
		if (link->failures == 0)
			log_event(LOG_WARNING, "pbs-away",
			    LOG_STR("socket", link->path.sun_path),
			    LOG_STR("reason", strerror(errno)));
		if (link->failures < UINT_MAX)
			link->failures++;
		close_socket(link);
		retry_later(link);
		return;
	}
	link->failures = 0;
	link->since_ms = uv_now(link->loop);
	log_event(
	    LOG_INFO, "pbs-connected", LOG_STR("socket", link->path.sun_path));
	link->connected(link->arg);
	pbs_link_flush(link);
}

struct pbs_link *
pbs_link_create(
    uv_loop_t *loop, const char *path, void (*connected)(void *arg), void *arg)
{
	struct pbs_link *link = NULL;
	size_t n = strlen(path);

	if (n >= sizeof(link->path.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	link = calloc(1, sizeof(*link));
	if (link == NULL)
		return NULL;
	link->timer = calloc(1, sizeof(*link->timer));
	if (link->timer == NULL || hash_key_make(&link->key) == -1) {
		free(link->timer);
		free(link);
		return NULL;
	}
	link->loop = loop;
	link->path.sun_family = AF_UNIX;
	memcpy(link->path.sun_path, path, n + 1);
	link->connected = connected;
	link->arg = arg;
	link->fd = -1;
	uv_timer_init(loop, link->timer);
	link->timer->data = link;
	/* From the loop, so that connected() is not called before we return. */
	uv_timer_start(link->timer, on_timer, 0, 0);
	return link;
}

void
pbs_link_destroy(struct pbs_link **lp)
{
	struct pbs_link *link = *lp;

	*lp = NULL;
	if (link == NULL)
		return;
	close_socket(link);
	uv_close((uv_handle_t *)link->timer, on_closed);
	while (link->head != NULL)
		entry_remove(link, link->head);
	free(link);
}

bool
pbs_link_pending(const struct pbs_link *link)
{
	return link->head != NULL;
}

bool
pbs_link_connected(const struct pbs_link *link)
{
	return link->fd != -1;
}

uint64_t
pbs_link_dropped(const struct pbs_link *link)
{
	return link->dropped;
}
