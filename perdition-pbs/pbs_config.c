/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_config - reading the options of perdition-pbs.
 */
#include "config.h"

#include "perdition-pbs/pbs_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "perdition-pbs/pbs_config_check.h"

#include "common/banned.h"

/* "perdition-pbs-list" is --mode list, and so on; "" for another name. */
static const char *
mode_of_name(const char *argv0)
{
	static const char name[] = "perdition-pbs-";
	const char *slash, *base;

	if (argv0 == NULL)
		return "";
	slash = strrchr(argv0, '/');
	base = slash == NULL ? argv0 : slash + 1;
	if (strncmp(base, "lt-", 3) == 0) /* libtool's, in the build tree */
		base += 3;
	return strncmp(base, name, sizeof(name) - 1) == 0
		   ? base + sizeof(name) - 1
		   : "";
}

/* An argument that the name stands for, in front of the others. */
static int
read_argv(struct option_state *state, struct pbs_config *c, int argc,
    char *const argv[], struct option_problems *problems)
{
	const char *mode = argc > 0 ? mode_of_name(argv[0]) : "";
	char **args;
	int ret, extra = mode[0] != '\0' ? 2 : 0;
	char word[] = "--mode";
	char *value = strdup(mode);

	args = calloc((size_t)argc + 3, sizeof(*args));
	if (args == NULL || value == NULL) {
		free(args);
		free(value);
		option_problems_add(problems, "%s", strerror(ENOMEM));
		return -1;
	}
	args[0] = argv[0];
	args[1] = word;
	args[2] = value;
	for (int i = 1; i < argc; i++)
		args[i + extra] = argv[i];
	ret = option_read_argv(
	    state, argc + extra, args, &c->first_operand, problems);
	c->first_operand -= extra;
	free(args);
	free(value);
	return ret;
}

static int
load(struct pbs_config *c, struct option_state *state, int argc,
    char *const argv[], struct option_problems *problems)
{
	const char *file = SYSCONFDIR "/perdition/perdition-pbs.conf";
	bool given;
	int ret = 0;

	if (read_argv(state, c, argc, argv, problems) == -1)
		return EX_USAGE;
	given = option_set_where(state, "config_file") != NULL;
	if (given)
		file = c->config_file;
	if (file[0] != '\0' && access(file, F_OK) == 0) {
		if (option_read_file(state, file, problems) == -1)
			ret = EX_CONFIG;
	} else if (given && file[0] != '\0') {
		option_problems_add(problems, "%s: %s", file, strerror(errno));
		return EX_NOINPUT;
	}
	if (option_apply_defaults(state, problems) == -1)
		return EX_CONFIG;
	/* Even of a file that is wrong already: all is told at once. */
	if (pbs_config_finish(c, state, problems) != 0)
		ret = EX_CONFIG;
	return ret;
}

int
pbs_config_load(struct pbs_config *c, int argc, char *const argv[],
    struct option_problems *problems)
{
	struct option_state *state = option_state_create(&pbs_options, c);
	int ret;

	if (state == NULL) {
		option_problems_add(problems, "%s", strerror(ENOMEM));
		return EX_OSERR;
	}
	ret = load(c, state, argc, argv, problems);
	option_state_destroy(&state);
	return ret;
}

void
pbs_config_clear(struct pbs_config *c)
{
	free(c->nets);
	free(c->always_keys);
	free(c->uids);
	free(c->mta_uids);
	for (size_t i = 0; i < c->db_names.n; i++)
		free(c->db_names.v[i]);
	free(c->db_names.v);
	free(c->journal_path);
	free(c->control_path);
	option_clear(&pbs_options, c);
	memset(c, 0, sizeof(*c));
}

void
pbs_config_match(const struct pbs_config *c, struct logmatch_config *m)
{
	*m = (struct logmatch_config){
		.patterns = c->pattern.v,
		.patterns_n = c->pattern.n,
		.file = c->pattern_file,
		.regex = c->regex,
		.ends = c->timeout_from == PBS_FROM_LOGOUT,
	};
}

void
pbs_config_rule(const struct pbs_config *c, struct relay_rule *r)
{
	*r = (struct relay_rule){
		.never = c->nets,
		.never_n = c->nets_n,
		.always = c->always_keys,
		.always_n = c->always_n,
		.allow_loopback = c->allow_loopback,
		.v4_mask = c->ipv4_mask,
		.v6_mask = c->ipv6_mask,
	};
}

void
pbs_config_limits(const struct pbs_config *c, struct relay_limits *l)
{
	*l = (struct relay_limits){
		.timeout = c->timeout,
		.max_entries = c->max_entries,
		.max_new_per_second = c->max_new_per_second,
		.max_per_user = c->max_addresses_per_user,
		.from_logout = c->timeout_from == PBS_FROM_LOGOUT,
	};
}
