/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logtime - time stamps of syslog; see the header.
 */
#include "config.h"

#include "perdition-pbs/logtime.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/banned.h"

#define TRADITIONAL 15 /* bytes of "Nov 22 17:04:05" */
#define ISO 19         /* bytes of "2026-11-22T17:04:05" */

/*
 * Two digits (or, where first_space, a space and one) at p; -1 for anything
 * else.
 */
static int
two(const char *p, bool first_space)
{
	int tens;

	if (first_space && p[0] == ' ')
		tens = 0;
	else if (p[0] >= '0' && p[0] <= '9')
		tens = p[0] - '0';
	else
		return -1;
	if (p[1] < '0' || p[1] > '9')
		return -1;
	return tens * 10 + (p[1] - '0');
}

/* "17:04:05" */
static bool
clock_time(const char *p, struct tm *tm)
{
	tm->tm_hour = two(p, false);
	tm->tm_min = two(p + 3, false);
	tm->tm_sec = two(p + 6, false);
	return p[2] == ':' && p[5] == ':' && tm->tm_hour >= 0 &&
	       tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 &&
	       tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

static int
month(const char *p)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (memcmp(p, names + 3 * i, 3) == 0)
			return i;
	return -1;
}

/*
 * Local time can name two moments (the hour when summer time ends) or none,
 * and a year-less one many: the nearest that is not in the future is meant.
 */
static bool
closest(const struct tm *want, int64_t now, int64_t *when)
{
	time_t t = (time_t)now;
	struct tm local;
	bool found = false;

	if (localtime_r(&t, &local) == NULL)
		return false;
	for (int i = 0; i < 6; i++) {
		struct tm tm = *want;

		tm.tm_year = local.tm_year + 1 - i / 2;
		tm.tm_isdst = i % 2;
		t = mktime(&tm);
		/* February 29 of a year without one has become March. */
		if (t == -1 || tm.tm_mday != want->tm_mday ||
		    tm.tm_hour != want->tm_hour)
			continue;
		if (t <= now + LOGTIME_AHEAD &&
		    (!found || llabs(t - now) < llabs(*when - now))) {
			*when = t;
			found = true;
		}
	}
	return found;
}

static size_t
traditional(struct slice line, int64_t now, int64_t *when)
{
	struct tm tm = { 0 };

	if (line.n < TRADITIONAL)
		return 0;
	tm.tm_mon = month(line.p);
	tm.tm_mday = two(line.p + 4, true);
	if (tm.tm_mon == -1 || line.p[3] != ' ' || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || line.p[6] != ' ' ||
	    !clock_time(line.p + 7, &tm) || !closest(&tm, now, when))
		return 0;
	return TRADITIONAL;
}

/* "Z" or "+01:00" at the start of s: its length and the seconds east. */
static size_t
zone(struct slice s, int *east)
{
	int h, m;

	*east = 0;
	if (s.n >= 1 && s.p[0] == 'Z')
		return 1;
	if (s.n < 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':')
		return 0;
	h = two(s.p + 1, false);
	m = two(s.p + 4, false);
	if (h < 0 || h > 14 || m < 0 || m > 59)
		return 0;
	*east = (s.p[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return 6;
}

static bool
iso_date(const char *p, struct tm *tm)
{
	int century = two(p, false), year = two(p + 2, false);

	if (century < 19 || year < 0 || p[4] != '-' || p[7] != '-' ||
	    p[10] != 'T')
		return false;
	tm->tm_year = century * 100 + year - 1900;
	tm->tm_mon = two(p + 5, false) - 1;
	tm->tm_mday = two(p + 8, false);
	return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 &&
	       tm->tm_mday <= 31;
}

static size_t
iso(struct slice line, int64_t now, int64_t *when)
{
	struct tm tm = { 0 };
	size_t n = ISO, z;
	int east;

	if (line.n < ISO || !iso_date(line.p, &tm) ||
	    !clock_time(line.p + 11, &tm))
		return 0;
	if (n < line.n && line.p[n] == '.') {
		size_t first = ++n;

		while (n < line.n && n - first < 9 && line.p[n] >= '0' &&
		       line.p[n] <= '9')
			n++;
		if (n == first)
			return 0;
	}
	z = zone(slice_skip(line, n), &east);
	if (z == 0)
		return 0;
	*when = (int64_t)timegm(&tm) - east;
	if (*when > now + LOGTIME_AHEAD)
		return 0;
	return n + z;
}

size_t
logtime_parse(struct slice line, int64_t now, int64_t *when)
{
	size_t n = iso(line, now, when);

	return n > 0 ? n : traditional(line, now, when);
}
