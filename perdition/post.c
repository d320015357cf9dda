/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * post - one child process: its start, its words, its death, its successor.
 */
#include "config.h"

#include "perdition/master_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"

#include "common/banned.h"

#define QUICK_MS 2000u /* who dies sooner than this may do so for ever */
/* Who is killed so often before it was ready cannot be started. */
#define START_TRIES 5u
#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MAX_MS 2000u

struct post *
post_create(struct generation *gen, enum role role, unsigned int index,
    unsigned int slot)
{
	struct post *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->timer = calloc(1, sizeof(*p->timer));
	if (p->timer == NULL) {
		free(p);
		return NULL;
	}
	uv_timer_init(&gen->master->loop, p->timer);
	p->timer->data = p;
	p->master = gen->master;
	p->gen = gen;
	p->role = role;
	p->index = index;
	p->slot = slot;
	p->control_fd = -1;
	return p;
}

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

void
post_destroy(struct post **pp)
{
	struct post *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	uv_close((uv_handle_t *)p->timer, free_handle);
	free(p);
}

static void
send_packet(struct post *p, struct slice packet)
{
	if (p->control_fd == -1 || msg_send(p->control_fd, packet) == 0)
		return;
	if (errno != EPIPE) /* it is dying: that is told elsewhere */
		log_event(LOG_ERR, "control-lost",
		    LOG_STR("role", role_name(p->role)),
		    LOG_U64("number", p->index),
		    LOG_STR("reason", strerror(errno)));
}

void
post_send(struct post *p, enum request_type type)
{
	uint16_t number = (uint16_t)type;

	send_packet(p, slice_make((const char *)&number, sizeof(number)));
}

static void
on_kill(uv_timer_t *timer)
{
	struct post *p = timer->data;

	if (p->process == NULL)
		return;
	log_event(LOG_WARNING, "kill", LOG_STR("role", role_name(p->role)),
	    LOG_U64("number", p->index), LOG_I64("pid", p->process->pid));
	uv_process_kill(p->process, SIGKILL);
}

void
post_drain(struct post *p, unsigned int seconds)
{
	struct msg_writer w;
	char packet[8];

	if (p->draining)
		return;
	p->draining = true;
	p->leaving = true;
	uv_timer_stop(p->timer);
	msg_write_init(&w, packet, sizeof(packet));
	msg_put_u16(&w, CONTROL_DRAIN);
	msg_put_u32(&w, seconds);
	send_packet(p, slice_make(packet, w.n));
	if (seconds > 0)
		uv_timer_start(p->timer, on_kill,
		    (uint64_t)seconds * 1000 + DRAIN_GRACE_MS, 0);
}

void
post_stop(struct post *p, unsigned int wait_ms)
{
	p->leaving = true;
	post_send(p, CONTROL_STOP);
	uv_timer_start(p->timer, on_kill, wait_ms, 0);
}

/* --- what the child says ---------------------------------------------------
 */

static void
hostile(struct post *p, unsigned int type)
{
	log_event(LOG_ERR, "hostile", LOG_STR("role", role_name(p->role)),
	    LOG_U64("number", p->index), LOG_U64("message", type));
	if (p->process != NULL)
		uv_process_kill(p->process, SIGKILL);
}

static void
keep_reason(struct post *p, struct slice text)
{
	size_t i;
	size_t n = text.n < sizeof(p->why) - 1 ? text.n : sizeof(p->why) - 1;

	for (i = 0; i < n; i++) /* goes to a terminal */
		p->why[i] =
		    text.p[i] >= 0x20 && text.p[i] != 0x7f ? text.p[i] : '?';
	p->why[n] = '\0';
}

/* A log process that gives way has perhaps told another perdition-pbs, or none,
 * what the one that stays should have told. */
static bool
is_announcing(const struct post *log)
{
	const struct master *m = log->master;
	const char *path = m->current->config.auth_socket;

	return log->gen == m->current || log->gen == m->next ||
	       (path[0] != '\0' &&
		   strcmp(log->gen->config.auth_socket, path) != 0);
}

/* Who may say what, and when; anything else means that the child is not what
 * was started. */
static void
take_packet(struct post *p, struct slice packet)
{
	struct msg_reader r;
	struct slice text;
	unsigned int type;

	msg_read_init(&r, packet);
	type = msg_get_u16(&r);
	if (type == CONTROL_READY && p->state == POST_STARTING &&
	    msg_read_done(&r)) {
		p->state = POST_READY;
		p->failed_starts = 0;
		master_post_ready(p);
	} else if (type == CONTROL_FAILED && p->why[0] == '\0') {
		text = msg_get_slice(&r);
		if (msg_read_done(&r))
			keep_reason(p, text);
		else
			hostile(p, type);
	} else if (type == CONTROL_WANT_ANNOUNCE && p->role == ROLE_LOG &&
		   msg_read_done(&r)) {
		if (is_announcing(p))
			master_tell(p->master, ROLE_WORKER, CONTROL_ANNOUNCE);
	} else {
		hostile(p, type);
	}
}

static void
read_control(struct post *p)
{
	char packet[1024];
	int limit = 16; /* packets, so that no child can keep the loop busy */
	ssize_t n;

	while (limit-- > 0) {
		n = msg_recv(p->control_fd, packet, sizeof(packet));
		if (n > 0)
			take_packet(p, slice_make(packet, (size_t)n));
		else if (n == -1 && errno == EMSGSIZE)
			hostile(p, 0);
		else
			return;
	}
}

static void
close_control(struct post *p)
{
	if (p->control != NULL)
		uv_close((uv_handle_t *)p->control, free_handle);
	p->control = NULL;
	if (p->control_fd != -1)
		close(p->control_fd);
	p->control_fd = -1;
}

static void
on_control(uv_poll_t *handle, int status, int events)
{
	struct post *p = handle->data;

	if (status < 0 || (events & UV_DISCONNECT) != 0)
		uv_poll_stop(handle); /* its end is told by SIGCHLD */
	read_control(p);
}

/* --- its death ------------------------------------------------------------ */

static void
describe_end(
    const struct post *p, int64_t status, int sig, char *out, size_t cap)
{
	char number[16] = "";

	if (p->role == ROLE_WORKER || p->role == ROLE_LOOKUP)
		snprintf(number, sizeof(number), " %u", p->index);
	if (p->why[0] != '\0')
		snprintf(out, cap, "%s", p->why);
	else if (sig == SIGSYS)
		snprintf(out, cap,
		    "%s%s made a system call that is not "
		    "permitted to it",
		    role_name(p->role), number);
	else if (sig != 0)
		snprintf(out, cap, "%s%s was ended by signal %d (%s)",
		    role_name(p->role), number, sig, strsignal(sig));
	else
		snprintf(out, cap, "%s%s ended with status %lld",
		    role_name(p->role), number, (long long)status);
}

static void refill_later(struct post *p);

static void
on_refill(uv_timer_t *timer)
{
	struct post *p = timer->data;
	struct err err;

	if (p->leaving || post_fill(p, &err) == 0)
		return;
	log_event(LOG_ERR, "start", LOG_STR("role", role_name(p->role)),
	    LOG_U64("number", p->index), LOG_STR("text", err.msg));
	p->quick_deaths++;
	refill_later(p);
}

static void
refill_later(struct post *p)
{
	unsigned int ms = 0;
	unsigned int i;

	if (p->quick_deaths > 1) {
		ms = BACKOFF_FIRST_MS;
		for (i = 2; i < p->quick_deaths && ms < BACKOFF_MAX_MS; i++)
			ms *= 2;
		if (ms > BACKOFF_MAX_MS)
			ms = BACKOFF_MAX_MS;
	}
	uv_timer_start(p->timer, on_refill, ms, 0);
}

static bool
is_awaited(const struct post *p)
{
	return p->gen == p->master->next || p->master->state == MASTER_STARTING;
}

/* Whether the next start may go better: it was killed, or lacked what the
 * system may have again.  What is wrong with the configuration stays so. */
static bool
is_passing(int64_t status, int sig)
{
	if (sig != 0)
		return sig != SIGSYS;
	return status == EX_OSERR || status == EX_TEMPFAIL;
}

/* What cannot be started ends the start, or the reload, of all. */
static bool
gives_up_start(struct post *p, int64_t status, int sig, char *text, size_t cap)
{
	size_t n = strlen(text);

	if (!is_passing(status, sig))
		return true;
	if (++p->failed_starts < START_TRIES)
		return false;
	snprintf(text + n, cap - n, ", %u times before it was ready",
	    p->failed_starts);
	return true;
}

/* What a lookup process took and did not answer, another is asked, however it
 * ended: the login waits.  Workers that were kept by a reload may belong to
 * another generation than their former lookup processes. */
static void
ask_again(const struct post *lookup)
{
	if (lookup->gen->workers != NULL)
		generation_send(lookup->gen, ROLE_WORKER, CONTROL_LOOKUP_LOST);
	else
		master_tell(lookup->master, ROLE_WORKER, CONTROL_LOOKUP_LOST);
}

static void
after_death(struct post *p, bool was_ready, int64_t status, int sig)
{
	struct master *m = p->master;
	char text[640];

	/* SIGKILL is what on_kill() sends. */
	if (p->leaving && (sig == 0 || sig == SIGKILL)) {
		log_event(LOG_DEBUG, "ended",
		    LOG_STR("role", role_name(p->role)),
		    LOG_U64("number", p->index));
		return;
	}
	describe_end(p, status, sig, text, sizeof(text));
	log_event(LOG_ERR, "died", LOG_STR("role", role_name(p->role)),
	    LOG_U64("number", p->index), LOG_I64("status", status),
	    LOG_I64("signal", sig), LOG_STR("text", text));
	if (p->leaving)
		return;
	if (is_awaited(p) && !was_ready &&
	    gives_up_start(p, status, sig, text, sizeof(text))) {
		p->leaving = true;
		master_start_failed(m, p->gen, text,
		    sig == 0 && status >= EX__BASE && status <= EX__MAX
			? (int)status
			: EX_SOFTWARE);
		return;
	}
	if (uv_now(&m->loop) - p->since_ms < QUICK_MS)
		p->quick_deaths++;
	else
		p->quick_deaths = 0;
	refill_later(p);
}

static void
on_end(uv_process_t *process, int64_t status, int sig)
{
	struct post *p = process->data;
	bool was_ready;

	uv_timer_stop(p->timer);
	if (p->control_fd != -1)
		read_control(p); /* its last words may still be there */
	close_control(p);
	uv_close((uv_handle_t *)process, free_handle);
	p->process = NULL;
	was_ready = p->state == POST_READY;
	p->state = POST_EMPTY;
	if (p->role == ROLE_WORKER)
		shared_slot_wipe(p->master->shared, p->slot);
	if (p->role == ROLE_LOOKUP && was_ready)
		ask_again(p);
	after_death(p, was_ready, status, sig);
}

/* --- its start ------------------------------------------------------------ */

static void
inherit(uv_stdio_container_t *c, int fd)
{
	c->flags = UV_INHERIT_FD;
	c->data.fd = fd;
}

static void
lay_out_tls(const struct post *p, uv_stdio_container_t *stdio)
{
	const struct generation *gen = p->gen;

	inherit(&stdio[ROLE_FD_TLS_TRUST], gen->tls.trust);
	if (gen->tls.keys == -1)
		return;
	inherit(&stdio[ROLE_FD_TLS_KEYS], gen->tls.keys);
	if (gen->config.ssl_ticket_lifetime != 0)
		inherit(&stdio[ROLE_FD_TICKETS], p->master->tickets_fd);
}

/* Fills stdio by the numbers of request.h; returns how many. */
static int
lay_out(const struct post *p, int control, uv_stdio_container_t *stdio)
{
	const struct master *m = p->master;
	const struct generation *gen = p->gen;
	const int *fds;
	size_t count;
	size_t i;
	int n = ROLE_FD_FIRST;

	stdio[0].flags = UV_IGNORE;
	stdio[1].flags = stdio[2].flags = UV_IGNORE;
	if (m->foreground) {
		inherit(&stdio[1], STDOUT_FILENO);
		inherit(&stdio[2], STDERR_FILENO);
	}
	inherit(&stdio[ROLE_FD_CONFIG],
	    p->role == ROLE_LOOKUP ? gen->secret_fd : gen->config_fd);
	inherit(&stdio[ROLE_FD_CONTROL], control);
	inherit(&stdio[ROLE_FD_LOG], m->log_channel[p->role != ROLE_LOG]);
	inherit(&stdio[ROLE_FD_SHARED], m->shared_fd);
	if (p->role == ROLE_LOOKUP) {
		for (i = 0; i < gen->worker_count; i++)
			inherit(
			    &stdio[n++], m->lookup_channel[gen->slots[i]][0]);
	} else if (p->role == ROLE_WORKER) {
		lay_out_tls(p, stdio);
		inherit(&stdio[n++], m->lookup_channel[p->slot][1]);
		fds = listener_set_fds(gen->listeners, p->index, &count);
		for (i = 0; i < count; i++)
			inherit(&stdio[n++], fds[i]);
	}
	return n;
}

static int
spawn(struct post *p, int control, struct err *err)
{
	char program[] = "perdition";
	char option[] = "--role";
	char slot[] = "--slot";
	char slots[] = "--slots";
	char name[16];
	char number[16];
	char *args[] = { program, option, name, NULL, NULL, NULL };
	uv_process_options_t options = {
		.exit_cb = on_end,
		.file = access("/proc/self/exe", X_OK) == 0
			    ? "/proc/self/exe"
			    : p->master->argv[0],
		.args = args,
	};
	size_t most =
	    ROLE_FD_FIRST + 1 + WORKER_SLOTS + p->gen->config.listener_count;
	int error;

	snprintf(name, sizeof(name), "%s", role_name(p->role));
	snprintf(number, sizeof(number), "%u",
	    p->role == ROLE_WORKER ? p->slot : p->gen->worker_count);
	if (p->role != ROLE_LOG) {
		args[3] = p->role == ROLE_WORKER ? slot : slots;
		args[4] = number;
	}
	options.stdio = calloc(most, sizeof(*options.stdio));
	p->process = calloc(1, sizeof(*p->process));
	if (options.stdio == NULL || p->process == NULL) {
		free(options.stdio);
		free(p->process);
		p->process = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	options.stdio_count = lay_out(p, control, options.stdio);
	error = uv_spawn(&p->master->loop, p->process, &options);
	p->process->data = p;
	free(options.stdio);
	if (error == 0)
		return 0;
	uv_close((uv_handle_t *)p->process, free_handle);
	p->process = NULL;
	return err_set(err, -error, "starting %s: %s", role_name(p->role),
	    uv_strerror(error));
}

static int
watch_control(struct post *p, struct err *err)
{
	uv_poll_t *poll = calloc(1, sizeof(*poll));
	int error = UV_ENOMEM;

	if (poll != NULL)
		error = uv_poll_init(&p->master->loop, poll, p->control_fd);
	if (error != 0) {
		free(poll);
		return err_set(
		    err, -error, "control channel: %s", uv_strerror(error));
	}
	p->control = poll;
	poll->data = p;
	uv_poll_start(poll, UV_READABLE | UV_DISCONNECT, on_control);
	return 0;
}

int
post_fill(struct post *p, struct err *err)
{
	int pair[2];
	int ret;

	if (msg_pair(pair) == -1)
		return err_set(
		    err, errno, "control channel: %s", strerror(errno));
	p->control_fd = pair[0];
	p->why[0] = '\0';
	ret = watch_control(p, err);
	if (ret == 0)
		ret = spawn(p, pair[1], err);
	close(pair[1]);
	if (ret == -1) {
		close_control(p);
		return -1;
	}
	p->state = POST_STARTING;
	p->since_ms = uv_now(&p->master->loop);
	log_event(LOG_DEBUG, "started", LOG_STR("role", role_name(p->role)),
	    LOG_U64("number", p->index), LOG_I64("pid", p->process->pid));
	return 0;
}
