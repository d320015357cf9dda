/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sources - all that lines come from; see the header.
 */
#include "config.h"

#include "perdition-pbs/sources.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition-pbs/input.h"
#include "perdition-pbs/logs.h"
#include "perdition-pbs/sysjournal.h"

#include "common/banned.h"

struct sources {
	struct tail_reader reader;
	void (*end)(void *arg); /* with the reader's arg */
	struct logs_config log_files;
	struct positions *marks; /* where they ended at the start */
	struct logs *logs;       /* NULL: none, or not started */
	bool reads_input;
	struct input *input; /* standard input; NULL: the same */
	const char *journal_dir;
	struct sysjournal *journal; /* of systemd; NULL: none */
};

/* All but "-"; the texts stay the configuration's. */
static int
take_log_files(struct sources *s, const struct option_list *files)
{
	char **paths = calloc(files->n + 1, sizeof(*paths));
	size_t n = 0;

	if (paths == NULL)
		return -1;
	for (size_t i = 0; i < files->n; i++) {
		if (strcmp(files->v[i], "-") == 0)
			s->reads_input = true;
		else
			paths[n++] = files->v[i];
	}
	s->log_files = (struct logs_config){ paths, n, s->reader };
	return 0;
}

static int
open_journal(struct sources *s, const struct pbs_config *c, struct err *err)
{
	struct sysjournal_config cfg = { c->journal_dir, c->journal_match.v,
		c->journal_match.n, s->reader };

	if (!c->journal)
		return 0;
	s->journal_dir = c->journal_dir;
	s->journal = sysjournal_open(&cfg, err);
	return s->journal == NULL ? -1 : 0;
}

struct sources *
sources_create(const struct pbs_config *c, const struct tail_reader *r,
    void (*end)(void *arg), struct err *err)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	s->reader = *r;
	s->end = end;
	s->marks = positions_create();
	if (s->marks == NULL || take_log_files(s, &c->log_file) == -1) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		sources_destroy(&s);
		return NULL;
	}
	if (open_journal(s, c, err) == -1) {
		sources_destroy(&s);
		return NULL;
	}
	logs_mark(&s->log_files, s->marks);
	return s;
}

void
sources_destroy(struct sources **sp)
{
	struct sources *s = *sp;

	if (s == NULL)
		return;
	logs_destroy(&s->logs);
	input_stop(&s->input);
	sysjournal_close(&s->journal);
	positions_destroy(&s->marks);
	free((void *)(uintptr_t)s->log_files.paths);
	free(s);
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
	if (s->journal != NULL && s->journal_dir[0] != '\0') {
		add_group_of(&g, s->journal_dir);
	} else if (s->journal != NULL) {
		add_group_of(&g, "/var/log/journal");
		add_group_of(&g, "/run/log/journal");
	}
	return g.n;
}

/* --- at work ------------------------------------------------------------- */

static struct slice
saved_journal(const struct positions *known, const char *dir)
{
	char name[POSITION_NAME_MAX];

	if (known == NULL)
		return slice_make(NULL, 0);
	return positions_get(known, sysjournal_name(dir, name));
}

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
	if (s->journal != NULL &&
	    sysjournal_start(s->journal, loop,
		saved_journal(known, s->journal_dir), err) == -1)
		return -1;
	if (s->reads_input) {
		s->input =
		    input_start(loop, STDIN_FILENO, &s->reader, s->end, err);
		if (s->input == NULL)
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

void
sources_drain(struct sources *s)
{
	if (s->input != NULL)
		input_drain(s->input);
}

bool
sources_behind(const struct sources *s)
{
	return (s->logs != NULL && logs_behind(s->logs)) ||
	       (s->journal != NULL && sysjournal_behind(s->journal)) ||
	       (s->input != NULL && input_behind(s->input));
}

bool
sources_moved(const struct sources *s)
{
	return (s->logs != NULL && logs_moved(s->logs)) ||
	       (s->journal != NULL && sysjournal_moved(s->journal));
}

void
sources_save(struct sources *s, positions_saver *save, void *arg)
{
	if (s->logs != NULL)
		logs_save(s->logs, save, arg);
	if (s->journal != NULL)
		sysjournal_save(s->journal, save, arg);
}

bool
sources_knows(const struct sources *s, struct slice name)
{
	char own[POSITION_NAME_MAX];

	return (s->logs != NULL && logs_knows(s->logs, name)) ||
	       (s->journal != NULL &&
		   slice_eq(sysjournal_name(s->journal_dir, own), name));
}
