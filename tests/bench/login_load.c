/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * login_load - clients that log in, log out and come again.
 *
 * usage: login_load imap4|pop3 PORT LOGINS AT_ONCE [hold]
 * Runs LOGINS sessions, AT_ONCE at a time, against 127.0.0.1:PORT; prints
 * "ok=N failed=N seconds=S".  With hold: opens AT_ONCE sessions, logs them in,
 * prints "held=N", and keeps them until standard input ends.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/slice.h"

#include "common/banned.h"

#define FD_MAX 262144
#define SECONDS_MAX 300 /* without any progress, then it gives up */

struct dialogue {
	const char *say[4]; /* after each reply; %u: a number of the user's */
	size_t replies;     /* expected: the greeting first */
};

static const struct dialogue imap4 = {
	{ "a LOGIN bench%u secret\r\n", "b LOGOUT\r\n" }, 3
};
static const struct dialogue pop3 = {
	{ "USER bench%u\r\n", "PASS secret\r\n", "QUIT\r\n" }, 4
};

static struct run {
	const struct dialogue *d;
	int port, epoll;
	bool imap, hold;
	unsigned long todo, open, ok, failed, held;
	unsigned char at[FD_MAX]; /* by descriptor: replies received */
} run;

static void
begin(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN };
	struct linger hard = { 1, 0 };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	run.todo--;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)run.port);
	if (fd == -1 || fd >= FD_MAX) {
		run.failed++;
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* No TIME_WAIT of ours: or ports run out. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	ev.data.fd = fd;
	if ((connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 &&
		errno != EINPROGRESS) ||
	    epoll_ctl(run.epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
		close(fd);
		run.failed++;
		return;
	}
	run.at[fd] = 0;
	run.open++;
}

static void
end(int fd, bool ok)
{
	close(fd);
	run.open--;
	if (ok)
		run.ok++;
	else
		run.failed++;
	if (run.todo > 0 && !run.hold)
		begin();
}

/* Whether text ends a reply: IMAP has untagged lines before the tagged. */
static bool
complete(const char *text, size_t n, unsigned int at)
{
	struct slice rest = slice_make(text, n), line;
	const char tag = at == 1 ? 'a' : at == 2 ? 'b' : '*';

	if (n == 0 || text[n - 1] != '\n')
		return false;
	if (!run.imap)
		return text[0] == '+';
	while (rest.n > 0) {
		slice_cut(&rest, '\n', &line);
		if (line.n > 0 && line.p[0] == tag)
			return true;
	}
	return false;
}

/* Copies text with its %u replaced; the length. */
static int
put_number(char *out, size_t cap, const char *text, unsigned int number)
{
	const char *at = strstr(text, "%u");

	if (at == NULL)
		return snprintf(out, cap, "%s", text);
	return snprintf(
	    out, cap, "%.*s%u%s", (int)(at - text), text, number, at + 2);
}

static void
ready(int fd)
{
	char text[4096];
	ssize_t r = recv(fd, text, sizeof(text), 0);
	unsigned int at = run.at[fd];
	char say[64];
	int n;

	if (r == -1 && errno == EAGAIN)
		return;
	if (r <= 0 || !complete(text, (size_t)r, at)) {
		end(fd, false);
		return;
	}
	at = ++run.at[fd];
	if (run.hold && at == run.d->replies - 1) {
		run.held++;
		return;
	}
	if (at == run.d->replies) {
		end(fd, true);
		return;
	}
	n = put_number(say, sizeof(say), run.d->say[at - 1], (unsigned)fd);
	if (send(fd, say, (size_t)n, MSG_NOSIGNAL) == -1)
		end(fd, false);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	unsigned long at_once;
	struct rlimit files;
	double start = seconds();

	if (argc < 5) {
		fputs("usage: login_load imap4|pop3 PORT LOGINS AT_ONCE "
		      "[hold]\n",
		    stderr);
		return EXIT_FAILURE;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	run.imap = strcmp(argv[1], "imap4") == 0;
	run.d = run.imap ? &imap4 : &pop3;
	run.port = atoi(argv[2]);
	run.todo = strtoul(argv[3], NULL, 10);
	at_once = strtoul(argv[4], NULL, 10);
	run.hold = argc > 5;
	if (run.hold)
		run.todo = at_once;
	run.epoll = epoll_create1(0);
	while (run.todo > 0 && run.open < at_once)
		begin();
	while (run.open > run.held) {
		struct epoll_event events[256];
		int n = epoll_wait(run.epoll, events, 256, SECONDS_MAX * 1000);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++)
			ready(events[i].data.fd);
	}
	if (run.hold) {
		printf("held=%lu failed=%lu\n", run.held, run.failed);
		fflush(stdout);
		while (getchar() != EOF)
			continue;
		return EXIT_SUCCESS;
	}
	printf("ok=%lu failed=%lu seconds=%.3f\n", run.ok, run.failed,
	    seconds() - start);
	return run.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
