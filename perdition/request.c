/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request - the questions and answers of the lookup channel, in bytes.
 *
 * The reader trusts nobody: every length is checked against the field that
 * will hold it, every bool is 0 or 1, and each value has one spelling.
 */
#include "config.h"

#include "perdition/request.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/slice.h"

#include "common/banned.h"

static void
put_addr(struct msg_writer *w, const struct addr *a)
{
	msg_put_bytes(w, &a->ip, sizeof(a->ip));
	msg_put_u16(w, a->port);
	msg_put_u32(w, a->scope);
}

static void
get_addr(struct msg_reader *r, struct addr *a)
{
	memset(a, 0, sizeof(*a));
	msg_get_bytes(r, &a->ip, sizeof(a->ip));
	a->port = msg_get_u16(r);
	a->scope = msg_get_u32(r);
}

/* Fills *v from one byte that must be 0 or 1. */
static bool
get_bool(struct msg_reader *r, bool *v)
{
	uint8_t byte = msg_get_u8(r);

	*v = byte == 1;
	return byte <= 1;
}

/* Any bytes, at most cap of them. */
static bool
get_bytes(struct msg_reader *r, char *out, size_t cap, size_t *n)
{
	struct slice s = msg_get_slice(r);

	if (s.n > cap)
		return false;
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	*n = s.n;
	return true;
}

static long
written(const struct msg_writer *w)
{
	if (w->failed) {
		errno = ENOSPC;
		return -1;
	}
	return (long)w->n;
}

static int
bad(void)
{
	errno = EBADMSG;
	return -1;
}

long
lookup_question_write(const struct lookup_question *q, char *out, size_t cap)
{
	struct msg_writer w;

	if (q->user_len > sizeof(q->user)) {
		errno = EINVAL;
		return -1;
	}
	msg_write_init(&w, out, cap);
	msg_put_u64(&w, q->id);
	msg_put_u16(&w, q->listener);
	msg_put_u8(&w, q->client_tls);
	put_addr(&w, &q->client);
	put_addr(&w, &q->local);
	msg_put_slice(&w, slice_make(q->user, q->user_len));
	return written(&w);
}

int
lookup_question_parse(struct slice in, struct lookup_question *q)
{
	struct msg_reader r;
	bool ok;

	memset(q, 0, offsetof(struct lookup_question, user));
	msg_read_init(&r, in);
	q->id = msg_get_u64(&r);
	q->listener = msg_get_u16(&r);
	ok = get_bool(&r, &q->client_tls);
	get_addr(&r, &q->client);
	get_addr(&r, &q->local);
	ok = ok && get_bytes(&r, q->user, sizeof(q->user), &q->user_len);
	return ok && msg_read_done(&r) ? 0 : bad();
}

static bool
answer_is_sound(const struct lookup_answer *a)
{
	if (a->status > LOOKUP_DENIED || a->user_len > sizeof(a->user) ||
	    a->n > LOOKUP_CANDIDATES_MAX)
		return false;
	if ((a->status == LOOKUP_FOUND) != (a->n > 0))
		return false;
	if (!a->has_user && a->user_len > 0)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct lookup_candidate *c = &a->candidate[i];

		if (c->addr.port == 0 || c->host[0] == '\0' ||
		    c->tls >= TLS_MODE_COUNT)
			return false;
	}
	return a->n == 0 || !a->candidate[0].same;
}

long
lookup_answer_write(const struct lookup_answer *a, char *out, size_t cap)
{
	struct msg_writer w;

	if (!answer_is_sound(a)) {
		errno = EINVAL;
		return -1;
	}
	msg_write_init(&w, out, cap);
	msg_put_u64(&w, a->id);
	msg_put_u8(&w, (uint8_t)a->status);
	msg_put_u8(&w, a->defaults);
	msg_put_u8(&w, a->has_user);
	msg_put_slice(&w, slice_make(a->user, a->user_len));
	msg_put_slice(&w, slice_str(a->domain));
	msg_put_slice(&w, slice_str(a->text));
	msg_put_u8(&w, (uint8_t)a->n);
	for (size_t i = 0; i < a->n; i++) {
		put_addr(&w, &a->candidate[i].addr);
		msg_put_slice(&w, slice_str(a->candidate[i].host));
		msg_put_u8(&w, (uint8_t)a->candidate[i].tls);
		msg_put_u8(&w, a->candidate[i].same);
	}
	return written(&w);
}

static bool
get_candidate(struct msg_reader *r, struct lookup_candidate *c)
{
	bool ok;

	get_addr(r, &c->addr);
	ok = msg_get_text(r, c->host, sizeof(c->host));
	c->tls = (enum tls_mode)msg_get_u8(r); /* judged with the whole */
	return ok && get_bool(r, &c->same);
}

int
lookup_answer_parse(struct slice in, struct lookup_answer *a)
{
	struct msg_reader r;
	uint8_t status;
	bool ok;

	/* Not the candidates, which are large: those that count are filled. */
	memset(a, 0, offsetof(struct lookup_answer, candidate));
	msg_read_init(&r, in);
	a->id = msg_get_u64(&r);
	status = msg_get_u8(&r);
	ok = status <= LOOKUP_DENIED;
	a->status = ok ? (enum lookup_status)status : LOOKUP_FAILED;
	ok = ok && get_bool(&r, &a->defaults) && get_bool(&r, &a->has_user) &&
	     get_bytes(&r, a->user, sizeof(a->user), &a->user_len) &&
	     msg_get_text(&r, a->domain, sizeof(a->domain)) &&
	     msg_get_text(&r, a->text, sizeof(a->text));
	a->n = msg_get_u8(&r);
	if (a->n > LOOKUP_CANDIDATES_MAX)
		ok = false;
	for (size_t i = 0; ok && i < a->n; i++)
		ok = get_candidate(&r, &a->candidate[i]);
	return ok && msg_read_done(&r) && answer_is_sound(a) ? 0 : bad();
}
