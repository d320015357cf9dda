/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_answer - what Redis answers, taken apart; see the header.
 */
#include "config.h"

#include "perdition-pbs/share_answer.h"

#include <string.h>

#include "common/banned.h"

static const struct {
	const char *code;
	enum share_error error;
} codes[] = {
	{ "OOM ", SHARE_ERROR_FULL },
	{ "MISCONF ", SHARE_ERROR_FULL },
	{ "NOREPLICAS ", SHARE_ERROR_FULL },
	{ "READONLY ", SHARE_ERROR_REPLICA },
	{ "LOADING ", SHARE_ERROR_BUSY },
	{ "BUSY ", SHARE_ERROR_BUSY },
	{ "MASTERDOWN ", SHARE_ERROR_REPLICA },
	{ "NOPERM ", SHARE_ERROR_COMMAND },
	{ "ERR syntax", SHARE_ERROR_COMMAND },
	{ "ERR unknown", SHARE_ERROR_COMMAND },
};

enum share_error
share_answer_error(const redisReply *r)
{
	struct slice text = share_answer_text(r);

	if (r->type != REDIS_REPLY_ERROR)
		return SHARE_NO_ERROR;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (slice_starts(text, slice_str(codes[i].code)))
			return codes[i].error;
	return SHARE_ERROR_OTHER;
}

struct slice
share_answer_text(const redisReply *r)
{
	if (r == NULL ||
	    (r->type != REDIS_REPLY_ERROR && r->type != REDIS_REPLY_STRING &&
		r->type != REDIS_REPLY_STATUS))
		return slice_make(NULL, 0);
	return slice_make(r->str, r->len);
}

/* Element i of an array of at least n, or NULL. */
static const redisReply *
element(const redisReply *r, size_t n, size_t i)
{
	if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements < n ||
	    i >= r->elements)
		return NULL;
	return r->element[i];
}

int64_t
share_answer_time(const redisReply *r)
{
	struct slice s = share_answer_text(element(r, 2, 0));
	struct slice us = share_answer_text(element(r, 2, 1));
	uint64_t seconds, micro;

	if (slice_u64(s, SHARE_ID_MS_MAX / 1000 - 1, &seconds) == -1 ||
	    slice_u64(us, 999999, &micro) == -1)
		return -1;
	return (int64_t)(seconds * 1000 + micro / 1000);
}

int
share_answer_first(const redisReply *r, struct share_id *id)
{
	if (r->type != REDIS_REPLY_ARRAY)
		return -1;
	if (r->elements == 0)
		return 0;
	return share_id_parse(
		   share_answer_text(element(element(r, 1, 0), 2, 0)), id) == 0
		   ? 1
		   : -1;
}

int
share_answer_master(const redisReply *r, struct share_place *p)
{
	struct slice host = share_answer_text(element(r, 2, 0));
	uint64_t port;

	if (r->type == REDIS_REPLY_NIL)
		return 0;
	if (host.n == 0 || host.n >= sizeof(p->host) || host.p[0] == '/' ||
	    memchr(host.p, '\0', host.n) != NULL ||
	    slice_u64(share_answer_text(element(r, 2, 1)), 65535, &port) ==
		-1 ||
	    port == 0)
		return -1;
	memcpy(p->host, host.p, host.n);
	p->host[host.n] = '\0';
	p->port = (unsigned int)port;
	return 1;
}

/* [[stream, [entry, ...]]] */
static const redisReply *
entries(const redisReply *r)
{
	const redisReply *e = element(element(r, 1, 0), 2, 1);

	return e != NULL && e->type == REDIS_REPLY_ARRAY ? e : NULL;
}

size_t
share_answer_entries(const redisReply *r)
{
	const redisReply *e = entries(r);

	return e == NULL ? 0 : e->elements;
}

/* [id, [field, value, ...]] */
bool
share_answer_entry(const redisReply *r, size_t i, struct share_stored *out)
{
	const redisReply *e = element(entries(r), 1, i);
	const redisReply *fields = element(e, 2, 1);
	bool version = false;

	memset(out, 0, sizeof(*out));
	if (share_id_parse(share_answer_text(element(e, 2, 0)), &out->id) ==
		-1 ||
	    fields == NULL || fields->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t f = 0; f + 1 < fields->elements; f += 2) {
		struct slice name = share_answer_text(fields->element[f]);
		struct slice value = share_answer_text(fields->element[f + 1]);

		if (slice_eq(name, SLICE("v")))
			version = slice_eq(value, SLICE("1"));
		else if (slice_eq(name, SLICE("from")))
			out->from = value;
		else if (slice_eq(name, SLICE("changes")))
			out->changes = value;
	}
	return version && out->from.n > 0 && out->changes.n > 0;
}
