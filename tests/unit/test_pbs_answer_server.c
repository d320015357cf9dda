/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers over sockets: many connections, half requests, slow readers.
 */
#include "config.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "pbs_scratch.h"

#include "../lib/check_run.h"
#include "common/log.h"
#include "perdition-pbs/answer_server.h"

#include "common/banned.h"

#define PLACES 8
#define PATIENCE_MS 30

struct world {
	uv_loop_t loop;
	struct answer_server *server;
	unsigned int asked;
};

static struct err err;

static bool
may_relay(void *arg, const struct addr *client, struct answer_grant *grant)
{
	struct world *w = arg;

	w->asked++;
	relay_key_make(&grant->by, client, 32, 128);
	grant->user = SLICE("bob");
	return client->ip.s6_addr[15] == 1;
}

static struct world *
begin(const struct answer_protocol *p, unsigned int patience_ms)
{
	struct world *w = calloc(1, sizeof(*w));
	struct listener_peers peers = { NULL, 0, geteuid() };
	struct answer_use use = { p, { may_relay, w, "", "" }, PLACES,
		patience_ms };
	int fd;

	scratch_make();
	uv_loop_init(&w->loop);
	fd = listener_open(scratch_path("s"), 0600, (uid_t)-1, (gid_t)-1, &err);
	ck_assert_msg(fd != -1, "%s", err.msg);
	w->server = answer_server_create(
	    &w->loop, fd, scratch_path("s"), &peers, &use, &err);
	ck_assert_ptr_nonnull(w->server);
	return w;
}

static void
end(struct world *w)
{
	answer_server_destroy(&w->server);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&w->loop), 0);
	ck_assert_int_eq(access(scratch_path("s"), F_OK), -1);
	free(w);
	scratch_remove();
}

static int
dial_only(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", scratch_path("s"));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static int
dial(struct world *w)
{
	int fd = dial_only();

	uv_run(&w->loop, UV_RUN_NOWAIT);
	return fd;
}

static void
say(struct world *w, int fd, const char *text)
{
	ssize_t n = (ssize_t)strlen(text);

	ck_assert_int_eq(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* What has come; NULL: the connection is closed. */
static const char *
heard(int fd)
{
	static char out[8192];
	ssize_t n = recv(fd, out, sizeof(out) - 1, MSG_DONTWAIT);

	out[n > 0 ? n : 0] = '\0';
	if (n == 0)
		return NULL;
	ck_assert(n > 0 || errno == EAGAIN);
	return out;
}

#define ASK(last)                                                              \
	"request=smtpd_access_policy\nclient_address=192.0.2." last "\n\n"

START_TEST(kept)
{
	struct world *w = begin(&answer_policy, 10000);
	int fd = dial(w), other = dial(w);

	say(w, fd, ASK("1"));
	ck_assert_str_eq(heard(fd), "action=OK\n\n");
	say(w, fd, ASK("2"));
	ck_assert_str_eq(heard(fd), "action=DUNNO\n\n");
	/* Before the replies are read, and the last in halves. */
	say(w, fd, ASK("1") ASK("2") ASK("1") "request=smtpd_acc");
	ck_assert_str_eq(heard(fd), "action=OK\n\naction=DUNNO\n\n"
				    "action=OK\n\n");
	say(w, other, ASK("2"));
	say(w, fd, "ess_policy\nclient_address=192.0.2.1\n\n");
	ck_assert_str_eq(heard(fd), "action=OK\n\n");
	ck_assert_str_eq(heard(other), "action=DUNNO\n\n");
	for (const char *p = ASK("1"); *p != '\0'; p++) {
		char byte[2] = { *p, '\0' };

		ck_assert_str_eq(heard(fd), "");
		say(w, fd, byte);
	}
	ck_assert_str_eq(heard(fd), "action=OK\n\n");
	ck_assert_uint_eq(w->asked, 8);
	/* Nobody is cut off by the end of another. */
	close(other);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	say(w, fd, ASK("1"));
	ck_assert_str_eq(heard(fd), "action=OK\n\n");
	close(fd);
	end(w);
}
END_TEST

START_TEST(once)
{
	struct world *w = begin(&answer_lookup, 10000);
	int fd = dial(w);

	/* Exim shuts down its side, unless told not to. */
	send(fd, "get 192.0.2.1\n", 14, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_str_eq(heard(fd), "yes");
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_ptr_null(heard(fd));
	close(fd);
	fd = dial(w);
	say(w, fd, "get 192.0.2.2\nget 192.0.2.1\n");
	ck_assert_str_eq(heard(fd), "no");
	ck_assert_uint_eq(w->asked, 2);
	close(fd);
	end(w);
}
END_TEST

START_TEST(malformed)
{
	struct world *w = begin(&answer_policy, 10000);
	static char big[ANSWER_REQUEST_MAX + 1];
	int fd = dial(w), other = dial(w);

	/* What was asked before is answered still. */
	say(w, fd, ASK("1") "what?\n");
	ck_assert_str_eq(heard(fd), "action=OK\n\n");
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_ptr_null(heard(fd));
	close(fd);
	fd = dial(w);
	memset(big, 'x', ANSWER_REQUEST_MAX - 1);
	say(w, fd, big);
	ck_assert_str_eq(heard(fd), "");
	say(w, fd, "x");
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_ptr_null(heard(fd));
	say(w, other, ASK("1"));
	ck_assert_str_eq(heard(other), "action=OK\n\n");
	close(fd);
	close(other);
	end(w);
}
END_TEST

START_TEST(half_a_request)
{
	struct world *w = begin(&answer_policy, PATIENCE_MS);
	int fd = dial(w), idle = dial(w);

	say(w, fd, "request=");
	while (heard(fd) != NULL)
		uv_run(&w->loop, UV_RUN_ONCE);
	/* Who asks nothing may stay as long as he likes. */
	say(w, idle, ASK("1"));
	ck_assert_str_eq(heard(idle), "action=OK\n\n");
	close(fd);
	close(idle);
	end(w);
}
END_TEST

START_TEST(once_and_nothing)
{
	struct world *w = begin(&answer_lookup, PATIENCE_MS);
	int fd = dial(w);

	while (heard(fd) != NULL)
		uv_run(&w->loop, UV_RUN_ONCE);
	close(fd);
	end(w);
}
END_TEST

/* Until the server takes no more; how many requests that were. */
static size_t
pour(struct world *w, int fd)
{
	const char *text = ASK("1");
	size_t n = 0, done = 0, len = strlen(text);
	int stuck = 0;

	while (stuck < 3) {
		ssize_t sent = send(fd, text + done, len - done, MSG_NOSIGNAL);

		uv_run(&w->loop, UV_RUN_NOWAIT);
		stuck = sent > 0 ? 0 : stuck + 1;
		done += sent > 0 ? (size_t)sent : 0;
		if (done == len) {
			done = 0;
			n++;
		}
	}
	if (done > 0) /* the rest, when there is room again */
		ck_assert_uint_eq(done, 0);
	return n;
}

START_TEST(slow_reader)
{
	struct world *w = begin(&answer_policy, 10000);
	int fd = dial(w), other = dial(w), small = 1;
	size_t n, replies = 0;
	const char *got;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	n = pour(w, fd);
	/* Not all of them have been looked at: it reads no further. */
	ck_assert_uint_lt(w->asked, n);
	say(w, other, ASK("2"));
	ck_assert_str_eq(heard(other), "action=DUNNO\n\n");
	while (replies < n) {
		got = heard(fd);
		ck_assert_ptr_nonnull(got);
		for (; *got != '\0'; got++)
			replies += *got == '=';
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	ck_assert_uint_eq(replies, n);
	say(w, fd, ASK("2"));
	ck_assert_str_eq(heard(fd), "action=DUNNO\n\n");
	close(fd);
	close(other);
	end(w);
}
END_TEST

#define ASK_DATA                                                               \
	"request=smtpd_access_policy\nprotocol_state=DATA\n"                   \
	"client_address=192.0.2.1\n\n"
#define BATCH 100 /* whose replies wait in several parts */

/* All questions have come, and are not asked again, when he reads at last. */
START_TEST(late_reader)
{
	struct world *w = begin(&answer_policy, 10000);
	struct listener_peers peers = { NULL, 0, geteuid() };
	struct answer_source source = { may_relay, w, "",
		"X-May-Relay-Because-Somebody-Has-Logged-In-From-There" };
	size_t n = 0, ends = 0;
	const char *got;
	int fd = dial(w);

	answer_server_change(w->server, &peers, &source);
	for (; w->asked == n; n += BATCH) {
		static char text[BATCH * sizeof(ASK_DATA)];

		text[0] = '\0';
		for (int i = 0; i < BATCH; i++)
			memcpy(text + (size_t)i * (sizeof(ASK_DATA) - 1),
			    ASK_DATA, sizeof(ASK_DATA));
		say(w, fd, text);
		for (int i = 0; i < 10; i++)
			uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	for (int turn = 0; turn < 10000 && ends < 2 * n; turn++) {
		got = heard(fd);
		ck_assert_ptr_nonnull(got);
		for (; *got != '\0'; got++)
			ends += *got == '\n';
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	ck_assert_uint_eq(ends, 2 * n);
	close(fd);
	end(w);
}
END_TEST

START_TEST(no_reader)
{
	struct world *w = begin(&answer_policy, PATIENCE_MS);
	int fd = dial(w);

	pour(w, fd);
	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1 || errno == EAGAIN)
		uv_run(&w->loop, UV_RUN_ONCE);
	ck_assert_int_eq(errno, EPIPE);
	close(fd);
	end(w);
}
END_TEST

/* The one that has been idle longest goes, and only when another comes. */
START_TEST(crowd)
{
	struct world *w = begin(&answer_policy, 10000);
	int fds[PLACES + 1];

	for (int i = 0; i < PLACES; i++)
		fds[i] = dial(w);
	say(w, fds[0], ASK("1"));
	for (int i = 0; i < 5; i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_str_eq(heard(fds[0]), "action=OK\n\n");
	for (int i = 1; i < PLACES; i++)
		ck_assert_str_eq(heard(fds[i]), "");
	fds[PLACES] = dial(w);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	say(w, fds[PLACES], ASK("2"));
	ck_assert_str_eq(heard(fds[PLACES]), "action=DUNNO\n\n");
	ck_assert_ptr_null(heard(fds[1]));
	ck_assert_str_eq(heard(fds[0]), "");
	ck_assert_str_eq(heard(fds[2]), "");
	for (int i = 0; i <= PLACES; i++)
		close(fds[i]);
	end(w);
}
END_TEST

static unsigned int errors_logged;

static void
count_error(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)line;
	errors_logged += level == LOG_ERR;
}

/* It is said once, does not keep the loop busy, and is over by itself. */
START_TEST(no_descriptors)
{
	struct world *w = begin(&answer_lookup, 10000);
	struct rlimit had, none;
	int fd = dial_only(), turns = 0;

	log_set_sink(count_error, NULL);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = had;
	none.rlim_cur = (rlim_t)fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (; turns < 3; turns++)
		uv_run(&w->loop, UV_RUN_ONCE);
	ck_assert_uint_eq(errors_logged, 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &had), 0);
	send(fd, "get 192.0.2.1\n", 14, MSG_NOSIGNAL);
	while (w->asked == 0)
		uv_run(&w->loop, UV_RUN_ONCE);
	ck_assert_str_eq(heard(fd), "yes");
	log_set_sink(NULL, NULL);
	close(fd);
	end(w);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("answer_server");

	tcase_add_test(t, kept);
	tcase_add_test(t, once);
	tcase_add_test(t, malformed);
	tcase_add_test(t, half_a_request);
	tcase_add_test(t, once_and_nothing);
	tcase_add_test(t, slow_reader);
	tcase_add_test(t, late_reader);
	tcase_add_test(t, no_reader);
	tcase_add_test(t, crowd);
	tcase_add_test(t, no_descriptors);
	return check_run("answer_server", t);
}
