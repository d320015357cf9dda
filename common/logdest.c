/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One queue of complete lines in front of one descriptor.  Every line is
 * queued with its head and its newline, so that a file takes the whole queue
 * in one write(2) and syslog takes it line by line.  Every descriptor is used
 * so that it cannot block; what it does not take stays in the queue.
 */
#include "config.h"

#include "common/logdest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/log_head.h"

#include "common/banned.h"

#define QUEUE_MIN 65536      /* bytes; kept while nothing is queued */
#define QUEUE_MAX (4u << 20) /* some seconds of a very busy host */
#define DATAGRAMS 64         /* a sendmmsg(2) */
#define LOST_LINE_MAX 64     /* "event=log-lost lines=N" */
#define SYSLOG_SOCKET "/dev/log"

enum kind { KIND_SYSLOG, KIND_FILE, KIND_STDIO };

struct logdest {
	enum kind kind;
	int fd;         /* -1: syslog is not connected */
	int facility;   /* as LOG_MAIL */
	char *path;     /* of the file or the socket */
	bool created;   /* the file was not there */
	bool wait_free; /* write(2) on fd never blocks */
	bool is_socket; /* standard output is one */
	bool broken;    /* standard output: its reader is gone for good */

	char *mem; /* the queue is mem[start..end), lines ended by LF */
	size_t start, end, cap;
	size_t done; /* bytes of the first line that the file has already */

	uint64_t lost;             /* since opened */
	uint64_t untold;           /* of these, not yet mentioned in the log */
	char ident[LOG_IDENT_MAX]; /* of the last line, for that mention */
	struct log_origin origin;  /* the same, its ident is the above */
	struct log_head head;
};

static const struct {
	const char *name;
	int facility;
} facilities[] = {
	{ "auth", LOG_AUTH },
	{ "authpriv", LOG_AUTHPRIV },
	{ "cron", LOG_CRON },
	{ "daemon", LOG_DAEMON },
	{ "ftp", LOG_FTP },
	{ "kern", LOG_KERN },
	{ "local0", LOG_LOCAL0 },
	{ "local1", LOG_LOCAL1 },
	{ "local2", LOG_LOCAL2 },
	{ "local3", LOG_LOCAL3 },
	{ "local4", LOG_LOCAL4 },
	{ "local5", LOG_LOCAL5 },
	{ "local6", LOG_LOCAL6 },
	{ "local7", LOG_LOCAL7 },
	{ "lpr", LOG_LPR },
	{ "mail", LOG_MAIL },
	{ "news", LOG_NEWS },
	{ "security", LOG_AUTH },
	{ "syslog", LOG_SYSLOG },
	{ "user", LOG_USER },
	{ "uucp", LOG_UUCP },
};

bool
logdest_is_stdio(const char *facility)
{
	return strcmp(facility, "-") == 0 || strcmp(facility, "+") == 0;
}

static int
facility_find(const char *name, int *facility)
{
	for (size_t i = 0; i < sizeof(facilities) / sizeof(*facilities); i++) {
		if (!slice_caseeq(
			slice_str(name), slice_str(facilities[i].name)))
			continue;
		*facility = facilities[i].facility;
		return 0;
	}
	return -1;
}

/* --- where lines go ----------------------------------------------------- */

/* O_NONBLOCK has no effect on files; it is for a FIFO or a terminal. */
static int
file_open(const char *path, struct err *err)
{
	int fd = open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    0640);

	if (fd == -1)
		err_set(err, errno, "log file %s: %s", path, strerror(errno));
	return fd;
}

/*
 * O_NONBLOCK on the descriptor itself would change it for every process that
 * shares it (the shell, our parent), so a pipe or terminal is opened anew;
 * where that is not allowed, wait_free stays false: see write_some().
 */
static int
stdio_open(struct logdest *d, int fd, struct err *err)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_set(err, errno, "standard %s: %s",
		    fd == STDOUT_FILENO ? "output" : "error", strerror(errno));
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		d->fd = open(path,
		    O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (d->fd != -1) {
			d->wait_free = true;
			return 0;
		}
	}
	d->is_socket = S_ISSOCK(st.st_mode);
	d->wait_free = S_ISREG(st.st_mode) || d->is_socket;
	d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (d->fd == -1)
		return err_set(
		    err, errno, "standard output: %s", strerror(errno));
	return 0;
}

static bool
syslog_connect(struct logdest *d)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (d->fd != -1)
		return true;
	d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd == -1)
		return false;
	memcpy(sun.sun_path, d->path, strlen(d->path) + 1);
	if (connect(d->fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return true;
	close(d->fd);
	d->fd = -1;
	return false;
}

static int
syslog_open(struct logdest *d, const char *facility, struct err *err)
{
	struct sockaddr_un sun;

	if (facility_find(facility, &d->facility) == -1)
		return err_set(err, EINVAL,
		    "log facility \"%s\": neither a syslog facility (mail, "
		    "daemon, local0 ...), an absolute path, - nor +",
		    facility);
	if (strlen(d->path) >= sizeof(sun.sun_path))
		return err_set(err, ENAMETOOLONG, "syslog socket %s: %s",
		    d->path, strerror(ENAMETOOLONG));
	/* Nobody there yet is no error: syslog may be starting, too. */
	(void)syslog_connect(d);
	return 0;
}

static int
dest_open(struct logdest *d, const char *facility, struct err *err)
{
	switch (d->kind) {
	case KIND_STDIO:
		return stdio_open(
		    d, facility[0] == '-' ? STDOUT_FILENO : STDERR_FILENO, err);
	case KIND_FILE:
		d->wait_free = true;
		d->created = access(d->path, F_OK) == -1 && errno == ENOENT;
		d->fd = file_open(d->path, err);
		return d->fd == -1 ? -1 : 0;
	case KIND_SYSLOG:
		return syslog_open(d, facility, err);
	}
	return -1;
}

struct logdest *
logdest_open(const char *facility, const char *socket_path, struct err *err)
{
	struct logdest *d = calloc(1, sizeof(*d));
	const char *path = "";

	if (d == NULL)
		goto no_memory;
	d->fd = -1;
	if (logdest_is_stdio(facility)) {
		d->kind = KIND_STDIO;
	} else if (facility[0] == '/') {
		d->kind = KIND_FILE;
		path = facility;
	} else {
		d->kind = KIND_SYSLOG;
		path = socket_path == NULL ? SYSLOG_SOCKET : socket_path;
	}
	log_head_init(
	    &d->head, d->kind == KIND_SYSLOG ? LOG_HEAD_SYSLOG : LOG_HEAD_FILE);
	d->path = strdup(path);
	if (d->path == NULL)
		goto no_memory;
	tzset(); /* reads a file: before a chroot or a sandbox forbids it */
	if (dest_open(d, facility, err) == 0)
		return d;
	logdest_close(&d);
	return NULL;
no_memory:
	err_set(err, ENOMEM, "log: %s", strerror(ENOMEM));
	logdest_close(&d);
	return NULL;
}

int
logdest_give(struct logdest *d, uid_t uid)
{
	struct stat st;

	/* Between the look and the opening somebody else's could have come. */
	if (!d->created || fstat(d->fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() || st.st_nlink != 1)
		return 0;
	return fchown(d->fd, uid, (gid_t)-1);
}

void
logdest_close(struct logdest **dp)
{
	struct logdest *d = *dp;

	if (d == NULL)
		return;
	if (d->start != d->end)
		(void)logdest_flush(d);
	if (d->fd != -1)
		close(d->fd);
	free(d->mem);
	free(d->path);
	free(d);
	*dp = NULL;
}

int
logdest_reopen(struct logdest *d, struct err *err)
{
	struct stat old, new;
	int fd;

	if (d->kind == KIND_STDIO)
		return 0;
	if (d->kind == KIND_SYSLOG) {
		if (d->fd != -1)
			close(d->fd);
		d->fd = -1;
		(void)syslog_connect(d);
		return 0;
	}
	fd = file_open(d->path, err);
	if (fd == -1)
		return -1;
	/* A line that the old file has in part goes to the new one whole. */
	if (fstat(d->fd, &old) == -1 || fstat(fd, &new) == -1 ||
	    old.st_dev != new.st_dev || old.st_ino != new.st_ino)
		d->done = 0;
	close(d->fd);
	d->fd = fd;
	return 0;
}

uint64_t
logdest_lost(const struct logdest *d)
{
	return d->lost;
}

/* --- the queue ---------------------------------------------------------- */

static void
lose(struct logdest *d)
{
	d->lost++;
	d->untold++;
}

/* Makes room for n more bytes behind end.  Whether there is. */
static bool
queue_room(struct logdest *d, size_t n)
{
	size_t used = d->end - d->start, cap = d->cap;
	char *mem;

	if (n > QUEUE_MAX - used)
		return false;
	if (n <= d->cap - d->end)
		return true;
	if (d->start != 0)
		memmove(d->mem, d->mem + d->start, used);
	d->start = 0;
	d->end = used;
	if (n <= d->cap - used)
		return true;
	if (cap == 0)
		cap = QUEUE_MIN;
	while (cap - used < n)
		cap *= 2; /* a power of two, as QUEUE_MAX is */
	mem = realloc(d->mem, cap);
	if (mem == NULL)
		return false;
	d->mem = mem;
	d->cap = cap;
	return true;
}

static void
queue_clear(struct logdest *d)
{
	d->start = d->end = d->done = 0;
	if (d->cap <= QUEUE_MIN)
		return;
	free(d->mem); /* grown while nobody read; not needed every day */
	d->mem = NULL;
	d->cap = 0;
}

/* --- lines -------------------------------------------------------------- */

/* Queues one line of the origin in d.  Whether it fitted. */
static bool
queue_line(struct logdest *d, int level, struct slice line)
{
	char head[LOG_HEAD_MAX];
	size_t n;
	char *text;

	d->origin.priority = d->facility | (level & LOG_PRIMASK);
	n = log_head_write(&d->head, &d->origin, head);
	if (line.n > QUEUE_MAX || !queue_room(d, n + line.n + 1))
		return false;
	text = d->mem + d->end;
	memcpy(text, head, n);
	if (line.n != 0)
		memcpy(text + n, line.p, line.n);
	/* log.c lets none through; here a newline would forge a line. */
	for (char *p = text + n; p < text + n + line.n; p++) {
		p = memchr(p, '\n', (size_t)(text + n + line.n - p));
		if (p == NULL)
			break;
		*p = '?';
	}
	text[n + line.n] = '\n';
	d->end += n + line.n + 1;
	return true;
}

/* Tells in its place in the log that lines are missing.  Whether it could. */
static bool
tell_lost(struct logdest *d)
{
	char line[LOST_LINE_MAX];
	int n = snprintf(line, sizeof(line), "event=log-lost lines=%llu",
	    (unsigned long long)d->untold);

	if (!queue_line(d, LOG_WARNING, slice_make(line, (size_t)n)))
		return false;
	d->untold = 0;
	return true;
}

void
logdest_put(struct logdest *d, int level, const char *ident, int pid,
    int64_t now_us, struct slice line)
{
	size_t n = strnlen(ident, LOG_IDENT_MAX);

	memcpy(d->ident, ident, n);
	d->origin = (struct log_origin){
		.ident = slice_make(d->ident, n), .pid = pid, .us = now_us
	};
	if (d->broken || (d->untold != 0 && !tell_lost(d)) ||
	    !queue_line(d, level, line))
		lose(d);
}

/* --- writing ------------------------------------------------------------ */

/*
 * Bytes written, or -1 with errno.  A pipe that we may not open anew takes
 * PIPE_BUF bytes without blocking once poll(2) says that it takes any.
 */
static ssize_t
write_some(struct logdest *d, const char *p, size_t n)
{
	struct pollfd pfd = { .fd = d->fd, .events = POLLOUT };

	if (d->is_socket)
		return send(d->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (d->wait_free)
		return write(d->fd, p, n);
	if (poll(&pfd, 1, 0) != 1 || (pfd.revents & POLLOUT) == 0) {
		errno = (pfd.revents & POLLERR) != 0 ? EPIPE : EAGAIN;
		return -1;
	}
	return write(d->fd, p, n < PIPE_BUF ? n : PIPE_BUF);
}

/* n more bytes are in the file: drop whole lines, count the rest in done. */
static void
advance(struct logdest *d, size_t n)
{
	size_t at = d->start + d->done + n;
	const char *newline = memrchr(d->mem + d->start, '\n', at - d->start);

	if (newline != NULL)
		d->start = (size_t)(newline - d->mem) + 1;
	d->done = at - d->start;
}

static void
drop_all(struct logdest *d)
{
	for (size_t i = d->start; i < d->end; i++)
		if (d->mem[i] == '\n')
			lose(d);
	queue_clear(d);
}

/* Whether all was written. */
static bool
flush_bytes(struct logdest *d)
{
	while (d->start + d->done < d->end) {
		const char *p = d->mem + d->start + d->done;
		ssize_t n = write_some(d, p, (size_t)(d->mem + d->end - p));

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EPIPE && d->kind == KIND_STDIO) {
			d->broken = true; /* no reader will ever come back */
			drop_all(d);
			return true;
		}
		if (n <= 0)
			return false;
		advance(d, (size_t)n);
	}
	return true;
}

/* As many queued lines as fit into one call.  How many. */
static unsigned int
gather(struct logdest *d, struct mmsghdr msg[DATAGRAMS],
    struct iovec iov[DATAGRAMS])
{
	char *p = d->mem + d->start, *end = d->mem + d->end;
	unsigned int n;

	for (n = 0; n < DATAGRAMS && p < end; n++) {
		char *newline = memchr(p, '\n', (size_t)(end - p));

		iov[n] = (struct iovec){ p, (size_t)(newline - p) };
		msg[n] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[n],
					       .msg_iovlen = 1 } };
		p = newline + 1;
	}
	return n;
}

/* Whether all was sent. */
static bool
flush_datagrams(struct logdest *d)
{
	struct mmsghdr msg[DATAGRAMS];
	struct iovec iov[DATAGRAMS];
	bool retried = false;

	while (d->start < d->end) {
		unsigned int n = gather(d, msg, iov);
		int sent;

		if (!syslog_connect(d))
			return false;
		sent = sendmmsg(d->fd, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent == -1 && errno == EMSGSIZE) {
			sent = 1; /* syslog will never take this one */
			lose(d);
		}
		for (int i = 0; i < sent; i++)
			d->start += iov[i].iov_len + 1;
		if (sent != -1 || errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
			return false;
		/* Restarted: its old socket is dead, a new one may be there. */
		close(d->fd);
		d->fd = -1;
		if (retried)
			return false;
		retried = true;
	}
	return true;
}

static bool
write_queue(struct logdest *d)
{
	if (d->kind == KIND_SYSLOG)
		return flush_datagrams(d);
	return flush_bytes(d);
}

bool
logdest_flush(struct logdest *d)
{
	bool all = write_queue(d);

	if (d->untold != 0 && !d->broken && tell_lost(d))
		all = write_queue(d);
	if (all)
		queue_clear(d);
	return all;
}
