/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load - clients that log in, log out and come again; or stay; or fetch what is
 * large; or ask for nothing much, often.
 *
 * usage: load imap4|pop3 none|starttls|implicit PORT WORK COUNT AT_ONCE
 *        [ecdsa|rsa [FIRST [ADDRESS]]]
 * WORK, against 127.0.0.1:PORT, AT_ONCE sessions at a time:
 *   full    COUNT sessions, each with a handshake of its own
 *   resume  COUNT sessions; each takes up the last one of its place, as a
 *           client does: with the ticket that came last
 *   fetch   imap4: AT_ONCE sessions fetch COUNT MiB in all
 *   noop    imap4: AT_ONCE sessions make COUNT round trips in all
 *   hold    COUNT sessions, which stay until standard input ends
 * Prints, when all are done or held,
 * "ok=N failed=N resumed=N offered=N seconds=S p50=MS p99=MS".  offered:
 * sessions that could have been resumed; p50, p99: from connect() to the answer
 * to the login.  ecdsa, rsa: which kind of certificate the clients can verify.
 * They do not verify it: what clients do is not what is measured.  FIRST: users
 * are bench<FIRST> and so on, to spread them over real-servers.  ADDRESS: where
 * the clients come from; one has ports for 60,000.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
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

#define SECONDS_MAX 300 /* without any progress, then it gives up */
#define STEPS_MAX 8

struct step {
	const char *say; /* NULL: nothing, the server begins */
	char ends;       /* first byte of the line that ends the answer */
	enum { GO_ON, START_TLS, LOGIN, AGAIN } then;
};

struct place { /* in which one session follows another */
	int fd;
	bool secure, shaking;
	SSL *ssl;
	SSL_SESSION *last;
	size_t step;
	unsigned long skip; /* bytes of a literal that are still to come */
	double began;
	size_t n;
	char line[512];
};

static struct run {
	struct step steps[STEPS_MAX];
	size_t step_count;
	bool tls, implicit, hold, resume;
	const char *again; /* what each session says over and over, or NULL */
	int port, epoll;
	unsigned long again_n; /* how often, beyond once by each session */
	unsigned long user;    /* the next one's number */
	struct sockaddr_in from;
	unsigned long todo, open, ok, failed, offered, resumed, held;
	float *took; /* ms, of each login */
	unsigned long took_n, took_max;
	SSL_CTX *ctx;
} run;

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool
prepare_tls(struct place *c)
{
	c->ssl = SSL_new(run.ctx);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    SSL_set_app_data(c->ssl, c) != 1)
		return false;
	SSL_set_connect_state(c->ssl);
	if (run.resume && c->last != NULL)
		run.offered += SSL_set_session(c->ssl, c->last) == 1;
	return true;
}

/* false: what there is of it is to be cleaned up. */
static bool
connect_place(struct place *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	struct linger hard = { 1, 0 };
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd == -1)
		return false;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)run.port);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (run.from.sin_family != 0 &&
	    bind(c->fd, (struct sockaddr *)&run.from, sizeof(run.from)) == -1)
		return false;
	/* No TIME_WAIT of ours: or ports run out. */
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (run.tls && !prepare_tls(c))
		return false;
	c->began = seconds();
	ev.data.ptr = c;
	return (connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 ||
		   errno == EINPROGRESS) &&
	       epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &ev) == 0;
}

static void
clean(struct place *c)
{
	/* Without this OpenSSL forgets the session. */
	if (c->ssl != NULL)
		SSL_set_shutdown(
		    c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
}

static void
start(struct place *c)
{
	while (run.todo > 0) {
		run.todo--;
		c->step = c->n = c->skip = 0;
		c->secure = c->shaking = run.implicit;
		if (connect_place(c)) {
			run.open++;
			return;
		}
		run.failed++;
		clean(c);
	}
}

static void
end(struct place *c, bool ok)
{
	if (ok)
		run.ok++;
	else
		run.failed++;
	clean(c);
	run.open--;
	start(c);
}

/* A new ticket has come. */
static int
keep(SSL *ssl, SSL_SESSION *session)
{
	struct place *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->last);
	c->last = session;
	return 1;
}

/* Bytes, 0 for none at present, -1 for the end. */
static ssize_t
get(struct place *c, char *p, size_t n)
{
	ssize_t r;

	if (!c->secure) {
		r = recv(c->fd, p, n, 0);
		return r > 0 ? r : r == -1 && errno == EAGAIN ? 0 : -1;
	}
	ERR_clear_error();
	r = SSL_read(c->ssl, p, (int)n);
	return r > 0                                                  ? r
	       : SSL_get_error(c->ssl, (int)r) == SSL_ERROR_WANT_READ ? 0
								      : -1;
}

/* What a client says is so short that it always fits. */
static bool
say(struct place *c, const char *text)
{
	char mem[128];
	const char *at = strstr(text, "%u");
	int n = at == NULL ? snprintf(mem, sizeof(mem), "%s", text)
			   : snprintf(mem, sizeof(mem), "%.*s%lu%s",
				 (int)(at - text), text, run.user++, at + 2);

	ERR_clear_error();
	if (c->secure)
		return SSL_write(c->ssl, mem, n) == n;
	return send(c->fd, mem, (size_t)n, MSG_NOSIGNAL) == n;
}

enum next { MORE, WAIT, DONE, BROKEN };

static enum next
take_step(struct place *c)
{
	const struct step *was = &run.steps[c->step];

	if (was->then == START_TLS)
		c->secure = c->shaking = true;
	if (was->then == LOGIN && run.took_n < run.took_max)
		run.took[run.took_n++] = (float)((seconds() - c->began) * 1e3);
	if (was->then == LOGIN && run.hold) {
		run.held++;
		run.ok++;
		return WAIT;
	}
	if (was->then == AGAIN && run.again_n > 0)
		run.again_n--;
	else
		c->step++;
	if (c->step == run.step_count)
		return DONE;
	if (run.steps[c->step].say == NULL || c->shaking)
		return MORE; /* said after the handshake */
	return say(c, run.steps[c->step].say) ? MORE : BROKEN;
}

/* A line without its LF. */
static enum next
take_line(struct place *c, struct slice line)
{
	ptrdiff_t brace = slice_find(line, '{');

	if (run.steps[c->step].then == AGAIN && brace != -1) {
		c->skip = strtoul(line.p + brace + 1, NULL, 10);
		return MORE;
	}
	if (line.n > 0 && line.p[0] == run.steps[c->step].ends)
		return take_step(c);
	return MORE;
}

static enum next
take(struct place *c, const char *p, size_t n)
{
	enum next next = MORE;

	while (n > 0 && next == MORE) {
		size_t skip = n < c->skip ? n : c->skip;

		c->skip -= skip;
		p += skip;
		n -= skip;
		if (n == 0)
			break;
		n--;
		if (*p != '\n' && c->n == sizeof(c->line) - 1)
			return BROKEN;
		if (*p != '\n') {
			c->line[c->n++] = *p++;
			continue;
		}
		p++;
		c->line[c->n] = '\0';
		next = take_line(c, slice_make(c->line, c->n));
		c->n = 0;
	}
	return next;
}

static enum next
shake(struct place *c)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(c->ssl);
	if (r != 1) {
		switch (SSL_get_error(c->ssl, r)) {
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			return WAIT;
		default:
			return BROKEN;
		}
	}
	c->shaking = false;
	run.resumed += SSL_session_reused(c->ssl) == 1;
	if (c->step > 0)
		return say(c, run.steps[c->step].say) ? MORE : BROKEN;
	return MORE;
}

static void
ready(struct place *c)
{
	static char mem[65536];
	enum next next = MORE;

	while (next == MORE && c->fd != -1) {
		ssize_t r;

		if (c->shaking) {
			next = shake(c);
			continue;
		}
		r = get(c, mem, sizeof(mem));
		next = r > 0 ? take(c, mem, (size_t)r) : r == 0 ? WAIT : BROKEN;
	}
	if (next == DONE || next == BROKEN)
		end(c, next == DONE);
}

static void
add(const char *text, char ends, int then)
{
	run.steps[run.step_count++] = (struct step){ text, ends, then };
}

static void
write_steps(bool imap, bool starttls)
{
	add(NULL, imap ? '*' : '+', GO_ON);
	if (starttls && imap)
		add("s STARTTLS\r\n", 's', START_TLS);
	else if (starttls)
		add("STLS\r\n", '+', START_TLS);
	if (!imap) {
		add("USER bench%u\r\n", '+', GO_ON);
		add("PASS secret\r\n", '+', LOGIN);
		add("QUIT\r\n", '+', GO_ON);
		return;
	}
	add("a LOGIN bench%u secret\r\n", 'a', LOGIN);
	if (run.again != NULL)
		add(run.again, 'c', AGAIN);
	add("b LOGOUT\r\n", 'b', GO_ON);
}

static SSL_CTX *
make_ctx(const char *kind)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep);
	if (SSL_CTX_set1_sigalgs_list(ctx,
		strcmp(kind, "rsa") == 0 ? "RSA-PSS+SHA256" : "ECDSA+SHA256") !=
	    1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static int
compare(const void *a, const void *b)
{
	const float *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
part(double share)
{
	unsigned long i = (unsigned long)(share * (double)run.took_n);

	return run.took_n == 0 ? 0 : (double)run.took[i];
}

static void
serve_until_done(void)
{
	while (run.open > run.held) {
		struct epoll_event events[256];
		int n = epoll_wait(run.epoll, events, 256, SECONDS_MAX * 1000);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++)
			ready(events[i].data.ptr);
	}
}

static int
usage(void)
{
	fputs("usage: load imap4|pop3 none|starttls|implicit PORT "
	      "full|resume|fetch|noop|hold COUNT AT_ONCE [ecdsa|rsa "
	      "[FIRST [ADDRESS]]]\n",
	    stderr);
	return EXIT_FAILURE;
}

static void
all_files(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

int
main(int argc, char **argv)
{
	unsigned long count, at_once, places;
	struct place *all;
	double began = seconds();

	if (argc < 7)
		return usage();
	all_files();
	run.tls = strcmp(argv[2], "none") != 0;
	run.implicit = strcmp(argv[2], "implicit") == 0;
	run.port = atoi(argv[3]);
	run.resume = strcmp(argv[4], "resume") == 0;
	run.hold = strcmp(argv[4], "hold") == 0;
	if (strcmp(argv[4], "fetch") == 0)
		run.again = "c FETCH 1 BODY.PEEK[]\r\n";
	if (strcmp(argv[4], "noop") == 0)
		run.again = "c NOOP\r\n";
	count = strtoul(argv[5], NULL, 10);
	at_once = strtoul(argv[6], NULL, 10);
	run.user = argc > 8 ? strtoul(argv[8], NULL, 10) : 0;
	if (argc > 9 && inet_pton(AF_INET, argv[9], &run.from.sin_addr) == 1)
		run.from.sin_family = AF_INET;
	write_steps(
	    strcmp(argv[1], "imap4") == 0, strcmp(argv[2], "starttls") == 0);
	places = run.hold ? count : at_once;
	all = calloc(places, sizeof(*all));
	run.ctx = make_ctx(argc > 7 ? argv[7] : "ecdsa");
	run.epoll = epoll_create1(0);
	run.todo = run.again != NULL ? at_once : count;
	run.again_n =
	    run.again != NULL && count > at_once ? count - at_once : 0;
	run.took_max = run.todo;
	run.took = calloc(run.took_max, sizeof(*run.took));
	if (all == NULL || run.took == NULL || run.ctx == NULL ||
	    run.epoll == -1) {
		perror("load");
		return EXIT_FAILURE;
	}
	for (unsigned long i = 0; i < places; i++) {
		start(&all[i]);
		if (run.hold && run.open - run.held >= at_once)
			serve_until_done();
	}
	serve_until_done();
	qsort(run.took, run.took_n, sizeof(*run.took), compare);
	printf("ok=%lu failed=%lu resumed=%lu offered=%lu seconds=%.3f "
	       "p50=%.3f p99=%.3f\n",
	    run.ok, run.failed, run.resumed, run.offered, seconds() - began,
	    part(0.5), part(0.99));
	fflush(stdout);
	while (run.hold && getchar() != EOF)
		continue;
	return run.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
