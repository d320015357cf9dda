/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log_head - when, who and how urgent; see the header.
 */
#include "config.h"

#include "common/log_head.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/banned.h"

static_assert(sizeof(((struct log_head *)0)->stamp) + sizeof(".000000") +
		      sizeof(((struct log_head *)0)->zone) + LOG_IDENT_MAX +
		      2 * SLICE_U64_MAX + sizeof("<> []: ") <
		  LOG_HEAD_MAX,
    "LOG_HEAD_MAX does not hold all that is put");

void
log_head_init(struct log_head *h, enum log_head_form form)
{
	*h = (struct log_head){ .form = form, .second = INT64_MIN };
}

static void
make_stamp(struct log_head *h, int64_t second)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)second;
	struct tm tm;
	long east;

	if (second == h->second)
		return;
	if (localtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm)); /* a year beyond int: no clock */
	h->second = second;
	if (h->form == LOG_HEAD_SYSLOG) {
		/* RFC 3164 section 4.1.2, in English whatever the locale. */
		snprintf(h->stamp, sizeof(h->stamp), "%s %2d %02d:%02d:%02d",
		    months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min,
		    tm.tm_sec);
		return;
	}
	snprintf(h->stamp, sizeof(h->stamp), "%04d-%02d-%02dT%02d:%02d:%02d",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec);
	east = tm.tm_gmtoff / 60;
	snprintf(h->zone, sizeof(h->zone), "%c%02d:%02d", east < 0 ? '-' : '+',
	    (int)(labs(east) / 60 % 100), (int)(labs(east) % 60));
}

static char *
put(char *p, struct slice s)
{
	memcpy(p, s.p, s.n);
	return p + s.n;
}

static char *
put_u64(char *p, uint64_t v)
{
	return p + slice_put_u64(p, v);
}

/* ".000042" */
static char *
put_us(char *p, unsigned int us)
{
	char text[] = ".000000";

	for (size_t i = sizeof(text) - 2; us > 0 && i > 0; i--, us /= 10)
		text[i] = (char)('0' + us % 10);
	return put(p, slice_make(text, sizeof(text) - 1));
}

static char *
put_sender(char *p, const struct log_origin *o)
{
	p = put(p, SLICE(" "));
	p = put(p, o->ident);
	p = put(p, SLICE("["));
	p = put_u64(p, (uint64_t)o->pid);
	return put(p, SLICE("]: "));
}

size_t
log_head_write(
    struct log_head *h, const struct log_origin *o, char out[LOG_HEAD_MAX])
{
	int64_t us = o->us % 1000000;
	int64_t second = o->us / 1000000;
	char *p = out;

	if (us < 0) { /* before 1970: a host without a clock */
		us += 1000000;
		second--;
	}
	make_stamp(h, second);
	if (h->form == LOG_HEAD_SYSLOG) {
		p = put(p, SLICE("<"));
		p = put_u64(p, (uint64_t)o->priority);
		p = put(p, SLICE(">"));
		p = put(p, slice_str(h->stamp));
	} else {
		p = put(p, slice_str(h->stamp));
		p = put_us(p, (unsigned int)us);
		p = put(p, slice_str(h->zone));
	}
	return (size_t)(put_sender(p, o) - out);
}
