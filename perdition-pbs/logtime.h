/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logtime - the time stamp that begins a line of a log.
 *
 * Finding its end is separate from computing what it means: most lines are of
 * no interest, and for those the calendar is not asked.
 */
#ifndef PERDITION_PBS_LOGTIME_H
#define PERDITION_PBS_LOGTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

/* How far a stamp may be ahead of our clock and still be taken as the present.
 */
#define LOGTIME_AHEAD 3600 /* seconds */

enum logtime_form {
	LOGTIME_RFC3164, /* Nov 22 17:04:05             local time, no year */
	LOGTIME_RFC3339, /* 2026-11-22T17:04:05[.678901](Z|+01:00) */
	LOGTIME_LOCAL,   /* 2026/11/22 17:04:05 or 2026-11-22 17:04:05 */
	LOGTIME_TAI64N,  /* @400000006740c3a534f2e1c4   multilog's */
};

/* A stamp that was found, not yet understood; points into the line. */
struct logtime_stamp {
	enum logtime_form form;
	struct slice text;   /* all of it */
	struct slice minute; /* its beginning, to the minute; not TAI64N */
	struct slice zone;   /* RFC3339: "Z", "+01:00" */
	int second;          /* not TAI64N */
};

/*
 * The last minute seen, so that a million lines do not ask the calendar a
 * million times.  Zeroed before its first use.
 */
struct logtime_memo {
	char minute[16], zone[8];
	size_t minute_n, zone_n;
	int64_t now;  /* that it was computed for */
	int64_t when; /* of second 0 */
};

/* The stamp at the start of line; false: there is none. */
bool logtime_find(struct slice line, struct logtime_stamp *);

/*
 * What it means, in seconds since the epoch.  now: the same; the form without
 * a year gets the year that brings it closest to now without passing it by
 * more than LOGTIME_AHEAD, and of local times that come twice or never the
 * same is true.  false: there is no such time, or it is farther ahead.
 */
bool logtime_read(const struct logtime_stamp *, int64_t now,
    struct logtime_memo *, int64_t *when);

#endif
