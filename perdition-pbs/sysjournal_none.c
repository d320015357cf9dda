/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sysjournal - where there is no libsystemd: only an error.
 */
#include "config.h"

#include "perdition-pbs/sysjournal.h"

#include <errno.h>

#include "common/banned.h"

struct sysjournal *
sysjournal_open(const struct sysjournal_config *cfg, struct err *err)
{
	(void)cfg;
	err_set(err, ENOTSUP, "journal: built without libsystemd");
	return NULL;
}

int
sysjournal_start(
    struct sysjournal *s, uv_loop_t *loop, struct slice saved, struct err *err)
{
	(void)s;
	(void)loop;
	(void)saved;
	(void)err;
	return -1;
}

void
sysjournal_close(struct sysjournal **sp)
{
	*sp = NULL;
}

bool
sysjournal_behind(const struct sysjournal *s)
{
	(void)s;
	return false;
}

bool
sysjournal_moved(const struct sysjournal *s)
{
	(void)s;
	return false;
}

void
sysjournal_save(struct sysjournal *s, positions_saver *save, void *arg)
{
	(void)s;
	(void)save;
	(void)arg;
}
