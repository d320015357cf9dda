/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control - requests to the running daemon; see the header.
 */
#include "config.h"

#include "perdition-pbs/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/auth_event.h"
#include "common/log.h"
#include "perdition-pbs/relay_text.h"

#include "common/banned.h"

#define ANSWER_SECONDS 10

static const struct slice word = { "perdition-pbs 1 ", 16 };

static const char *const ops[] = {
	[RELAY_INSERT] = "insert",
	[RELAY_REMOVE] = "remove",
	[RELAY_PURGE] = "purge",
	[RELAY_EXPIRE] = "expire",
	[RELAY_CHECK] = "check",
	[RELAY_IMPORT] = "import",
};

#define OPS (sizeof(ops) / sizeof(ops[0]))

bool
control_is(struct slice line)
{
	return slice_starts(line, word);
}

static bool
takes_key(enum relay_op op)
{
	return op == RELAY_INSERT || op == RELAY_REMOVE;
}

static int
parse_op(struct slice text, enum relay_op *op)
{
	for (size_t i = 0; i < OPS; i++) {
		if (slice_eq(text, slice_str(ops[i]))) {
			*op = (enum relay_op)i;
			return 0;
		}
	}
	return -1;
}

/* The database's path, quoted, and the space behind it. */
static int
parse_db(struct slice *line, struct control_request *r)
{
	size_t used;
	long n = log_unquote(*line, &used, r->db, sizeof(r->db) - 1);

	if (n <= 0 || memchr(r->db, '\0', (size_t)n) != NULL)
		return -1;
	r->db_n = (size_t)n;
	r->db[n] = '\0';
	*line = slice_skip(*line, used);
	if (line->n == 0 || line->p[0] != ' ')
		return -1;
	*line = slice_skip(*line, 1);
	return 0;
}

static bool
takes_entries(enum relay_op op)
{
	return op == RELAY_CHECK || op == RELAY_IMPORT;
}

/* "ENTRY ENTRY ...": at least one. */
static int
parse_entries(struct slice text, struct control_request *r)
{
	char memory[RELAY_USER_MAX];
	struct relay_entry e;
	struct slice user;

	r->entries = relay_store_create();
	if (r->entries == NULL)
		return -1;
	r->q.entries = r->entries;
	for (;;) {
		if (relay_text_parse(&text, &e, memory, &user) != NULL)
			return -1;
		/* Even the dead: it is not the line's business to judge. */
		if (relay_store_touch(r->entries, &e, user, -1) == -1)
			return -1;
		if (text.n == 0)
			return 0;
		if (text.p[0] != ' ')
			return -1;
		text = slice_skip(text, 1);
	}
}

void
control_clear(struct control_request *r)
{
	relay_store_destroy(&r->entries);
}

int
control_parse(struct slice line, struct control_request *r)
{
	struct slice part;
	uint64_t timeout;

	errno = EBADMSG;
	memset(r, 0, sizeof(*r));
	if (!control_is(line))
		return -1;
	line = slice_skip(line, word.n);
	if (!slice_cut(&line, ' ', &part) || parse_op(part, &r->q.op) == -1 ||
	    parse_db(&line, r) == -1)
		goto bad;
	slice_cut(&line, ' ', &part);
	if (slice_u64(part, INT32_MAX, &timeout) == -1)
		goto bad;
	r->q.timeout = (unsigned int)timeout;
	if (takes_key(r->q.op)) {
		if (relay_key_parse(line, "", &r->key) == -1)
			goto bad;
		r->q.keys = &r->key;
		r->q.n = 1;
	} else if (takes_entries(r->q.op)) {
		if (parse_entries(line, r) == -1)
			goto bad;
	} else if (line.n > 0) {
		goto bad;
	}
	return 0;
bad:
	errno = EBADMSG;
	return -1;
}

long
control_write(enum relay_op op, const char *db, unsigned int timeout,
    const struct relay_key *key, char *out, size_t cap)
{
	char text[RELAY_TEXT_MAX] = "";
	int n = snprintf(out, cap, "%.*s%s ", (int)word.n, word.p, ops[op]);
	long quoted;
	int rest;

	if (n < 0 || (size_t)n >= cap)
		goto full;
	quoted = log_quote(slice_str(db), out + n, cap - (size_t)n);
	if (quoted == -1)
		return -1;
	n += (int)quoted;
	if (key != NULL)
		relay_key_write(key, text);
	rest = snprintf(out + n, cap - (size_t)n, " %u%s%s\n", timeout,
	    key == NULL ? "" : " ", text);
	if (rest < 0 || (size_t)rest >= cap - (size_t)n)
		goto full;
	return n + rest;
full:
	errno = ENOSPC;
	return -1;
}

long
control_write_entries(enum relay_op op, const char *db,
    const struct relay_store *entries, size_t *at, char *out, size_t cap)
{
	long n = control_write(op, db, 0, NULL, out, cap);
	size_t first = *at;

	if (n == -1)
		return -1;
	n--; /* the newline comes behind the entries */
	for (; *at < relay_store_count(entries); ++*at) {
		const struct relay_entry *e = relay_store_at(entries, *at);
		char text[RELAY_LINE_MAX];
		long len = relay_text_write(
		    e, relay_store_user(entries, e), text, sizeof(text));

		if (len == -1 || (size_t)len + 2 > cap - (size_t)n)
			break;
		out[n] = ' ';
		memcpy(out + n + 1, text, (size_t)len);
		n += 1 + len;
	}
	if (*at == first) {
		errno = ENOSPC;
		return -1;
	}
	out[n] = '\n';
	return n + 1;
}

static size_t
bounded(int n)
{
	return n < CONTROL_REPLY_MAX ? (size_t)n : CONTROL_REPLY_MAX - 1;
}

size_t
control_reply_ok(const struct relay_result *res, const char *prefix,
    char out[CONTROL_REPLY_MAX])
{
	char quoted[4 * RELAY_PREFIX_MAX];
	long n = log_quote(slice_str(prefix), quoted, sizeof(quoted));

	return bounded(snprintf(out, CONTROL_REPLY_MAX, "ok %zu %zu %.*s\n",
	    res->done, res->refused, (int)(n == -1 ? 0 : n), quoted));
}

size_t
control_reply_other(char out[CONTROL_REPLY_MAX])
{
	return bounded(snprintf(out, CONTROL_REPLY_MAX, "other\n"));
}

size_t
control_reply_error(const char *text, char out[CONTROL_REPLY_MAX])
{
	return bounded(
	    snprintf(out, CONTROL_REPLY_MAX, "error %.400s\n", text));
}

/* --- the tool's side ----------------------------------------------------- */

/* A connected socket, -1 for nobody there, -2 with err. */
static int
connect_to(const char *path, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -1;
	memcpy(sun.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		sizeof(patience)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		sizeof(patience)) == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		int error = errno;

		if (fd != -1)
			close(fd);
		if (error == ENOENT || error == ECONNREFUSED ||
		    error == ENOTDIR)
			return -1;
		err_set(err, error, "%s: %s", path, strerror(error));
		return -2;
	}
	return fd;
}

/* One line without its newline. */
static int
read_line(int fd, const char *path, char *out, size_t cap, struct err *err)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t r = recv(fd, out + n, cap - n, 0);

		if (r == 0)
			return err_set(err, EACCES,
			    "%s: the daemon does not take requests from us",
			    path);
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1)
			return err_set(err, errno == EAGAIN ? ETIMEDOUT : errno,
			    "%s: %s", path,
			    errno == EAGAIN ? "no answer from the daemon"
					    : strerror(errno));
		n += (size_t)r;
		if (out[n - 1] == '\n') {
			out[n - 1] = '\0';
			return 0;
		}
	}
	return err_set(err, EBADMSG, "%s: answer too long", path);
}

/* What follows "ok ". */
static bool
parse_ok(
    struct slice rest, struct relay_result *res, char prefix[RELAY_PREFIX_MAX])
{
	struct slice part;
	uint64_t done, refused;
	size_t used;
	long n;

	if (!slice_cut(&rest, ' ', &part) ||
	    slice_u64(part, SIZE_MAX, &done) == -1 ||
	    !slice_cut(&rest, ' ', &part) ||
	    slice_u64(part, SIZE_MAX, &refused) == -1)
		return false;
	n = log_unquote(rest, &used, prefix, RELAY_PREFIX_MAX - 1);
	if (n == -1 || used != rest.n)
		return false;
	prefix[n] = '\0';
	res->done += done;
	res->refused += refused;
	return true;
}

/* 1 done, 0 another database, -1 with err. */
static int
read_answer(int fd, const char *path, struct relay_result *res,
    char prefix[RELAY_PREFIX_MAX], struct err *err)
{
	char line[CONTROL_REPLY_MAX];
	struct slice rest, part;

	if (read_line(fd, path, line, sizeof(line), err) == -1)
		return -1;
	rest = slice_str(line);
	if (slice_eq(rest, SLICE("other")))
		return 0;
	if (slice_cut(&rest, ' ', &part) && slice_eq(part, SLICE("ok")) &&
	    parse_ok(rest, res, prefix))
		return 1;
	return err_set(err, EBADMSG, "%s: %s", path, line);
}

/* line: n bytes, or -1: it did not fit. */
static int
ask_line(int fd, const char *path, const char *line, long n,
    struct relay_result *res, char prefix[RELAY_PREFIX_MAX], struct err *err)
{
	if (n == -1)
		return err_set(err, ENAMETOOLONG, "%s: request too long", path);
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n && errno != EPIPE)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return read_answer(fd, path, res, prefix, err);
}

static int
ask_one(int fd, const char *path, const char *db, const struct relay_request *q,
    const struct relay_key *key, struct relay_result *res,
    char prefix[RELAY_PREFIX_MAX], struct err *err)
{
	char line[AUTH_LINE_MAX];
	long n = control_write(q->op, db, q->timeout, key, line, sizeof(line));

	return ask_line(fd, path, line, n, res, prefix, err);
}

static int
ask_entries(int fd, const char *path, const char *db, enum relay_op op,
    const struct relay_store *entries, struct relay_result *res,
    char prefix[RELAY_PREFIX_MAX], struct err *err)
{
	char line[AUTH_LINE_MAX];
	int ret = 1;

	for (size_t at = 0; ret == 1 && at < relay_store_count(entries);) {
		long n = control_write_entries(
		    op, db, entries, &at, line, sizeof(line));

		ret = ask_line(fd, path, line, n, res, prefix, err);
	}
	return ret;
}

static int
ask_import(int fd, const char *path, const char *db,
    const struct relay_request *q, struct relay_result *res,
    char prefix[RELAY_PREFIX_MAX], struct err *err)
{
	int ret = ask_entries(
	    fd, path, db, RELAY_CHECK, q->entries, res, prefix, err);

	if (ret == 1 && res->refused == 0 && q->op == RELAY_IMPORT)
		ret = ask_entries(
		    fd, path, db, RELAY_IMPORT, q->entries, res, prefix, err);
	return ret;
}

int
control_ask(const char *path, const char *db, const struct relay_request *q,
    struct relay_result *res, char prefix[RELAY_PREFIX_MAX], struct err *err)
{
	int fd = connect_to(path, err);
	int ret;

	*res = (struct relay_result){ 0 };
	if (fd < 0)
		return fd == -1 ? 0 : -1;
	if (takes_entries(q->op))
		ret = ask_import(fd, path, db, q, res, prefix, err);
	else if (!takes_key(q->op))
		ret = ask_one(fd, path, db, q, NULL, res, prefix, err);
	else
		ret = 1;
	for (size_t i = 0; takes_key(q->op) && i < q->n && ret == 1; i++)
		ret = ask_one(fd, path, db, q, &q->keys[i], res, prefix, err);
	close(fd);
	return ret;
}
