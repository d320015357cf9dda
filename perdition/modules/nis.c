/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nis - popmap module: a map of NIS (YP).
 *
 * The option is the map's name, user_mail_server unless given, and maybe
 * domain=NAME; without it the machine's NIS domain is asked for.
 *
 * The library finds a server by the machine's ypbind and waits for it for up to
 * a minute, of which it cannot be told: the caller ends what takes too long.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <rpcsvc/yp_prot.h>
#include <rpcsvc/ypclnt.h>
#include <stdlib.h>

#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_words.h"
#include "perdition/popmap.h"

#include "common/banned.h"

#define DEFAULT_MAP "user_mail_server"

extern const struct popmap_ops popmap_module;

struct popmap {
	struct map_words words;   /* what the names point into */
	const char *map, *domain; /* NULL: not given */
};

/* --- options ------------------------------------------------------------- */

static int
take_word(struct popmap *map, const char *word, struct popmap_error *err)
{
	struct slice name = SLICE("map");
	const char *value = word;
	const char **field;
	size_t max;

	(void)map_words_pair(word, &name, &value);
	if (slice_eq(name, SLICE("map"))) {
		field = &map->map;
		max = YPMAXMAP;
	} else if (slice_eq(name, SLICE("domain"))) {
		field = &map->domain;
		max = YPMAXDOMAIN;
	} else {
		return map_error(err,
		    "there is no option %.*s; give a map's name and maybe "
		    "domain=NAME",
		    (int)name.n, name.p);
	}
	if (*field != NULL)
		return map_error(err, "%.*s: given twice", (int)name.n, name.p);
	if (value[0] == '\0' || strlen(value) > max ||
	    strchr(value, '/') != NULL)
		return map_error(err, "%.*s: not a name of 1 to %zu bytes",
		    (int)name.n, name.p, max);
	*field = value;
	return 0;
}

static void
nis_close(struct popmap **mp)
{
	if (*mp == NULL)
		return;
	map_words_clear(&(*mp)->words);
	free(*mp);
	*mp = NULL;
}

static int
nis_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	struct popmap *map = calloc(1, sizeof(*map));
	int ret;

	(void)sysconfdir;
	*mp = map;
	if (map == NULL)
		return map_error(err, "out of memory");
	ret = map_words_split(&map->words, options, err);
	for (size_t i = 0; ret == 0 && i < map->words.n; i++)
		ret = take_word(map, map->words.word[i], err);
	if (map->map == NULL)
		map->map = DEFAULT_MAP;
	if (ret == -1)
		nis_close(mp);
	return ret;
}

/* --- lookup -------------------------------------------------------------- */

/* The library takes names that are not const and does not change them. */
static char *
unconst(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* Asked for each time: the machine may get its domain after we start. */
static const char *
domain_of(const struct popmap *map, struct popmap_error *err)
{
	char *domain = NULL;

	if (map->domain != NULL)
		return map->domain;
	if (yp_get_default_domain(&domain) == 0 && domain != NULL)
		return domain;
	map_error(err, "this machine has no NIS domain: set one with "
		       "domainname(1), or give domain=NAME");
	return NULL;
}

static int
nis_lookup(struct popmap *map, const struct popmap_query *query,
    struct popmap_answer *answer, struct popmap_error *err)
{
	const struct popmap_text *key = &query->key;
	struct popmap_error why;
	const char *domain;
	char *value = NULL;
	int size = 0, code, ret = 1;

	answer->n = 0;
	/* There can be no such key, and the library would say it is at fault.
	 */
	if (key->n == 0 || key->n > YPMAXRECORD ||
	    memchr(key->p, '\0', key->n) != NULL)
		return 0;
	domain = domain_of(map, err);
	if (domain == NULL)
		return -1;
	code = yp_match(
	    domain, map->map, unconst(key->p), (int)key->n, &value, &size);
	if (code == YPERR_KEY)
		return 0;
	if (code != 0) /* the library has dropped a server that is gone */
		return map_error(err, "map %s of NIS domain %s: %s", map->map,
		    domain, yperr_string(code));
	if (map_answer_set(answer, slice_make(value, (size_t)size), &why) == -1)
		ret = map_error(
		    err, "map %s: value of a key: %.200s", map->map, why.msg);
	free(value);
	return ret;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "nis",
	.flags = POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = nis_open,
	.lookup = nis_lookup,
	.close = nis_close,
};
