/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logs_private - what logs.c (reading, the loop) and logs_find.c (which logs
 * there are) share.
 */
#ifndef PERDITION_PBS_LOGS_PRIVATE_H
#define PERDITION_PBS_LOGS_PRIVATE_H

#include "perdition-pbs/logs.h"
#include "perdition-pbs/tail.h"

struct log {
	struct tail *tail;
	bool by_pattern;
	bool ready; /* there may be something to read */
};

struct logs {
	uv_loop_t *loop;
	struct logs_config cfg;
	const struct positions *known, *marks; /* while it is made; or NULL */
	bool heed_marks; /* of files that match the pattern at hand */
	int inotify;
	size_t n;
	struct log v[LOGS_MAX];
	size_t next;     /* whose turn it is to be read */
	uint64_t looked; /* ms of the loop: when it last looked at names */
	bool full_said;
	bool patterns_saved;
	uv_poll_t poll;
	uv_timer_t tick;
	uv_idle_t more; /* runs while there is more to read */
	int closing;
	struct tail_buffer buf;
};

struct logs_name {
	char bytes[POSITION_NAME_MAX];
	size_t n;
};

/* "log:PATH" and "logs:PATTERN", under which positions are kept; the slice is
 * valid for as long as out. */
struct slice logs_name(struct logs_name *out, const char *path);
struct slice logs_pattern_name(struct logs_name *out, const char *pattern);

bool logs_is_pattern(const char *path);

/* Those to begin with.  0, or -1 with err. */
int logs_find_first(struct logs *, struct err *);

/* What has come to the names since; all may have something to be read. */
void logs_look(struct logs *);

#endif
