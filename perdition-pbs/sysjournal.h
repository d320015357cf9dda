/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sysjournal - lines from the systemd journal, as syslog would write them.
 *
 * An entry becomes "STAMP HOST IDENT[PID]: MESSAGE", with the time at which
 * journald took it; one with a line end or a NUL in its message, or of which
 * no such line can be made, is left out.  sysjournal_none.c stands in where
 * there is no libsystemd.
 */
#ifndef PERDITION_PBS_SYSJOURNAL_H
#define PERDITION_PBS_SYSJOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <uv.h>

#include "common/err.h"
#include "common/slice.h"
#include "perdition-pbs/positions.h"
#include "perdition-pbs/tail_file.h"

struct sysjournal_config {
	const char *dir; /* of journal files; "": this host's journal */
	/* "FIELD=VALUE": entries with one of the values of each field; n 0:
	 * all.  Borrowed, as dir is. */
	char *const *matches;
	size_t n;
	struct tail_reader reader; /* called from the loop; without seek */
};

struct sysjournal;

/*
 * Opens it, so that what is written from now on is read.  NULL with err:
 * it cannot be, or a match is wrong.
 */
struct sysjournal *sysjournal_open(
    const struct sysjournal_config *, struct err *);

/*
 * Goes on behind saved, which sysjournal_save() gave an earlier process, or
 * (empty) behind what was there at sysjournal_open().  When the entry of saved
 * is gone, goes on with the first that came after it, and the log tells.  0, or
 * -1 with err.
 */
int sysjournal_start(
    struct sysjournal *, uv_loop_t *, struct slice saved, struct err *);
void sysjournal_close(struct sysjournal **); /* the loop must turn once more */

bool sysjournal_behind(const struct sysjournal *); /* more is to be read */

/* "journal:DIR", the name of the position. */
static inline struct slice
sysjournal_name(const char *dir, char out[POSITION_NAME_MAX])
{
	int n = snprintf(out, POSITION_NAME_MAX, "journal:%s", dir);

	return slice_make(
	    out, n < POSITION_NAME_MAX ? (size_t)n : POSITION_NAME_MAX - 1);
}

/* Where it stands; moved: not where it was saved. */
bool sysjournal_moved(const struct sysjournal *);
void sysjournal_save(struct sysjournal *, positions_saver *save, void *arg);

#endif
