/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hash - popmap module: consistent hashing of the key over a pool of servers.
 *
 * The options are "[FILE] [pool=NAME] [candidates=N]"; FILE is popmap.hash
 * unless given.  It holds one server a line, quoted and commented as the
 * configuration file:
 *
 *	[pool NAME]
 *	SERVER [weight=N] [down] [name=NAME]
 *
 * Lines before the first "pool" are the pool without a name.  The file is read
 * once, when the module is opened.
 */
#include "config.h"

#include <stdlib.h>

#include "common/err.h"
#include "common/option.h"
#include "perdition/modules/hash_pool.h"
#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_text.h"
#include "perdition/modules/map_words.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define DEFAULT_FILE "popmap.hash"
/* A second server has an empty mailbox for the user unless stores are
 * replicated, so who wants it says so. */
#define CANDIDATES 1u

extern const struct popmap_ops popmap_module;

struct popmap {
	char *path;
	char *pool_name; /* "" for the one without */
	unsigned int candidates;
	struct hash_pool *pool;
};

/* --- the file ----------------------------------------------------------- */

struct server_line {
	unsigned int weight; /* 0: not said */
	bool down;
	const char *name; /* NULL: not said */
};

#define SERVER_MAX sizeof(((struct popmap_answer *)NULL)->server[0].text)

static int
read_number(const char *value, const char *what, unsigned int max,
    unsigned int *out, struct popmap_error *err)
{
	uint64_t n;

	if (slice_u64(slice_str(value), max, &n) == -1 || n == 0)
		return map_error(err, "%s=%.100s: not a number from 1 to %u",
		    what, value, max);
	*out = (unsigned int)n;
	return 0;
}

static int
again(const char *what, struct popmap_error *err)
{
	return map_error(err, "%s: said twice", what);
}

static int
read_word(const char *word, struct server_line *l, struct popmap_error *err)
{
	const char *value;
	struct slice name;

	if (strcmp(word, "down") == 0) {
		if (l->down)
			return again("down", err);
		l->down = true;
		return 0;
	}
	if (map_words_pair(word, &name, &value)) {
		if (slice_eq(name, SLICE("weight")))
			return l->weight != 0
				   ? again("weight", err)
				   : read_number(value, "weight",
					 HASH_WEIGHT_MAX, &l->weight, err);
		if (slice_eq(name, SLICE("name")) && value[0] != '\0') {
			if (l->name != NULL)
				return again("name", err);
			l->name = value;
			return 0;
		}
	}
	return map_error(
	    err, "%.100s: neither weight=N nor down nor name=NAME", word);
}

/* What would be found out only when somebody's login comes to it. */
static int
check_server(struct slice s, struct popmap_error *err)
{
	if (s.n == 0 || s.n > SERVER_MAX)
		return map_error(
		    err, "a server's name of 1 to %zu bytes", SERVER_MAX);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == 0x7f || c == ',')
			return map_error(err,
			    "%.100s: white space, a comma or a control byte "
			    "in a server; one a line",
			    s.p);
	}
	return 0;
}

/* The letters' case of a host name means nothing, and must not send a user
 * elsewhere on the proxy where it was typed in another way.  malloc'ed. */
static char *
default_name(struct slice server)
{
	char *name = slice_dup(server);

	for (char *p = name; p != NULL && *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	return name;
}

/* ours: whether it is to be added; what is wrong is told in any case. */
static int
read_server(struct popmap *map, const struct option_line *line,
    const struct map_words *words, bool ours, struct popmap_error *err)
{
	struct slice server = slice_make(line->key, line->key_len);
	struct server_line l = { .name = NULL };
	char *dflt;
	int ret;

	if (check_server(server, err) == -1)
		return -1;
	for (size_t i = 0; i < words->n; i++) {
		if (read_word(words->word[i], &l, err) == -1)
			return -1;
	}
	if (!ours)
		return 0;
	dflt = default_name(server);
	if (dflt == NULL)
		return map_error(err, "out of memory");
	ret =
	    hash_pool_add(map->pool, slice_str(l.name == NULL ? dflt : l.name),
		server, l.weight == 0 ? 1 : l.weight, l.down, err);
	free(dflt);
	return ret;
}

/* *ours: whether the lines from here on are of the pool that is wanted. */
static int
read_line(struct popmap *map, const struct option_line *line, bool *ours,
    struct popmap_error *err)
{
	struct map_words words;
	int ret = 0;

	if (map_words_split(
		&words, line->value == NULL ? "" : line->value, err) == -1)
		return -1;
	if (strcmp(line->key, "pool") == 0) {
		*ours =
		    words.n == 1 && strcmp(words.word[0], map->pool_name) == 0;
		if (words.n != 1)
			ret = map_error(err, "pool: one name is to follow");
	} else {
		ret = read_server(map, line, &words, *ours, err);
	}
	map_words_clear(&words);
	return ret;
}

static int
read_all(struct popmap *map, struct slice text, struct popmap_error *err)
{
	bool ours = map->pool_name[0] == '\0';
	struct option_line line;
	struct popmap_error why;
	struct err syntax;
	unsigned int at = 1;
	int got;

	memset(&line, 0, sizeof(line));
	while ((got = option_line_next(&text, &at, &line, &syntax)) == 1) {
		int ret = read_line(map, &line, &ours, &why);

		if (ret == -1)
			map_error(err, "%s:%u:%u: %.400s", map->path, line.line,
			    line.column, why.msg);
		option_line_clear(&line);
		if (ret == -1)
			return -1;
	}
	if (got == -1)
		return map_error(
		    err, "%s:%u: %.400s", map->path, at, syntax.msg);
	if (hash_pool_count(map->pool) > 0)
		return 0;
	return map_error(err, "%s: no server in %s%.100s", map->path,
	    map->pool_name[0] == '\0' ? "it" : "pool ", map->pool_name);
}

/* --- options ------------------------------------------------------------ */

static int
set_option(struct popmap *map, const char *word, const char **file,
    struct popmap_error *err)
{
	const char *value;
	struct slice name;

	if (!map_words_pair(word, &name, &value)) {
		if ((*file)[0] != '\0')
			return map_error(err, "%.100s: a second file", word);
		*file = word;
		return 0;
	}
	if (slice_eq(name, SLICE("candidates")))
		return read_number(value, "candidates", POPMAP_SERVERS_MAX,
		    &map->candidates, err);
	if (!slice_eq(name, SLICE("pool")))
		return map_error(
		    err, "%.100s: neither pool=NAME nor candidates=N", word);
	free(map->pool_name);
	map->pool_name = slice_dup(slice_str(value));
	return map->pool_name == NULL ? map_error(err, "out of memory") : 0;
}

static int
set_options(struct popmap *map, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	struct map_words words;
	const char *file = "";
	int ret = 0;

	map->candidates = CANDIDATES;
	map->pool_name = slice_dup(SLICE(""));
	if (map->pool_name == NULL)
		return map_error(err, "out of memory");
	if (map_words_split(&words, options, err) == -1)
		return -1;
	for (size_t i = 0; ret == 0 && i < words.n; i++)
		ret = set_option(map, words.word[i], &file, err);
	if (ret == 0)
		map->path = map_path(file, sysconfdir, DEFAULT_FILE, err);
	map_words_clear(&words);
	return map->path == NULL ? -1 : ret;
}

static void
pool_close(struct popmap **mp)
{
	struct popmap *map = *mp;

	if (map == NULL)
		return;
	hash_pool_destroy(&map->pool);
	free(map->pool_name);
	free(map->path);
	free(map);
	*mp = NULL;
}

static int
pool_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	struct popmap *map = calloc(1, sizeof(*map));
	char *text = NULL;
	size_t n = 0;
	int ret = -1;

	*mp = map;
	if (map == NULL)
		return map_error(err, "out of memory");
	map->pool = hash_pool_create();
	if (map->pool == NULL)
		map_error(err, "out of memory");
	else if (set_options(map, options, sysconfdir, err) == 0)
		text = map_text_read(map->path, &n, err);
	if (text != NULL)
		ret = read_all(map, slice_make(text, n), err);
	free(text);
	if (ret == -1)
		pool_close(mp);
	return ret;
}

/* --- lookup ------------------------------------------------------------- */

static int
pool_lookup(struct popmap *map, const struct popmap_query *q,
    struct popmap_answer *answer, struct popmap_error *err)
{
	struct slice servers[POPMAP_SERVERS_MAX];
	size_t n = hash_pool_find(map->pool, slice_make(q->key.p, q->key.n),
	    map->candidates, servers);

	answer->n = 0;
	if (n == 0)
		return map_error(err, "%s: all servers are down", map->path);
	for (size_t i = 0; i < n; i++) {
		if (map_answer_add(answer, servers[i], err) == -1)
			return -1;
	}
	return 1;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "hash",
	.flags = POPMAP_QUICK | POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = pool_open,
	.lookup = pool_lookup,
	.close = pool_close,
};
