/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A directory for one test of perdition-pbs, removed at the end.
 */
#ifndef TESTS_UNIT_PBS_SCRATCH_H
#define TESTS_UNIT_PBS_SCRATCH_H

#include <check.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[] = "/tmp/pbs-test-XXXXXX";

static inline void
scratch_make(void)
{
	memcpy(scratch + sizeof(scratch) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static inline void
scratch_remove(void)
{
	DIR *d = opendir(scratch);
	struct dirent *ent;
	char path[PATH_MAX];

	chmod(scratch, 0700);
	/* cppcheck-suppress readdirCalled; there is one thread */
	while (d != NULL && (ent = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", scratch, ent->d_name);
		unlink(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(scratch);
}

/* "scratch/name"; two may be used at once. */
static inline const char *
scratch_path(const char *name)
{
	static char path[2][PATH_MAX];
	static int i;

	i = !i;
	snprintf(path[i], sizeof(path[i]), "%s/%s", scratch, name);
	return path[i];
}

static inline void
scratch_write(const char *name, const char *mode, const void *p, size_t n)
{
	FILE *f = fopen(scratch_path(name), mode);

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(p, 1, n, f), n);
	ck_assert_int_eq(fclose(f), 0);
}

#endif
