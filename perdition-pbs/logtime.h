/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logtime - the time stamp that begins a line of a log.
 */
#ifndef PERDITION_PBS_LOGTIME_H
#define PERDITION_PBS_LOGTIME_H

#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

/* How far a stamp may be ahead of our clock and still be taken as the present.
 */
#define LOGTIME_AHEAD 3600 /* seconds */

/*
 * One of
 *   Nov 22 17:04:05                          (RFC 3164; local time, no year)
 *   2026-11-22T17:04:05[.678901](Z|+01:00)   (RFC 3339)
 * at the start of line.  now: seconds since the epoch; the traditional form
 * gets the year that brings it closest to now without passing it by more than
 * LOGTIME_AHEAD.  Returns the bytes that the stamp takes, with *when set, or
 * 0 when line does not begin with one (or with one from the future).
 */
size_t logtime_parse(struct slice line, int64_t now, int64_t *when);

#endif
