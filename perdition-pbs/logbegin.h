/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logbegin - how lines begin: time stamp, host, ident and process.
 *
 * Most begin as the one before, with the same second and process; what such
 * bytes mean does not depend on those behind them.  So they are remembered,
 * and compared before they are read anew.  Knows nothing of messages.
 */
#ifndef PERDITION_PBS_LOGBEGIN_H
#define PERDITION_PBS_LOGBEGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/slice.h"
#include "perdition-pbs/loghead.h"
#include "perdition-pbs/logtime.h"

#define LOGBEGIN_STAMP_MAX 32 /* bytes; what is longer is not remembered */
#define LOGBEGIN_HEAD_MAX 64

/* Of the last line of interest.  Zeroed at first; not to be copied. */
struct logbegin {
	size_t stamp_n, head_n; /* 0: none */
	char stamp_text[LOGBEGIN_STAMP_MAX], head_text[LOGBEGIN_HEAD_MAX];
	struct logtime_stamp stamp; /* these point into the texts */
	struct loghead head;
};

/* As logtime_find() and loghead_parse(); what they give lives until the next
 * call, or as long as the line, whichever ends first. */
bool logbegin_stamp(
    struct logbegin *, struct slice line, struct logtime_stamp *);
bool logbegin_head(struct logbegin *, struct slice rest, struct loghead *);

#endif
