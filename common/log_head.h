/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log_head - what stands before a line in a log: when, who, and for syslog how
 * urgent.
 *
 * Written by hand into the caller's bytes, since each login may have a line,
 * and snprintf(3) shows in profiles.
 */
#ifndef COMMON_LOG_HEAD_H
#define COMMON_LOG_HEAD_H

#include <stdint.h>

#include "common/slice.h"

#define LOG_HEAD_MAX 256 /* bytes of a head */
#define LOG_IDENT_MAX 64 /* bytes of an ident */

enum log_head_form {
	LOG_HEAD_SYSLOG, /* "<22>Nov 26 13:37:00 ident[pid]: ", RFC 3164 */
	LOG_HEAD_FILE,   /* "2026-11-26T13:37:00.000042+01:00 ident[pid]: " */
};

/* Of the last line, since localtime_r(3) is not cheap. */
struct log_head {
	enum log_head_form form;
	int64_t second; /* that stamp and zone were made for */
	char stamp[80]; /* up to the seconds */
	char zone[8];   /* "+01:00" */
};

struct log_origin {
	int priority;       /* facility and level of syslog(3) */
	struct slice ident; /* at most LOG_IDENT_MAX bytes */
	int pid;
	int64_t us; /* since 1970 */
};

void log_head_init(struct log_head *, enum log_head_form);

/* Writes the head, in the local time zone; how many bytes, and no NUL. */
size_t log_head_write(
    struct log_head *, const struct log_origin *, char out[LOG_HEAD_MAX]);

#endif
