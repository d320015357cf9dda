/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loghead - what syslog puts in front of a message:
 *   STAMP [HOST] IDENT[PID]: MESSAGE
 * with one space between, where HOST may be missing (a program's own log) and
 * "[PID]" too.
 */
#ifndef PERDITION_PBS_LOGHEAD_H
#define PERDITION_PBS_LOGHEAD_H

#include <stdbool.h>

#include "common/slice.h"

struct loghead {
	struct slice host, ident, pid; /* host and pid perhaps empty */
	struct slice message;          /* to the end of the line */
};

/* line: from the space behind the stamp on.  false: no such head. */
bool loghead_parse(struct slice line, struct loghead *);

/*
 * syslogd joins equal lines to "message repeated 3 times: [ LINE]": LINE, or
 * the message as it is.
 */
struct slice loghead_unrepeated(struct slice message);

#endif
