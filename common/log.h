/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log - one line about one event, with nothing in it that an outsider could
 * use to forge another.
 *
 * There are no format strings: an event name, then typed key=value fields.
 * A value is bare only if it is not empty and each byte is in
 * [A-Za-z0-9._:@/+-]; else it is quoted, with \" and \\ and \xHH for all
 * outside 0x20-0x7e.  Values are cut at 256 bytes, which key~= shows.
 * Where a line goes is the business of the sink; see logdest.h.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "common/addr.h"
#include "common/slice.h"

/* Bytes, without newline; fields that do not fit are left out, which a last
 * field cut=1 shows.  Does not bind log_line(). */
#define LOG_LINE_MAX 4096

enum log_field_type {
	LOG_FIELD_END,
	LOG_FIELD_SLICE,
	LOG_FIELD_U64,
	LOG_FIELD_I64,
	LOG_FIELD_ADDR
};

struct log_field {
	enum log_field_type type;
	const char *key; /* a literal */
	union {
		struct slice slice;
		uint64_t u64;
		int64_t i64;
		const struct addr *addr; /* with its port unless that is 0 */
	} v;
};

#define LOG_SLICE(k, s)                                                        \
	((struct log_field){ LOG_FIELD_SLICE, (k), { .slice = (s) } })
#define LOG_STR(k, s) LOG_SLICE(k, slice_str(s))
#define LOG_U64(k, n) ((struct log_field){ LOG_FIELD_U64, (k), { .u64 = (n) } })
#define LOG_I64(k, n) ((struct log_field){ LOG_FIELD_I64, (k), { .i64 = (n) } })
#define LOG_ADDR(k, a)                                                         \
	((struct log_field){ LOG_FIELD_ADDR, (k), { .addr = (a) } })

/*
 * level: LOG_ERR someone must act; LOG_WARNING; LOG_NOTICE refused; LOG_INFO
 * one line per login and per close; LOG_DEBUG (dropped unless log_set_level).
 */
#ifdef __CPPCHECK__ /* cppcheck 2.10 does not know __VA_OPT__ */
void log_event(int level, const char *event, ...);
#else
#define log_event(level, event, ...)                                           \
	log_fields(level, event,                                               \
	    (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){            \
		LOG_FIELD_END, 0, { .u64 = 0 } } })
#endif
void log_fields(int level, const char *event, const struct log_field *fields);

/* A line that is complete already (the Auth: family); no newline inside. */
void log_line(int level, struct slice line);

/* Lines above this level are dropped before they are formatted. */
void log_set_level(int level);
bool log_wants(int level);

/*
 * Where lines go; the only global state.  Default: standard error.  The sink
 * must not block and must not log.
 */
typedef void log_sink(void *arg, int level, struct slice line);
void log_set_sink(log_sink *, void *arg);

/*
 * Escaping, shared with auth_event: writes s between double quotes with the
 * escapes above (hexadecimal digits in lower case), without cutting.  Returns
 * the bytes written, or -1 (ENOSPC).
 */
long log_quote(struct slice s, char *out, size_t cap);

/*
 * The reverse: in begins with a double quote; the value's bytes go to out,
 * *used is set to the bytes of in that were read, the closing quote with
 * them.  Only what log_quote() writes is taken, so that each value has one
 * spelling.  Returns the value's length, or -1 (EBADMSG, ENOSPC).
 */
long log_unquote(struct slice in, size_t *used, char *out, size_t cap);

/* Whether a value stands in a line as it is, without quotes. */
bool log_is_bare(struct slice);

#endif
