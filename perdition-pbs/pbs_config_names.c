/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_config_names - the names that follow from the option db_file.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/pbs_config_check.h"

#include "common/banned.h"

/* The directory's true name, so that two ways to one file are one database. */
static char *
true_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX], real[PATH_MAX], *out;
	int n = slash == NULL ? 0 : (int)(slash - path);

	if (n >= (int)sizeof(dir))
		return strdup(path);
	snprintf(dir, sizeof(dir), "%.*s", n, path);
	if (realpath(slash == NULL ? "." : n == 0 ? "/" : dir, real) == NULL)
		return strdup(path);
	if (asprintf(&out, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
		slash == NULL ? path : slash + 1) == -1)
		return NULL;
	return out;
}

/* The type stays, but that of a path alone. */
static char *
true_name(const char *name)
{
	const char *given = dbfile_path(name);
	char *path = true_path(given), *out;
	int type = (int)(given - name);

	if (path == NULL || type == 0 || strncmp(name, "hash:", 5) == 0)
		return path;
	if (asprintf(&out, "%.*s%s", type, name, path) == -1)
		out = NULL;
	free(path);
	return out;
}

static bool
has_name(const struct option_list *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(dbfile_path(names->v[i]), path) == 0)
			return true;
	return false;
}

static void
derive_names(struct pbs_config_check *k)
{
	struct pbs_config *c = k->c;
	struct option_list *names = &c->db_names;

	names->v = calloc(c->db_file.n + 1, sizeof(*names->v));
	for (size_t i = 0; names->v != NULL && i < c->db_file.n; i++) {
		char *name = true_name(c->db_file.v[i]);

		if (name == NULL)
			break;
		if (has_name(names, dbfile_path(name)))
			pbs_config_complain_nth(
			    k, "db_file", i, name, "given twice");
		names->v[names->n++] = name;
	}
	if (names->v == NULL || names->n == 0 || names->n < c->db_file.n)
		pbs_config_complain_of_errno(k, "db_file");
	else
		c->db_path = names->v[0];
}

void
pbs_config_derive(struct pbs_config_check *k)
{
	/* No secret: it only tells databases with equal names apart. */
	static const struct hash_key fixed = { 0 };
	struct pbs_config *c = k->c;
	const char *base;
	uint64_t sum;

	derive_names(k);
	if (c->db_path == NULL || c->state_dir[0] == '\0')
		return;
	base = strrchr(c->db_path, '/');
	base = base == NULL ? c->db_path : base + 1;
	sum = hash_bytes(&fixed, slice_str(c->db_path));
	if (asprintf(&c->journal_path, "%s/%s-%016" PRIx64 ".journal",
		c->state_dir, base, sum) == -1) {
		c->journal_path = NULL;
		pbs_config_complain_of_errno(k, "state_dir");
	}
	/* Short: a socket's path has 107 bytes. */
	if (asprintf(&c->control_path, "%s/%016" PRIx64 ".sock", c->state_dir,
		sum) == -1) {
		c->control_path = NULL;
		pbs_config_complain_of_errno(k, "state_dir");
	}
}
