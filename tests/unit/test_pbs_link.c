/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The link to perdition-pbs, with a perdition-pbs that is away, back, slow. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/pbs_link.h"

#include "common/banned.h"

#define WAIT_MS 20000
#define TICK_MS 10

static uv_loop_t loop;
static uv_timer_t ticker;
static unsigned int turns;
static char dir[64];
static struct sockaddr_un path;
static struct pbs_link *link_;
static unsigned int connections;

static void
on_connected(void *arg)
{
	(void)arg;
	connections++;
}

static void
quiet(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static void
setup(void)
{
	log_set_sink(quiet, NULL);
	snprintf(dir, sizeof(dir), "/tmp/perdition-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	path.sun_family = AF_UNIX;
	snprintf(path.sun_path, sizeof(path.sun_path), "%s/s", dir);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	uv_timer_init(&loop, &ticker);
	connections = 0;
	turns = 0;
	link_ = pbs_link_create(&loop, path.sun_path, on_connected, NULL);
	ck_assert_ptr_nonnull(link_);
}

static void
teardown(void)
{
	pbs_link_destroy(&link_);
	ck_assert_ptr_null(link_);
	uv_close((uv_handle_t *)&ticker, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	unlink(path.sun_path);
	rmdir(dir);
}

/* Turns the loop once; not for ever. */
static void
turn(void)
{
	uv_timer_start(&ticker, on_tick, TICK_MS, 0);
	uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_lt(++turns, WAIT_MS / TICK_MS);
}

static int
serve(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ne(fd, -1);
	unlink(path.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&path, sizeof(path)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static int
take(int server)
{
	unsigned int before = connections;
	int fd;

	while (connections == before)
		turn();
	fd = accept(server, NULL, NULL);
	ck_assert_int_ne(fd, -1);
	return fd;
}

static void
send_event(const char *client, const char *user, bool ok, enum auth_kind kind)
{
	struct auth_event ev = { .kind = kind, .ok = ok };
	char record[64];
	int n;

	ck_assert_int_eq(addr_parse_ip(slice_str(client), &ev.client), 0);
	n = snprintf(record, sizeof(record), "%s %s", client, user);
	pbs_link_send(link_, &ev, slice_make(record, (size_t)n));
}

static void
expect(int fd, const char *text)
{
	char got[256] = "";
	size_t n = 0;
	ssize_t r;

	while (n < strlen(text)) {
		r = recv(fd, got + n, sizeof(got) - 1 - n, 0);
		ck_assert_int_gt(r, 0);
		n += (size_t)r;
	}
	ck_assert_str_eq(got, text);
}

START_TEST(away_then_there)
{
	int server;
	int fd;

	turn(); /* tries, and finds nobody */
	ck_assert(!pbs_link_connected(link_));
	send_event("192.0.2.1", "old", true, AUTH_LOGIN);
	send_event("192.0.2.2", "other", true, AUTH_RELOG);
	send_event("192.0.2.1", "failed", false, AUTH_LOGIN);
	send_event("192.0.2.1", "closed", true, AUTH_CLOSE);
	send_event("192.0.2.1", "new", true, AUTH_LOGIN);
	ck_assert(pbs_link_flush(link_));
	server = serve();
	fd = take(server);
	expect(fd, "192.0.2.2 other\n192.0.2.1 new\n");
	ck_assert(pbs_link_connected(link_));
	/* Now that somebody listens, all is told, in order. */
	send_event("192.0.2.1", "failed", false, AUTH_LOGIN);
	send_event("192.0.2.1", "closed", true, AUTH_CLOSE);
	ck_assert(pbs_link_flush(link_));
	expect(fd, "192.0.2.1 failed\n192.0.2.1 closed\n");
	close(fd);
	close(server);
}
END_TEST

START_TEST(gone_and_back)
{
	int server = serve();
	int fd = take(server);

	close(fd);
	close(server);
	unlink(path.sun_path);
	while (pbs_link_connected(link_)) /* noticed without sending */
		turn();
	send_event("192.0.2.1", "a", true, AUTH_LOGIN);
	ck_assert(pbs_link_flush(link_));
	server = serve();
	fd = take(server);
	ck_assert_uint_eq(connections, 2);
	expect(fd, "192.0.2.1 a\n");
	close(fd);
	close(server);
}
END_TEST

START_TEST(dies_while_we_write)
{
	int server = serve();
	int fd = take(server);

	close(fd);
	send_event("192.0.2.1", "a", true, AUTH_LOGIN);
	ck_assert(pbs_link_flush(link_)); /* EPIPE, and no signal */
	ck_assert(!pbs_link_connected(link_));
	fd = take(server);
	expect(fd, "192.0.2.1 a\n");
	close(fd);
	close(server);
}
END_TEST

/* It does not read: records wait, and one that was half sent is whole again
 * for the next connection. */
START_TEST(slow_then_gone)
{
	static char big[60000];
	struct auth_event ev = { .kind = AUTH_LOGIN, .ok = true };
	int server = serve();
	int fd = take(server);
	unsigned int i = 0;
	char first[16];
	char want[16];

	memset(big, 'x', sizeof(big));
	do {
		ev.client.ip.s6_addr[15] = (uint8_t)i++;
		snprintf(big, 5, "%04u", i);
		pbs_link_send(link_, &ev, slice_make(big, sizeof(big)));
	} while (pbs_link_flush(link_) && i < 200);
	ck_assert_uint_lt(i, 200);
	snprintf(want, sizeof(want), "%04u", i);
	if (_i == 1) { /* its client again: only the newer counts then */
		pbs_link_send(link_, &ev, slice_make("again", 5));
		memcpy(want, "agai", 5);
	}
	close(fd);
	while (pbs_link_connected(link_))
		turn();
	fd = take(server);
	ck_assert_int_eq(recv(fd, first, 4, MSG_WAITALL), 4);
	first[4] = '\0';
	ck_assert_str_eq(first, want);
	close(fd);
	close(server);
}
END_TEST

START_TEST(slow_reader_gets_all)
{
	static char big[60000];
	static char in[60000];
	struct auth_event ev = { .kind = AUTH_CLOSE };
	int server = serve();
	int fd = take(server);
	unsigned int i;
	size_t want = 30 * (sizeof(big) + 1);

	memset(big, 'x', sizeof(big));
	for (i = 0; i < 30; i++)
		pbs_link_send(link_, &ev, slice_make(big, sizeof(big)));
	ck_assert(!pbs_link_flush(link_));
	while (want > 0) {
		ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);

		if (n == -1) {
			turn();
			continue;
		}
		ck_assert_int_gt(n, 0);
		want -= (size_t)n;
	}
	ck_assert(pbs_link_flush(link_));
	ck_assert_uint_eq(pbs_link_dropped(link_), 0);
	close(fd);
	close(server);
}
END_TEST

START_TEST(queue_is_bounded)
{
	static char big[8000];
	struct auth_event ev = { .kind = AUTH_LOGIN, .ok = true };
	unsigned int i;
	unsigned int n = 2 * PBS_LINK_QUEUE_MAX / sizeof(big);
	char number[16];
	int server;
	int fd;

	turn();
	memset(big, 'x', sizeof(big));
	for (i = 0; i < n; i++) {
		ev.client.ip.s6_addr[14] = (uint8_t)(i >> 8);
		ev.client.ip.s6_addr[15] = (uint8_t)i;
		snprintf(big, 9, "%08u", i);
		pbs_link_send(link_, &ev, slice_make(big, sizeof(big)));
	}
	ck_assert_uint_gt(pbs_link_dropped(link_), n / 2 - 100);
	server = serve();
	fd = take(server);
	ck_assert_int_eq(recv(fd, number, 8, MSG_WAITALL), 8);
	number[8] = '\0';
	/* The oldest went. */
	ck_assert_uint_eq(strtoul(number, NULL, 10), pbs_link_dropped(link_));
	close(fd);
	close(server);
}
END_TEST

/* A storm of failed logins must not push one out that worked. */
START_TEST(failures_give_way)
{
	static char big[60000];
	static char in[60000 + 3]; /* behind the last bytes from before */
	struct auth_event failed = { .kind = AUTH_LOGIN };
	int server = serve();
	int fd = take(server);
	bool found = false;
	unsigned int i;
	ssize_t n;

	memset(big, 'x', sizeof(big));
	for (i = 0; i < 20; i++)
		pbs_link_send(link_, &failed, slice_make(big, sizeof(big)));
	ck_assert(!pbs_link_flush(link_));
	send_event("192.0.2.1", "GOLD", true, AUTH_LOGIN);
	for (i = 0; i < 2 * PBS_LINK_QUEUE_MAX / sizeof(big); i++)
		pbs_link_send(link_, &failed, slice_make(big, sizeof(big)));
	ck_assert_uint_gt(pbs_link_dropped(link_), 0);
	while (!found) {
		n = recv(fd, in + 3, sizeof(in) - 3, MSG_DONTWAIT);
		if (n == -1) {
			turn();
			continue;
		}
		found = memmem(in, (size_t)n + 3, "GOLD", 4) != NULL;
		memmove(in, in + n, 3);
	}
	close(fd);
	close(server);
}
END_TEST

START_TEST(path_too_long)
{
	static char long_path[200];

	memset(long_path, 'x', sizeof(long_path) - 1);
	ck_assert_ptr_null(
	    pbs_link_create(&loop, long_path, on_connected, NULL));
	ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pbs_link");
	TCase *t = tcase_create("pbs_link");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, away_then_there);
	tcase_add_test(t, gone_and_back);
	tcase_add_test(t, dies_while_we_write);
	tcase_add_loop_test(t, slow_then_gone, 0, 2);
	tcase_add_test(t, slow_reader_gets_all);
	tcase_add_test(t, queue_is_bounded);
	tcase_add_test(t, failures_give_way);
	tcase_add_test(t, path_too_long);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
