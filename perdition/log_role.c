/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log_role - takes packets apart, writes lines, hands events on.
 *
 * Who sends may have been taken over: what it says is written only in a form
 * that cannot be more than one line of its own.
 */
#include "config.h"

#include "perdition/log_role.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/auth_event.h"
#include "common/log.h"
#include "common/logdest.h"
#include "perdition/pbs_link.h"
#include "perdition/request.h"
#include "perdition/role.h"

#include "common/banned.h"

#define IDENT_MAX 16        /* bytes; a protocol's name */
#define PACKETS_PER_TURN 64 /* so that the control channel gets its turn */
#define PACKETS_AT_END 4096 /* more than the channel holds */
#define FLUSH_RETRY_MS 100  /* see logdest_flush() */
#define END_RETRY_MS 10     /* the same, when it is the end */
#define END_WAIT_MS 1000

struct log_role {
	const struct config *config;
	struct logdest *dest;
	struct pbs_link *pbs;
	uv_loop_t loop;
	uv_poll_t log, control;
	uv_prepare_t turn; /* at the end of each: write what has gathered */
	uv_timer_t flush;  /* again soon, when not all could be written */
	uv_timer_t drain;
	bool draining, stopping;
	char packet[MSG_MAX];
};

static int64_t
wall_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
own_line(void *arg, int level, struct slice line)
{
	struct log_role *lr = arg;

	logdest_put(
	    lr->dest, level, "perdition", getpid(), wall_clock_us(), line);
}

static void
bad_packet(const char *what)
{
	log_event(LOG_ERR, "log-channel", LOG_STR("bad", what));
}

/* "perdition.imap4", or "perdition" for what is no protocol's name. */
static void
make_ident(struct slice ident, char out[32])
{
	size_t i;

	for (i = 0; i < ident.n; i++) {
		char c = ident.p[i];

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9'))
			break;
	}
	if (ident.n == 0 || ident.n > IDENT_MAX || i < ident.n)
		snprintf(out, 32, "perdition");
	else
		snprintf(out, 32, "perdition.%.*s", (int)ident.n, ident.p);
}

static void
put_line(struct log_role *lr, int level, const char *ident, int pid,
    struct slice line)
{
	char clean[LOG_LINE_MAX];
	size_t i;

	if (line.n > sizeof(clean))
		line.n = sizeof(clean);
	for (i = 0; i < line.n; i++)
		clean[i] =
		    line.p[i] >= 0x20 && line.p[i] <= 0x7e ? line.p[i] : '?';
	logdest_put(lr->dest, level, ident, pid, wall_clock_us(),
	    slice_make(clean, line.n));
}

static void
put_auth(struct log_role *lr, int level, const char *ident, int pid,
    struct slice record)
{
	struct auth_event ev;
	char line[AUTH_LINE_MAX];
	ssize_t n;

	if (auth_event_parse_record(record, &ev) != 1) {
		bad_packet("event");
		return;
	}
	n = auth_event_write_line(&ev, line, sizeof(line));
	if (n > 0 && log_wants(level))
		logdest_put(lr->dest, level, ident, pid, wall_clock_us(),
		    slice_make(line, (size_t)n));
	if (lr->pbs != NULL)
		pbs_link_send(lr->pbs, &ev, record);
}

static void
take_packet(struct log_role *lr, struct slice packet)
{
	struct msg_reader r;
	char ident[32];

	msg_read_init(&r, packet);
	if (msg_get_u16(&r) != LOG_BATCH || r.failed) {
		bad_packet("type");
		return;
	}
	while (r.rest.n > 0) {
		uint8_t type = msg_get_u8(&r);
		int level = msg_get_u8(&r) & 7;
		int pid = (int)msg_get_u32(&r);
		struct slice name = msg_get_slice(&r);
		struct slice text = msg_get_slice(&r);

		if (r.failed ||
		    (type != LOG_RECORD_LINE && type != LOG_RECORD_AUTH)) {
			bad_packet("record");
			return;
		}
		make_ident(name, ident);
		if (type == LOG_RECORD_LINE)
			put_line(lr, level, ident, pid, text);
		else
			put_auth(lr, level, ident, pid, text);
	}
}

static void
on_flush_timer(uv_timer_t *timer)
{
	(void)timer; /* a turn of the loop is all that was wanted */
}

/* Whether all is out that somebody can take. */
static bool
flush(struct log_role *lr)
{
	bool all = logdest_flush(lr->dest);

	if (!all && !uv_is_active((uv_handle_t *)&lr->flush))
		uv_timer_start(&lr->flush, on_flush_timer, FLUSH_RETRY_MS, 0);
	if (lr->pbs != NULL && !pbs_link_flush(lr->pbs))
		all = false;
	return all;
}

/* A reader that is slow just now is not to miss the last lines. */
static void
flush_last(struct log_role *lr)
{
	int tries = END_WAIT_MS / END_RETRY_MS;

	while (!flush(lr) && tries-- > 0)
		poll(NULL, 0, END_RETRY_MS);
}

static void
stop(struct log_role *lr)
{
	lr->stopping = true;
	uv_stop(&lr->loop);
}

static void
on_turn(uv_prepare_t *handle)
{
	struct log_role *lr = handle->data;

	if (flush(lr) && lr->draining &&
	    (lr->pbs == NULL || !pbs_link_pending(lr->pbs)))
		stop(lr);
}

static void
on_drained(uv_timer_t *timer)
{
	stop(timer->data);
}

static void
want_announce(void *arg)
{
	uint16_t type = CONTROL_WANT_ANNOUNCE;

	(void)arg;
	/* When the master is gone there is nobody left to pass it on. */
	(void)msg_send(
	    ROLE_FD_CONTROL, slice_make((const char *)&type, sizeof(type)));
}

static void
drain(struct log_role *lr, unsigned int seconds)
{
	lr->draining = true;
	uv_poll_stop(&lr->log);
	uv_timer_start(&lr->drain, on_drained, (uint64_t)seconds * 1000, 0);
	/* Only now does nothing of it come here. */
	want_announce(lr);
}

/* False when nobody can write to the channel any more. */
static bool
read_channel(struct log_role *lr, unsigned int packets)
{
	ssize_t n;

	while (packets-- > 0) {
		n = msg_recv(ROLE_FD_LOG, lr->packet, sizeof(lr->packet));
		if (n == 0)
			return false;
		if (n == -1 && errno != EMSGSIZE)
			return errno == EAGAIN;
		if (n == -1)
			bad_packet("length");
		else
			take_packet(lr, slice_make(lr->packet, (size_t)n));
	}
	return true;
}

static void
on_log(uv_poll_t *handle, int status, int events)
{
	struct log_role *lr = handle->data;

	(void)events;
	if (status < 0 || !read_channel(lr, PACKETS_PER_TURN))
		stop(lr);
}

static void
reopen(struct log_role *lr)
{
	struct err err;

	if (logdest_reopen(lr->dest, &err) == -1)
		log_event(LOG_ERR, "log-reopen", LOG_STR("text", err.msg));
}

static void
on_control(uv_poll_t *handle, int status, int events)
{
	struct log_role *lr = handle->data;
	struct msg_reader r;
	char packet[64];
	ssize_t n;

	(void)events;
	n = status < 0 ? 0 : msg_recv(ROLE_FD_CONTROL, packet, sizeof(packet));
	if (n == 0) {
		/* The master is dead.  Workers that drain have things to say:
		 * go on until the log channel ends. */
		uv_poll_stop(handle);
		return;
	}
	if (n == -1)
		return;
	msg_read_init(&r, slice_make(packet, (size_t)n));
	switch (msg_get_u16(&r)) {
	case CONTROL_REOPEN:
		reopen(lr);
		break;
	case CONTROL_DRAIN:
		drain(lr, msg_get_u32(&r));
		break;
	case CONTROL_STOP:
		stop(lr);
		break;
	default:
		break;
	}
}

static void
give_file(struct log_role *lr)
{
	const struct config *c = lr->config;
	const struct passwd *pw = getpwnam(c->username);

	if (geteuid() == 0 && pw != NULL &&
	    logdest_give(lr->dest, pw->pw_uid) == -1)
		log_event(LOG_WARNING, "log-owner",
		    LOG_STR("file", c->log_facility),
		    LOG_STR("reason", strerror(errno)));
}

struct log_role *
log_role_open(const struct config *c, struct err *err)
{
	struct log_role *lr = calloc(1, sizeof(*lr));

	if (lr == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	lr->config = c;
	lr->dest = logdest_open(c->log_facility,
	    c->syslog_socket[0] == '\0' ? NULL : c->syslog_socket, err);
	if (lr->dest == NULL) {
		err_prefix(err, "log_facility");
		free(lr);
		return NULL;
	}
	log_set_sink(own_line, lr);
	give_file(lr);
	return lr;
}

static int
start(struct log_role *lr, struct err *err)
{
	int error;

	uv_timer_init(&lr->loop, &lr->flush);
	uv_timer_init(&lr->loop, &lr->drain);
	lr->drain.data = lr;
	uv_prepare_init(&lr->loop, &lr->turn);
	lr->turn.data = lr;
	uv_prepare_start(&lr->turn, on_turn);
	error = uv_poll_init(&lr->loop, &lr->log, ROLE_FD_LOG);
	if (error != 0)
		return err_set(
		    err, -error, "log channel: %s", uv_strerror(error));
	error = uv_poll_init(&lr->loop, &lr->control, ROLE_FD_CONTROL);
	if (error != 0) {
		uv_close((uv_handle_t *)&lr->log, NULL);
		return err_set(
		    err, -error, "control channel: %s", uv_strerror(error));
	}
	lr->log.data = lr->control.data = lr->flush.data = lr;
	uv_poll_start(&lr->log, UV_READABLE, on_log);
	uv_poll_start(&lr->control, UV_READABLE, on_control);
	if (lr->config->auth_socket[0] == '\0')
		return 0;
	lr->pbs = pbs_link_create(
	    &lr->loop, lr->config->auth_socket, want_announce, lr);
	if (lr->pbs == NULL)
		err_set(err, errno, "auth_socket %s: %s",
		    lr->config->auth_socket, strerror(errno));
	return lr->pbs == NULL ? -1 : 0;
}

static void
close_if_open(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

int
log_role_run(struct log_role *lr, struct err *err)
{
	int error = uv_loop_init(&lr->loop);
	int ret;

	if (error != 0)
		return err_set(err, -error, "loop: %s", uv_strerror(error));
	ret = start(lr, err);
	if (ret == 0) {
		role_ready();
		while (!lr->stopping)
			uv_run(&lr->loop, UV_RUN_ONCE);
		if (!lr->draining)
			read_channel(lr, PACKETS_AT_END);
		flush_last(lr);
	}
	pbs_link_destroy(&lr->pbs);
	uv_walk(&lr->loop, close_if_open, NULL);
	uv_run(&lr->loop, UV_RUN_DEFAULT);
	uv_loop_close(&lr->loop);
	return ret;
}

void
log_role_close(struct log_role **lrp)
{
	struct log_role *lr = *lrp;

	*lrp = NULL;
	if (lr == NULL)
		return;
	log_set_sink(NULL, NULL);
	logdest_close(&lr->dest);
	free(lr);
}
