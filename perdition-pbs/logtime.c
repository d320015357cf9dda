/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logtime - time stamps of logs; see the header.
 */
#include "config.h"

#include "perdition-pbs/logtime.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/banned.h"

#define RFC3164 15   /* bytes of "Nov 22 17:04:05" */
#define DATE 19      /* bytes of "2026-11-22T17:04:05" */
#define TAI64N 25    /* bytes of "@" and 24 hexadecimal digits */
#define TAI_EPOCH 10 /* the label of 1970-01-01T00:00:00Z, less TAI_BASE */
#define TAI_BASE 0x4000000000000000

/* --- finding ------------------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* p has the form of pattern, where 9 stands for any digit. */
static bool
looks_like(const char *p, const char *pattern)
{
	for (; *pattern != '\0'; p++, pattern++)
		if (*pattern == '9' ? !is_digit(*p) : *p != *pattern)
			return false;
	return true;
}

/* Two digits, or a space and one. */
static int
two(const char *p)
{
	int tens = p[0] == ' ' ? 0 : p[0] - '0';

	return tens * 10 + (p[1] - '0');
}

/* n bytes to the second, the last three of them ":05". */
static bool
found(struct logtime_stamp *s, enum logtime_form form, struct slice line,
    size_t n)
{
	s->form = form;
	s->text = slice_make(line.p, n);
	s->minute = slice_make(line.p, n - 3);
	s->zone = slice_make(line.p + n, 0);
	s->second = two(line.p + n - 2);
	return s->second <= 60;
}

static bool
find_rfc3164(struct slice line, struct logtime_stamp *s)
{
	const char *p = line.p;

	return line.n >= RFC3164 && p[3] == ' ' &&
	       (p[4] == ' ' || is_digit(p[4])) &&
	       looks_like(p + 5, "9 99:99:99") &&
	       found(s, LOGTIME_RFC3164, line, RFC3164);
}

/* "Z" or "+01:00" at the start of s: its length, or 0. */
static size_t
zone_length(struct slice s)
{
	if (s.n >= 1 && s.p[0] == 'Z')
		return 1;
	if (s.n >= 6 && (s.p[0] == '+' || s.p[0] == '-') &&
	    looks_like(s.p + 1, "99:99"))
		return 6;
	return 0;
}

static bool
find_rfc3339(struct slice line, struct logtime_stamp *s)
{
	size_t n = DATE, z;

	if (!looks_like(line.p, "9999-99-99T99:99:99") ||
	    !found(s, LOGTIME_RFC3339, line, DATE))
		return false;
	if (n < line.n && line.p[n] == '.') {
		size_t first = ++n;

		while (n < line.n && n - first < 9 && is_digit(line.p[n]))
			n++;
		if (n == first)
			return false;
	}
	z = zone_length(slice_skip(line, n));
	s->zone = slice_make(line.p + n, z);
	s->text.n = n + z;
	return z > 0;
}

static bool
find_tai64n(struct slice line, struct logtime_stamp *s)
{
	if (line.n < TAI64N)
		return false;
	for (size_t i = 1; i < TAI64N; i++)
		if (!is_digit(line.p[i]) &&
		    (line.p[i] < 'a' || line.p[i] > 'f'))
			return false;
	*s = (struct logtime_stamp){ .form = LOGTIME_TAI64N,
		.text = slice_make(line.p, TAI64N) };
	return true;
}

bool
logtime_find(struct slice line, struct logtime_stamp *s)
{
	if (line.n == 0)
		return false;
	if (line.p[0] == '@')
		return find_tai64n(line, s);
	if (!is_digit(line.p[0]))
		return find_rfc3164(line, s);
	if (line.n < DATE)
		return false;
	if (line.p[10] == 'T')
		return find_rfc3339(line, s);
	return (looks_like(line.p, "9999/99/99 99:99:99") ||
		   looks_like(line.p, "9999-99-99 99:99:99")) &&
	       found(s, LOGTIME_LOCAL, line, DATE);
}

/* --- reading ------------------------------------------------------------- */

static int
month(const char *p)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (memcmp(p, names + 3 * i, 3) == 0)
			return i;
	return -1;
}

/* The fields of a stamp but its second; false: out of range. */
static bool
fields(const struct logtime_stamp *s, struct tm *tm)
{
	const char *p = s->text.p;

	*tm = (struct tm){ .tm_mon = -1 };
	if (s->form == LOGTIME_RFC3164) {
		tm->tm_mon = month(p);
		p += 4;
	} else {
		tm->tm_year = two(p) * 100 + two(p + 2) - 1900;
		tm->tm_mon = two(p + 5) - 1;
		p += 8;
	}
	tm->tm_mday = two(p);
	tm->tm_hour = two(p + 3);
	tm->tm_min = two(p + 6);
	return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_year >= 0 &&
	       tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_hour < 24 &&
	       tm->tm_min < 60;
}

/*
 * Local time can name two moments (the hour when summer time ends) or none,
 * and a year-less one many: the nearest that is not in the future is meant.
 */
static bool
closest(const struct tm *want, bool has_year, int64_t now, int64_t *when)
{
	time_t t = (time_t)now;
	struct tm local;
	bool any = false;

	if (localtime_r(&t, &local) == NULL)
		return false;
	for (int i = 0; i < 6; i++) {
		struct tm tm = *want;

		if (!has_year)
			tm.tm_year = local.tm_year + 1 - i / 2;
		tm.tm_isdst = i % 2;
		t = mktime(&tm);
		/* February 29 of a year without one has become March. */
		if (t == -1 || tm.tm_mday != want->tm_mday ||
		    tm.tm_hour != want->tm_hour)
			continue;
		if (t <= now + LOGTIME_AHEAD &&
		    (!any || llabs(t - now) < llabs(*when - now))) {
			*when = t;
			any = true;
		}
	}
	return any;
}

static bool
universal(const struct logtime_stamp *s, struct tm *tm, int64_t *when)
{
	int h = 0, m = 0;

	if (s->zone.n > 1) {
		h = two(s->zone.p + 1);
		m = two(s->zone.p + 4);
	}
	if (h > 14 || m > 59)
		return false;
	*when = timegm(tm);
	*when -= (s->zone.p[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

static bool
read_tai64n(struct slice text, int64_t *when)
{
	uint64_t v = 0;

	for (size_t i = 1; i <= 16; i++) {
		char c = text.p[i];

		v = v << 4 | (uint64_t)(is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	if (v < TAI_BASE || v - TAI_BASE > INT64_MAX / 2)
		return false;
	/* As multilog and tai64nlocal do: without leap seconds. */
	*when = (int64_t)(v - TAI_BASE) - TAI_EPOCH;
	return true;
}

static bool
remembered(
    const struct logtime_memo *m, const struct logtime_stamp *s, int64_t now)
{
	return m->now == now &&
	       slice_eq(s->minute, slice_make(m->minute, m->minute_n)) &&
	       slice_eq(s->zone, slice_make(m->zone, m->zone_n));
}

static void
remember(struct logtime_memo *m, const struct logtime_stamp *s, int64_t now,
    int64_t when)
{
	m->minute_n = s->minute.n;
	memcpy(m->minute, s->minute.p, s->minute.n);
	m->zone_n = s->zone.n;
	memcpy(m->zone, s->zone.p, s->zone.n);
	m->now = now;
	m->when = when;
}

/* The moment that the stamp means if its second is the one given. */
static bool
exact(const struct logtime_stamp *s, int second, int64_t now, int64_t *when)
{
	struct tm tm;

	if (!fields(s, &tm))
		return false;
	tm.tm_sec = second;
	if (s->form == LOGTIME_RFC3339)
		return universal(s, &tm, when);
	return closest(&tm, s->form == LOGTIME_LOCAL, now, when);
}

bool
logtime_read(const struct logtime_stamp *s, int64_t now, struct logtime_memo *m,
    int64_t *when)
{
	int64_t base;

	if (s->form == LOGTIME_TAI64N)
		return read_tai64n(s->text, when) &&
		       *when <= now + LOGTIME_AHEAD;
	if (remembered(m, s, now)) {
		*when = m->when + s->second;
		if (*when <= now + LOGTIME_AHEAD)
			return true;
	}
	if (!exact(s, s->second, now, when))
		return false;
	/* Not of a minute that is one year's in part and another's. */
	if (exact(s, 0, now, &base) && base + s->second == *when)
		remember(m, s, now, base);
	return *when <= now + LOGTIME_AHEAD;
}
