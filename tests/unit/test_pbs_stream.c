/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Unix socket: who may say what, records, requests.
 */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "pbs_scratch.h"

#include "../lib/check_run.h"
#include "common/log.h"
#include "perdition-pbs/control.h"
#include "perdition-pbs/stream.h"

#include "common/banned.h"

struct world {
	uv_loop_t loop;
	struct stream *stream;
	unsigned int events, requests;
	struct auth_event last;
	struct control_request request;
};

static struct err err;

static void
on_event(void *arg, const struct auth_event *ev)
{
	struct world *w = arg;

	w->events++;
	w->last = *ev;
}

static size_t
on_control(void *arg, struct slice line, char out[STREAM_REPLY_MAX])
{
	struct world *w = arg;
	struct relay_result res = { 7, 1 };

	w->requests++;
	if (control_parse(line, &w->request) == -1)
		return control_reply_error("malformed", out);
	if (strcmp(w->request.db, "/x.db") != 0)
		return control_reply_other(out);
	return control_reply_ok(&res, "pop:", out);
}

static struct world *
begin(uid_t self)
{
	struct world *w = calloc(1, sizeof(*w));
	struct stream_handler h = { on_event, on_control, w };
	struct listener_peers p = { NULL, 0, self };
	int fd;

	scratch_make();
	uv_loop_init(&w->loop);
	fd = listener_open(scratch_path("s"), 0600, (uid_t)-1, (gid_t)-1, &err);
	ck_assert_msg(fd != -1, "%s", err.msg);
	w->stream =
	    stream_create(&w->loop, fd, scratch_path("s"), &p, &h, &err);
	ck_assert_ptr_nonnull(w->stream);
	return w;
}

static void
end(struct world *w)
{
	stream_destroy(&w->stream);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&w->loop), 0);
	ck_assert_int_eq(access(scratch_path("s"), F_OK), -1);
	free(w);
	scratch_remove();
}

static int
dial(struct world *w)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", scratch_path("s"));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	return fd;
}

static void
say(struct world *w, int fd, const char *p, size_t n)
{
	send(fd, p, n, MSG_NOSIGNAL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* What came back; -1: the connection is closed, 0: nothing yet. */
static int
answer(int fd, char *out, size_t cap)
{
	ssize_t n = recv(fd, out, cap - 1, MSG_DONTWAIT);

	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (int)n : n == 0 ? -1 : errno == ECONNRESET ? -1 : 0;
}

static size_t
record(char out[AUTH_LINE_MAX])
{
	static struct auth_event ev;
	ssize_t n;

	memset(&ev, 0, sizeof(ev));
	memcpy(ev.protocol, "POP3", 5);
	addr_parse(SLICE("192.0.2.66:1"), true, &ev.client);
	addr_parse(SLICE("198.51.100.1:110"), true, &ev.local);
	ev.ok = true;
	memcpy(ev.user, "b\nb", 3);
	ev.user_len = 3;
	memcpy(ev.server, "a:110", 5);
	ev.server_len = 5;
	n = auth_event_write_record(&ev, out, AUTH_LINE_MAX);
	ck_assert_int_gt(n, 0);
	return (size_t)n;
}

START_TEST(records)
{
	struct world *w = begin(geteuid());
	char line[AUTH_LINE_MAX], got[100];
	size_t n = record(line);
	int fd = dial(w), other = dial(w);

	/* In one piece, in two, byte by byte, several at once. */
	say(w, fd, line, n);
	ck_assert_uint_eq(w->events, 1);
	ck_assert_uint_eq(w->last.user_len, 3);
	say(w, fd, line, n / 2);
	say(w, other, line, n);
	say(w, fd, line + n / 2, n - n / 2);
	ck_assert_uint_eq(w->events, 3);
	for (size_t i = 0; i < n; i++)
		say(w, fd, line + i, 1);
	ck_assert_uint_eq(w->events, 4);
	send(fd, line, n, MSG_NOSIGNAL);
	send(fd, line, n, MSG_NOSIGNAL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(w->events, 6);
	/* One that is malformed ends its own connection alone. */
	say(w, fd, "perdition-auth 1 x\n", 19);
	say(w, fd, line, n);
	ck_assert_int_eq(answer(fd, got, sizeof(got)), -1);
	ck_assert_uint_eq(w->events, 6);
	say(w, other, line, n);
	ck_assert_uint_eq(w->events, 7);
	/* Half a record is none. */
	say(w, other, line, n - 1);
	close(other);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(w->events, 7);
	close(fd);
	end(w);
}
END_TEST

START_TEST(bounded)
{
	static char big[STREAM_LINE_MAX + 1];
	struct world *w = begin(geteuid());
	char got[100];
	int fd = dial(w);

	memset(big, 'x', sizeof(big));
	say(w, fd, big, sizeof(big));
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_int_eq(answer(fd, got, sizeof(got)), -1);
	close(fd);
	/* Many connections: further ones wait, and are served in their turn. */
	{
		int fds[STREAM_CONNECTIONS + 5];
		char line[AUTH_LINE_MAX];
		size_t n = record(line);

		for (int i = 0; i < STREAM_CONNECTIONS + 5; i++)
			fds[i] = dial(w);
		for (int i = 0; i < STREAM_CONNECTIONS + 5; i++)
			say(w, fds[i], line, n);
		ck_assert_uint_eq(w->events, STREAM_CONNECTIONS);
		for (int i = 0; i < STREAM_CONNECTIONS; i++)
			close(fds[i]);
		for (int i = 0; i < 10; i++)
			uv_run(&w->loop, UV_RUN_NOWAIT);
		ck_assert_uint_eq(w->events, STREAM_CONNECTIONS + 5);
		for (int i = STREAM_CONNECTIONS; i < STREAM_CONNECTIONS + 5;
		     i++)
			close(fds[i]);
	}
	end(w);
}
END_TEST

START_TEST(control_lines)
{
	struct world *w = begin(geteuid());
	struct relay_key k;
	char line[AUTH_LINE_MAX], got[STREAM_REPLY_MAX];
	int fd = dial(w);
	long n;

	relay_key_parse(SLICE("2001:db8::/64"), "", &k);
	n = control_write(RELAY_INSERT, "/x.db", 33, &k, line, sizeof(line));
	say(w, fd, line, (size_t)n);
	ck_assert_int_gt(answer(fd, got, sizeof(got)), 0);
	ck_assert_str_eq(got, "ok 7 1 \"pop:\"\n");
	ck_assert_int_eq(w->request.q.op, RELAY_INSERT);
	ck_assert_uint_eq(w->request.q.timeout, 33);
	ck_assert(relay_key_eq(&w->request.key, &k));
	n = control_write(
	    RELAY_PURGE, "/odd \" name\n", 0, NULL, line, sizeof(line));
	say(w, fd, line, (size_t)n);
	ck_assert_int_gt(answer(fd, got, sizeof(got)), 0);
	ck_assert_str_eq(got, "other\n");
	ck_assert_str_eq(w->request.db, "/odd \" name\n");
	close(fd);
	end(w);
}
END_TEST

static const char *const bad_requests[] = {
	"perdition-pbs 1 ",
	"perdition-pbs 1 insert",
	"perdition-pbs 1 insert \"/x.db\"",
	"perdition-pbs 1 insert \"/x.db\" 1",
	"perdition-pbs 1 insert \"/x.db\" 1 here",
	"perdition-pbs 1 insert \"/x.db\" -1 192.0.2.1",
	"perdition-pbs 1 insert \"/x.db\" 99999999999 192.0.2.1",
	"perdition-pbs 1 insert /x.db 1 192.0.2.1",
	"perdition-pbs 1 insert \"\" 1 192.0.2.1",
	"perdition-pbs 1 insert \"/x\\x00y\" 1 192.0.2.1",
	"perdition-pbs 1 insert \"/x.db\" 1 192.0.2.1 ",
	"perdition-pbs 1 insert \"/x.db\" 1 0.0.0.0/0",
	"perdition-pbs 1 purge \"/x.db\" 0 192.0.2.1",
	"perdition-pbs 1 burn \"/x.db\" 0",
	"perdition-pbs 2 purge \"/x.db\" 0",
};

START_TEST(malformed_request)
{
	static struct control_request r;

	ck_assert_int_eq(control_parse(slice_str(bad_requests[_i]), &r), -1);
	ck_assert_int_eq(errno, EBADMSG);
}
END_TEST

START_TEST(socket_files)
{
	struct world *w = begin(geteuid());
	int fd;

	/* Somebody answers there. */
	ck_assert_int_eq(
	    listener_open(scratch_path("s"), 0600, (uid_t)-1, (gid_t)-1, &err),
	    -1);
	ck_assert_int_eq(err.code, EADDRINUSE);
	/* No socket: not ours to replace. */
	scratch_write("f", "w", "x", 1);
	ck_assert_int_eq(
	    listener_open(scratch_path("f"), 0600, (uid_t)-1, (gid_t)-1, &err),
	    -1);
	ck_assert_int_eq(err.code, EEXIST);
	/* Left over from a daemon that was killed. */
	fd = listener_open(scratch_path("t"), 0600, (uid_t)-1, (gid_t)-1, &err);
	ck_assert_int_ne(fd, -1);
	close(fd);
	fd = listener_open(scratch_path("t"), 0600, (uid_t)-1, (gid_t)-1, &err);
	ck_assert_int_ne(fd, -1);
	close(fd);
	ck_assert_int_eq(
	    listener_open("/tmp/"
			  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		0600, (uid_t)-1, (gid_t)-1, &err),
	    -1);
	ck_assert_int_eq(err.code, ENAMETOOLONG);
	end(w);
}
END_TEST

/* Without root there is only one user to be, and it is one too many. */
START_TEST(strangers)
{
	struct world *w;
	char line[AUTH_LINE_MAX], got[100];
	size_t n = record(line);
	int fd;

	if (geteuid() == 0)
		return;
	w = begin(geteuid() + 1);
	fd = dial(w);
	say(w, fd, line, n);
	ck_assert_uint_eq(w->events, 0);
	ck_assert_int_eq(answer(fd, got, sizeof(got)), -1);
	close(fd);
	end(w);
}
END_TEST

static unsigned int lines_logged;

static void
count_line(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
	lines_logged++;
}

/* Who is refused comes again at once: neither the loop nor the log is his. */
START_TEST(crowd_of_strangers)
{
	struct world *w = begin(geteuid() + 1);
	bool root = geteuid() == 0;
	char got[8];
	int fds[300];

	chmod(scratch, 0755);
	chmod(scratch_path("s"), 0666);
	log_set_sink(count_line, NULL);
	ck_assert(!root || seteuid(61234) == 0);
	for (size_t i = 0; i < COUNT(fds); i++) {
		struct sockaddr_un sun = { .sun_family = AF_UNIX };

		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		snprintf(sun.sun_path, sizeof(sun.sun_path), "%s",
		    scratch_path("s"));
		ck_assert_int_eq(
		    connect(fds[i], (struct sockaddr *)&sun, sizeof(sun)), 0);
	}
	ck_assert(!root || seteuid(0) == 0);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_int_eq(answer(fds[0], got, sizeof(got)), -1);
	ck_assert_int_eq(answer(fds[COUNT(fds) - 1], got, sizeof(got)), 0);
	for (size_t i = 0; i < COUNT(fds); i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
	for (size_t i = 0; i < COUNT(fds); i++) {
		ck_assert_int_eq(answer(fds[i], got, sizeof(got)), -1);
		close(fds[i]);
	}
	ck_assert_uint_ge(lines_logged, 1);
	ck_assert_uint_le(lines_logged, 100);
	log_set_sink(NULL, NULL);
	end(w);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("stream");

	tcase_add_test(t, records);
	tcase_add_test(t, bounded);
	tcase_add_test(t, control_lines);
	tcase_add_loop_test(t, malformed_request, 0, COUNT(bad_requests));
	tcase_add_test(t, socket_files);
	tcase_add_test(t, strangers);
	tcase_add_test(t, crowd_of_strangers);
	return check_run("stream", t);
}
