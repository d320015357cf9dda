/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answers - the services for MTAs that the configuration asks for: which
 * protocol on which socket, answered from the relay's memory.
 */
#ifndef PERDITION_PBS_ANSWERS_H
#define PERDITION_PBS_ANSWERS_H

#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "perdition-pbs/pbs_config.h"
#include "perdition-pbs/relay.h"

/* Connections at once of a service, if RLIMIT_NOFILE can be raised to as many
 * as all services may need. */
#define ANSWERS_CONNECTIONS 4000

struct answers;

struct answers_world {
	const struct relay *relay; /* borrowed */
	int64_t (*now)(void *arg); /* seconds since the epoch */
	void *arg;
};

struct answers *answers_create(const struct answers_world *); /* NULL: errno */

/* Makes the sockets, as long as that is allowed; config is borrowed for this
 * call, as below.  0, or -1 with err. */
int answers_open(struct answers *, const struct pbs_config *, struct err *);

/* Serves them.  0, or -1 with err. */
int answers_start(
    struct answers *, uv_loop_t *, const struct pbs_config *, struct err *);

/* Takes over, for connections that are there too, what can change; the texts
 * of the configuration before may go afterwards. */
void answers_reload(struct answers *, const struct pbs_config *);

void answers_stop(struct answers *);     /* the loop must turn once more ... */
void answers_destroy(struct answers **); /* ... before this */

#endif
