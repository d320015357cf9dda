/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_channel - see map_channel.h.
 */
#include "config.h"

#include "perdition/map_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/banned.h"

static void
put_text(struct msg_writer *w, struct popmap_text t)
{
	msg_put_slice(w, slice_make(t.n == 0 ? "" : t.p, t.n));
}

static socklen_t
length_of(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					 : sizeof(struct sockaddr_in);
}

static void
put_address(struct msg_writer *w, const struct sockaddr *sa, bool with_port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} copy;

	memcpy(&copy, sa, length_of(sa));
	/* The port is at the same place in both. */
	if (!with_port)
		copy.in.sin_port = 0;
	msg_put_slice(w, slice_make((const char *)&copy, length_of(sa)));
}

void
map_question_write(
    struct msg_writer *w, const struct popmap_query *q, unsigned int flags)
{
	put_text(w, q->key);
	put_text(w, q->user);
	put_text(w, q->local);
	put_text(w, q->domain);
	msg_put_slice(w, slice_str(q->delimiter));
	msg_put_slice(w, slice_str(q->protocol));
	msg_put_u16(w, q->port);
	if (flags & POPMAP_ANY_CLIENT)
		return;
	msg_put_u8(w, q->client_tls);
	put_address(w, q->client_addr, (flags & POPMAP_ANY_PORT) == 0);
	put_address(w, q->local_addr, true);
}

static struct popmap_text
get_text(struct msg_reader *r)
{
	struct slice s = msg_get_slice(r);

	return (struct popmap_text){ s.p, s.n };
}

static bool
get_address(struct msg_reader *r, struct sockaddr_storage *out)
{
	struct slice s = msg_get_slice(r);

	if (s.n < sizeof(struct sockaddr_in) || s.n > sizeof(*out))
		return false;
	memcpy(out, s.p, s.n);
	return (out->ss_family == AF_INET || out->ss_family == AF_INET6) &&
	       s.n == length_of((struct sockaddr *)out);
}

int
map_question_read(struct slice in, struct map_question *q)
{
	struct msg_reader r;
	bool ok;

	memset(q, 0, sizeof(*q));
	q->client.ss_family = q->local.ss_family = AF_INET;
	msg_read_init(&r, in);
	q->query.key = get_text(&r);
	q->query.user = get_text(&r);
	q->query.local = get_text(&r);
	q->query.domain = get_text(&r);
	ok = msg_get_text(&r, q->delimiter, sizeof(q->delimiter)) &&
	     msg_get_text(&r, q->protocol, sizeof(q->protocol));
	q->query.port = msg_get_u16(&r);
	if (ok && r.rest.n > 0) {
		q->query.client_tls = msg_get_u8(&r) == 1;
		ok = get_address(&r, &q->client) && get_address(&r, &q->local);
	}
	q->query.delimiter = q->delimiter;
	q->query.protocol = q->protocol;
	q->query.client_addr = (struct sockaddr *)&q->client;
	q->query.local_addr = (struct sockaddr *)&q->local;
	if (ok && msg_read_done(&r))
		return 0;
	errno = EBADMSG;
	return -1;
}

void
map_servers_write(struct msg_writer *w, const struct popmap_answer *a)
{
	for (size_t i = 0; i < a->n; i++)
		msg_put_slice(
		    w, slice_make(a->server[i].text, a->server[i].len));
}

int
map_servers_read(struct slice in, struct popmap_answer *a)
{
	struct msg_reader r;
	bool ok = true;

	msg_read_init(&r, in);
	for (a->n = 0; ok && r.rest.n > 0 && !r.failed; a->n++) {
		struct slice s = msg_get_slice(&r);

		ok = a->n < POPMAP_SERVERS_MAX &&
		     s.n <= sizeof(a->server[0].text);
		if (!ok)
			break;
		if (s.n > 0)
			memcpy(a->server[a->n].text, s.p, s.n);
		a->server[a->n].len = s.n;
	}
	if (ok && a->n > 0 && msg_read_done(&r))
		return 0;
	errno = EBADMSG;
	return -1;
}
