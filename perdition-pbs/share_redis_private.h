/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis_private - what the files of share_redis share: one to call the
 * server, one to read, one to write, one for the options; share_redis.c asks
 * and decides.
 */
#ifndef PERDITION_PBS_SHARE_REDIS_PRIVATE_H
#define PERDITION_PBS_SHARE_REDIS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/secret.h"
#include "common/slice.h"
#include "perdition-pbs/share_link.h"
#include "perdition-pbs/share_place.h"
#include "perdition-pbs/share_redis.h"

#define ANSWER_MS 5000 /* that a server may take, but for XREAD BLOCK */
#define RETRY_MIN_MS 50
#define SAID_MAX 8 /* different problems told of in one outage */

struct share_redis {
	struct share *share;
	struct share_clock clock;
	uv_loop_t *loop; /* NULL: not started */

	/* What was asked for. */
	struct share_place *servers;
	size_t servers_n;
	char *sentinel, *user, *key;
	struct secret password, sentinel_password;
	struct share_tls *tls;
	char db[16], maxlen[16];
	uint64_t maxlen_n;
	char self[96]; /* this process, in the stream */

	/* The round. */
	size_t server;         /* of servers */
	size_t tried;          /* in this round */
	struct share_place at; /* where writer and reader go */
	unsigned int wait_ms;  /* before the next round */
	struct share_link *ask, *writer, *reader;
	uv_timer_t retry, poll, full, again;

	/* The stream. */
	bool has_last;
	struct share_id last;    /* read */
	bool last_there;         /* as the greeting found */
	unsigned int read_count; /* entries to ask for at a time */
	unsigned int asked;      /* for so many */
	bool from_start; /* read from the beginning, and whether that is all
			  * of it that is alive is not known yet */
	uint64_t read_n; /* entries since then */
	bool has_kept;
	struct share_id kept; /* read some time ago: has to be there */
	uint64_t kept_n;      /* entries read since then */
	bool has_newest;
	struct share_id newest; /* at the greeting */
	int64_t ahead;          /* Redis' clock less the monotonic one, ms */
	unsigned int in_flight;
	uint64_t renewed; /* ms of the loop */

	/* What was said. */
	uint64_t said[SAID_MAX];
	size_t said_n;
	bool is_full;
	bool said_trimmed;
};

/* Redis' clock, ms. */
static inline int64_t
share_redis_now(const struct share_redis *s)
{
	return s->clock.mono_ms(s->clock.arg) + s->ahead;
}

/* --- share_redis.c: of the timer retry ----------------------------------- */

/* Tries the server whose turn it is. */
void share_redis_on_retry(uv_timer_t *);

/* Asks whether what was kept in mind is still there, as it has to be but for
 * its age; then keeps what was read last, for the next time. */
void share_redis_check_kept(struct share_redis *);

/* --- share_redis_options.c: 0, or -1 with err ---------------------------- */

int share_redis_set_up(
    struct share_redis *, const struct pbs_config *, struct err *);

/* --- share_redis_call.c -------------------------------------------------- */

void share_redis_write_place(const struct share_place *, char *out, size_t cap);

/* Logs each problem once, until all was well again. */
void share_redis_say(
    struct share_redis *, const struct share_place *where, struct slice why);

/* Closes all connections. */
void share_redis_hang_up(struct share_redis *);

/* This server is of no use now; the next one is tried. */
void share_redis_give_up(
    struct share_redis *, const struct share_place *where, struct slice why);

/* Whether r is an error, which ends this session. */
bool share_redis_refused(struct share_redis *, const redisReply *r);

/* An answer that makes no sense ends it too. */
void share_redis_odd(struct share_redis *);

/* NULL: given up. */
struct share_link *share_redis_dial(
    struct share_redis *, const struct share_place *, unsigned int answer_ms);

/* A reply that only must not be an error. */
void share_redis_on_ok(void *arg, const redisReply *r);

/* Behind both, *lp may be NULL: given up.  With a *lp of NULL they do
 * nothing. */
void share_redis_log_in(struct share_redis *, struct share_link **lp);
void share_redis_send(struct share_redis *, struct share_link **lp,
    share_reply *fn, const struct slice *words, size_t n);

/* The last two arguments of share_redis_send(). */
#define WORDS(...)                                                             \
	(const struct slice[]){ __VA_ARGS__ },                                 \
	    sizeof((const struct slice[]){ __VA_ARGS__ }) /                    \
		sizeof(struct slice)

/* --- share_redis_read.c: when the greeting is over ----------------------- */

void share_redis_read(struct share_redis *);

#endif
