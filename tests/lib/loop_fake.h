/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop_fake - perdition/loop.h with a clock that the test turns.
 *
 * Linked in place of loop_uv.c.  Sockets are real, time is not.
 */
#ifndef TESTS_LIB_LOOP_FAKE_H
#define TESTS_LIB_LOOP_FAKE_H

#include <stdint.h>

#include "perdition/loop.h"

/* Serve all that is ready, closings too, until nothing is. */
void loop_fake_settle(struct loop *);

/* Let ms pass; timers fire in their order, each followed by a settle. */
void loop_fake_pass(struct loop *, uint64_t ms);

#endif
