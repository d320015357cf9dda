/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * popmap_modulo - an example of a popmap module, to be copied.
 *
 * Spreads users over servers with numbers in their names.  Option (of
 * map_library_opt): "COUNT PREFIX SUFFIX", for instance "4 mail .example.org"
 * for mail0.example.org to mail3.example.org.  Build it with nothing but the
 * installed header:
 *
 *	cc -shared -fPIC -o popmap_modulo.so popmap_modulo.c
 *
 * and name it: map_library /usr/local/lib/popmap_modulo.so
 */
#include <perdition/popmap.h>

#include <stdio.h>
#include <stdlib.h>

struct popmap {
	unsigned int count;
	char prefix[64], suffix[64];
};

/* "COUNT PREFIX SUFFIX" */
static int
read_options(struct popmap *map, const char *options)
{
	char *rest;
	unsigned long count = strtoul(options, &rest, 10);

	map->count = (unsigned int)count;
	return count > 0 && count <= 1000 &&
	       sscanf(rest, " %63s %63s", map->prefix, map->suffix) == 2;
}

static int
modulo_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	struct popmap *map = calloc(1, sizeof(*map));

	(void)sysconfdir; /* no file of ours is there */
	*mp = map;
	if (map != NULL && read_options(map, options))
		return 0;
	snprintf(err->msg, sizeof(err->msg),
	    "options are COUNT PREFIX SUFFIX, as in \"4 mail .example.org\"");
	free(map);
	*mp = NULL;
	return -1;
}

static int
modulo_lookup(struct popmap *map, const struct popmap_query *query,
    struct popmap_answer *answer, struct popmap_error *err)
{
	unsigned int sum = 0;
	int n;

	(void)err;
	if (query->key.n == 0)
		return 0; /* there is no such user */
	/* The key is any bytes, with no NUL behind it. */
	for (size_t i = 0; i < query->key.n; i++)
		sum = sum * 31 + (unsigned char)query->key.p[i];
	n = snprintf(answer->server[0].text, sizeof(answer->server[0].text),
	    "%s%u%s", map->prefix, sum % map->count, map->suffix);
	answer->server[0].len = (size_t)n;
	answer->n = 1;
	return 1;
}

static void
modulo_close(struct popmap **mp)
{
	free(*mp);
	*mp = NULL;
}

extern const struct popmap_ops popmap_module;
const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "modulo",
	/* It waits for nobody and looks at nothing but the key. */
	.flags = POPMAP_QUICK | POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = modulo_open,
	.lookup = modulo_lookup,
	.close = modulo_close,
};
