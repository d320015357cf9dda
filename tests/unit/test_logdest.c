/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where log lines end, when that place is full, gone, back again or moved.
 * A private datagram socket stands in for /dev/log.  Nothing here may block;
 * check's own timeout tells when it does.
 */
#include "config.h"

#include "common/logdest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "tests/lib/check_run.h"
#include "common/banned.h"

#define NOW INT64_C(1767323045678901) /* 2026-01-02T03:04:05.678901Z */
#define HEAD "2026-01-02T03:04:05.678901+00:00 perdition.imap4[123]: "

static char dir[64];

static void
setup(void)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(dir, sizeof(dir), "%s/logdest.XXXXXX",
	    tmp == NULL || strlen(tmp) > 40 ? "/tmp" : tmp);

	ck_assert(n > 0 && (size_t)n < sizeof(dir));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(setenv("TZ", "UTC0", 1), 0);
	signal(SIGPIPE, SIG_IGN); /* as logdest.h asks for */
	signal(SIGXFSZ, SIG_IGN);
	umask(022);
}

/* Its files are all named in path(). */
static void
teardown(void)
{
	static const char *const names[] = { "log", "log.1", "socket" };
	char text[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "%s/%s", dir, names[i]);
		unlink(text);
		rmdir(text);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

static const char *
path(const char *name)
{
	static char text[2][128];
	static unsigned int turn;

	turn ^= 1;
	snprintf(text[turn], sizeof(text[turn]), "%s/%s", dir, name);
	return text[turn];
}

static struct logdest *
open_dest(const char *facility)
{
	struct err err = { .msg = "" };
	struct logdest *d = logdest_open(facility, path("socket"), &err);

	ck_assert_msg(d != NULL, "%s", err.msg);
	return d;
}

static void
put(struct logdest *d, const char *line)
{
	logdest_put(d, LOG_INFO, "perdition.imap4", 123, NOW, slice_str(line));
}

/* --- syslog ------------------------------------------------------------- */

static int
syslog_start(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path("socket"));
	unlink(sun.sun_path);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* The next packet as a string, or "" when there is none. */
static const char *
received(int fd)
{
	static char text[16384];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

START_TEST(syslog_form)
{
	int fd = syslog_start();
	struct logdest *d = open_dest("mail");

	put(d, "event=x");
	ck_assert_str_eq(received(fd), ""); /* gathered until flush */
	ck_assert(logdest_flush(d));
	ck_assert_str_eq(
	    received(fd), "<22>Jan  2 03:04:05 perdition.imap4[123]: event=x");
	logdest_put(d, LOG_ERR, "perdition-pbs", 1,
	    NOW + INT64_C(15 * 86400) * 1000000, SLICE(""));
	ck_assert(logdest_flush(d));
	ck_assert_str_eq(
	    received(fd), "<19>Jan 17 03:04:05 perdition-pbs[1]: ");
	ck_assert(logdest_flush(d)); /* nothing to do */
	logdest_close(&d);
	ck_assert_ptr_null(d);
	logdest_close(&d);
	d = open_dest("LOCAL7");
	put(d, "a\nb");
	logdest_close(&d); /* flushes */
	ck_assert_str_eq(
	    received(fd), "<190>Jan  2 03:04:05 perdition.imap4[123]: a?b");
	close(fd);
}
END_TEST

START_TEST(syslog_starts_late)
{
	struct logdest *d = open_dest("mail");
	int fd;

	put(d, "one");
	ck_assert(!logdest_flush(d));
	put(d, "two");
	ck_assert(!logdest_flush(d));
	fd = syslog_start();
	ck_assert(logdest_flush(d));
	ck_assert_ptr_nonnull(strstr(received(fd), ": one"));
	ck_assert_ptr_nonnull(strstr(received(fd), ": two"));
	ck_assert_uint_eq(logdest_lost(d), 0);
	logdest_close(&d);
	close(fd);
}
END_TEST

START_TEST(syslog_restarts)
{
	int fd = syslog_start();
	struct logdest *d = open_dest("mail");

	put(d, "one");
	ck_assert(logdest_flush(d));
	close(fd);
	put(d, "two");
	ck_assert(!logdest_flush(d)); /* refused: nobody is bound there */
	unlink(path("socket"));
	ck_assert(!logdest_flush(d)); /* gone */
	fd = syslog_start();
	put(d, "three");
	ck_assert(logdest_flush(d));
	ck_assert_ptr_nonnull(strstr(received(fd), ": two"));
	ck_assert_ptr_nonnull(strstr(received(fd), ": three"));

	/* So fast that we only see another one there. */
	close(fd);
	fd = syslog_start();
	put(d, "four");
	ck_assert(logdest_flush(d));
	ck_assert_ptr_nonnull(strstr(received(fd), ": four"));

	ck_assert_int_eq(logdest_reopen(d, NULL), 0);
	put(d, "five");
	ck_assert(logdest_flush(d));
	ck_assert_ptr_nonnull(strstr(received(fd), ": five"));
	ck_assert_uint_eq(logdest_lost(d), 0);
	logdest_close(&d);
	close(fd);
}
END_TEST

/* Lines with a number, until some are lost.  How many were put. */
static unsigned int
put_until_lost(struct logdest *d, unsigned int lost)
{
	char line[1024];
	unsigned int n = 0;

	while (logdest_lost(d) < lost) {
		snprintf(line, sizeof(line), "n=%u %0900d", n, 0);
		put(d, line);
		if (++n % 50 == 0)
			logdest_flush(d);
		ck_assert_uint_lt(n, 100000);
	}
	return n;
}

START_TEST(syslog_full)
{
	int fd = syslog_start();
	struct logdest *d = open_dest("mail");
	unsigned int n = put_until_lost(d, 7), seen = 0, v, told = 0;
	const char *text;
	bool all = false;

	ck_assert(!logdest_flush(d));
	/* Syslog goes on reading: all come, in order, none twice. */
	while (*(text = received(fd)) != '\0' || !all) {
		const char *at = strstr(text, ": n=");
		const char *lost = strstr(text, ": event=log-lost lines=");

		if (at != NULL) {
			ck_assert_int_eq(sscanf(at, ": n=%u", &v), 1);
			ck_assert_uint_eq(v, seen++);
		} else if (lost != NULL) {
			ck_assert_int_eq(strncmp(text, "<20>", 4), 0);
			ck_assert_int_eq(
			    sscanf(lost, ": event=log-lost lines=%u", &v), 1);
			told += v;
		}
		all = logdest_flush(d);
	}
	ck_assert_uint_eq(seen, n - 7);
	ck_assert_uint_eq(told, 7);
	put(d, "after");
	ck_assert(logdest_flush(d));
	ck_assert_ptr_nonnull(strstr(received(fd), ": after"));
	ck_assert_uint_eq(logdest_lost(d), 7);
	logdest_close(&d);
	close(fd);
}
END_TEST

/* --- a file ------------------------------------------------------------- */

static const char *
content(const char *name)
{
	static char text[8192];
	int fd = open(path(name), O_RDONLY);
	ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

	ck_assert_int_ne(n, -1);
	text[n] = '\0';
	if (fd != -1)
		close(fd);
	return text;
}

static void
set_file_limit(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(file_form)
{
	struct logdest *d = open_dest(path("log"));
	struct stat st;

	put(d, "one");
	put(d, "");
	ck_assert(logdest_flush(d));
	logdest_put(d, LOG_ERR, "p", 7, NOW - 678901, SLICE("two"));
	logdest_close(&d);
	ck_assert_str_eq(content("log"),
	    HEAD "one\n" HEAD "\n"
		 "2026-01-02T03:04:05.000000+00:00 p[7]: two\n");
	ck_assert_int_eq(stat(path("log"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
	d = open_dest(path("log"));
	logdest_put(d, LOG_ERR, "p", 7, NOW, SLICE("three"));
	logdest_close(&d);
	ck_assert_ptr_nonnull(strstr(content("log"), "two\n"));
	ck_assert_ptr_nonnull(strstr(content("log"), "three\n"));
}
END_TEST

static const struct {
	const char *tz, *stamp;
	int64_t now_us;
} zones[] = {
	{ "<+01>-1", "2026-01-02T04:04:05.678901+01:00 ", NOW },
	{ "<+0545>-5:45", "2026-01-02T08:49:05.678901+05:45 ", NOW },
	{ "<-0330>3:30", "2026-01-01T23:34:05.678901-03:30 ", NOW },
	{ "UTC0", "1970-01-01T00:00:00.000000+00:00 ", 0 },
	{ "UTC0", "1969-12-31T23:59:59.999999+00:00 ", -1 },
};

START_TEST(file_zone)
{
	struct logdest *d;

	setenv("TZ", zones[_i].tz, 1);
	d = open_dest(path("log"));
	logdest_put(d, LOG_INFO, "p", 1, zones[_i].now_us, SLICE("x"));
	logdest_close(&d);
	ck_assert_int_eq(
	    strncmp(content("log"), zones[_i].stamp, strlen(zones[_i].stamp)),
	    0);
}
END_TEST

START_TEST(file_rotates)
{
	struct logdest *d = open_dest(path("log"));
	struct err err;

	put(d, "one");
	ck_assert(logdest_flush(d));
	ck_assert_int_eq(rename(path("log"), path("log.1")), 0);
	put(d, "two");
	ck_assert(logdest_flush(d));
	ck_assert_int_eq(logdest_reopen(d, &err), 0);
	put(d, "three");
	ck_assert(logdest_flush(d));
	ck_assert_str_eq(content("log.1"), HEAD "one\n" HEAD "two\n");
	ck_assert_str_eq(content("log"), HEAD "three\n");

	/* Cannot be opened: what there was goes on. */
	ck_assert_int_eq(unlink(path("log.1")), 0);
	ck_assert_int_eq(rename(path("log"), path("log.1")), 0);
	ck_assert_int_eq(mkdir(path("log"), 0700), 0);
	ck_assert_int_eq(logdest_reopen(d, &err), -1);
	ck_assert_int_eq(err.code, EISDIR);
	ck_assert_ptr_nonnull(strstr(err.msg, path("log")));
	put(d, "four");
	ck_assert(logdest_flush(d));
	ck_assert_str_eq(content("log.1"), HEAD "three\n" HEAD "four\n");
	logdest_close(&d);
}
END_TEST

/* What was there before is not given away.  Root gives to somebody else. */
START_TEST(file_given)
{
	uid_t uid = geteuid() == 0 ? 65534 : geteuid();
	struct logdest *d;
	struct stat st;
	struct err err;

	d = logdest_open(path("log"), NULL, &err);
	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(logdest_give(d, uid), 0);
	ck_assert_int_eq(stat(path("log"), &st), 0);
	ck_assert_uint_eq(st.st_uid, uid);
	ck_assert_int_eq(chown(path("log"), geteuid(), (gid_t)-1), 0);
	logdest_close(&d);
	d = logdest_open(path("log"), NULL, &err);
	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(logdest_give(d, uid), 0);
	ck_assert_int_eq(stat(path("log"), &st), 0);
	ck_assert_uint_eq(st.st_uid, geteuid());
	logdest_close(&d);
}
END_TEST

START_TEST(file_full)
{
	struct logdest *d = open_dest("/dev/full");
	struct err err;

	put(d, "one");
	ck_assert(!logdest_flush(d));
	ck_assert(!logdest_flush(d));
	ck_assert_uint_eq(logdest_lost(d), 0);
	put_until_lost(d, 3);
	ck_assert(!logdest_flush(d));
	ck_assert_int_eq(logdest_reopen(d, &err), 0);
	ck_assert(!logdest_flush(d));
	logdest_close(&d); /* does not wait */
}
END_TEST

/* Space for a part of the second line, then for all. */
START_TEST(file_full_within_a_line)
{
	struct logdest *d = open_dest(path("log"));
	struct err err;

	set_file_limit(sizeof(HEAD "one\n") - 1 + 5);
	put(d, "one");
	put(d, "two");
	ck_assert(!logdest_flush(d));
	ck_assert_str_eq(content("log"), HEAD "one\n2026-");
	ck_assert_int_eq(logdest_reopen(d, &err), 0); /* the same file */
	ck_assert(!logdest_flush(d));
	set_file_limit(RLIM_INFINITY);
	ck_assert(logdest_flush(d));
	ck_assert_str_eq(content("log"), HEAD "one\n" HEAD "two\n");
	logdest_close(&d);
}
END_TEST

START_TEST(file_rotates_within_a_line)
{
	struct logdest *d = open_dest(path("log"));
	struct err err;

	set_file_limit(10);
	put(d, "one");
	put(d, "two");
	ck_assert(!logdest_flush(d));
	ck_assert_str_eq(content("log"), "2026-01-02");
	ck_assert_int_eq(rename(path("log"), path("log.1")), 0);
	set_file_limit(RLIM_INFINITY);
	ck_assert_int_eq(logdest_reopen(d, &err), 0);
	ck_assert(logdest_flush(d));
	ck_assert_str_eq(content("log"), HEAD "one\n" HEAD "two\n");
	logdest_close(&d);
}
END_TEST

/* --- standard output ---------------------------------------------------- */

static void
drain(int fd, unsigned int *lines)
{
	char text[4096];
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			*lines += text[i] == '\n';
}

/*
 * A full one neither blocks nor loses: a pipe (_i 0), a socket pair (1), a
 * pipe of somebody else, which cannot be opened anew (2, for root only).
 */
START_TEST(stdout_full)
{
	struct logdest *d;
	unsigned int put_lines = 0, lines = 0;
	int fd[2];

	if (_i == 2 && geteuid() != 0)
		return;
	ck_assert_int_eq(
	    _i != 1 ? pipe(fd) : socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	ck_assert_int_eq(dup2(fd[1], STDOUT_FILENO), STDOUT_FILENO);
	close(fd[1]);
	ck_assert_int_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(_i == 2 ? seteuid(65534) : 0, 0);
	d = open_dest("-");
	ck_assert_int_eq(_i == 2 ? seteuid(0) : 0, 0);
	/* Others share it; its mode is not ours to change. */
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	do {
		for (int i = 0; i < 100; i++, put_lines++)
			put(d, "line");
		ck_assert_uint_lt(put_lines, 100000);
	} while (logdest_flush(d));
	while (lines < put_lines) {
		drain(fd[0], &lines);
		logdest_flush(d);
	}
	ck_assert_uint_eq(lines, put_lines);
	ck_assert(logdest_flush(d));
	ck_assert_uint_eq(logdest_lost(d), 0);

	close(fd[0]);
	put(d, "to nobody");
	ck_assert(logdest_flush(d));
	put(d, "to nobody");
	ck_assert(logdest_flush(d));
	ck_assert_uint_eq(logdest_lost(d), 2);
	ck_assert_int_eq(logdest_reopen(d, NULL), 0);
	logdest_close(&d);
}
END_TEST

START_TEST(stderr_is_a_file)
{
	int saved = dup(STDERR_FILENO);
	int fd = open(path("log"), O_WRONLY | O_CREAT, 0600);
	struct logdest *d;

	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	d = open_dest("+");
	ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	put(d, "one");
	logdest_close(&d);
	ck_assert_str_eq(content("log"), HEAD "one\n");
}
END_TEST

/* --- opening ------------------------------------------------------------ */

START_TEST(names)
{
	ck_assert(logdest_is_stdio("-") && logdest_is_stdio("+"));
	ck_assert(!logdest_is_stdio("") && !logdest_is_stdio("--"));
	ck_assert(!logdest_is_stdio("mail") && !logdest_is_stdio("/-"));
}
END_TEST

static const struct {
	const char *facility;
	int code;
} refused[] = {
	{ "", EINVAL },
	{ "mai", EINVAL },
	{ "local8", EINVAL },
	{ "log/file", EINVAL }, /* not absolute */
	{ "/nonexistent/log", ENOENT },
	{ "/", EISDIR },
};

START_TEST(refuses)
{
	struct err err;

	ck_assert_ptr_null(
	    logdest_open(refused[_i].facility, path("socket"), &err));
	ck_assert_int_eq(err.code, refused[_i].code);
	ck_assert_ptr_nonnull(strstr(err.msg, refused[_i].facility));
}
END_TEST

START_TEST(refuses_long_socket)
{
	char name[200];
	struct err err;

	memset(name, '/', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_ptr_null(logdest_open("mail", name, &err));
	ck_assert_int_eq(err.code, ENAMETOOLONG);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("logdest");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, syslog_form);
	tcase_add_test(tc, syslog_starts_late);
	tcase_add_test(tc, syslog_restarts);
	tcase_add_test(tc, syslog_full);
	tcase_add_test(tc, file_form);
	tcase_add_loop_test(tc, file_zone, 0, COUNT(zones));
	tcase_add_test(tc, file_rotates);
	tcase_add_test(tc, file_given);
	tcase_add_test(tc, file_full);
	tcase_add_test(tc, file_full_within_a_line);
	tcase_add_test(tc, file_rotates_within_a_line);
	tcase_add_loop_test(tc, stdout_full, 0, 3);
	tcase_add_test(tc, stderr_is_a_file);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, refuses, 0, COUNT(refused));
	tcase_add_test(tc, refuses_long_socket);
	return check_run("logdest", tc);
}
