/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration under construction: which option has which value, from
 * where, and who wins.  Reads neither files nor command lines itself.
 */
#include "config.h"

#include "common/option_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#include "common/banned.h"

struct value {
	enum option_source source; /* of the value that the config holds */
	unsigned int reading;      /* in which that was given */
	char **where;              /* one a value; more than one if "many" */
	size_t where_n;
	unsigned int seen; /* the reading in which any was given last */
	char *seen_where;
};

struct option_state {
	const struct option_table *table;
	char *config;
	char *scratch;        /* a config for values that lose: checked too */
	struct value *values; /* one a def */
	unsigned int reading; /* 1 is the first */
};

/* --- problems ------------------------------------------------------------ */

void
option_problems_add(struct option_problems *problems, const char *fmt, ...)
{
	char **v =
	    reallocarray(problems->v, problems->n + 1, sizeof(*problems->v));
	va_list ap;
	int n;

	if (v == NULL)
		return; /* the caller fails all the same, with fewer words */
	problems->v = v;
	va_start(ap, fmt);
	n = vasprintf(&v[problems->n], fmt, ap);
	va_end(ap);
	if (n != -1)
		problems->n++;
}

void
option_problems_clear(struct option_problems *problems)
{
	size_t i;

	for (i = 0; i < problems->n; i++)
		free(problems->v[i]);
	free(problems->v);
	memset(problems, 0, sizeof(*problems));
}

const char *
option_shown(struct slice s, char out[OPTION_SHOWN_MAX])
{
	bool cut = s.n > 64;
	long n;

	if (cut)
		s.n = 64;
	n = log_quote(s, out, OPTION_SHOWN_MAX - sizeof("..."));
	if (n == -1)
		n = 0;
	memcpy(out + n, cut ? "..." : "", cut ? 4 : 1);
	return out;
}

int
option_unknown(const struct option_table *table, const char *at,
    struct slice name, struct option_problems *problems)
{
	char shown[OPTION_SHOWN_MAX];
	const char *nearest = option_nearest(table, name);
	struct slice rest = name, head;

	option_shown(name, shown);
	if (slice_cut(&rest, '=', &head) &&
	    option_find_key(table, head) != NULL)
		option_problems_add(problems,
		    "%s: unknown option %s; is white space meant instead of "
		    "the \"=\"?",
		    at, shown);
	else if (nearest != NULL)
		option_problems_add(problems,
		    "%s: unknown option %s; did you mean \"%s\"?", at, shown,
		    nearest);
	else
		option_problems_add(
		    problems, "%s: unknown option %s", at, shown);
	return -1;
}

/* --- state --------------------------------------------------------------- */

static size_t
count(const struct option_table *table)
{
	size_t n = 0;

	while (table->defs[n].name != NULL)
		n++;
	return n;
}

static void
forget_places(struct value *v)
{
	while (v->where_n > 0)
		free(v->where[--v->where_n]);
	free(v->where);
	v->where = NULL;
}

static int
add_place(struct value *v, const char *text)
{
	char **where = reallocarray(v->where, v->where_n + 1, sizeof(*where));

	if (where == NULL)
		return -1;
	v->where = where;
	where[v->where_n] = strdup(text);
	if (where[v->where_n] == NULL)
		return -1;
	v->where_n++;
	return 0;
}

struct option_state *
option_state_create(const struct option_table *table, void *config)
{
	struct option_state *state = calloc(1, sizeof(*state));

	memset(config, 0, table->config_size);
	if (state == NULL)
		return NULL;
	state->table = table;
	state->config = config;
	state->scratch = calloc(1, table->config_size);
	state->values = calloc(count(table) + 1, sizeof(*state->values));
	if (state->scratch == NULL || state->values == NULL)
		option_state_destroy(&state);
	return state;
}

void
option_state_destroy(struct option_state **sp)
{
	struct option_state *state = *sp;
	size_t i, n;

	if (state == NULL)
		return;
	n = state->values == NULL ? 0 : count(state->table);
	for (i = 0; i < n; i++) {
		forget_places(&state->values[i]);
		free(state->values[i].seen_where);
	}
	free(state->values);
	free(state->scratch);
	free(state);
	*sp = NULL;
}

const struct option_table *
option_table_of(const struct option_state *state)
{
	return state->table;
}

void
option_reading(struct option_state *state)
{
	state->reading++;
}

static struct value *
value_of(const struct option_state *state, const struct option_def *target)
{
	return &state->values[target - state->table->defs];
}

/* --- setting ------------------------------------------------------------- */

static void
warn_deprecated(const struct option_table *table, const struct option_def *def,
    const struct option_given *given)
{
	const char *use = option_target(table, def)->name;

	if (!given->warn || (def->flags & OPTION_DEPRECATED) == 0)
		return;
	if (def->alias_of != NULL)
		log_event(LOG_WARNING, "option-deprecated",
		    LOG_STR("option", def->name), LOG_STR("use", use),
		    LOG_STR("where", given->at));
	else
		log_event(LOG_WARNING, "option-deprecated",
		    LOG_STR("option", def->name),
		    LOG_STR("why", def->help == NULL ? "" : def->help),
		    LOG_STR("where", given->at));
}

static int
remember(char **where, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return -1;
	free(*where);
	*where = copy;
	return 0;
}

static int
parse_into(const struct option_def *target, const char *name, char *config,
    const char *text, const char *at, struct option_problems *problems)
{
	char shown[OPTION_SHOWN_MAX];
	struct err err = { 0 };

	if (target->type->parse(target, config + target->offset, text, &err) ==
	    0)
		return 0;
	if (err.code == ENOMEM)
		option_problems_add(problems, "%s: out of memory", at);
	else if ((target->flags & OPTION_SECRET) != 0)
		option_problems_add(
		    problems, "%s: %s: expected %s", at, name, err.msg);
	else
		option_problems_add(problems, "%s: %s: %s: expected %s", at,
		    name, option_shown(slice_str(text), shown), err.msg);
	return -1;
}

/* A value that another one beats must be good nevertheless. */
static int
parse_aside(struct option_state *state, const struct option_def *target,
    const char *name, const char *text, const char *at,
    struct option_problems *problems)
{
	int ret = parse_into(target, name, state->scratch, text, at, problems);

	target->type->clear(target, state->scratch + target->offset);
	return ret;
}

int
option_give(struct option_state *state, const struct option_def *def,
    const char *text, const struct option_given *given,
    struct option_problems *problems)
{
	const struct option_def *target = option_target(state->table, def);
	struct value *v = value_of(state, target);

	if (v->seen == state->reading && !target->type->many) {
		option_problems_add(problems,
		    "%s: %s: given more than once, first at %s", given->at,
		    def->name, v->seen_where);
		return -1;
	}
	warn_deprecated(state->table, def, given);
	if (remember(&v->seen_where, given->at) == -1)
		goto nomem;
	v->seen = state->reading;
	if (v->source > given->source)
		return parse_aside(
		    state, target, def->name, text, given->at, problems);
	if (v->source != OPTION_UNSET && v->reading != state->reading) {
		target->type->clear(target, state->config + target->offset);
		forget_places(v);
		v->source = OPTION_UNSET; /* it gets its default */
	}
	v->reading = state->reading;
	if (parse_into(target, def->name, state->config, text, given->at,
		problems) == -1)
		return -1;
	v->source = given->source;
	if (target->type->many && text[0] == '\0')
		return 0; /* no value more, no place more */
	if (add_place(v, given->at) == 0)
		return 0;
nomem:
	option_problems_add(problems, "%s: out of memory", given->at);
	return -1;
}

int
option_apply_defaults(
    struct option_state *state, struct option_problems *problems)
{
	const struct option_def *def;
	int ret = 0;

	for (def = state->table->defs; def->name != NULL; def++) {
		if (def->alias_of != NULL || def->dflt == NULL ||
		    value_of(state, def)->source != OPTION_UNSET)
			continue;
		if (parse_into(def, def->name, state->config, def->dflt,
			"default", problems) == -1)
			ret = -1;
	}
	return ret;
}

const char *
option_set_where(const struct option_state *state, const char *name)
{
	return option_set_where_nth(state, name, 0);
}

const char *
option_set_where_nth(
    const struct option_state *state, const char *name, size_t i)
{
	const struct value *v;
	const struct option_def *def =
	    option_find(state->table, slice_str(name));

	if (def == NULL)
		return NULL;
	v = value_of(state, option_target(state->table, def));
	return i < v->where_n ? v->where[i] : NULL;
}

void
option_clear(const struct option_table *table, void *config)
{
	const struct option_def *def;

	for (def = table->defs; def->name != NULL; def++) {
		if (def->alias_of == NULL)
			def->type->clear(def, (char *)config + def->offset);
	}
}
