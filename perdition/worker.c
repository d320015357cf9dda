/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker - the loop that accepts clients, and what the master may tell it.
 */
#include "config.h"

#include "perdition/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/msg.h"
#include "perdition/logq.h"
#include "perdition/lookup_client.h"
#include "perdition/outgoing.h"
#include "perdition/request.h"
#include "perdition/session.h"
#include "perdition/tls/tls_bundle.h"
#include "perdition/tls/tls_listen.h"
#include "perdition/tls/tls_outgoing.h"
#include "perdition/tls/tls_tickets.h"

#include "common/banned.h"

#define BACKLOG 4096      /* connections that may wait in a socket */
#define ACCEPTS_A_TURN 32 /* so that living sessions get their turn */
#define LARGE 4096        /* bytes: mapped by itself, not in the heap */
#define NO_FILES_MS 100   /* pause in accepting when descriptors run out */
#define NO_FILES_LOG_MS 60000

struct worker;

struct socket {
	struct loop_io io;
	struct worker *worker;
	size_t listener; /* index in config.listeners */
	int fd;
	bool open;
};

struct worker {
	struct session_env env;
	struct tls_tickets *tickets; /* NULL: none are given out */
	struct slice trust;          /* mapped; tls_outgoing reads it late */
	struct socket *sockets;
	size_t socket_count;
	struct loop_io control;
	struct loop_timer pause; /* descriptors have run out */
	struct loop_timer drain;
	uint64_t no_files_logged; /* ms; 0 never */
	size_t source;            /* of outgoing_connect() */
	bool has_control, draining;
};

/* 0.0.0.0 or :: */
static bool
addr_is_any(const struct addr *a)
{
	static const struct addr any4 = { .ip.s6_addr = {
					      [10] = 0xff, [11] = 0xff } };

	return IN6_IS_ADDR_UNSPECIFIED(&a->ip) || addr_same_ip(a, &any4);
}

#define WORKER_OF(p, member)                                                   \
	((struct worker *)(void *)((char *)(p)-offsetof(struct worker, member)))

/* For session_env.connect. */
static int
begin_connect(struct session_env *env, const struct addr *to)
{
	return outgoing_connect(env->config, &WORKER_OF(env, env)->source, to);
}

/* --- accepting ---------------------------------------------------------- */

static void
sockets_want(struct worker *w, unsigned int events)
{
	for (size_t i = 0; i < w->socket_count; i++)
		if (w->sockets[i].open)
			loop_io_want(&w->sockets[i].io, events);
}

static void
pause_over(struct loop_timer *t)
{
	sockets_want(WORKER_OF(t, pause), LOOP_READ);
}

/* What waits in the sockets is not lost; it is accepted a little later. */
static void
out_of_files(struct worker *w)
{
	uint64_t now = loop_now(w->env.loop);

	if (w->no_files_logged == 0 ||
	    now - w->no_files_logged >= NO_FILES_LOG_MS)
		log_event(LOG_ERR, "cannot-accept",
		    LOG_STR("why", strerror(errno)),
		    LOG_U64("sessions", w->env.count));
	w->no_files_logged = now;
	sockets_want(w, 0);
	loop_timer_start(&w->pause, NO_FILES_MS);
}

static int
local_addr(int fd, struct addr *local)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &n) == -1)
		return -1;
	return addr_from_sockaddr(local, (struct sockaddr *)&ss);
}

/* A listener on one address knows it; on all, and under inetd, it must be
 * asked for. */
static bool
needs_local(const struct worker *w, size_t listener)
{
	const struct listener_config *l = &w->env.config->listeners[listener];

	return w->socket_count == 0 || l->any_family || l->addr.port == 0 ||
	       addr_is_any(&l->addr);
}

static void
start(struct worker *w, size_t listener, int fd,
    const struct sockaddr_storage *peer)
{
	struct addr client, local = w->env.config->listeners[listener].addr;

	if (addr_from_sockaddr(&client, (const struct sockaddr *)peer) == -1 ||
	    (needs_local(w, listener) && local_addr(fd, &local) == -1)) {
		close(fd);
		return;
	}
	session_start(&w->env, listener, fd, &client, &local);
}

static void
accept_some(struct socket *s, int most)
{
	struct worker *w = s->worker;

	for (int i = 0; i < most; i++) {
		struct sockaddr_storage peer;
		socklen_t n = sizeof(peer);
		int fd = accept4(s->fd, (struct sockaddr *)&peer, &n,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd != -1) {
			start(w, s->listener, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			out_of_files(w);
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void
socket_ready(struct loop_io *io, unsigned int events)
{
	(void)events;
	accept_some((struct socket *)io, ACCEPTS_A_TURN);
}

/* Who waits in a socket that the configuration has no more would be reset
 * when its last holder closes it. */
static void
accept_waiting(struct worker *w)
{
	for (size_t i = 0; i < w->socket_count; i++)
		if (w->sockets[i].open)
			accept_some(&w->sockets[i], BACKLOG);
}

static void
stop_accepting(struct worker *w)
{
	for (size_t i = 0; i < w->socket_count; i++) {
		struct socket *s = &w->sockets[i];

		if (!s->open)
			continue;
		loop_io_want(&s->io, 0); /* the master has it too */
		loop_io_close(&s->io, NULL);
		close(s->fd);
		s->open = false;
	}
	loop_timer_stop(&w->pause);
}

static int
open_sockets(struct worker *w, int first_fd, struct err *err)
{
	size_t n = w->env.config->listener_count;

	w->sockets = calloc(n, sizeof(*w->sockets));
	if (w->sockets == NULL)
		return err_set(err, errno, "no memory for %zu listeners", n);
	w->socket_count = n;
	for (size_t i = 0; i < n; i++) {
		struct socket *s = &w->sockets[i];

		s->worker = w;
		s->listener = i;
		s->fd = first_fd + (int)i;
		if (loop_io_open(w->env.loop, &s->io, s->fd, socket_ready) ==
		    -1)
			return err_set(err, errno, "listener %s: %s",
			    w->env.config->listeners[i].text, strerror(errno));
		s->open = true;
	}
	sockets_want(w, LOOP_READ);
	return 0;
}

/* --- the end ------------------------------------------------------------ */

static void
session_ended(struct session_env *env)
{
	struct worker *w = WORKER_OF(env, env);

	if (w->draining && env->count == 0)
		loop_stop(env->loop);
}

static void
drain_over(struct loop_timer *t)
{
	struct worker *w = WORKER_OF(t, drain);

	log_event(
	    LOG_NOTICE, "drain-timeout", LOG_U64("sessions", w->env.count));
	session_end_all(&w->env);
}

static void
drain(struct worker *w, uint32_t seconds)
{
	accept_waiting(w);
	stop_accepting(w);
	w->draining = true;
	log_event(LOG_INFO, "drain", LOG_U64("sessions", w->env.count),
	    LOG_U64("seconds", seconds));
	if (w->env.count == 0)
		loop_stop(w->env.loop);
	else if (seconds != 0)
		loop_timer_start(&w->drain, (uint64_t)seconds * 1000);
}

/* --- the master --------------------------------------------------------- */

static void
master_gone(struct worker *w)
{
	loop_io_want(&w->control, 0);
	if (w->draining)
		return;
	/* Nobody is left to restart or to end us: serve those who are here. */
	log_event(LOG_ERR, "master-gone");
	drain(w, 0);
}

static void
control_message(struct worker *w, struct slice packet)
{
	struct msg_reader in;
	uint16_t type;

	msg_read_init(&in, packet);
	type = msg_get_u16(&in);
	switch (type) {
	case CONTROL_DRAIN:
		drain(w, msg_get_u32(&in));
		return;
	case CONTROL_STOP:
		w->draining = true;
		stop_accepting(w);
		if (w->env.count == 0)
			loop_stop(w->env.loop);
		session_end_all(&w->env);
		return;
	case CONTROL_ANNOUNCE:
		session_announce_all(&w->env);
		return;
	case CONTROL_LOOKUP_LOST:
		lookup_client_again(w->env.lookup);
		return;
	default:
		log_event(LOG_ERR, "control-unknown", LOG_U64("type", type));
	}
}

static void
control_ready(struct loop_io *io, unsigned int events)
{
	struct worker *w = WORKER_OF(io, control);
	char packet[256];
	ssize_t n;

	(void)events;
	n = msg_recv(ROLE_FD_CONTROL, packet, sizeof(packet));
	if (n > 0)
		control_message(w, slice_make(packet, (size_t)n));
	else if (n == 0 || (errno != EAGAIN && errno != EMSGSIZE))
		master_gone(w);
}

static int
open_control(struct worker *w, struct err *err)
{
	uint16_t ready = CONTROL_READY;

	if (loop_io_open(
		w->env.loop, &w->control, ROLE_FD_CONTROL, control_ready) == -1)
		return err_set(
		    err, errno, "control channel: %s", strerror(errno));
	w->has_control = true;
	loop_io_want(&w->control, LOOP_READ);
	if (msg_send(ROLE_FD_CONTROL,
		slice_make((const char *)&ready, sizeof(ready))) == -1)
		return err_set(
		    err, errno, "control channel: %s", strerror(errno));
	return 0;
}

/* --- TLS ---------------------------------------------------------------- */

/* inetd has no master who would change the keys. */
static int
open_tickets(struct worker *w, bool master, struct err *err)
{
	if (!master || w->env.config->ssl_ticket_lifetime == 0)
		return 0;
	w->tickets = tls_tickets_attach(ROLE_FD_TICKETS);
	if (w->tickets == NULL)
		return err_set(err, errno, "ticket keys: %s", strerror(errno));
	close(ROLE_FD_TICKETS);
	return 0;
}

static int
open_tls_listen(struct worker *w, bool master, struct err *err)
{
	struct slice keys;

	if (!w->env.config->listen_tls)
		return 0;
	if (open_tickets(w, master, err) == -1)
		return -1;
	if (tls_bundle_map(ROLE_FD_TLS_KEYS, &keys) == -1)
		return err_set(err, errno, "keys: %s", strerror(errno));
	w->env.tls_listen =
	    tls_listen_create(w->env.config, keys, w->tickets, err);
	/* From here on only OpenSSL has them. */
	tls_bundle_unmap(&keys);
	close(ROLE_FD_TLS_KEYS);
	return w->env.tls_listen == NULL ? -1 : 0;
}

static int
open_tls(struct worker *w, bool master, struct err *err)
{
	if (open_tls_listen(w, master, err) == -1)
		return -1;
	if (tls_bundle_map(ROLE_FD_TLS_TRUST, &w->trust) == -1)
		return err_set(err, errno, "trust: %s", strerror(errno));
	close(ROLE_FD_TLS_TRUST);
	w->env.tls_outgoing = tls_outgoing_create(w->env.config, w->trust);
	if (w->env.tls_outgoing == NULL)
		return err_set(err, errno, "TLS: %s", strerror(errno));
	return 0;
}

static void
close_tls(struct worker *w)
{
	tls_listen_destroy(&w->env.tls_listen);
	tls_outgoing_destroy(&w->env.tls_outgoing);
	tls_tickets_detach(&w->tickets);
	tls_bundle_unmap(&w->trust);
}

/* --- start -------------------------------------------------------------- */

static int
init(struct worker *w, const struct config *config, unsigned int slot,
    bool master, struct err *err)
{
	struct session_env *env = &w->env;

	/* What a login needs comes and goes; what a session keeps is small and
	 * stays.  Apart from each other, the former goes back to the system
	 * after a storm of logins. */
	mallopt(M_MMAP_THRESHOLD, LARGE);
	env->config = config;
	env->slot = slot;
	env->connect = begin_connect;
	w->source = slot; /* not all begin with the same */
	env->ended = session_ended;
	/* Ids go on where a predecessor in this slot left off. */
	env->last_id = (uint64_t)time(NULL) << 16 & 0xffffffffffff;
	env->loop = loop_create();
	if (env->loop == NULL)
		return err_set(err, errno, "event loop: %s", strerror(errno));
	loop_timer_open(env->loop, &w->pause, pause_over);
	loop_timer_open(env->loop, &w->drain, drain_over);
	env->shared = shared_attach(ROLE_FD_SHARED);
	if (env->shared == NULL)
		return err_set(
		    err, errno, "shared memory: %s", strerror(errno));
	env->log = logq_open(ROLE_FD_LOG);
	env->lookup =
	    lookup_client_create(env->loop, ROLE_FD_FIRST, session_answered);
	if (env->log == NULL || env->lookup == NULL ||
	    session_env_init(env) == -1)
		return err_set(err, errno, "%s", strerror(errno));
	logq_install(env->log);
	if (logq_attach(env->log, loop_uv(env->loop)) == -1)
		return err_set(err, errno, "log channel: %s", strerror(errno));
	if (slot == 0)
		outgoing_check(config);
	return open_tls(w, master, err);
}

static void
clear(struct worker *w)
{
	struct session_env *env = &w->env;

	if (env->loop != NULL) {
		stop_accepting(w);
		session_end_all(env);
		session_env_stop(env);
		lookup_client_destroy(&env->lookup);
		if (w->has_control) {
			loop_io_want(&w->control, 0);
			loop_io_close(&w->control, NULL);
		}
		loop_timer_close(&w->pause, NULL);
		loop_timer_close(&w->drain, NULL);
		if (env->log != NULL)
			logq_close(&env->log);
		loop_destroy(&env->loop);
		session_env_clear(env);
	}
	close_tls(w);
	free(w->sockets);
	shared_detach(&env->shared);
}

int
worker_role_run(const struct config *config, unsigned int slot, struct err *err)
{
	struct worker w = { .has_control = false };
	int ret = -1;

	if (init(&w, config, slot, true, err) == -1)
		goto out;
	if (open_sockets(&w, ROLE_FD_FIRST + 1, err) == -1)
		goto out;
	if (open_control(&w, err) == -1)
		goto out;
	ret = loop_run(w.env.loop);
out:
	clear(&w);
	return ret;
}

int
worker_role_run_inetd(const struct config *config, int fd, struct err *err)
{
	struct worker w = { .has_control = false };
	struct sockaddr_storage peer;
	socklen_t n = sizeof(peer);
	int ret = -1;

	if (getpeername(fd, (struct sockaddr *)&peer, &n) == -1) {
		err_set(err, errno, "standard input is no connection: %s",
		    strerror(errno));
		goto out;
	}
	if (init(&w, config, 0, false, err) == -1)
		goto out;
	/* As inetd hands it over it blocks. */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		err_set(err, errno, "standard input: %s", strerror(errno));
		goto out;
	}
	w.draining = true;
	start(&w, 0, fd, &peer);
	if (w.env.count > 0)
		loop_run(w.env.loop);
	ret = 0;
out:
	clear(&w);
	return ret;
}
