/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table with an option of each kind, and how tests read into it.
 */
#ifndef TESTS_UNIT_OPTION_SAMPLE_H
#define TESTS_UNIT_OPTION_SAMPLE_H

#include <check.h>
#include <string.h>

#include "common/option.h"

struct sample {
	bool debug, quiet;
	unsigned int port, timeout, mode, states;
	char *banner, *file, *password;
	struct option_list listen;
};

#define FIELD(name) offsetof(struct sample, name)

static const struct option_names sample_modes[] = {
	{ "never", 0 },
	{ "always", 3 },
	{ NULL, 0 },
};

static const struct option_names sample_states[] = {
	{ "lookup", 1 },
	{ "local", 2 },
	{ "remote", 4 },
	{ "all", 7 },
	{ NULL, 0 },
};

/* clang-format off */
static const struct option_def sample_defs[] = {
	{ .name = "help", .letter = 'h', .type = &option_bool,
	    .offset = FIELD(quiet), .flags = OPTION_COMMAND,
	    .help = "Show this." },
	{ .name = "debug", .letter = 'd', .type = &option_bool,
	    .offset = FIELD(debug), .group = "Logging",
	    .help = "Say more. A line that starts with .dots or 'quotes' is "
		"no request; a back\\slash, a ~, a ^ and a ` are themselves, "
		"and real-server has a hyphen but --debug does not." },
	{ .name = "listen_port", .letter = 'l', .type = &option_uint,
	    .offset = FIELD(port), .dflt = "110", .min = 1, .max = 65535,
	    .group = "Listening", .arg = "PORT", .help = "Listen here." },
	{ .name = "listen", .letter = 'L', .type = &option_strings,
	    .offset = FIELD(listen), .dflt = "imap4://*",
	    .group = "Listening", .help = "Listen there." },
	{ .name = "timeout", .letter = 't', .type = &option_seconds,
	    .offset = FIELD(timeout), .dflt = "30m", .group = "Logging",
	    .help = "Close a connection that has been idle this long." },
	{ .name = "log_passwd", .type = &option_enum, .offset = FIELD(mode),
	    .dflt = "never", .names = sample_modes, .group = "Logging" },
	{ .name = "strip_domain", .letter = 'S', .type = &option_set,
	    .offset = FIELD(states), .dflt = "", .names = sample_states },
	{ .name = "ok_line", .letter = 'O', .type = &option_string,
	    .offset = FIELD(banner), .dflt = "You are so in",
	    .help = "Text of the OK." },
	{ .name = "pid_file", .type = &option_path, .offset = FIELD(file) },
	{ .name = "password", .type = &option_string, .min = 1,
	    .offset = FIELD(password), .dflt = "secret word",
	    .flags = OPTION_SECRET, .help = "For the data base." },
	{ .name = "greeting", .letter = 'g', .type = &option_string,
	    .alias_of = "ok_line", .flags = OPTION_DEPRECATED },
	{ .name = "noise", .type = &option_bool, .alias_of = "debug",
	    .flags = OPTION_HIDDEN },
	{ .name = NULL },
};
/* clang-format on */

static const struct option_table sample_table = { sample_defs, "sample",
	sizeof(struct sample) };

struct reading {
	struct sample config;
	struct option_state *state;
	struct option_problems problems;
};

static inline void
reading_init(struct reading *r)
{
	memset(r, 0, sizeof(*r));
	r->state = option_state_create(&sample_table, &r->config);
	ck_assert_ptr_nonnull(r->state);
}

static inline void
reading_clear(struct reading *r)
{
	option_state_destroy(&r->state);
	ck_assert_ptr_null(r->state);
	option_problems_clear(&r->problems);
	option_clear(&sample_table, &r->config);
}

static inline int
read_text(struct reading *r, const char *text)
{
	return option_read_text(r->state, slice_str(text), "f", &r->problems);
}

static inline void
assert_no_problems(const struct reading *r)
{
	ck_assert_msg(r->problems.n == 0, "%s",
	    r->problems.n == 0 ? "" : r->problems.v[0]);
}

static inline void
assert_problem(const struct reading *r, size_t i, const char *want)
{
	ck_assert_uint_gt(r->problems.n, i);
	ck_assert_str_eq(r->problems.v[i], want);
}

#endif
