/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_config_check - the options as read are checked, all of them, and what
 * follows from them is made: addresses, user ids, paths.
 */
#ifndef PERDITION_PBS_PBS_CONFIG_CHECK_H
#define PERDITION_PBS_PBS_CONFIG_CHECK_H

#include <stddef.h>

#include "common/option.h"
#include "perdition-pbs/pbs_config.h"

struct pbs_config_check {
	struct pbs_config *c;
	const struct option_state *state;
	struct option_problems *problems;
	int bad;
};

/* 0, or EX_CONFIG with all problems found. */
int pbs_config_finish(
    struct pbs_config *, const struct option_state *, struct option_problems *);

/* value: the offending text, of the nth time that the option was given. */
void pbs_config_complain_nth(struct pbs_config_check *, const char *name,
    size_t nth, const char *value, const char *text);
void pbs_config_complain_of_errno(struct pbs_config_check *, const char *name);

/* pbs_config_names.c: db_names, db_path and the paths in state_dir. */
void pbs_config_derive(struct pbs_config_check *);

#endif
