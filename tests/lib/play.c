/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * play - sockets whose other ends belong to the session engine, and the fakes
 * that stand in for the parts of perdition around it.
 */
#include "config.h"

#include "tests/lib/play.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/msg.h"
#include "tests/lib/loop_fake.h"

#include "common/banned.h"

/* Small, so that a peer that does not read is felt at once. */
#define SOCKET_BUFFER 8192

static struct play *playing; /* for the fakes, which get no argument */

_Noreturn void
play_wrong(const char *what, const char *detail)
{
	static const char *const modes[MODES] = { "as written", "byte by byte",
		"joined" };

	ck_abort_msg("%s:%u (%s): %s: %s", playing->file, playing->line,
	    modes[playing->mode], what, detail);
	abort();
}

/* --- fakes that stand in for lookup_client.c ---------------------------- */

struct lookup_client {
	int unused;
};

uint64_t
lookup_client_ask(
    struct lookup_client *c, struct lookup_question *q, void *owner)
{
	(void)c;
	playing->question = *q;
	playing->owner = owner;
	return 1;
}

void
lookup_client_forget(struct lookup_client *c, uint64_t id)
{
	(void)c;
	if (id != 0)
		playing->owner = NULL;
}

/* The letter of a name is the last byte of its address. */
static void
add_candidate(struct lookup_answer *a, const char *name)
{
	struct lookup_candidate *c = &a->candidate[a->n++];
	char text[64];

	c->same = name[0] == '=';
	if (c->same)
		name++;
	snprintf(text, sizeof(text), "203.0.113.%u",
	    (unsigned int)(unsigned char)name[0]);
	addr_parse(slice_str(text), false, &c->addr);
	c->addr.port = playing->config.listeners[0].protocol->port;
	if (strcmp(name, "self") == 0)
		c->addr = playing->config.listeners[0].addr;
	snprintf(c->host, sizeof(c->host), "%s", name);
}

static void
add_word(struct lookup_answer *a, const char *w)
{
	if (strcmp(w, "none") == 0) {
		a->status = LOOKUP_NONE;
	} else if (strcmp(w, "fail") == 0) {
		a->status = LOOKUP_FAILED;
		snprintf(a->text, sizeof(a->text), "map is down");
	} else if (strcmp(w, "default") == 0) {
		a->defaults = true;
	} else if (strncmp(w, "user=", 5) == 0) {
		a->has_user = true;
		a->user_len = strlen(w + 5);
		memcpy(a->user, w + 5, a->user_len);
	} else {
		add_candidate(a, w);
	}
}

static bool
map_is_for(const struct map *m, struct slice user)
{
	struct slice name = slice_make(m->user, m->user_len);

	return slice_eq(name, user) || slice_eq(name, SLICE("*"));
}

static bool
answer_question(struct play *p)
{
	struct lookup_answer a = { .status = LOOKUP_FOUND };
	struct slice user = slice_make(p->question.user, p->question.user_len);
	void *owner = p->owner;
	char copy[256], *save = NULL;
	size_t i = 0;

	if (owner == NULL)
		return false;
	while (i < p->maps && !map_is_for(&p->map[i], user))
		i++;
	if (i == p->maps)
		play_wrong("no map line for this user", "");
	snprintf(copy, sizeof(copy), "%s", p->map[i].answer);
	if (strcmp(copy, "hang") == 0)
		return false;
	for (char *w = strtok_r(copy, " ", &save); w != NULL;
	     w = strtok_r(NULL, " ", &save))
		add_word(&a, w);
	p->owner = NULL;
	session_answered(owner, &a);
	return true;
}

/* --- sockets ------------------------------------------------------------ */

static void
make_pair(int fd[2])
{
	int size = SOCKET_BUFFER;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		fd) == -1)
		play_wrong("socketpair", strerror(errno));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size,
				     sizeof(size)),
		    0);
}

/* A connection that is refused only after a while. */
static int
connect_refused_late(void)
{
	int fd[2];

	make_pair(fd);
	/* Closed with something unread, which is an error at the other end. */
	ck_assert_int_eq(send(fd[0], "", 1, MSG_NOSIGNAL), 1);
	close(fd[1]);
	return fd[0];
}

/* A connection that is never made: the backlog that it waits for is full. */
static int
connect_stalled(struct play *p)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t n = sizeof(sin);
	struct sockaddr *sa = (struct sockaddr *)&sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (p->stalled[0] == -1) {
		p->stalled[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		p->stalled[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(bind(p->stalled[0], sa, n), 0);
		ck_assert_int_eq(listen(p->stalled[0], 0), 0);
		ck_assert_int_eq(getsockname(p->stalled[0], sa, &n), 0);
		ck_assert_int_eq(connect(p->stalled[1], sa, n), 0);
	}
	ck_assert_int_eq(getsockname(p->stalled[0], sa, &n), 0);
	ck_assert_int_eq(connect(fd, sa, n), -1);
	ck_assert_int_eq(errno, EINPROGRESS);
	return fd;
}

static int
fake_connect(struct session_env *env, const struct addr *a)
{
	struct play *p = playing;
	struct server *s = &p->server[p->servers];
	int fd[2];

	(void)env;
	switch (a->ip.s6_addr[15]) {
	case 'x':
		errno = ECONNREFUSED;
		return -1;
	case 'y':
		return connect_refused_late();
	case 'z':
		return connect_stalled(p);
	default:
		break;
	}
	if (p->servers == SERVERS_MAX)
		play_wrong("too many servers", "");
	make_pair(fd);
	s->name = (char)a->ip.s6_addr[15];
	s->s.fd = fd[1];
	p->servers++;
	return fd[0];
}

static void
fake_ended(struct session_env *env)
{
	(void)env;
}

/* --- moving bytes ------------------------------------------------------- */

static bool
stream_read(struct stream *s)
{
	bool any = false;

	while (s->fd != -1 && !s->ended && !s->paused && s->n < STREAM_MAX) {
		ssize_t r = recv(s->fd, s->got + s->n, STREAM_MAX - s->n, 0);

		if (r == 0 || (r == -1 && errno == ECONNRESET))
			s->ended = true;
		if (r <= 0)
			break;
		s->n += (size_t)r;
		any = true;
	}
	return any;
}

/* One write of what waits. */
static bool
stream_push(struct play *p, struct stream *s)
{
	size_t n = s->unsent_n;
	ssize_t w;

	if (s->fd != -1 && n == 0 && s->ending) {
		s->ending = false;
		shutdown(s->fd, SHUT_WR);
		return true;
	}
	if (s->fd == -1 || n == 0)
		return false;
	if (p->mode == BY_BYTE)
		n = n > 4096 ? 997 : 1; /* or it would take too long */
	w = send(s->fd, s->unsent, n, MSG_NOSIGNAL);
	if (w == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (w == -1) /* what it says next shows whether that is right */
		w = (ssize_t)s->unsent_n;
	memmove(s->unsent, s->unsent + w, s->unsent_n - (size_t)w);
	s->unsent_n -= (size_t)w;
	return true;
}

void
play_send(struct stream *s, const char *text, size_t n)
{
	if (s->fd == -1)
		play_wrong("sends, but is not there", "");
	ck_assert_uint_le(n, STREAM_MAX - s->unsent_n);
	memcpy(s->unsent + s->unsent_n, text, n);
	s->unsent_n += n;
}

void
play_close(struct stream *s)
{
	close(s->fd);
	s->fd = -1;
	s->unsent_n = 0;
}

static void
note_line(char *to, size_t *to_n, struct slice text)
{
	ck_assert_uint_lt(*to_n + text.n + 1, LOGGED_MAX);
	memcpy(to + *to_n, text.p, text.n);
	to[*to_n + text.n] = '\n';
	*to_n += text.n + 1;
}

static void
note_record(struct play *p, uint8_t kind, struct slice text)
{
	static char line[AUTH_LINE_MAX];
	struct auth_event ev;
	ssize_t n;

	if (kind == LOG_RECORD_AUTH) {
		ck_assert_int_eq(auth_event_parse_record(text, &ev), 1);
		n = auth_event_write_line(&ev, line, sizeof(line));
		ck_assert_int_gt(n, 0);
		text = slice_make(line, (size_t)n);
	}
	note_line(p->logged, &p->logged_n, text);
	note_line(p->history, &p->history_n, text);
}

static void
log_read(struct play *p)
{
	static char packet[MSG_MAX];
	ssize_t r;

	logq_flush(p->env.log);
	while ((r = msg_recv(p->log[0], packet, sizeof(packet))) > 0) {
		struct msg_reader in;

		msg_read_init(&in, slice_make(packet, (size_t)r));
		ck_assert_uint_eq(msg_get_u16(&in), LOG_BATCH);
		while (in.rest.n > 0 && !in.failed) {
			uint8_t kind = msg_get_u8(&in);

			msg_get_u8(&in);
			msg_get_u32(&in);
			msg_get_slice(&in);
			note_record(p, kind, msg_get_slice(&in));
		}
		ck_assert_int_eq(in.failed, 0);
	}
}

void
play_settle(struct play *p)
{
	bool moved;

	if (!p->started)
		return;
	do {
		moved = false;
		for (size_t i = 0; i < CLIENTS_MAX; i++)
			moved |= stream_push(p, &p->client[i]);
		for (size_t i = 0; i < p->servers; i++)
			moved |= stream_push(p, &p->server[i].s);
		loop_fake_settle(p->env.loop);
		moved |= answer_question(p);
		for (size_t i = 0; i < CLIENTS_MAX; i++)
			moved |= stream_read(&p->client[i]);
		for (size_t i = 0; i < p->servers; i++)
			moved |= stream_read(&p->server[i].s);
		log_read(p);
	} while (moved);
}

void
play_pass(struct play *p, unsigned long seconds)
{
	loop_fake_pass(p->env.loop, seconds * 1000);
	play_settle(p);
}

/* --- life --------------------------------------------------------------- */

struct play *
play_create(const char *file, enum mode mode)
{
	struct play *p = calloc(1, sizeof(*p));

	ck_assert_ptr_nonnull(p);
	playing = p;
	p->file = file;
	p->mode = mode;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		p->client[i].fd = -1;
	p->stalled[0] = p->stalled[1] = -1;
	snprintf(p->config_text, sizeof(p->config_text),
	    "map_library \"\"\nno_bind_banner\n");
	return p;
}

void
play_start(struct play *p)
{
	struct option_problems problems = { 0 };

	p->started = true;
	if (config_load_text(
		&p->config, slice_str(p->config_text), &problems) == -1)
		play_wrong("config", problems.v[0]);
	option_problems_clear(&problems);
	ck_assert_int_eq(msg_pair(p->log), 0);
	p->env.config = &p->config;
	p->env.loop = loop_create();
	p->env.shared = shared_create(&p->shared_fd);
	p->env.log = logq_open(p->log[1]);
	p->env.connect = fake_connect;
	p->env.ended = fake_ended;
	ck_assert_ptr_nonnull(p->env.shared);
	shared_slot_wipe(p->env.shared, 0);
	ck_assert_int_eq(session_env_init(&p->env), 0);
	logq_install(p->env.log);
	log_set_level(p->config.debug ? LOG_DEBUG : LOG_INFO);
}

void
play_connect(struct play *p, size_t client)
{
	const struct addr *local = &p->config.listeners[0].addr;
	struct addr from;
	int fd[2];

	make_pair(fd);
	p->client[client].fd = fd[1];
	addr_parse(
	    addr_is_v4(local) ? SLICE("198.51.100.7") : SLICE("2001:db8:9::7"),
	    false, &from);
	from.port = (uint16_t)(1025 + client);
	session_start(&p->env, 0, fd[0], &from, local);
	play_settle(p);
}

static void
check_rest(struct stream *s, const char *who)
{
	if (s->n > 0) {
		s->got[s->n < STREAM_MAX ? s->n : s->n - 1] = '\0';
		play_wrong(who, s->got);
	}
	if (s->fd != -1)
		close(s->fd);
}

void
play_destroy(struct play **pp)
{
	struct play *p = *pp;

	play_settle(p);
	session_end_all(&p->env);
	loop_fake_settle(p->env.loop);
	ck_assert_uint_eq(p->env.count, 0);
	ck_assert_uint_eq(shared_sessions(p->env.shared), 0);
	session_env_stop(&p->env);
	loop_fake_settle(p->env.loop);
	loop_destroy(&p->env.loop);
	session_env_clear(&p->env);
	close(p->log[0]);
	logq_close(&p->env.log);
	close(p->log[1]);
	shared_detach(&p->env.shared);
	close(p->shared_fd);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		check_rest(&p->client[i], "a client got more");
	for (size_t i = 0; i < p->servers; i++)
		check_rest(&p->server[i].s, "a server got more");
	for (size_t i = 0; i < 2; i++)
		if (p->stalled[i] != -1)
			close(p->stalled[i]);
	config_clear(&p->config);
	free(p);
	*pp = NULL;
}
