/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every allocation of the option module fails once: what does not report
 * failure has done its work, and nothing leaks (seen by the sanitizer).
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "common/option.h"
#include "../lib/check_run.h"
#include "option_sample.h"

#include "common/banned.h"

/* The linker puts the __wrap_ ones in place of those of the C library. */
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_reallocarray(void *, size_t, size_t);
char *__real_strdup(const char *);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void *__wrap_reallocarray(void *, size_t, size_t);
char *__wrap_strdup(const char *);

static unsigned int left; /* allocations until one fails; 0: none does */
static bool failed;

static bool
fails(void)
{
	if (left == 0 || --left > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *
__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *
__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

static const char text[] = "debug\n"
			   "listen a\n"
			   "listen 'b # long enough to make a word grow twice "
			   "over its first size of thirty-two bytes'\n"
			   "t 1h\n"
			   "pid_file /run/x.pid\n";

static const char want[] = "debug true\n"
			   "listen_port 7\n"
			   "listen a\n"
			   "listen 'b # long enough to make a word grow twice "
			   "over its first size of thirty-two bytes'\n"
			   "timeout 3600\n"
			   "log_passwd never\n"
			   "strip_domain \"\"\n"
			   "ok_line You are so in\n"
			   "pid_file /run/x.pid\n"
			   "password secret word\n";

/*
 * 0 when all succeeded, which is checked; -1 when something said it failed.
 * check(3) allocates too, so it is kept out while allocations are counted.
 */
static int
whole_life(unsigned int fail_at)
{
	char a0[] = "sample", a1[] = "-l7", a2[] = "--timeout=1h";
	char *argv[] = { a0, a1, a2, NULL };
	struct option_problems problems = { 0 };
	char out[1024] = "";
	FILE *f = fmemopen(out, sizeof(out), "w");
	struct sample config;
	struct option_state *state;
	int first, ret = -1;

	ck_assert_ptr_nonnull(f);
	left = fail_at;
	state = option_state_create(&sample_table, &config);
	if (state != NULL &&
	    option_read_argv(state, 3, argv, &first, &problems) == 0 &&
	    option_read_text(state, SLICE(text), "f", &problems) == 0 &&
	    option_apply_defaults(state, &problems) == 0 &&
	    option_write_dump(&sample_table, &config, true, f) == 0)
		ret = 0;
	left = 0;
	option_state_destroy(&state);
	option_clear(&sample_table, &config);
	option_problems_clear(&problems);
	fclose(f);
	if (ret == 0)
		ck_assert_str_eq(out, want);
	return ret;
}

START_TEST(each_allocation_fails_once)
{
	unsigned int i;

	for (i = 0; i < 10000; i++) {
		int ret;

		failed = false;
		ret = whole_life(i);
		if (i > 0 && !failed)
			break; /* there are fewer than i */
		ck_assert_int_eq(ret, failed ? -1 : 0);
	}
	ck_assert_uint_gt(i, 20);
	ck_assert_uint_lt(i, 10000);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("nomem");

	tcase_add_test(tc, each_allocation_fails_once);
	return check_run("option_nomem", tc);
}
