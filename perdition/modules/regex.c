/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regex - popmap module: POSIX extended regular expressions, first match
 * wins.
 *
 * File: "REGEX[:] SUBSTITUTION" a line, quoted, commented and joined as the
 * configuration file.  $1 to $9 in the substitution are what the groups
 * matched.  The result is the substitution alone.  The file is read once,
 * when the module is opened; the option is its path, popmap.re the default.
 *
 * Only rules that the key's beginning and end do not rule out are tried
 * (regex_index.h), so thousands that begin with "^user" or end in
 * "@example[.]org$" written as "@example\.org$" cost what a few do.
 *
 * What a match costs: glibc's regexec(3) runs an automaton, whose time grows
 * with the key's length times the expression's size at worst squared, however
 * groups and stars are nested (below 5 ms for 512 bytes in all the classic
 * bad cases).  The exception is a back reference inside the expression, for
 * which it tries all ways: "(a*)\1*(a*)\2*b" took 51 s for 128 bytes.  So
 * these are refused, and keys are bounded.
 */
#include "config.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/err.h"
#include "common/option.h"
#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_text.h"
#include "perdition/modules/regex_index.h"
#include "perdition/modules/regex_scan.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define DEFAULT_FILE "popmap.re"
#define RULES_MAX 100000
#define KEY_MAX_BYTES POPMAP_USER_MAX
#define GROUPS 10 /* $0 is the whole match, which nothing refers to */

extern const struct popmap_ops popmap_module;

struct rule {
	unsigned int line;
	bool compiled;
	regex_t re;
	char *substitution;
	struct regex_literals literals;
};

struct popmap {
	char *path;
	struct rule *rules;
	size_t n, cap;
	struct regex_index *index;
};

/* "$N" at s: its N, or -1 for any other text. */
static int
reference(const char *s)
{
	return s[0] == '$' && s[1] >= '0' && s[1] <= '9' ? s[1] - '0' : -1;
}

static int
check_substitution(const char *s, size_t groups, struct popmap_error *err)
{
	struct slice list = slice_str(s), server;
	struct popmap_answer *trial = calloc(1, sizeof(*trial));
	int ret = 0;

	if (trial == NULL)
		return map_error(err, "out of memory");
	while (ret == 0 && map_answer_next(&list, &server))
		ret = map_answer_add(trial, server, err);
	free(trial);
	for (; ret == 0 && *s != '\0'; s++) {
		int n = reference(s);

		if (n == 0)
			ret = map_error(err, "$0: references are $1 to $9");
		else if (n > 0 && (size_t)n > groups)
			ret = map_error(err,
			    "$%d: the expression has %zu group%s", n, groups,
			    groups == 1 ? "" : "s");
	}
	return ret;
}

static int
compile(
    struct rule *rule, const struct option_line *line, struct popmap_error *err)
{
	char why[256];
	size_t n = line->key_len;
	int code;

	if (n > 0 && line->key[n - 1] == ':')
		line->key[--n] = '\0';
	if (n == 0)
		return map_error(err, "no regular expression");
	if (strlen(line->key) != n || strlen(line->value) != line->value_len)
		return map_error(err, "a NUL byte");
	if (regex_has_back_reference(line->key))
		return map_error(err,
		    "back reference inside the expression: "
		    "not allowed, one key could keep it busy for minutes");
	code = regcomp(&rule->re, line->key, REG_EXTENDED);
	if (code != 0) {
		regerror(code, &rule->re, why, sizeof(why));
		return map_error(err, "\"%.200s\": %s", line->key, why);
	}
	rule->compiled = true;
	if (check_substitution(line->value, rule->re.re_nsub, err) == -1)
		return -1;
	regex_literals(line->key, &rule->literals);
	if (rule->literals.whole) {
		/* Its automaton would take 14 KiB to say the same. */
		regfree(&rule->re);
		rule->compiled = false;
	}
	rule->substitution = slice_dup(slice_str(line->value));
	if (rule->substitution == NULL)
		return map_error(err, "out of memory");
	return 0;
}

/* A zeroed rule at the end of the list, or NULL with err. */
static struct rule *
new_rule(struct popmap *map, struct popmap_error *err)
{
	struct rule *more;
	size_t cap;

	if (map->n == RULES_MAX) {
		map_error(err, "more than %d rules", RULES_MAX);
		return NULL;
	}
	if (map->n == map->cap) {
		cap = map->cap == 0 ? 64 : map->cap * 2;
		more = reallocarray(map->rules, cap, sizeof(*more));
		if (more == NULL) {
			map_error(err, "out of memory");
			return NULL;
		}
		map->rules = more;
		map->cap = cap;
	}
	memset(&map->rules[map->n], 0, sizeof(map->rules[0]));
	return &map->rules[map->n++];
}

static int
compile_all(struct popmap *map, struct slice text, struct popmap_error *err)
{
	struct option_line line;
	struct popmap_error why;
	struct err syntax;
	unsigned int at = 1;
	int got;

	memset(&line, 0, sizeof(line));
	while ((got = option_line_next(&text, &at, &line, &syntax)) == 1) {
		struct rule *rule = new_rule(map, &why);
		int ret = rule == NULL ? -1 : compile(rule, &line, &why);

		if (rule != NULL)
			rule->line = line.line;
		if (ret == -1)
			map_error(err, "%s:%u: %.400s", map->path, line.line,
			    why.msg);
		option_line_clear(&line);
		if (ret == -1)
			return -1;
	}
	if (got == -1)
		return map_error(
		    err, "%s:%u: %.400s", map->path, at, syntax.msg);
	return 0;
}

static void
regex_close(struct popmap **mp)
{
	struct popmap *map = *mp;

	if (map == NULL)
		return;
	for (size_t i = 0; i < map->n; i++) {
		if (map->rules[i].compiled)
			regfree(&map->rules[i].re);
		free(map->rules[i].substitution);
	}
	regex_index_destroy(&map->index);
	free(map->rules);
	free(map->path);
	free(map);
	*mp = NULL;
}

static int
make_index(struct popmap *map, struct popmap_error *err)
{
	map->index = regex_index_create(map->n);
	for (size_t i = 0; map->index != NULL && i < map->n; i++)
		regex_index_add(map->index, i, &map->rules[i].literals);
	if (map->index == NULL || regex_index_finish(map->index) == -1)
		return map_error(err, "%s: out of memory", map->path);
	return 0;
}

static int
regex_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	struct popmap *map = calloc(1, sizeof(*map));
	char *text = NULL;
	size_t n = 0;
	int ret = -1;

	*mp = map;
	if (map == NULL)
		return map_error(err, "out of memory");
	map->path = map_path(options, sysconfdir, DEFAULT_FILE, err);
	if (map->path == NULL)
		goto out;
	text = map_text_read(map->path, &n, err);
	if (text == NULL)
		goto out;
	ret = compile_all(map, slice_make(text, n), err);
	if (ret == 0)
		ret = make_index(map, err);
out:
	free(text);
	if (ret == -1)
		regex_close(mp);
	return ret;
}

static bool
host_bytes(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
			return false;
	}
	return true;
}

/* What $g stands for; a group that took no part in the match is empty. */
static struct slice
group(struct popmap_text key, const regmatch_t *m)
{
	if (m->rm_so < 0 || m->rm_eo < m->rm_so || (size_t)m->rm_eo > key.n)
		return SLICE("");
	return slice_make(key.p + m->rm_so, (size_t)(m->rm_eo - m->rm_so));
}

/*
 * One server's text.  The user chose what the groups hold, the administrator
 * meant them as a part of the user's name or of the server's: behind the
 * substitution's own last delimiter (or all over when it has none) only
 * bytes of a host name may come in, and no delimiter, or user "a@b@evil.net"
 * would send itself to a server of its choice.  False: it tried.
 */
static bool
expand(struct slice template, const struct popmap_query *q, const regmatch_t *m,
    char *out, size_t cap, size_t *len)
{
	struct slice delimiter = slice_str(q->delimiter);
	ptrdiff_t cut = -1, cut_out = -1;
	size_t n = 0;

	if (delimiter.n > 0)
		cut = slice_rfind(template, delimiter);
	for (size_t i = 0; i < template.n;) {
		struct slice part = slice_make(template.p + i, 1);
		int ref = i + 1 < template.n ? reference(part.p) : -1;

		if (cut != -1 && i == (size_t)cut)
			cut_out = (ptrdiff_t)n;
		if (ref > 0)
			part = group(q->key, &m[ref]);
		if (ref > 0 && (ptrdiff_t)i > cut && !host_bytes(part))
			return 0;
		if (part.n > cap - n)
			return 0;
		if (part.n > 0)
			memcpy(out + n, part.p, part.n);
		n += part.n;
		i += ref > 0 ? 2 : 1;
	}
	*len = n;
	return delimiter.n == 0 ||
	       slice_rfind(slice_make(out, n), delimiter) == cut_out;
}

static int
substitute(const struct rule *rule, const struct popmap_query *q,
    const regmatch_t *m, struct popmap_answer *answer, struct popmap_error *err)
{
	struct slice list = slice_str(rule->substitution), template;

	answer->n = 0;
	while (map_answer_next(&list, &template)) {
		char mem[sizeof(answer->server[0].text)];
		size_t n;

		if (!expand(template, q, m, mem, sizeof(mem), &n) || n == 0)
			return 0;
		if (map_answer_add(answer, slice_make(mem, n), err) == -1)
			return -1;
	}
	return 1;
}

/* As regexec(3).  text is NUL-terminated, too. */
static int
match(const struct rule *rule, struct slice text, regmatch_t *m)
{
	if (rule->literals.whole)
		return regex_literals_match(&rule->literals, text)
			   ? 0
			   : REG_NOMATCH; /* there are no groups to tell */
	/* By length, not to a NUL. */
	m[0].rm_so = 0;
	m[0].rm_eo = (regoff_t)text.n;
	return regexec(&rule->re, text.p, GROUPS, m, REG_STARTEND);
}

static int
regex_lookup(struct popmap *map, const struct popmap_query *q,
    struct popmap_answer *answer, struct popmap_error *err)
{
	struct regex_candidates candidates;
	regmatch_t m[GROUPS];
	char key[KEY_MAX_BYTES + 1];
	size_t i;

	answer->n = 0;
	if (q->key.n > KEY_MAX_BYTES)
		return map_error(err, "%s: key longer than %d bytes", map->path,
		    KEY_MAX_BYTES);
	if (q->key.n > 0)
		memcpy(key, q->key.p, q->key.n);
	key[q->key.n] = '\0';
	regex_index_find(map->index, slice_make(key, q->key.n), &candidates);
	while (regex_index_next(&candidates, &i)) {
		const struct rule *rule = &map->rules[i];
		int code;

		code = match(rule, slice_make(key, q->key.n), m);
		if (code == 0)
			return substitute(rule, q, m, answer, err);
		if (code != REG_NOMATCH)
			return map_error(
			    err, "%s:%u: out of memory", map->path, rule->line);
	}
	return 0;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "regex",
	.flags = POPMAP_QUICK | POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = regex_open,
	.lookup = regex_lookup,
	.close = regex_close,
};
