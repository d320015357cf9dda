/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections to real-servers come from the addresses that were named, in
 * turn, each for its family.
 */
#include "config.h"

#include "perdition/outgoing.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/lib/check_run.h"

#include "common/banned.h"

static struct addr sources[8];
static struct config config = { .sources = sources };
static struct addr server;
static int listener;
static size_t turn;

static void
name_sources(const char *const *text)
{
	config.source_count = 0;
	for (turn = 0; text[config.source_count] != NULL; config.source_count++)
		ck_assert_int_eq(
		    addr_parse_ip(slice_str(text[config.source_count]),
			&sources[config.source_count]),
		    0);
}

static void
open_server(const char *at)
{
	struct sockaddr_storage ss;
	socklen_t n;

	ck_assert_int_eq(addr_parse_ip(slice_str(at), &server), 0);
	server.port = 0;
	n = addr_to_sockaddr(&server, &ss);
	listener = socket(ss.ss_family, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&ss, n), 0);
	ck_assert_int_eq(listen(listener, 64), 0);
	n = sizeof(ss);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&ss, &n), 0);
	ck_assert_int_eq(
	    addr_from_sockaddr(&server, (struct sockaddr *)&ss), 0);
}

/* A connection, and where the server sees it come from. */
static void
comes_from(const char *want)
{
	struct pollfd writable = { .events = POLLOUT };
	char text[ADDR_TEXT_MAX];
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct addr from;
	int fd;

	writable.fd = outgoing_connect(&config, &turn, &server);
	ck_assert_msg(writable.fd != -1, "%s", strerror(errno));
	ck_assert_int_eq(poll(&writable, 1, 10000), 1);
	fd = accept(listener, (struct sockaddr *)&ss, &n);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(addr_from_sockaddr(&from, (struct sockaddr *)&ss), 0);
	text[addr_write_ip(&from, text)] = '\0';
	ck_assert_str_eq(text, want);
	close(fd);
	close(writable.fd);
}

START_TEST(none_named)
{
	static const char *const none[] = { NULL };

	open_server("127.0.0.1");
	name_sources(none);
	comes_from("127.0.0.1");
	close(listener);
}
END_TEST

START_TEST(in_turn)
{
	static const char *const some[] = { "127.0.0.21", "127.0.0.22", "::1",
		"127.0.0.23", NULL };

	open_server("127.0.0.1");
	name_sources(some);
	for (int i = 0; i < 3; i++) {
		comes_from("127.0.0.21");
		comes_from("127.0.0.22");
		comes_from("127.0.0.23");
	}
	close(listener);
	open_server("::1");
	for (int i = 0; i < 3; i++)
		comes_from("::1");
	close(listener);
}
END_TEST

/* As if there were no port left there. */
START_TEST(one_cannot)
{
	static const char *const some[] = { "203.0.113.1", "127.0.0.21", NULL };
	static const char *const bad[] = { "203.0.113.1", "203.0.113.2", NULL };

	open_server("127.0.0.1");
	name_sources(some);
	for (int i = 0; i < 4; i++)
		comes_from("127.0.0.21");
	name_sources(bad);
	ck_assert_int_eq(outgoing_connect(&config, &turn, &server), -1);
	ck_assert_int_eq(errno, EADDRNOTAVAIL);
	close(listener);
}
END_TEST

START_TEST(another_family)
{
	static const char *const only6[] = { "::1", NULL };

	open_server("127.0.0.1");
	name_sources(only6);
	comes_from("127.0.0.1");
	close(listener);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("outgoing");

	tcase_add_test(t, none_named);
	tcase_add_test(t, in_turn);
	tcase_add_test(t, one_cannot);
	tcase_add_test(t, another_family);
	return check_run("outgoing", t);
}
