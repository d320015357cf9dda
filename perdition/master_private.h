/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * master_private - what the files of the master share with each other only:
 * master.c (the loop and its end), generation.c (what one configuration needs),
 * post.c (one child process), reload.c (from one generation to the next).
 *
 * A post is a place that a child process fills: when the child dies, the post
 * is filled again.  A generation is a configuration with its posts.  Only the
 * current one takes new clients; retired ones live until their last session
 * has ended.
 */
#ifndef PERDITION_MASTER_PRIVATE_H
#define PERDITION_MASTER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/err.h"
#include "perdition/config.h"
#include "perdition/listener.h"
#include "perdition/logq.h"
#include "perdition/request.h"
#include "perdition/role.h"
#include "perdition/shared.h"
#include "perdition/tls/tls_memfds.h"
#include "perdition/tls/tls_tickets.h"

#define READY_WAIT_MS 30000u  /* from the start of a role to CONTROL_READY */
#define LOG_DRAIN_S 60u       /* a log process that was replaced */
#define STOP_WAIT_MS 5000u    /* from CONTROL_STOP to SIGKILL */
#define NOW_WAIT_MS 1000u     /* the same, when the end is urgent */
#define DRAIN_GRACE_MS 10000u /* beyond drain_timeout, to SIGKILL */

struct master;
struct generation;

enum post_state {
	POST_EMPTY,    /* no child, or not yet again */
	POST_STARTING, /* until CONTROL_READY */
	POST_READY,
};

struct post {
	struct master *master;
	struct generation *gen;
	enum role role;
	unsigned int index; /* of its role in the generation */
	unsigned int slot;  /* worker: of shared.h */
	enum post_state state;
	bool draining; /* CONTROL_DRAIN was sent */
	bool leaving;  /* told to end: not to be filled again */
	uv_process_t *process;
	uv_poll_t *control;
	int control_fd;
	uv_timer_t *timer; /* to fill again, or to kill */
	uint64_t since_ms; /* of the child's start */
	unsigned int quick_deaths;
	unsigned int failed_starts; /* since it was ready */
	char why[512];              /* of CONTROL_FAILED */
};

struct generation {
	struct generation *next_retired;
	struct master *master;
	struct config config;
	char *text; /* what its workers were told */
	size_t text_len;
	int config_fd, secret_fd; /* memfds; secret: for lookup processes */
	struct tls_memfds tls;    /* for workers */
	struct listener_set *listeners;
	unsigned int worker_count, lookup_count;
	unsigned int slots[WORKER_SLOTS]; /* of its workers, by index */
	struct post **workers; /* worker_count; NULL while keep_workers */
	struct post **lookups; /* lookup_count */
	struct post *log;
	bool keep_workers; /* those of the current one will be taken over */
	bool workers_started;
};

enum master_state {
	MASTER_STARTING,
	MASTER_RUNNING,
	MASTER_RELOADING,
	MASTER_ENDING,
};

struct master {
	uv_loop_t loop;
	uv_signal_t signals[4];
	uv_timer_t deadline; /* of a start or a reload */
	uv_timer_t rotate;   /* the tickets' keys */
	uv_prepare_t sweep;
	enum master_state state;
	bool reload_again; /* HUP came while busy */
	bool foreground;
	bool urgent; /* the second TERM */
	int report;  /* see background_report() */
	int status;  /* exit status */
	int argc;
	char *const *argv;
	struct generation *current, *next, *retired;
	struct shared *shared;
	int shared_fd;
	struct tls_passphrase passphrase;
	struct tls_tickets *tickets;
	int tickets_fd;
	int log_channel[2];                  /* to read, to write */
	int lookup_channel[WORKER_SLOTS][2]; /* lookup's end, worker's end */
	bool slot_used[WORKER_SLOTS];
	struct logq *logq;
};

/* --- post.c ------------------------------------------------------------- */

/* NULL with errno.  slot: for a worker. */
struct post *post_create(
    struct generation *, enum role, unsigned int index, unsigned int slot);
/* Only when it is empty.  Accepts a pointer to NULL. */
void post_destroy(struct post **);

/* Start a child in it.  0, or -1 with err. */
int post_fill(struct post *, struct err *);

/* Workers: accept no more, end with the last session, at the latest after
 * seconds (0: no limit).  Log: see log_role.h. */
void post_drain(struct post *, unsigned int seconds);
/* End now, SIGKILL after wait_ms. */
void post_stop(struct post *, unsigned int wait_ms);
/* One without a payload. */
void post_send(struct post *, enum request_type);

/* --- generation.c -------------------------------------------------------- */

/*
 * Takes config and tls (cleared on failure too).  keep: share the current
 * workers when they would be told the same.  Starts nothing.  NULL with err,
 * whose code is of sysexits(3).
 */
struct generation *generation_create(struct master *, struct config *,
    struct tls_memfds *, bool keep, struct err *);
/* All posts must be empty. */
void generation_destroy(struct generation **);
/* None but the log process is left: others may have its workers' places. */
void generation_free_slots(struct generation *);

/*
 * All but the workers: they take clients at once, and a client must not lose
 * its connection because a map cannot be opened.  0, or -1 with err, some posts
 * perhaps filled.
 */
int generation_start(struct generation *, struct err *);
/* The workers, once all others are ready; else nothing.  Errors as above. */
int generation_go_on(struct generation *, struct err *);
bool generation_ready(const struct generation *);
/* The first that is not ready, for a message; NULL when all are. */
const struct post *generation_late(const struct generation *);
/* Children that live. */
unsigned int generation_living(const struct generation *, enum role);
void generation_send(struct generation *, enum role, enum request_type);
/* The workers and listeners of from become those of to, which keeps them. */
void generation_move_workers(struct generation *to, struct generation *from);

/* --- master.c ------------------------------------------------------------ */

/* The child of a post that was still needed has gone: why, in words, and the
 * exit status that fits.  Called only while a start or reload waits for it. */
void master_start_failed(
    struct master *, struct generation *, const char *why, int status);
void master_post_ready(struct post *);
/* All that live, of whatever generation. */
void master_tell(struct master *, enum role, enum request_type);
/* Put it among the retired, its workers told to drain. */
void master_retire(
    struct master *, struct generation *, unsigned int drain_seconds);
/* The file's directory is made when only that is missing; "": no file.
 * 0, or -1 with err. */
int master_write_pid(const char *path, struct err *);

/* --- master_tls.c -------------------------------------------------------- */

/* By the current configuration; goes on by itself from then on. */
void master_rotate_tickets(struct master *);

/* --- reload.c ------------------------------------------------------------ */

void reload_begin(struct master *);
void reload_commit(struct master *);
void reload_abort(struct master *, const char *why);

#endif
