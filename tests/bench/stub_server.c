/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stub_server - the least that an IMAP4 or POP3 real-server can be, so that a
 * benchmark measures the proxy before it.
 *
 * usage: stub_server imap4|pop3
 * Prints its port, then serves until it is killed.  Every user and password is
 * right.  Answers a line at a time; knows greeting, login (with literals, as
 * nginx sends them), NOOP, LOGOUT or QUIT, and FETCH (with the tag c), for a
 * message of one MiB.
 */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/slice.h"

#include "common/banned.h"

#define FD_MAX 262144

#define MESSAGE_SIZE (1024 * 1024)
#define MESSAGE_HEAD "* 1 FETCH (BODY[] {1048576}\r\n"
#define MESSAGE_TAIL ")\r\nc OK done\r\n"

static bool imap;
static int poll_fd;

/* By descriptor: the tag of a LOGIN whose literals are still coming. */
static struct {
	unsigned char n; /* 0: none */
	char tag[64];
} login[FD_MAX];

/* The answer to FETCH, and how much of it was not sent yet. */
static struct slice message;
static size_t unsent[FD_MAX];

static bool
write_message(void)
{
	static char
	    mem[MESSAGE_SIZE + sizeof(MESSAGE_HEAD) + sizeof(MESSAGE_TAIL)];
	const size_t head = sizeof(MESSAGE_HEAD) - 1;

	memset(mem, 'x', sizeof(mem));
	memcpy(mem, MESSAGE_HEAD, head);
	for (size_t i = head + 78; i < head + MESSAGE_SIZE; i += 78) {
		mem[i - 2] = '\r';
		mem[i - 1] = '\n';
	}
	memcpy(mem + head + MESSAGE_SIZE, MESSAGE_TAIL, sizeof(MESSAGE_TAIL));
	message = slice_make(mem, strlen(mem));
	return message.n == head + MESSAGE_SIZE + sizeof(MESSAGE_TAIL) - 1;
}

static void
go_on(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	while (unsent[fd] > 0) {
		ssize_t r = send(fd, message.p + message.n - unsent[fd],
		    unsent[fd], MSG_NOSIGNAL);

		if (r == -1) {
			ev.events |= EPOLLOUT;
			break;
		}
		unsent[fd] -= (size_t)r;
	}
	epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &ev);
}

static void
say(int fd, struct slice text)
{
	/* So short that it always fits. */
	if (send(fd, text.p, text.n, MSG_NOSIGNAL) == -1)
		perror("send");
}

static void
answer_imap(int fd, struct slice line)
{
	char reply[256];
	struct slice tag, verb, rest = line;
	int n;

	if (login[fd].n > 0) {
		tag = slice_make(login[fd].tag, login[fd].n);
		verb = SLICE("LOGIN");
	} else {
		slice_cut(&rest, ' ', &tag);
		slice_cut(&rest, ' ', &verb);
	}
	if (tag.n > sizeof(login[fd].tag))
		tag.n = sizeof(login[fd].tag);
	if (line.n >= 2 && line.p[line.n - 2] == '}') {
		memmove(login[fd].tag, tag.p, tag.n);
		login[fd].n = (unsigned char)tag.n;
		say(fd, SLICE("+ go on\r\n"));
		return;
	}
	login[fd].n = 0;
	if (slice_starts(verb, SLICE("FETCH"))) {
		unsent[fd] = message.n;
		go_on(fd);
		return;
	}
	if (slice_starts(verb, SLICE("LOGOUT"))) {
		n = snprintf(reply, sizeof(reply),
		    "* BYE bye\r\n%.*s OK done\r\n", (int)tag.n, tag.p);
	} else if (slice_starts(verb, SLICE("LOGIN"))) {
		n = snprintf(reply, sizeof(reply),
		    "%.*s OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n",
		    (int)tag.n, tag.p);
	} else {
		n = snprintf(reply, sizeof(reply), "%.*s OK done\r\n",
		    (int)tag.n, tag.p);
	}
	say(fd, slice_make(reply, (size_t)n));
}

static void
leave(int fd)
{
	login[fd].n = 0;
	unsent[fd] = 0;
	close(fd);
}

static void
serve(int fd)
{
	char mem[4096];
	ssize_t r = recv(fd, mem, sizeof(mem), 0);
	struct slice in, line;

	if (r <= 0) {
		leave(fd);
		return;
	}
	in = slice_make(mem, (size_t)r);
	while (in.n > 0) {
		slice_cut(&in, '\n', &line);
		if (imap)
			answer_imap(fd, line);
		else
			say(fd, SLICE("+OK\r\n"));
	}
}

static void
welcome(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
	int on = 1;

	if (fd >= FD_MAX || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &ev) == -1) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	say(fd, imap ? SLICE("* OK [CAPABILITY IMAP4rev1 LITERAL+] stub\r\n")
		     : SLICE("+OK stub\r\n"));
}

int
main(int argc, char **argv)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t n = sizeof(sin);
	struct rlimit files;
	struct epoll_event ev = { .events = EPOLLIN };
	int on = 1, l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	poll_fd = epoll_create1(0);
	imap = argc > 1 && strcmp(argv[1], "imap4") == 0;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ev.data.fd = l;
	if (!write_message() ||
	    bind(l, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(l, 4096) == -1 ||
	    getsockname(l, (struct sockaddr *)&sin, &n) == -1 ||
	    epoll_ctl(poll_fd, EPOLL_CTL_ADD, l, &ev) == -1) {
		perror("stub_server");
		return EXIT_FAILURE;
	}
	printf("%d\n", ntohs(sin.sin_port));
	fflush(stdout);
	for (;;) {
		struct epoll_event events[256];
		int k = epoll_wait(poll_fd, events, 256, -1);

		for (int i = 0; i < k; i++) {
			int fd;

			fd = events[i].data.fd;
			if (fd != l) {
				if (events[i].events & EPOLLOUT)
					go_on(fd);
				if (events[i].events & ~(uint32_t)EPOLLOUT)
					serve(fd);
				continue;
			}
			for (;;) {
				fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
				if (fd == -1)
					break;
				welcome(fd);
			}
		}
	}
}
