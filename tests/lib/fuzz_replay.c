/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main() of a fuzz target under `make check`: first every file of its
 * corpus, then mutations of them for about a second of processor time.  The
 * mutations are the same in every run; an input that aborts the target is
 * left in NAME.crash, to be given as an argument and then kept in the corpus.
 *
 * Arguments are files or directories; without any, replay_NAME takes
 * $srcdir/../corpus/NAME (srcdir is set by automake's test driver).
 * FUZZ_MS: milliseconds of mutation; 0 for none.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/fuzz.h"
#include "common/banned.h"

#define INPUTS_MAX 4096
#define INPUT_MAX 65536 /* bytes of a mutated input */
#define MUTATIONS_MAX 8 /* of one input */

struct input {
	uint8_t *p;
	size_t n;
};

static struct input inputs[INPUTS_MAX];
static size_t input_count;
static struct input running; /* for the handlers */
static char crash_path[256];

static _Noreturn void
die(const char *what)
{
	perror(what);
	exit(1);
}

static bool
write_all(int fd, const void *p, size_t n)
{
	return write(fd, p, n) == (ssize_t)n;
}

/* Only what is safe in a signal handler. */
static void
save_running(void)
{
	static const char text[] = "input saved in ";
	int fd =
	    open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd == -1)
		return;
	if (write_all(fd, running.p, running.n) &&
	    write_all(STDERR_FILENO, text, sizeof(text) - 1) &&
	    write_all(STDERR_FILENO, crash_path, strlen(crash_path)))
		(void)write_all(STDERR_FILENO, "\n", 1);
	close(fd);
}

static void
on_signal(int sig)
{
	signal(sig, SIG_DFL);
	save_running();
	raise(sig);
}

/* Exists only under AddressSanitizer, which ends without a signal. */
void __sanitizer_set_death_callback(void (*)(void)) __attribute__((weak));

static void
watch_for_crashes(const char *name)
{
	static const int fatal[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV };

	snprintf(crash_path, sizeof(crash_path), "%s.crash", name);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(save_running);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++) {
		if (__sanitizer_set_death_callback != NULL &&
		    fatal[i] != SIGABRT)
			continue; /* its own handler tells more */
		signal(fatal[i], on_signal);
	}
}

/* Exactly as large as the input, so that sanitizers see one byte too far. */
static void
run(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n);

	if (copy == NULL && n != 0)
		die("malloc");
	if (n != 0)
		memcpy(copy, p, n);
	running = (struct input){ copy, n };
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void
load_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct input in = { NULL, 0 };
	struct stat st;
	ssize_t r;

	if (fd == -1 || fstat(fd, &st) == -1)
		die(name);
	if (input_count == INPUTS_MAX || st.st_size > INPUT_MAX) {
		errno = EFBIG;
		die(name);
	}
	in.p = malloc((size_t)st.st_size + 1);
	if (in.p == NULL)
		die(name);
	while (in.n < (size_t)st.st_size) {
		r = read(fd, in.p + in.n, (size_t)st.st_size - in.n);
		if (r <= 0)
			die(name);
		in.n += (size_t)r;
	}
	close(fd);
	inputs[input_count++] = in;
}

/* In the order of their names: the same mutations on every file system. */
static void
load(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int n, dir;

	if (stat(path, &st) == -1)
		die(path);
	if (!S_ISDIR(st.st_mode)) {
		load_file(AT_FDCWD, path);
		return;
	}
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	n = scandir(path, &entries, NULL, alphasort);
	if (dir == -1 || n == -1)
		die(path);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.')
			load_file(dir, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	close(dir);
}

/* A number below max (or 0), from a fixed sequence (xorshift64*). */
static size_t
pick(size_t max)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return max == 0 ? 0 : (size_t)((x * 0x2545f4914f6cdd1d) >> 32) % max;
}

/* Puts n bytes of other (from anywhere in it) at a place in in. */
static void
put_piece(struct input *in, const struct input *other, size_t n)
{
	size_t at = pick(in->n + 1), from = pick(other->n);

	if (n > other->n - from)
		n = other->n - from;
	if (n > INPUT_MAX - in->n)
		n = INPUT_MAX - in->n;
	memmove(in->p + at + n, in->p + at, in->n - at);
	memmove(in->p + at, other->p + from, n);
	in->n += n;
}

static void
mutate(struct input *in)
{
	static const uint8_t odd[] = "\0\r\n\t \"\\'{}()[]<>%*+-~:=/@.,09afx"
				     "\x7f\x80\xc3\xff";
	const struct input odd_bytes = { (uint8_t *)(uintptr_t)odd,
		sizeof(odd) - 1 };
	size_t at = pick(in->n), n;

	switch (pick(7)) {
	case 0:
		if (in->n != 0)
			in->p[at] ^= (uint8_t)(1u << pick(8));
		break;
	case 1:
		if (in->n != 0)
			in->p[at] = (uint8_t)pick(256);
		break;
	case 2:
		if (in->n != 0)
			in->p[at] = odd[pick(odd_bytes.n)];
		break;
	case 3:
		put_piece(in, &odd_bytes, 1);
		break;
	case 4: /* take a piece out */
		n = pick(in->n - at) % 32;
		memmove(in->p + at, in->p + at + n, in->n - at - n);
		in->n -= n;
		break;
	case 5:
		put_piece(in, &inputs[pick(input_count)], 1 + pick(128));
		break;
	default: /* end early */
		if (pick(4) == 0)
			in->n = at;
		break;
	}
}

/* One mutation of one input. */
static void
run_mutation(void)
{
	static uint8_t mem[INPUT_MAX];
	const struct input *from = &inputs[pick(input_count)];
	struct input in = { mem, from->n };
	size_t times = 1 + pick(MUTATIONS_MAX);

	memcpy(mem, from->p, from->n);
	while (times-- > 0)
		mutate(&in);
	run(in.p, in.n);
}

static size_t
run_mutations(long ms)
{
	clock_t end = clock() + ms * (CLOCKS_PER_SEC / 1000);
	size_t count = 0;

	while (clock() < end) {
		for (int i = 0; i < 64; i++)
			run_mutation();
		count += 64;
	}
	return count;
}

static void
load_default(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[PATH_MAX];
	int n;

	if (strncmp(name, "replay_", 7) == 0)
		name += 7;
	n = snprintf(path, sizeof(path), "%s/../corpus/%s",
	    srcdir == NULL ? "." : srcdir, name);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		die(name);
	}
	load(path);
}

int
main(int argc, char *argv[])
{
	const char *ms = getenv("FUZZ_MS");
	const char *name = strrchr(argv[0], '/');
	size_t mutations;

	name = name == NULL ? argv[0] : name + 1;
	if (strncmp(name, "lt-", 3) == 0) /* libtool's wrapper */
		name += 3;
	watch_for_crashes(name);
	for (int i = 1; i < argc; i++)
		load(argv[i]);
	if (argc == 1)
		load_default(name);
	for (size_t i = 0; i < input_count; i++)
		run(inputs[i].p, inputs[i].n);
	if (input_count == 0) {
		fprintf(stderr, "%s: an empty corpus\n", name);
		return 1;
	}
	mutations = run_mutations(ms == NULL ? 1000 : strtol(ms, NULL, 10));
	printf("%zu inputs, %zu mutations\n", input_count, mutations);
	for (size_t i = 0; i < input_count; i++)
		free(inputs[i].p);
	return 0;
}
