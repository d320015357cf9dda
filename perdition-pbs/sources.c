/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sources - all that lines come from; see the header.
 */
#include "config.h"

#include "perdition-pbs/sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "perdition-pbs/logs.h"

#include "common/banned.h"

struct sources {
	struct logs_config log_files;
	struct positions *marks; /* where they ended at the start */
	struct logs *logs;       /* NULL: none, or not started */
};

struct sources *
sources_create(
    const struct pbs_config *c, tail_line *fn, void *arg, struct err *err)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->marks = positions_create()) == NULL) {
		free(s);
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	s->log_files =
	    (struct logs_config){ c->log_file.v, c->log_file.n, fn, arg };
	logs_mark(&s->log_files, s->marks);
	return s;
}

void
sources_destroy(struct sources **sp)
{
	if (*sp == NULL)
		return;
	logs_destroy(&(*sp)->logs);
	positions_destroy(&(*sp)->marks);
	free(*sp);
	*sp = NULL;
}

/* --- who may read them --------------------------------------------------- */

struct groups {
	size_t n;
	gid_t *v;
};

static void
add_group_of(void *arg, const char *path)
{
	struct groups *g = arg;
	struct stat st;

	if (stat(path, &st) == -1 || (st.st_mode & S_IRGRP) == 0 ||
	    st.st_gid == 0)
		return;
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] == st.st_gid)
			return;
	if (g->n < SOURCES_GROUPS_MAX)
		g->v[g->n++] = st.st_gid;
}

size_t
sources_groups(const struct sources *s, gid_t groups[SOURCES_GROUPS_MAX])
{
	struct groups g = { 0, groups };

	logs_each(&s->log_files, add_group_of, &g);
	return g.n;
}

/* --- at work ------------------------------------------------------------- */

int
sources_start(struct sources *s, uv_loop_t *loop, const struct positions *known,
    struct err *err)
{
	if (s->log_files.n > 0) {
		s->logs =
		    logs_create(loop, &s->log_files, known, s->marks, err);
		if (s->logs == NULL)
			return -1;
	}
	return 0;
}

void
sources_reopen(struct sources *s)
{
	if (s->logs != NULL)
		logs_reopen(s->logs);
}

bool
sources_behind(const struct sources *s)
{
	return s->logs != NULL && logs_behind(s->logs);
}

bool
sources_moved(const struct sources *s)
{
	return s->logs != NULL && logs_moved(s->logs);
}

void
sources_save(struct sources *s, positions_saver *save, void *arg)
{
	if (s->logs != NULL)
		logs_save(s->logs, save, arg);
}

bool
sources_knows(const struct sources *s, struct slice name)
{
	return s->logs != NULL && logs_knows(s->logs, name);
}
