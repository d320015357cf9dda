/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options from a configuration file.
 */
#include "config.h"

#include "common/option_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#include "common/banned.h"

/* The file that is being read. */
struct source {
	struct option_state *state;
	const char *name;
	bool warn;
	struct option_problems *problems;
};

static int
give_line(struct source *src, const struct option_def *def,
    const struct option_line *line, const struct option_given *given)
{
	const struct option_table *table = option_table_of(src->state);
	const struct option_type *type = option_target(table, def)->type;
	const char *text = line->value;

	if ((def->flags & OPTION_COMMAND) != 0) {
		option_problems_add(src->problems,
		    "%s: %s: only possible on the command line", given->at,
		    def->name);
		return -1;
	}
	if (line->value_line == 0) {
		if (type->arg != NULL) {
			option_problems_add(src->problems,
			    "%s: %s: needs a value (%s)", given->at, def->name,
			    def->arg == NULL ? type->arg : def->arg);
			return -1;
		}
		text = "true";
	}
	if (given->warn && strchr(text, '\n') != NULL)
		log_event(LOG_WARNING, "option-spans-lines",
		    LOG_STR("option", def->name),
		    LOG_STR("why", "is a quote missing?"),
		    LOG_STR("where", given->at));
	return option_give(src->state, def, text, given, src->problems);
}

static int
read_line(struct source *src, const struct option_line *line)
{
	const struct option_table *table = option_table_of(src->state);
	struct slice key = slice_make(line->key, line->key_len);
	const struct option_def *def = option_find_key(table, key);
	unsigned int row = line->line, column = line->column;
	struct option_given given = { OPTION_FILE, NULL, src->warn };
	char *at;
	int ret;

	if (def != NULL && line->value_line != 0) {
		row = line->value_line;
		column = line->value_column;
	}
	if (asprintf(&at, "%s:%u:%u", src->name, row, column) == -1) {
		option_problems_add(
		    src->problems, "%s: out of memory", src->name);
		return -1;
	}
	given.at = at;
	ret = def == NULL ? option_unknown(table, at, key, src->problems)
			  : give_line(src, def, line, &given);
	free(at);
	return ret;
}

static int
read_all_lines(struct source *src, struct slice text)
{
	struct option_lex lex = { text, 1, 1 };
	size_t had = src->problems->n;
	struct option_line line;
	unsigned int row, column;
	struct err err = { 0 };
	int got, ret = 0;

	option_reading(src->state);
	while ((got = option_lex_line(&lex, &line, &row, &column, &err)) != 0) {
		if (got == -1) {
			option_problems_add(src->problems, "%s:%u:%u: %s",
			    src->name, row, column, err.msg);
			ret = -1;
		} else {
			if (read_line(src, &line) == -1)
				ret = -1;
			option_line_clear(&line);
		}
		if (src->problems->n - had >= OPTION_PROBLEMS_MAX) {
			option_problems_add(src->problems,
			    "%s: too many errors, the rest was not read",
			    src->name);
			break;
		}
	}
	return ret;
}

int
option_read_text(struct option_state *state, struct slice text,
    const char *name, struct option_problems *problems)
{
	struct source src = { state, name, false, problems };

	return read_all_lines(&src, text);
}

/* One byte more than the largest file, to see that there is more. */
static ssize_t
read_descriptor(int fd, char *mem)
{
	size_t n = 0;
	ssize_t got;

	while (n <= OPTION_FILE_MAX) {
		got = read(fd, mem + n, OPTION_FILE_MAX + 1 - n);
		if (got == 0)
			return (ssize_t)n;
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		n += (size_t)got;
	}
	errno = EFBIG;
	return -1;
}

int
option_read_file(struct option_state *state, const char *path,
    struct option_problems *problems)
{
	struct source src = { state, path, true, problems };
	char *mem = malloc(OPTION_FILE_MAX + 1);
	int fd = -1, ret = -1;
	ssize_t n;

	if (mem == NULL)
		goto failed;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1)
		goto failed;
	n = read_descriptor(fd, mem);
	if (n == -1)
		goto failed;
	ret = read_all_lines(&src, slice_make(mem, (size_t)n));
	goto out;
failed:
	option_problems_add(problems, "%s: %s", path, strerror(errno));
out:
	/* It may have held a data base's password. */
	if (mem != NULL)
		explicit_bzero(mem, OPTION_FILE_MAX + 1);
	free(mem);
	if (fd != -1)
		close(fd);
	return ret;
}
