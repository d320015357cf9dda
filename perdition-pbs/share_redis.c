/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis - the log of share.h in a Redis stream; see the header.
 *
 * A round goes through the servers until one takes us: from a Sentinel the
 * master's address, then the writer's greeting (may we write, what time is it
 * there, is what we read last still there), then the reader.
 */
#include "config.h"

#include "perdition-pbs/share_redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret_file.h"
#include "perdition-pbs/share_answer.h"
#include "perdition-pbs/share_link.h"
#include "perdition-pbs/share_place.h"

#include "common/banned.h"

#define BLOCK_MS 5000   /* XREAD comes back at least so often */
#define ANSWER_MS 5000  /* that a server may take for anything else */
#define READ_COUNT "64" /* entries of the stream in one turn: some ms */
#define IN_FLIGHT 16    /* XADD without an answer */
#define POLL_MS 10000
#define FULL_RETRY_MS 1000
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 800 /* back within a second */
#define SAID_MAX 8       /* different problems told of in one outage */
#define SENTINEL_PORT 26379
#define REDIS_PORT 6379

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
	int64_t timeout_ms;
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
	struct share_id last; /* read */
	bool last_there;      /* as the greeting found */
	bool has_newest;
	struct share_id newest; /* at the greeting */
	int64_t ahead;          /* Redis' clock less the monotonic one, ms */
	unsigned int in_flight;
	uint64_t renewed; /* ms of the loop */

	/* What was said. */
	uint64_t said[SAID_MAX];
	size_t said_n;
	bool is_full;
};

static void begin(struct share_redis *);

static int64_t
redis_now(const struct share_redis *s)
{
	return s->clock.mono_ms(s->clock.arg) + s->ahead;
}

/* --- what goes wrong ----------------------------------------------------- */

static void
write_place(const struct share_place *p, char *out, size_t cap)
{
	if (p->port == 0)
		snprintf(out, cap, "%s", p->host);
	else
		snprintf(out, cap,
		    strchr(p->host, ':') != NULL ? "[%s]:%u" : "%s:%u", p->host,
		    p->port);
}

/* Each problem once, until all was well again. */
static void
say(struct share_redis *s, const struct share_place *where, struct slice why)
{
	static const struct hash_key fixed = { 0 };
	char place[SHARE_HOST_MAX + 16], text[600];
	uint64_t sum;
	int n;

	write_place(where, place, sizeof(place));
	n = snprintf(text, sizeof(text), "%s %.*s", place,
	    (int)(why.n > 200 ? 200 : why.n), why.p);
	sum = hash_bytes(&fixed, slice_make(text, (size_t)n));
	for (size_t i = 0; i < s->said_n; i++)
		if (s->said[i] == sum)
			return;
	if (s->said_n == SAID_MAX)
		return;
	s->said[s->said_n++] = sum;
	log_event(LOG_ERR, "redis-error", LOG_STR("server", place),
	    LOG_SLICE("error", why),
	    LOG_STR("consequence",
		"not shared with other hosts, tried again each second"));
}

static void
hang_up(struct share_redis *s)
{
	share_link_close(&s->ask);
	share_link_close(&s->writer);
	share_link_close(&s->reader);
	uv_timer_stop(&s->poll);
	uv_timer_stop(&s->full);
	s->in_flight = 0;
	s->is_full = false;
	share_down(s->share);
}

static void
on_retry(uv_timer_t *t)
{
	begin(t->data);
}

/* This server is of no use now; the next one is tried. */
static void
give_up(
    struct share_redis *s, const struct share_place *where, struct slice why)
{
	bool was_up = share_is_up(s->share);

	hang_up(s);
	say(s, where, why);
	s->server = (s->server + 1) % s->servers_n;
	if (was_up) {
		s->wait_ms = RETRY_MIN_MS;
		s->tried = 0;
	} else if (++s->tried < s->servers_n) {
		uv_timer_start(&s->retry, on_retry, 0, 0);
		return;
	}
	s->tried = 0;
	uv_timer_start(&s->retry, on_retry, s->wait_ms, 0);
	s->wait_ms *= 2;
	if (s->wait_ms > RETRY_MAX_MS)
		s->wait_ms = RETRY_MAX_MS;
}

static void
on_failed(void *arg, const char *why)
{
	struct share_redis *s = arg;

	give_up(s, &s->at, slice_str(why));
}

/* Whether r is an error, which ends this session. */
static bool
refused(struct share_redis *s, const redisReply *r)
{
	if (share_answer_error(r) == SHARE_NO_ERROR)
		return false;
	give_up(s, &s->at, share_answer_text(r));
	return true;
}

static void
odd(struct share_redis *s)
{
	give_up(s, &s->at, SLICE("an answer that makes no sense"));
}

/* --- commands ------------------------------------------------------------ */

#define WORDS(...)                                                             \
	(const struct slice[]){ __VA_ARGS__ },                                 \
	    sizeof((const struct slice[]){ __VA_ARGS__ }) /                    \
		sizeof(struct slice)

static void
send_words(struct share_redis *s, struct share_link **lp, share_reply *fn,
    const struct slice *words, size_t n)
{
	if (*lp != NULL && share_link_send(*lp, fn, words, n) == -1)
		give_up(s, &s->at, slice_str(strerror(ENOBUFS)));
}

static void
on_ok(void *arg, const redisReply *r)
{
	refused(arg, r);
}

static void
log_in(struct share_redis *s, struct share_link **lp)
{
	struct slice password = secret_get(&s->password);

	if (s->user[0] != '\0')
		send_words(s, lp, on_ok,
		    WORDS(SLICE("AUTH"), slice_str(s->user), password));
	else if (password.n > 0)
		send_words(s, lp, on_ok, WORDS(SLICE("AUTH"), password));
	if (strcmp(s->db, "0") != 0)
		send_words(
		    s, lp, on_ok, WORDS(SLICE("SELECT"), slice_str(s->db)));
}

static struct share_link *
dial(struct share_redis *s, const struct share_place *p, unsigned int answer_ms)
{
	struct share_link_config c = {
		.loop = s->loop,
		.host = p->host,
		.port = p->port,
		.tls = s->tls,
		.answer_ms = answer_ms,
		.failed = on_failed,
		.arg = s,
	};
	struct share_link *l = share_link_open(&c);

	if (l == NULL)
		give_up(s, p, slice_str(strerror(errno)));
	return l;
}

/* --- reading ------------------------------------------------------------- */

static void on_read(void *arg, const redisReply *r);

static void
up(struct share_redis *s)
{
	char place[SHARE_HOST_MAX + 16];

	share_up(s->share);
	s->said_n = 0;
	s->tried = 0;
	s->wait_ms = RETRY_MIN_MS;
	write_place(&s->at, place, sizeof(place));
	log_event(LOG_NOTICE, "redis-up", LOG_STR("server", place));
}

static void
read_next(struct share_redis *s, const struct share_id *behind)
{
	char id[SHARE_ID_MAX], block[16];

	share_id_write(behind, id);
	snprintf(block, sizeof(block), "%d", BLOCK_MS);
	send_words(s, &s->reader, on_read,
	    WORDS(SLICE("XREAD"), SLICE("COUNT"), SLICE(READ_COUNT),
		SLICE("BLOCK"), slice_str(block), SLICE("STREAMS"),
		slice_str(s->key), slice_str(id)));
}

static void
take_entry(struct share_redis *s, const redisReply *r, size_t i)
{
	struct share_stored e;
	struct share_message m;
	bool ours = share_answer_entry(r, i, &e);

	if (!share_id_before(&s->last, &e.id))
		return; /* no id, or Redis makes no sense */
	s->last = e.id;
	s->has_last = true;
	if (!ours || e.id.ms > INT64_MAX / 2)
		return;
	m.text = e.changes;
	m.from = e.from;
	m.own = slice_eq(e.from, slice_str(s->self));
	m.at = (int64_t)e.id.ms;
	m.now = redis_now(s);
	if (m.now < m.at)
		m.now = m.at;
	share_read(s->share, &m);
}

static void
on_read(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_stored newest = { { 0, 0 }, SLICE(""), SLICE("") };
	size_t n;

	if (refused(s, r))
		return;
	n = share_answer_entries(r);
	if (n > 0)
		share_answer_entry(r, n - 1, &newest);
	/* Asked for before these are taken, so that Redis is busy meanwhile. */
	read_next(
	    s, share_id_before(&s->last, &newest.id) ? &newest.id : &s->last);
	if (s->reader == NULL)
		return;
	share_link_push(s->reader);
	if (s->reader == NULL)
		return; /* what was asked for is read again */
	for (size_t i = 0; i < n; i++)
		take_entry(s, r, i);
	if (!share_is_up(s->share) &&
	    (n == 0 || !s->has_newest ||
		!share_id_before(&s->last, &s->newest)))
		up(s);
}

static void
start_reading(struct share_redis *s)
{
	if (!s->has_last || !s->last_there) {
		int64_t from = redis_now(s) - s->timeout_ms;

		if (s->has_last)
			share_forgotten(s->share);
		/* What is older is dead. */
		s->last.ms = from < 0 ? 0 : (uint64_t)from;
		s->last.seq = 0;
		s->has_last = false;
	}
	s->reader = dial(s, &s->at, BLOCK_MS + ANSWER_MS);
	if (s->reader == NULL)
		return;
	log_in(s, &s->reader);
	if (s->reader == NULL)
		return;
	if (!s->has_newest || !share_id_before(&s->last, &s->newest))
		up(s);
	read_next(s, &s->last);
}

/* --- asking -------------------------------------------------------------- */

static void
on_time(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	int64_t now = share_answer_time(r);

	if (refused(s, r))
		return;
	if (now == -1)
		odd(s);
	else
		s->ahead = now - s->clock.mono_ms(s->clock.arg);
}

/* The first command that writes. */
static void
on_expire(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;

	if (share_answer_error(r) != SHARE_ERROR_FULL)
		refused(s, r);
}

static void
on_trim(void *arg, const redisReply *r)
{
	/* MINID came with Redis 6.2; before, there is only maxlen. */
	if (share_answer_error(r) != SHARE_ERROR_FULL &&
	    share_answer_error(r) != SHARE_ERROR_COMMAND)
		refused(arg, r);
}

static void
on_last(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_id id;

	if (refused(s, r))
		return;
	s->last_there = share_answer_first(r, &id) == 1;
	/* While we read; else the greeting goes on. */
	if (!s->last_there && s->reader != NULL)
		give_up(s, &s->at,
		    SLICE("what was shared is gone from there: starting over"));
}

static void
on_newest(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	int ret;

	if (refused(s, r))
		return;
	ret = share_answer_first(r, &s->newest);
	if (ret == -1) {
		odd(s);
		return;
	}
	s->has_newest = ret == 1;
	start_reading(s);
}

static void
ask_time(struct share_redis *s)
{
	char ms[SLICE_U64_MAX + 1];

	snprintf(ms, sizeof(ms), "%" PRId64, 2 * s->timeout_ms);
	send_words(s, &s->writer, on_expire,
	    WORDS(SLICE("PEXPIRE"), slice_str(s->key), slice_str(ms)));
	send_words(s, &s->writer, on_time, WORDS(SLICE("TIME")));
}

static void
ask_last(struct share_redis *s)
{
	char id[SHARE_ID_MAX];

	share_id_write(&s->last, id);
	send_words(s, &s->writer, on_last,
	    WORDS(SLICE("XRANGE"), slice_str(s->key), slice_str(id),
		slice_str(id), SLICE("COUNT"), SLICE("1")));
}

static void
on_poll(uv_timer_t *t)
{
	struct share_redis *s = t->data;
	int64_t oldest = redis_now(s) - s->timeout_ms;
	char text[SLICE_U64_MAX + 1];

	ask_time(s);
	snprintf(text, sizeof(text), "%" PRId64, oldest < 0 ? 0 : oldest);
	send_words(s, &s->writer, on_trim,
	    WORDS(SLICE("XTRIM"), slice_str(s->key), SLICE("MINID"), SLICE("~"),
		slice_str(text)));
	/* Unless it has been trimmed for its age, it has to be there. */
	if (s->has_last && (int64_t)s->last.ms > oldest + POLL_MS)
		ask_last(s);
	if (uv_now(s->loop) - s->renewed >= (uint64_t)s->timeout_ms / 4) {
		s->renewed = uv_now(s->loop);
		share_renew(s->share);
	}
}

static void
greet(struct share_redis *s)
{
	s->writer = dial(s, &s->at, ANSWER_MS);
	if (s->writer == NULL)
		return;
	s->last_there = false;
	log_in(s, &s->writer);
	ask_time(s);
	if (s->has_last)
		ask_last(s);
	send_words(s, &s->writer, on_newest,
	    WORDS(SLICE("XREVRANGE"), slice_str(s->key), SLICE("+"), SLICE("-"),
		SLICE("COUNT"), SLICE("1")));
	if (s->writer != NULL)
		uv_timer_start(&s->poll, on_poll, POLL_MS, POLL_MS);
}

static void
on_master(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	struct share_place p;
	int ret;

	if (refused(s, r))
		return;
	ret = share_answer_master(r, &p);
	if (ret == 0)
		give_up(s, &s->at, SLICE("knows no master of that name"));
	if (ret == -1)
		odd(s);
	if (ret != 1)
		return;
	share_link_close(&s->ask);
	s->at = p;
	greet(s);
}

static void
ask_sentinel(struct share_redis *s)
{
	struct slice password = secret_get(&s->sentinel_password);

	s->ask = dial(s, &s->at, ANSWER_MS);
	if (s->ask != NULL && password.n > 0)
		send_words(s, &s->ask, on_ok, WORDS(SLICE("AUTH"), password));
	send_words(s, &s->ask, on_master,
	    WORDS(SLICE("SENTINEL"), SLICE("get-master-addr-by-name"),
		slice_str(s->sentinel)));
}

static void
begin(struct share_redis *s)
{
	s->at = s->servers[s->server];
	if (s->sentinel[0] != '\0')
		ask_sentinel(s);
	else
		greet(s);
}

/* --- writing ------------------------------------------------------------- */

static void
on_full_over(uv_timer_t *t)
{
	struct share_redis *s = t->data;

	share_again(s->share);
	share_redis_flush(s);
}

static void
on_added(void *arg, const redisReply *r)
{
	struct share_redis *s = arg;
	enum share_error error = share_answer_error(r);

	s->in_flight--;
	if (error == SHARE_ERROR_FULL) {
		say(s, &s->at, share_answer_text(r));
		s->is_full = true;
		if (!uv_is_active((uv_handle_t *)&s->full))
			uv_timer_start(
			    &s->full, on_full_over, FULL_RETRY_MS, 0);
		return;
	}
	if (error != SHARE_NO_ERROR) {
		give_up(s, &s->at, share_answer_text(r));
		return;
	}
	if (s->is_full && !uv_is_active((uv_handle_t *)&s->full)) {
		s->is_full = false;
		s->said_n = 0;
		log_event(LOG_NOTICE, "redis-restored");
	}
}

static void
on_again(uv_timer_t *t)
{
	(void)t; /* the turn that it causes ends in a flush */
}

void
share_redis_flush(struct share_redis *s)
{
	char text[SHARE_MESSAGE_MAX];
	unsigned int most = s->is_full ? 1 : IN_FLIGHT;

	if (s->loop == NULL || !share_is_up(s->share) ||
	    uv_is_active((uv_handle_t *)&s->full))
		return;
	while (s->in_flight < most && share_busy(s->share)) {
		size_t n = share_write(s->share, text);

		if (n == 0)
			break;
		s->in_flight++;
		send_words(s, &s->writer, on_added,
		    WORDS(SLICE("XADD"), slice_str(s->key), SLICE("MAXLEN"),
			SLICE("~"), slice_str(s->maxlen), SLICE("*"),
			SLICE("v"), SLICE("1"), SLICE("from"),
			slice_str(s->self), SLICE("changes"),
			slice_make(text, n)));
	}
	/* Else the next answer wakes us. */
	if (s->in_flight < most && share_busy(s->share))
		uv_timer_start(&s->again, on_again, 0, 0);
}

bool
share_redis_behind(const struct share_redis *s)
{
	return s->reader != NULL && !share_is_up(s->share);
}

/* --- life ---------------------------------------------------------------- */

/* Who this is, for operators; what makes it unique is behind it. */
static int
name_self(struct share_redis *s, struct err *err)
{
	char host[65] = "";
	uint64_t random;

	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_set(err, errno, "getrandom: %s", strerror(errno));
	snprintf(s->self, sizeof(s->self), "%s/%016" PRIx64, host, random);
	return 0;
}

static int
read_secret(const char *path, struct secret *out, struct err *err)
{
	return path[0] == '\0' ? 0 : secret_read_file(path, out, err);
}

static int
set_up(struct share_redis *s, const struct pbs_config *c, struct err *err)
{
	struct share_tls_config tc = { c->redis_tls_ca_cert_file,
		c->redis_tls_cert_file, c->redis_tls_key_file,
		c->redis_tls_name };
	unsigned int port =
	    c->redis_sentinel[0] == '\0' ? REDIS_PORT : SENTINEL_PORT;

	s->servers = calloc(c->redis_server.n, sizeof(*s->servers));
	s->sentinel = strdup(c->redis_sentinel);
	s->user = strdup(c->redis_user);
	if (asprintf(&s->key, "%schanges", c->redis_prefix) == -1)
		s->key = NULL;
	if (s->servers == NULL || s->sentinel == NULL || s->user == NULL ||
	    s->key == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	for (; s->servers_n < c->redis_server.n; s->servers_n++)
		if (share_place_parse(
			slice_str(c->redis_server.v[s->servers_n]), port,
			&s->servers[s->servers_n]) == -1)
			return err_set(err, EINVAL, "redis_server: %s: %s",
			    c->redis_server.v[s->servers_n], strerror(errno));
	snprintf(s->db, sizeof(s->db), "%u", c->redis_db);
	snprintf(s->maxlen, sizeof(s->maxlen), "%u", c->redis_maxlen);
	s->timeout_ms = (int64_t)c->timeout * 1000;
	s->wait_ms = RETRY_MIN_MS;
	if (c->redis_tls) {
		s->tls = share_tls_create(&tc, err);
		if (s->tls == NULL)
			return -1;
	}
	if (read_secret(c->redis_password_file, &s->password, err) == -1 ||
	    read_secret(c->redis_sentinel_password_file, &s->sentinel_password,
		err) == -1)
		return -1;
	return name_self(s, err);
}

struct share_redis *
share_redis_create(const struct pbs_config *c, struct relay *relay,
    const struct share_clock *clock, struct err *err)
{
	struct share_redis *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	s->clock = *clock;
	if (set_up(s, c, err) == -1) {
		share_redis_destroy(&s);
		return NULL;
	}
	s->share = share_create(relay, clock);
	if (s->share == NULL) {
		err_set(err, errno, "%s", strerror(errno));
		share_redis_destroy(&s);
	}
	return s;
}

int
share_redis_start(struct share_redis *s, uv_loop_t *loop)
{
	uv_timer_t *timers[] = { &s->retry, &s->poll, &s->full, &s->again };

	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		if (uv_timer_init(loop, timers[i]) != 0) {
			errno = ENOMEM;
			return -1;
		}
		timers[i]->data = s;
	}
	s->loop = loop;
	uv_timer_start(&s->retry, on_retry, 0, 0);
	return 0;
}

void
share_redis_stop(struct share_redis *s)
{
	if (s->loop == NULL)
		return;
	hang_up(s);
	s->loop = NULL;
	uv_close((uv_handle_t *)&s->retry, NULL);
	uv_close((uv_handle_t *)&s->poll, NULL);
	uv_close((uv_handle_t *)&s->full, NULL);
	uv_close((uv_handle_t *)&s->again, NULL);
}

void
share_redis_destroy(struct share_redis **sp)
{
	struct share_redis *s = *sp;

	if (s == NULL)
		return;
	share_destroy(&s->share);
	share_tls_destroy(&s->tls);
	secret_clear(&s->password);
	secret_clear(&s->sentinel_password);
	free(s->servers);
	free(s->sentinel);
	free(s->user);
	free(s->key);
	free(s);
	*sp = NULL;
}
