/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shared - the few numbers that all workers of a host must agree on.
 *
 * One memory area in a memfd, mapped by the master and the workers.  No locks:
 * a worker writes only its own slot, except for the counters whose order does
 * not matter.  A slot is wiped when its worker is replaced, so a killed worker
 * leaves nothing counted.
 */
#ifndef PERDITION_SHARED_H
#define PERDITION_SHARED_H

#include <stdint.h>

#include "common/addr.h"
#include "common/slice.h"
#include "perdition/request.h"

struct shared;

struct shared *shared_create(int *fd); /* NULL with errno; *fd: close-on-exec */
struct shared *shared_attach(int fd);
void shared_detach(struct shared **);

/* Master, before a worker is started in a slot and after it has ended. */
void shared_slot_wipe(struct shared *, unsigned int slot);

/* Round robin over the default servers: 0, 1, 2 ... for all workers. */
uint32_t shared_turn(struct shared *);

/* Open connections. */
void shared_sessions_add(struct shared *, unsigned int slot, int delta);
uint32_t shared_sessions(const struct shared *);

/*
 * How many of something (connections of an address, logins under way of a
 * user) there are in all workers, by a hash of its name made with
 * shared_hash(), whose key is random and the same in all workers.
 * add: by the slot's own worker.  Returns the total after the change, or the
 * total without it when the slot's table is full.
 */
uint64_t shared_hash(
    const struct shared *, struct slice kind, struct slice name);
uint32_t shared_count_add(
    struct shared *, unsigned int slot, uint64_t hash, int delta);
uint32_t shared_count(const struct shared *, uint64_t hash);

/*
 * Real-servers that could not be reached are tried last for a growing time:
 * 1 s, doubled with each failure up to 60 s.  now_ms: monotonic, the host's.
 */
void shared_server_failed(
    struct shared *, const struct addr *, uint64_t now_ms);
void shared_server_worked(struct shared *, const struct addr *);
bool shared_server_penalised(
    const struct shared *, const struct addr *, uint64_t now_ms);

#endif
