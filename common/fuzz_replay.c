/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target over every file of a corpus directory: the main() that
 * fuzz targets are linked with when they are not linked with libFuzzer.
 * CORPUS, the directory, is set when it is compiled; arguments replace it.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fuzz.h"

#include "common/banned.h"

static _Noreturn void
die(const char *name)
{
	perror(name);
	exit(1);
}

/* Exactly as large as the file, so that sanitizers see one byte too far. */
static void
replay_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;
	size_t n, got = 0;
	ssize_t r;

	if (fd == -1 || fstat(fd, &st) == -1)
		die(name);
	n = (size_t)st.st_size;
	data = malloc(n == 0 ? 1 : n);
	if (data == NULL)
		die(name);
	while (got < n) {
		r = read(fd, data + got, n - got);
		if (r <= 0)
			die(name);
		got += (size_t)r;
	}
	close(fd);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
}

static unsigned int
replay_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int count = 0;

	if (dir == NULL)
		die(path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		replay_file(dirfd(dir), entry->d_name);
		count++;
	}
	closedir(dir);
	return count;
}

int
main(int argc, char *argv[])
{
	unsigned int count = 0;
	int i;

	for (i = 1; i < argc; i++)
		count += replay_dir(argv[i]);
	if (argc == 1)
		count = replay_dir(CORPUS);
	printf("%u inputs\n", count);
	return count == 0;
}
