/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * play_transcripts - plays tests/transcripts/NAME.txt against the session
 * engine, with fake peers and a clock that the transcript turns.
 *
 * Each file is played three times: as written, byte by byte, and with lines
 * that one peer sends in a row joined into one write.  See
 * tests/transcripts/README for the format.
 */
#include "config.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/msg.h"
#include "perdition/session.h"
#include "tests/lib/loop_fake.h"

#include "common/banned.h"

#define STREAM_MAX 262144
#define SERVERS_MAX 16
#define TEXT_MAX 65536
#define MAPS_MAX 16

enum mode { BY_LINE, BY_BYTE, JOINED, MODES };

struct stream { /* one end that the transcript plays */
	int fd;
	bool ended; /* the proxy has closed it */
	size_t n;
	char got[STREAM_MAX]; /* received and not yet expected */
};

struct server {
	char name[64];
	struct stream s;
};

struct map {
	char user[128];
	char answer[256];
};

struct play {
	const char *file;
	unsigned int line;
	enum mode mode;
	char config_text[8192];
	struct config config;
	bool started;
	struct session_env env;
	int shared_fd;
	int log[2];
	char logged[STREAM_MAX];
	size_t logged_n;
	struct stream client;
	struct server server[SERVERS_MAX];
	size_t servers;
	struct map map[MAPS_MAX];
	size_t maps;
	char pending[TEXT_MAX]; /* JOINED: not written yet */
	size_t pending_n;
	struct stream *pending_to;
	/* one open question, answered at the next settle */
	void *owner;
	struct lookup_question question;
};

static struct play *playing; /* for the fakes, which get no argument */

static _Noreturn void
wrong(const char *what, const char *detail)
{
	ck_abort_msg("%s:%u (mode %d): %s: %s", playing->file, playing->line,
	    (int)playing->mode, what, detail);
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

/* "one two" -> candidates; "none", "fail", "hang", "user=NAME one". */
static bool
fill_answer(const char *text, struct lookup_answer *a)
{
	char copy[256], *save = NULL;

	memset(a, 0, sizeof(*a));
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w != NULL;
	     w = strtok_r(NULL, " ", &save)) {
		struct lookup_candidate *c = &a->candidate[a->n];

		if (strcmp(w, "hang") == 0)
			return false;
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
		} else if (strcmp(w, "self") == 0) {
			addr_parse(SLICE("192.0.2.1:143"), true, &c->addr);
			snprintf(c->host, sizeof(c->host), "self");
			a->n++;
		} else {
			char text_addr[64];

			snprintf(text_addr, sizeof(text_addr),
			    "203.0.113.%u:143",
			    (unsigned int)(unsigned char)w[0]);
			addr_parse(slice_str(text_addr), true, &c->addr);
			snprintf(c->host, sizeof(c->host), "%s", w);
			a->n++;
		}
	}
	return true;
}

static bool
answer_question(struct play *p)
{
	struct lookup_answer a;
	void *owner = p->owner;

	if (owner == NULL)
		return false;
	for (size_t i = 0; i < p->maps; i++) {
		if (!slice_eq(slice_str(p->map[i].user),
			slice_make(p->question.user, p->question.user_len)) &&
		    strcmp(p->map[i].user, "*") != 0)
			continue;
		if (!fill_answer(p->map[i].answer, &a))
			return false;
		p->owner = NULL;
		session_answered(owner, &a);
		return true;
	}
	wrong("no map line for this user", "");
}

/* A server's name is known by its address's last byte: its first letter;
 * names that begin with "x" cannot be reached. */
static int
fake_connect(const struct addr *a)
{
	struct play *p = playing;
	struct server *s = &p->server[p->servers];
	int fd[2];

	if (a->ip.s6_addr[15] == 'x') {
		errno = ECONNREFUSED;
		return -1;
	}
	if (p->servers == SERVERS_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		fd) == -1)
		wrong("cannot make a server", strerror(errno));
	snprintf(s->name, sizeof(s->name), "%c", (char)a->ip.s6_addr[15]);
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

static void
stream_read(struct stream *s)
{
	while (s->fd != -1 && !s->ended) {
		ssize_t r =
		    recv(s->fd, s->got + s->n, sizeof(s->got) - s->n, 0);

		if (r == 0 || (r == -1 && errno == ECONNRESET))
			s->ended = true;
		if (r <= 0)
			return;
		s->n += (size_t)r;
	}
}

static void
log_read(struct play *p)
{
	static char packet[MSG_MAX], line[AUTH_LINE_MAX];
	ssize_t r;

	logq_flush(p->env.log);
	while ((r = msg_recv(p->log[0], packet, sizeof(packet))) > 0) {
		struct msg_reader in;

		msg_read_init(&in, slice_make(packet, (size_t)r));
		ck_assert_uint_eq(msg_get_u16(&in), LOG_BATCH);
		while (in.rest.n > 0 && !in.failed) {
			uint8_t kind = msg_get_u8(&in);
			struct slice text;

			msg_get_u8(&in);
			msg_get_u32(&in);
			msg_get_slice(&in);
			text = msg_get_slice(&in);
			if (kind == LOG_RECORD_AUTH) {
				struct auth_event ev;
				ssize_t n;

				ck_assert_int_eq(
				    auth_event_parse_record(text, &ev), 1);
				n = auth_event_write_line(
				    &ev, line, sizeof(line));
				ck_assert_int_gt(n, 0);
				text = slice_make(line, (size_t)n);
			}
			ck_assert_uint_lt(
			    p->logged_n + text.n + 1, sizeof(p->logged));
			memcpy(p->logged + p->logged_n, text.p, text.n);
			p->logged_n += text.n;
			p->logged[p->logged_n++] = '\n';
		}
		ck_assert_int_eq(in.failed, 0);
	}
}

static void
settle(struct play *p)
{
	do
		loop_fake_settle(p->env.loop);
	while (answer_question(p));
	stream_read(&p->client);
	for (size_t i = 0; i < p->servers; i++)
		stream_read(&p->server[i].s);
	log_read(p);
}

static void
stream_write(struct play *p, struct stream *s, const char *text, size_t n)
{
	size_t piece = p->mode == BY_BYTE ? 1 : n;

	for (size_t done = 0; done < n; done += piece) {
		ssize_t w;

		if (piece > n - done)
			piece = n - done;
		w = send(s->fd, text + done, piece, MSG_NOSIGNAL);
		if (w == -1 && (errno == EPIPE || errno == ECONNRESET))
			return; /* what it says next shows whether that is
				 * right */
		if (w != (ssize_t)piece)
			wrong("cannot write", strerror(errno));
		settle(p);
	}
}

static void
write_pending(struct play *p)
{
	struct stream *to = p->pending_to;

	p->pending_to = NULL;
	if (to != NULL)
		stream_write(p, to, p->pending, p->pending_n);
	p->pending_n = 0;
}

static void
say(struct play *p, struct stream *to, const char *text, size_t n)
{
	if (p->mode != JOINED) {
		stream_write(p, to, text, n);
		return;
	}
	if (p->pending_to != to)
		write_pending(p);
	ck_assert_uint_le(p->pending_n + n, sizeof(p->pending));
	memcpy(p->pending + p->pending_n, text, n);
	p->pending_n += n;
	p->pending_to = to;
}

/* --- expectations ------------------------------------------------------- */

/* Pattern with '*' for any bytes but a line end; how much of s it takes, or
 * -1. */
static long
match(const char *pattern, size_t pn, const char *s, size_t n)
{
	size_t i = 0;

	for (size_t k = 0; k < pn; k++) {
		if (pattern[k] == '\001') { /* "*" */
			for (size_t j = i;; j++) {
				long rest = match(
				    pattern + k + 1, pn - k - 1, s + j, n - j);

				if (rest >= 0)
					return (long)j + rest;
				if (j == n || s[j] == '\n')
					return -1;
			}
		}
		if (i == n || s[i] != pattern[k])
			return -1;
		i++;
	}
	return (long)i;
}

static void
expect(struct play *p, struct stream *s, const char *pattern, size_t n)
{
	long used;

	write_pending(p);
	settle(p);
	used = match(pattern, n, s->got, s->n);
	if (used < 0) {
		s->got[s->n < sizeof(s->got) ? s->n : s->n - 1] = '\0';
		wrong("expected other bytes; got", s->got);
	}
	memmove(s->got, s->got + used, s->n - (size_t)used);
	s->n -= (size_t)used;
}

static void
expect_log(struct play *p, const char *pattern, size_t n)
{
	write_pending(p);
	settle(p);
	for (size_t i = 0; i < p->logged_n;) {
		char *end = memchr(p->logged + i, '\n', p->logged_n - i);
		size_t len = (size_t)(end - (p->logged + i));

		if (match(pattern, n, p->logged + i, len) == (long)len) {
			memmove(p->logged, end + 1, p->logged_n - i - len - 1);
			p->logged_n -= i + len + 1;
			return;
		}
		i += len + 1;
	}
	p->logged[p->logged_n] = '\0';
	wrong("no such line logged; logged", p->logged);
}

/* --- the file ----------------------------------------------------------- */

static int
hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* See README; wild: a bare '*' becomes \001. */
static size_t
unescape(const char *in, char *out, bool wild)
{
	size_t n = 0, from = 0;

	while (*in != '\0') {
		ck_assert_uint_lt(n, TEXT_MAX - 1);
		if (*in == '*' && wild) {
			out[n++] = '\001';
			in++;
		} else if (strncmp(in, "<<", 2) == 0) {
			from = n;
			in += 2;
		} else if (strncmp(in, ">>", 2) == 0) {
			size_t len = n - from;
			char *end;
			unsigned long times = strtoul(in + 2, &end, 10);

			ck_assert_uint_lt(from + len * times, TEXT_MAX);
			for (unsigned long i = 1; i < times; i++) {
				memcpy(out + n, out + from, len);
				n += len;
			}
			in = *end == ';' ? end + 1 : end;
		} else if (*in != '\\') {
			out[n++] = *in++;
		} else if (in[1] == 'x') {
			out[n++] = (char)(hex(in[2]) << 4 | hex(in[3]));
			in += 4;
		} else {
			out[n++] = in[1] == 'r'   ? '\r'
				   : in[1] == 'n' ? '\n'
				   : in[1] == 't' ? '\t'
						  : in[1];
			in += 2;
		}
	}
	return n;
}

static void
start(struct play *p)
{
	struct option_problems problems = { 0 };
	struct addr client, local;
	int fd[2];

	p->started = true;
	if (config_load_text(
		&p->config, slice_str(p->config_text), &problems) == -1)
		wrong("config", problems.v[0]);
	option_problems_clear(&problems);
	ck_assert_int_eq(msg_pair(p->log), 0);
	p->env.config = &p->config;
	p->env.loop = loop_create();
	p->env.shared = shared_create(&p->shared_fd);
	p->env.log = logq_open(p->log[1]);
	p->env.lookup = NULL;
	p->env.connect = fake_connect;
	p->env.ended = fake_ended;
	ck_assert_ptr_nonnull(p->env.shared);
	shared_slot_wipe(p->env.shared, 0);
	ck_assert_int_eq(session_env_init(&p->env), 0);
	logq_install(p->env.log);
	log_set_level(p->config.debug ? LOG_DEBUG : LOG_INFO);
	ck_assert_int_eq(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
	    0);
	p->client.fd = fd[1];
	addr_parse(SLICE("198.51.100.7:1025"), true, &client);
	addr_parse(SLICE("192.0.2.1:143"), true, &local);
	session_start(&p->env, 0, fd[0], &client, &local);
	settle(p);
}

static struct stream *
find_server(struct play *p, char name)
{
	for (size_t i = p->servers; i-- > 0;)
		if (p->server[i].name[0] == name)
			return &p->server[i].s;
	return NULL;
}

static struct stream *
server_named(struct play *p, const char *name)
{
	struct stream *s = find_server(p, name[0]);

	if (s == NULL) { /* what was said last may call it */
		write_pending(p);
		s = find_server(p, name[0]);
	}
	if (s == NULL)
		wrong("no connection to this server", name);
	return s;
}

static void
close_stream(struct play *p, struct stream *s)
{
	write_pending(p);
	close(s->fd);
	s->fd = -1;
	settle(p);
}

static void
expect_closed(struct play *p, struct stream *s)
{
	write_pending(p);
	settle(p);
	if (s->n != 0 || !s->ended) {
		s->got[s->n] = '\0';
		wrong(s->n != 0 ? "bytes before the end" : "not closed", s->got);
	}
}

/* "client->proxy TEXT", "proxy->one TEXT", "one->proxy TEXT" ... */
static void
step_bytes(struct play *p, const char *actor, size_t actor_n, const char *rest)
{
	static char text[TEXT_MAX];
	const char *arrow = memmem(actor, actor_n, "->", 2);
	bool from_proxy = strncmp(actor, "proxy->", 7) == 0;
	const char *peer = from_proxy ? arrow + 2 : actor;
	struct stream *s = strncmp(peer, "client", 6) == 0
			       ? &p->client
			       : server_named(p, peer);
	size_t n;

	if (strcmp(rest, "(nothing)") == 0) {
		write_pending(p);
		settle(p);
		s->got[s->n] = '\0';
		if (s->n != 0 || s->ended)
			wrong("expected nothing", s->got);
		return;
	}
	if (strcmp(rest, "(closed)") == 0 && from_proxy) {
		expect_closed(p, s);
		return;
	}
	if (strcmp(rest, "(close)") == 0) {
		close_stream(p, s);
		return;
	}
	if (strcmp(rest, "(end)") == 0) {
		write_pending(p);
		shutdown(s->fd, SHUT_WR);
		settle(p);
		return;
	}
	n = unescape(rest, text, from_proxy);
	if (from_proxy)
		expect(p, s, text, n);
	else
		say(p, s, text, n);
}

static void
step(struct play *p, char *line)
{
	static char text[TEXT_MAX];
	char *rest = line + strcspn(line, " \t");
	size_t word = (size_t)(rest - line);

	rest += strspn(rest, " \t");
	if (strncmp(line, "config", word) == 0) {
		size_t n = strlen(p->config_text);

		snprintf(p->config_text + n, sizeof(p->config_text) - n, "%s\n",
		    rest);
		return;
	}
	if (strncmp(line, "map", word) == 0) {
		struct map *m = &p->map[p->maps++];

		ck_assert_uint_le(p->maps, MAPS_MAX);
		ck_assert_int_eq(
		    sscanf(rest, "%127s %255[^\n]", m->user, m->answer), 2);
		return;
	}
	if (!p->started)
		start(p);
	if (line[0] == '@') {
		write_pending(p);
		loop_fake_pass(p->env.loop, strtoul(line + 2, NULL, 10) * 1000);
		settle(p);
	} else if (strncmp(line, "log", word) == 0) {
		expect_log(p, text, unescape(rest, text, true));
	} else if (strncmp(line, "nolog", word) == 0) {
		write_pending(p);
		settle(p);
		if (memmem(p->logged, p->logged_n, rest, strlen(rest)) != NULL)
			wrong("logged", rest);
	} else if (memmem(line, word, "->", 2) != NULL) {
		step_bytes(p, line, word, rest);
	} else {
		wrong("no such step", line);
	}
}

static void
finish(struct play *p)
{
	write_pending(p);
	session_end_all(&p->env);
	loop_fake_settle(p->env.loop);
	ck_assert_uint_eq(p->env.count, 0);
	ck_assert_uint_eq(shared_sessions(p->env.shared), 0);
	session_env_clear(&p->env);
	loop_fake_settle(p->env.loop);
	loop_destroy(&p->env.loop);
	close(p->log[0]);
	logq_close(&p->env.log);
	close(p->log[1]);
	shared_detach(&p->env.shared);
	close(p->shared_fd);
	if (p->client.fd != -1)
		close(p->client.fd);
	for (size_t i = 0; i < p->servers; i++)
		if (p->server[i].s.fd != -1)
			close(p->server[i].s.fd);
	config_clear(&p->config);
}

static const char *directory;
static char **files;
static int file_count;

START_TEST(transcript)
{
	struct play *p = calloc(1, sizeof(*p));
	char path[4096], *line = NULL;
	size_t cap = 0;
	FILE *f;

	ck_assert_ptr_nonnull(p);
	playing = p;
	p->file = files[_i / MODES];
	p->mode = (enum mode)(_i % MODES);
	p->client.fd = -1;
	snprintf(path, sizeof(path), "%s/%s", directory, p->file);
	snprintf(p->config_text, sizeof(p->config_text),
	    "map_library \"\"\nno_bind_banner\n");
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (getline(&line, &cap, f) != -1) {
		p->line++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && line[0] != '\0')
			step(p, line);
	}
	fclose(f);
	free(line);
	ck_assert_msg(p->started, "%s: empty", p->file);
	finish(p);
	free(p);
}
END_TEST

static int
is_transcript(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && strcmp(d->d_name + n - 4, ".txt") == 0;
}

int
main(void)
{
	const char *srcdir = getenv("srcdir");
	static char path[4096];
	struct dirent **entries;
	SRunner *runner;
	Suite *suite = suite_create("transcripts");
	TCase *tc = tcase_create("transcripts");
	int failed;

	snprintf(path, sizeof(path), "%s/../transcripts",
	    srcdir == NULL ? "." : srcdir);
	directory = path;
	file_count = scandir(directory, &entries, is_transcript, alphasort);
	if (file_count <= 0) {
		fprintf(stderr, "%s: no transcripts\n", directory);
		return EXIT_FAILURE;
	}
	files = calloc((size_t)file_count, sizeof(*files));
	for (int i = 0; i < file_count; i++) {
		files[i] = strdup(entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	tcase_add_loop_test(tc, transcript, 0, file_count * MODES);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	for (int i = 0; i < file_count; i++)
		free(files[i]);
	free(files);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
