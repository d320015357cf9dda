/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patterns - making patterns of the table's texts and of files; see the
 * header.
 */
#include "config.h"

#include "perdition-pbs/patterns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perdition-pbs/pattern_table.h"

#include "common/banned.h"

static int
no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
}

/* v with room for one more than n, which is zeroed; NULL: v is as it was. */
static void *
grow(void *v, size_t n, size_t size)
{
	char *more = reallocarray(v, n + 1, size);

	if (more != NULL)
		memset(more + n * size, 0, size);
	return more;
}

/* --- parts --------------------------------------------------------------- */

/* Letters, digits and others; at least one of them. */
static bool
is_name(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c < '0' || c > '9') && (c < 'a' || c > 'z') &&
		    (c < 'A' || c > 'Z') &&
		    (c == '\0' || strchr(others, c) == NULL))
			return false;
	}
	return s.n > 0;
}

static int
add_pattern(struct patterns *ps, struct slice name, struct err *err)
{
	struct pattern *v;

	if (!is_name(name, "-_"))
		return err_set(
		    err, EINVAL, "a name consists of letters, digits, - and _");
	for (size_t i = 0; i < ps->n; i++)
		if (slice_eq(name, slice_str(ps->v[i].name)))
			return err_set(err, EINVAL,
			    "there is a pattern %s already", ps->v[i].name);
	v = grow(ps->v, ps->n, sizeof(*v));
	if (v == NULL)
		return no_memory(err);
	ps->v = v;
	v[ps->n].name = slice_dup(name);
	return v[ps->n++].name == NULL ? no_memory(err) : 0;
}

static int
add_ident(struct pattern *p, struct slice ident, struct err *err)
{
	struct slice word = ident;
	char **v;

	if (word.n > 1 && word.p[word.n - 1] == '*')
		word.n--;
	if (!is_name(word, "._/-"))
		return err_set(err, EINVAL,
		    "an ident consists of letters, digits and ._/- and may "
		    "end in *");
	v = grow(p->idents, p->idents_n, sizeof(*v));
	if (v == NULL)
		return no_memory(err);
	p->idents = v;
	v[p->idents_n] = slice_dup(ident);
	return v[p->idents_n++] == NULL ? no_memory(err) : 0;
}

static int
add_line(struct pattern *p, enum pattern_role role, struct slice text,
    struct err *err)
{
	struct pattern_line *v;
	struct shape *sh = shape_create(text, err);
	bool has_client;

	if (sh == NULL)
		return -1;
	v = grow(p->lines, p->lines_n, sizeof(*v));
	if (v == NULL) {
		shape_destroy(&sh);
		return no_memory(err);
	}
	p->lines = v;
	v[p->lines_n++] = (struct pattern_line){ role, sh };
	has_client =
	    shape_has(sh, SHAPE_CLIENT) || shape_has(sh, SHAPE_PERDITION);
	if (role == PATTERN_BEGIN && !has_client)
		return err_set(err, EINVAL, "tells no {client}");
	if ((role != PATTERN_LOGIN || !has_client) &&
	    !shape_has(sh, SHAPE_SYSLOG))
		return err_set(err, EINVAL,
		    "only {syslog} tells the process, by which begin, login "
		    "and end belong together");
	return 0;
}

/* What can only be seen of a whole pattern. */
static int
check_pattern(const struct pattern *p, struct err *err)
{
	bool begins = false, joins = false, syslog = false;

	for (size_t i = 0; i < p->lines_n; i++) {
		const struct shape *sh = p->lines[i].shape;

		if (shape_has(sh, SHAPE_SYSLOG))
			syslog = true;
		if (p->lines[i].role == PATTERN_BEGIN)
			begins = true;
		if (p->lines[i].role == PATTERN_LOGIN &&
		    !shape_has(sh, SHAPE_CLIENT) &&
		    !shape_has(sh, SHAPE_PERDITION))
			joins = true;
	}
	if (p->lines_n == 0)
		return err_set(err, EINVAL, "pattern %s has no line", p->name);
	if (syslog && p->idents_n == 0)
		return err_set(err, EINVAL,
		    "pattern %s has {syslog}, but no ident", p->name);
	if (joins != begins)
		return err_set(err, EINVAL,
		    "pattern %s: a login without {client} needs a begin, and "
		    "the reverse",
		    p->name);
	return 0;
}

/* --- the table ----------------------------------------------------------- */

static int
add_def(struct patterns *ps, const struct pattern_def *def, struct err *err)
{
	struct pattern *p;

	if (add_pattern(ps, slice_str(def->name), err) == -1)
		return -1;
	p = &ps->v[ps->n - 1];
	for (size_t i = 0; i < PATTERN_IDENTS_MAX && def->idents[i] != NULL;
	     i++)
		if (add_ident(p, slice_str(def->idents[i]), err) == -1)
			return -1;
	for (size_t i = 0; i < PATTERN_LINES_MAX && def->lines[i].shape != NULL;
	     i++)
		if (add_line(p, def->lines[i].role,
			slice_str(def->lines[i].shape), err) == -1)
			return -1;
	return check_pattern(p, err);
}

int
patterns_add_known(struct patterns *ps, const char *name, struct err *err)
{
	char known[400] = "";
	size_t n = 0;

	for (const struct pattern_def *d = pattern_table; d->name != NULL;
	     d++) {
		if (strcmp(d->name, name) == 0)
			return add_def(ps, d, err);
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s",
		    n == 0 ? "" : ", ", d->name);
		if (n >= sizeof(known))
			n = sizeof(known) - 1;
	}
	return err_set(err, EINVAL, "expected one of %s", known);
}

/* --- files --------------------------------------------------------------- */

static struct slice
trim(struct slice s)
{
	while (s.n > 0 && strchr(" \t\r", s.p[s.n - 1]) != NULL)
		s.n--;
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_skip(s, 1);
	return s;
}

/* The first word of *s, which is left with the rest. */
static struct slice
first_word(struct slice *s)
{
	struct slice word = *s;
	size_t n = 0;

	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	word.n = n;
	*s = trim(slice_skip(*s, n));
	return word;
}

static int
read_idents(struct pattern *p, struct slice value, struct err *err)
{
	while (value.n > 0)
		if (add_ident(p, first_word(&value), err) == -1)
			return -1;
	return 0;
}

/* p: the pattern that is being read; NULL: none yet. */
static int
read_line(
    struct patterns *ps, struct pattern *p, struct slice line, struct err *err)
{
	static const char *const roles[] = {
		[PATTERN_LOGIN] = "login",
		[PATTERN_BEGIN] = "begin",
		[PATTERN_END] = "end",
	};
	struct slice word, value = trim(line);

	if (value.n == 0 || value.p[0] == '#')
		return 0;
	word = first_word(&value);
	if (slice_eq(word, SLICE("pattern"))) {
		if (p != NULL && check_pattern(p, err) == -1)
			return -1;
		return add_pattern(ps, value, err);
	}
	if (p == NULL)
		return err_set(err, EINVAL, "expected \"pattern NAME\" first");
	if (slice_eq(word, SLICE("ident")))
		return read_idents(p, value, err);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (slice_eq(word, slice_str(roles[i])))
			return add_line(p, (enum pattern_role)i, value, err);
	return err_set(
	    err, EINVAL, "expected pattern, ident, login, begin or end");
}

static int
read_text(
    struct patterns *ps, const char *path, struct slice text, struct err *err)
{
	const size_t first = ps->n;
	struct err why;
	struct slice line;
	size_t number = 0;

	if (slice_find(text, '\0') != -1)
		return err_set(err, EINVAL, "%s: holds a NUL byte", path);
	while (text.n > 0) {
		struct pattern *p = ps->n == first ? NULL : &ps->v[ps->n - 1];

		number++;
		slice_cut(&text, '\n', &line);
		if (read_line(ps, p, line, &why) == -1)
			return err_set(
			    err, why.code, "%s:%zu: %s", path, number, why.msg);
	}
	if (ps->n == first)
		return err_set(err, EINVAL, "%s: defines no pattern", path);
	if (check_pattern(&ps->v[ps->n - 1], &why) == -1)
		return err_set(err, why.code, "%s: %s", path, why.msg);
	return 0;
}

int
patterns_add_file(struct patterns *ps, const char *path, struct err *err)
{
	char *text = malloc(PATTERNS_FILE_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t n = 0;
	ssize_t got = -1;
	int ret = -1;

	if (text == NULL) {
		no_memory(err);
		goto out;
	}
	while (fd != -1 && n <= PATTERNS_FILE_MAX &&
	       (got = read(fd, text + n, PATTERNS_FILE_MAX + 1 - n)) > 0)
		n += (size_t)got;
	if (got == -1)
		err_set(err, errno, "%s: %s", path, strerror(errno));
	else if (n > PATTERNS_FILE_MAX)
		err_set(err, EFBIG, "%s: longer than %d bytes", path,
		    PATTERNS_FILE_MAX);
	else
		ret = read_text(ps, path, slice_make(text, n), err);
out:
	if (fd != -1)
		close(fd);
	free(text);
	return ret;
}

/* --- the end ------------------------------------------------------------- */

void
patterns_clear(struct patterns *ps)
{
	for (size_t i = 0; i < ps->n; i++) {
		struct pattern *p = &ps->v[i];

		for (size_t k = 0; k < p->idents_n; k++)
			free(p->idents[k]);
		for (size_t k = 0; k < p->lines_n; k++)
			shape_destroy(&p->lines[k].shape);
		free(p->idents);
		free(p->lines);
		free(p->name);
	}
	free(ps->v);
	*ps = (struct patterns){ NULL, 0 };
}
