/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_scratch - see map_scratch.h.
 */
#include "config.h"

#include "map_scratch.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/banned.h"

extern char **environ;

char scratch[64];
char scratch_said[4096];

void
scratch_make(void)
{
	snprintf(scratch, sizeof(scratch), "popmap.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
}

void
scratch_remove(void)
{
	DIR *d = opendir(scratch);
	struct dirent *e;

	ck_assert_ptr_nonnull(d);
	/* cppcheck-suppress readdirCalled; there is one thread */
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	ck_assert_int_eq(rmdir(scratch), 0);
}

const char *
scratch_path(const char *name)
{
	static char paths[4][128];
	static unsigned int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

void
scratch_write(const char *name, struct slice content)
{
	FILE *f = fopen(scratch_path(name), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(content.p, 1, content.n, f), content.n);
	ck_assert_int_eq(fclose(f), 0);
}

char *
scratch_read(const char *name, size_t *n)
{
	FILE *f = fopen(scratch_path(name), "r");
	struct stat st;
	char *mem;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fstat(fileno(f), &st), 0);
	*n = (size_t)st.st_size;
	mem = calloc(1, *n + 1);
	ck_assert_ptr_nonnull(mem);
	ck_assert_uint_eq(fread(mem, 1, *n, f), *n);
	fclose(f);
	return mem;
}

int
scratch_tool(const char *tool, const char *file, struct slice text)
{
	posix_spawn_file_actions_t fa;
	char path[512], in[128], said[128];
	char *argv[] = { path, (char *)(uintptr_t)file, NULL };
	int status;
	pid_t pid;

	scratch_write("text", text);
	snprintf(path, sizeof(path), "%s/%s", BUILT_TOOLS, tool);
	snprintf(in, sizeof(in), "%s", scratch_path("text"));
	snprintf(said, sizeof(said), "%s", scratch_path("said"));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, in, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(
	    &fa, 2, said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(posix_spawn(&pid, path, &fa, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

struct popmap_module *
scratch_open(const char *name, const char *options)
{
	struct popmap_module *m;
	struct err err = { .msg = "" };
	char *path = popmap_module_find(name, BUILT_MODULES, &err);
	int ret;

	ck_assert_msg(path != NULL, "%s", err.msg);
	ret = popmap_module_open(&m, path, options, scratch, &err);
	free(path);
	ck_assert_msg(ret == 0, "%s", err.msg);
	return m;
}

int
scratch_lookup(struct popmap_module *m, struct slice key)
{
	static struct popmap_answer a;
	struct sockaddr_in nobody = { .sin_family = AF_INET };
	struct popmap_query q = {
		.key = { key.p, key.n },
		.user = { key.p, key.n },
		.delimiter = "@",
		.protocol = "imap4",
		.client_addr = (struct sockaddr *)&nobody,
		.local_addr = (struct sockaddr *)&nobody,
		.timeout_ms = 10000,
	};
	struct err err = { .msg = "" };
	size_t n = 0;
	int ret = popmap_module_lookup(m, &q, &a, &err);

	scratch_said[0] = '\0';
	if (ret == -1)
		snprintf(scratch_said, sizeof(scratch_said), "%s", err.msg);
	for (size_t i = 0; ret == 1 && i < a.n; i++) {
		n += (size_t)snprintf(scratch_said + n,
		    sizeof(scratch_said) - n, "%s%.*s", i == 0 ? "" : "|",
		    (int)a.server[i].len, a.server[i].text);
		ck_assert_uint_lt(n, sizeof(scratch_said));
	}
	return ret;
}
