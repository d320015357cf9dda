/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_tool - see map_tool.h.
 */
#include "config.h"

#include "perdition/modules/map_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "perdition/modules/map_source.h"

#include "common/banned.h"

/* In the directory of path, so that rename(2) can replace path.  0, or -1. */
static int
make_temporary(const char *path, char **tmp, struct err *err)
{
	int fd;

	if (asprintf(tmp, "%s.XXXXXX", path) == -1) {
		*tmp = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	fd = mkostemp(*tmp, O_CLOEXEC);
	if (fd == -1) {
		err_set(err, errno, "%s: %s", *tmp, strerror(errno));
		free(*tmp);
		*tmp = NULL;
		return -1;
	}
	close(fd);
	return 0;
}

static int
fill(const struct map_tool *tool, const struct map_source *source,
    const char *path, struct err *err)
{
	struct map_writer *w = tool->create(path, source->n, err);
	struct err ignored;
	int ret = 0;

	if (w == NULL)
		return -1;
	for (size_t i = 0; ret == 0 && i < source->n; i++)
		ret = tool->put(w, source->v[i].key, source->v[i].value, err);
	if (tool->close(w, ret == 0 ? err : &ignored) == -1)
		ret = -1;
	return ret;
}

static int
sync_path(const char *path, int flags, struct err *err)
{
	int fd = open(path, flags | O_CLOEXEC);
	int ret = 0;

	if (fd == -1 || fsync(fd) == -1)
		ret = err_set(err, errno, "%s: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
	return ret;
}

/* A map that is replaced keeps its owner, as far as we may, and its mode. */
static int
take_mode(const char *old, const char *new, struct err *err)
{
	struct stat st;
	mode_t mask = umask(0);
	mode_t mode = 0666 & ~mask;

	umask(mask);
	if (stat(old, &st) == 0) {
		mode = st.st_mode & 0777;
		if (chown(new, st.st_uid, st.st_gid) == -1 && geteuid() == 0)
			return err_set(
			    err, errno, "%s: %s", new, strerror(errno));
	}
	if (chmod(new, mode) == -1)
		return err_set(err, errno, "%s: %s", new, strerror(errno));
	return 0;
}

static int
sync_directory(const char *path, struct err *err)
{
	char *copy = strdup(path);
	int ret;

	if (copy == NULL)
		return err_set(err, ENOMEM, "out of memory");
	ret = sync_path(dirname(copy), O_RDONLY | O_DIRECTORY, err);
	free(copy);
	return ret;
}

static int
replace(const struct map_tool *tool, const struct map_source *source,
    const char *path, struct err *err)
{
	char *tmp = NULL;
	int ret = -1;

	if (make_temporary(path, &tmp, err) == -1)
		return -1;
	if (fill(tool, source, tmp, err) == -1 ||
	    take_mode(path, tmp, err) == -1 ||
	    sync_path(tmp, O_RDONLY, err) == -1)
		goto out;
	if (rename(tmp, path) == -1) {
		err_set(err, errno, "%s: %s", path, strerror(errno));
		goto out;
	}
	ret = sync_directory(path, err);
out:
	if (ret == -1)
		unlink(tmp);
	free(tmp);
	return ret;
}

/* The temporary file must not outlive us. */
static void
hold_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
usage(const struct map_tool *tool, FILE *out)
{
	fprintf(out,
	    "Usage: %s [FILE] < POPMAP\n"
	    "Make the popmap database FILE anew from lines\n"
	    "  KEY:[USER@]SERVER[:PORT][,SERVER...]\n"
	    "FILE is %s/perdition/%s unless given.\n",
	    tool->program, SYSCONFDIR, tool->default_file);
	return fflush(out) == 0 ? EX_OK : EX_IOERR;
}

/* 0 with *path (malloc'ed) or -1 with the exit status. */
static int
read_arguments(const struct map_tool *tool, int argc, char *argv[], char **path,
    int *status)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c = getopt_long(argc, argv, "h", options, NULL);
	int n;

	if (c == 'h') {
		*status = usage(tool, stdout);
		return -1;
	}
	if (c == 'V') {
		printf("%s (perdition) %s\n", tool->program, PACKAGE_VERSION);
		*status = fflush(stdout) == 0 ? EX_OK : EX_IOERR;
		return -1;
	}
	if (c != -1 || argc - optind > 1) {
		usage(tool, stderr);
		*status = EX_USAGE;
		return -1;
	}
	n = optind < argc ? asprintf(path, "%s", argv[optind])
			  : asprintf(path, "%s/perdition/%s", SYSCONFDIR,
				tool->default_file);
	*status = EX_OSERR;
	return n == -1 ? -1 : 0;
}

/* Where a symbolic link points to: that file is replaced, not the link. */
static void
follow_links(char **path)
{
	char *real = realpath(*path, NULL);

	if (real == NULL)
		return; /* not there yet */
	free(*path);
	*path = real;
}

int
map_tool_main(const struct map_tool *tool, int argc, char *argv[])
{
	struct map_source source;
	struct err err;
	char *path = NULL;
	int status, got;

	if (read_arguments(tool, argc, argv, &path, &status) == -1)
		return status;
	follow_links(&path);
	got = map_source_read(&source, STDIN_FILENO, "stdin", stderr);
	if (got != 0) {
		fprintf(
		    stderr, "%s: %s is left as it was\n", tool->program, path);
		free(path);
		return got == 1 ? EX_DATAERR : EX_IOERR;
	}
	hold_signals();
	status = EX_OK;
	if (replace(tool, &source, path, &err) == -1) {
		fprintf(stderr, "%s: %s\n", tool->program, err.msg);
		status = EX_CANTCREAT;
	}
	map_source_clear(&source);
	free(path);
	return status;
}
