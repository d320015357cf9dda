/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon - popmap module: a programme of the site's, in any language, that is
 * asked over a Unix stream socket (daemon_line.h).
 *
 * The option says who it is: "socket=PATH" of one that runs already, or
 * "command=PROGRAM ARGUMENT..." for one to start.  There is one question at a
 * time; what was asked before may still be answered late, so the number of a
 * question is never used twice.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "perdition/modules/daemon_child.h"
#include "perdition/modules/daemon_line.h"
#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_words.h"
#include "perdition/popmap.h"

#include "common/banned.h"

/* From one start of a programme to the next, while it answers nothing. */
#define PAUSE_FIRST_MS 100u
#define PAUSE_MAX_MS 800u
/* A pause that is waited for; during a longer one lookups fail at once. */
#define PAUSE_WAIT_MS 300u
/* After so many questions in turn without a word it is hung, not slow. */
#define SILENT_MAX 3u
#define STOP_GRACE_MS 200u

extern const struct popmap_ops popmap_module;

struct popmap {
	struct map_words argv;   /* of a command; empty for a socket */
	struct sockaddr_un addr; /* of a socket */
	int fd;                  /* -1: not connected */
	pid_t pid;               /* of the command; 0: none runs */
	struct buf *in;
	uint64_t last_id;
	unsigned int silent;    /* questions without an answer */
	unsigned int pause_ms;  /* behind the next start */
	uint64_t not_before_ms; /* the next start */
	char out[DAEMON_QUESTION_MAX];
};

/* One lookup. */
struct ask {
	struct popmap *map;
	const struct popmap_query *query;
	struct popmap_answer *answer;
	struct popmap_error *err;
	uint64_t deadline_ms;
};

/* What became of a question, besides what a lookup returns. */
#define LOST (-2)  /* the connection is no more */
#define GO_ON (-3) /* nothing yet */

static const char *
name_of(const struct popmap *map)
{
	return map->argv.n > 0 ? map->argv.word[0] : map->addr.sun_path;
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int
left_ms(const struct ask *k)
{
	uint64_t now = now_ms();

	return now >= k->deadline_ms ? 0 : (int)(k->deadline_ms - now);
}

static void
disconnect(struct popmap *map, unsigned int grace_ms)
{
	if (map->fd != -1)
		close(map->fd);
	map->fd = -1;
	buf_clear(map->in);
	map->silent = 0;
	daemon_child_stop(&map->pid, grace_ms);
}

/* --- connecting ---------------------------------------------------------- */

static int
connect_socket(struct ask *k)
{
	struct popmap *map = k->map;
	int ms = left_ms(k) + 1; /* 0 would be for ever */
	struct timeval limit = { ms / 1000, ms % 1000 * 1000 };
	int ret;

	map->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (map->fd == -1)
		return map_error(k->err, "socket: %s", strerror(errno));
	/* It holds for connect(2) too, when the listener's queue is full. */
	(void)setsockopt(
	    map->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	do
		ret = connect(map->fd, (const struct sockaddr *)&map->addr,
		    sizeof(map->addr));
	while (ret == -1 && errno == EINTR);
	if (ret == 0)
		return 0;
	map_error(k->err, "%s: %s", map->addr.sun_path,
	    errno == EAGAIN ? "takes no connection" : strerror(errno));
	disconnect(map, 0);
	return -1;
}

static int
start_command(struct ask *k)
{
	struct popmap *map = k->map;
	uint64_t now = now_ms();

	if (now < map->not_before_ms) {
		uint64_t wait = map->not_before_ms - now;

		if (wait > PAUSE_WAIT_MS || now + wait >= k->deadline_ms)
			return map_error(k->err,
			    "%.200s ends without an answer; it is started "
			    "again in %u ms",
			    name_of(map), (unsigned int)wait);
		(void)poll(NULL, 0, (int)wait);
	}
	map->not_before_ms = now_ms() + map->pause_ms;
	map->pause_ms = map->pause_ms * 2;
	if (map->pause_ms < PAUSE_FIRST_MS)
		map->pause_ms = PAUSE_FIRST_MS;
	if (map->pause_ms > PAUSE_MAX_MS)
		map->pause_ms = PAUSE_MAX_MS;
	return daemon_child_start(map->argv.word, &map->pid, &map->fd, k->err);
}

/* --- one question -------------------------------------------------------- */

static int
time_is_up(struct ask *k)
{
	struct popmap *map = k->map;

	map_error(k->err, "%.200s: no answer within %u ms", name_of(map),
	    k->query->timeout_ms);
	if (++map->silent >= SILENT_MAX)
		disconnect(map, 0);
	return -1;
}

static int
wait_for(struct ask *k, short events)
{
	struct pollfd pfd = { .fd = k->map->fd, .events = events };

	for (;;) {
		int ms = left_ms(k);
		int n = ms == 0 ? 0 : poll(&pfd, 1, ms);

		if (n == 1)
			return GO_ON;
		if (n == 0)
			return time_is_up(k);
		if (errno != EINTR)
			return map_error(k->err, "poll: %s", strerror(errno));
	}
}

static int
send_question(struct ask *k)
{
	struct popmap *map = k->map;
	long n = daemon_line_question(
	    ++map->last_id, k->query, map->out, sizeof(map->out));
	const char *p = map->out;

	if (n == -1)
		return map_error(k->err, "a question longer than %d bytes",
		    (int)sizeof(map->out));
	while (n > 0) {
		ssize_t done =
		    send(map->fd, p, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done > 0) {
			p += done;
			n -= done;
			continue;
		}
		if (done == -1 && errno != EAGAIN && errno != EINTR)
			return LOST;
		if (wait_for(k, POLLOUT) != GO_ON) {
			disconnect(map, 0); /* may have got half a line */
			return -1;
		}
	}
	return GO_ON;
}

/* More of what the programme says. */
static int
receive(struct ask *k)
{
	struct popmap *map = k->map;
	int ret = wait_for(k, POLLIN);
	char *room;
	size_t size;
	ssize_t n;

	if (ret != GO_ON)
		return ret;
	size = buf_reserve(map->in, &room);
	n = recv(map->fd, room, size, MSG_DONTWAIT);
	if (n > 0)
		buf_commit(map->in, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return LOST;
	return GO_ON;
}

static int
malformed(struct ask *k, const char *why)
{
	map_error(
	    k->err, "%.200s: malformed answer: %.200s", name_of(k->map), why);
	disconnect(k->map, 0);
	return -1;
}

static int
conclude(struct ask *k, const struct daemon_reply *r)
{
	struct popmap *map = k->map;

	map->pause_ms = 0;
	map->not_before_ms = 0;
	if (r->says == DAEMON_FAIL)
		return map_error(k->err, "%.100s says: %.*s", name_of(map),
		    r->text.n > 300 ? 300 : (int)r->text.n, r->text.p);
	return r->says == DAEMON_OK ? 1 : 0;
}

static int
take_line(struct ask *k, struct slice line)
{
	struct popmap *map = k->map;
	struct daemon_reply reply;
	struct popmap_error why;
	int ret = GO_ON; /* late, to a question that was given up */

	if (daemon_line_answer(line, &reply, k->answer, &why) == -1)
		return malformed(k, why.msg);
	map->silent = 0;
	if (reply.id == map->last_id)
		ret = conclude(k, &reply);
	buf_consume(map->in, line.n + 1);
	if (ret == GO_ON && left_ms(k) == 0)
		return time_is_up(k);
	return ret;
}

static int
ask(struct ask *k)
{
	struct buf *in = k->map->in;
	int ret = send_question(k);

	while (ret == GO_ON) {
		struct slice rest = buf_data(in), line;

		if (rest.n > 0 && slice_cut(&rest, '\n', &line)) {
			ret = take_line(k, line);
		} else if (buf_space(in) == 0) {
			ret = malformed(k, "a line without an end");
		} else {
			ret = receive(k);
		}
	}
	return ret;
}

static int
daemon_lookup(struct popmap *map, const struct popmap_query *query,
    struct popmap_answer *answer, struct popmap_error *err)
{
	struct ask k = { map, query, answer, err,
		now_ms() + query->timeout_ms };
	bool fresh;
	int ret;

	answer->n = 0;
	if (query->key.n == 0) /* cannot be put into words */
		return 0;
	do {
		fresh = map->fd == -1;
		if (fresh) {
			ret = map->argv.n > 0 ? start_command(&k)
					      : connect_socket(&k);
			if (ret == -1)
				return -1;
		}
		ret = ask(&k);
		if (ret == LOST)
			disconnect(map, 0);
	} while (ret == LOST && !fresh);
	if (ret == LOST)
		ret = map_error(err,
		    "%.200s: ended, or closed the connection, without an "
		    "answer",
		    name_of(map));
	if (ret != 1)
		answer->n = 0;
	return ret;
}

/* --- options ------------------------------------------------------------- */

static int
set_socket(struct popmap *map, const char *path, struct popmap_error *err)
{
	size_t n = strlen(path);

	if (path[0] != '/')
		return map_error(
		    err, "socket=%.200s: not an absolute path", path);
	if (n >= sizeof(map->addr.sun_path))
		return map_error(err, "socket=%.200s: longer than %zu bytes",
		    path, sizeof(map->addr.sun_path) - 1);
	map->addr.sun_family = AF_UNIX;
	memcpy(map->addr.sun_path, path, n + 1);
	return 0;
}

static int
set_command(struct popmap *map, const char *text, struct popmap_error *err)
{
	const char *program;

	if (map_words_split(&map->argv, text, err) == -1)
		return -1;
	program = map->argv.word[0];
	if (program == NULL || program[0] != '/')
		return map_error(err,
		    "command=: begin it with the absolute path of a programme");
	if (access(program, X_OK) == -1)
		return map_error(
		    err, "command=%.200s: %s", program, strerror(errno));
	return 0;
}

static int
set_options(struct popmap *map, const char *options, struct popmap_error *err)
{
	static const char command[] = "command=", socket_is[] = "socket=";

	if (strncmp(options, command, sizeof(command) - 1) == 0)
		return set_command(map, options + sizeof(command) - 1, err);
	if (strncmp(options, socket_is, sizeof(socket_is) - 1) == 0)
		return set_socket(map, options + sizeof(socket_is) - 1, err);
	if (options[0] == '/')
		return set_socket(map, options, err);
	errno = EINVAL;
	return map_error(err, "neither socket=PATH nor command=PROGRAM "
			      "ARGUMENT... is what map_library_opt says");
}

static void
daemon_close(struct popmap **mp)
{
	if (*mp == NULL)
		return;
	if ((*mp)->in != NULL)
		disconnect(*mp, STOP_GRACE_MS);
	buf_destroy(&(*mp)->in);
	map_words_clear(&(*mp)->argv);
	free(*mp);
	*mp = NULL;
}

static int
daemon_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	(void)sysconfdir;
	*mp = calloc(1, sizeof(**mp));
	if (*mp == NULL)
		return map_error(err, "out of memory");
	(*mp)->fd = -1;
	(*mp)->in = buf_create(DAEMON_ANSWER_MAX);
	if ((*mp)->in == NULL)
		map_error(err, "out of memory");
	else if (set_options(*mp, options, err) == 0)
		return 0;
	daemon_close(mp);
	return -1;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "daemon",
	.flags = POPMAP_ANY_PORT,
	.open = daemon_open,
	.lookup = daemon_lookup,
	.close = daemon_close,
};
