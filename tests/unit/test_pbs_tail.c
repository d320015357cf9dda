/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Following a log through all that may happen to its file.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <uv.h>

#include "pbs_scratch.h"

#include "../lib/check_run.h"
#include "perdition-pbs/tail.h"

#include "common/banned.h"

#define DEADLINE_MS 10000

struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct tail *tail;
	char seen[100000]; /* all lines, each with a newline */
	size_t n;
	char saved[TAIL_SAVE_MAX];
	size_t saved_n;
};

static void
on_line(void *arg, struct slice line)
{
	struct world *w = arg;

	ck_assert_uint_lt(w->n + line.n + 1, sizeof(w->seen));
	memcpy(w->seen + w->n, line.p, line.n);
	w->seen[w->n + line.n] = '\n';
	w->n += line.n + 1;
	w->seen[w->n] = '\0';
}

static void
on_deadline(uv_timer_t *t)
{
	ck_abort_msg("not within the deadline; seen: %s",
	    ((struct world *)t->data)->seen);
}

static void
start(struct world *w)
{
	struct err err;

	w->n = 0;
	w->seen[0] = '\0';
	ck_assert_int_eq(uv_loop_init(&w->loop), 0);
	uv_timer_init(&w->loop, &w->deadline);
	w->deadline.data = w;
	uv_timer_start(&w->deadline, on_deadline, DEADLINE_MS, 0);
	w->tail = tail_create(&w->loop, scratch_path("log"),
	    slice_make(w->saved, w->saved_n), on_line, w, &err);
	ck_assert_msg(w->tail != NULL, "%s", err.msg);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void
stop(struct world *w)
{
	w->saved_n = tail_save(w->tail, w->saved);
	ck_assert(!tail_moved(w->tail));
	tail_destroy(&w->tail);
	uv_close((uv_handle_t *)&w->deadline, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&w->loop), 0);
}

static void
expect(struct world *w, const char *lines)
{
	while (strlen(lines) > w->n)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_str_eq(w->seen, lines);
}

static void
append(const char *name, const char *text)
{
	scratch_write(name, "a", text, strlen(text));
}

static void
move(const char *from, const char *to)
{
	ck_assert_int_eq(rename(scratch_path(from), scratch_path(to)), 0);
}

static struct world *
begin(void)
{
	struct world *w = calloc(1, sizeof(*w));

	scratch_make();
	return w;
}

static void
end(struct world *w)
{
	stop(w);
	free(w);
	scratch_remove();
}

START_TEST(grows)
{
	struct world *w = begin();

	append("log", "old\nhalf");
	start(w);
	append("log", " a line\none\ntwo\n");
	expect(w, "one\ntwo\n"); /* of the old nothing, nor the half's rest */
	append("log", "thr");
	append("log", "ee\r\n\n");
	expect(w, "one\ntwo\nthree\r\n\n");
	end(w);
}
END_TEST

START_TEST(comes_late)
{
	struct world *w = begin();

	start(w);
	append("log", "one\n");
	expect(w, "one\n");
	end(w);
}
END_TEST

START_TEST(directory_comes_late)
{
	struct world *w = begin();

	rmdir(scratch);
	start(w);
	ck_assert_int_eq(mkdir(scratch, 0700), 0);
	append("log", "one\n");
	expect(w, "one\n");
	end(w);
}
END_TEST

START_TEST(renamed)
{
	struct world *w = begin();

	append("log", "");
	start(w);
	append("log", "one\n");
	move("log", "log.1");
	append("log.1", "two\n"); /* its writer has not noticed yet */
	expect(w, "one\ntwo\n");
	append("log", "three\n");
	expect(w, "one\ntwo\nthree\n");
	append("log.1", "four\n"); /* nor now */
	expect(w, "one\ntwo\nthree\nfour\n");
	append("log", "five\n");
	expect(w, "one\ntwo\nthree\nfour\nfive\n");
	/* And once more. */
	move("log", "log.2");
	append("log", "six\n");
	expect(w, "one\ntwo\nthree\nfour\nfive\nsix\n");
	end(w);
}
END_TEST

START_TEST(truncated)
{
	struct world *w = begin();

	append("log", "");
	start(w);
	append("log", "one one one\nhalf");
	expect(w, "one one one\n");
	ck_assert_int_eq(truncate(scratch_path("log"), 0), 0);
	append("log", "two\n");
	expect(w, "one one one\ntwo\n");
	/* Truncated and longer than before when we look. */
	ck_assert_int_eq(truncate(scratch_path("log"), 0), 0);
	append("log", "three three three three three three\n");
	expect(w, "one one one\ntwo\nthree three three three three three\n");
	end(w);
}
END_TEST

START_TEST(deleted)
{
	struct world *w = begin();

	append("log", "");
	start(w);
	append("log", "one\n");
	unlink(scratch_path("log"));
	expect(w, "one\n");
	append("log", "two\n");
	expect(w, "one\ntwo\n");
	end(w);
}
END_TEST

START_TEST(not_lines)
{
	static char big[1024 * 1024 + 1];
	struct world *w = begin();

	memset(big, 'x', sizeof(big));
	append("log", "");
	start(w);
	scratch_write("log", "a", "a\0b\nok\n\0\0\n", 10);
	expect(w, "ok\n");
	scratch_write("log", "a", big, sizeof(big));
	append("log", "tail of it\nafter\n");
	expect(w, "ok\nafter\n");
	/* Its end is not there yet at a restart: the rest is no line. */
	scratch_write("log", "a", big, 20000);
	while (w->n < 9 || tail_moved(w->tail)) {
		w->saved_n = tail_save(w->tail, w->saved);
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	stop(w);
	start(w);
	append("log", "forged\nreal\n");
	expect(w, "real\n");
	scratch_write("log", "a", big, TAIL_LINE_MAX);
	append("log", "\n");
	while (w->n < 5 + TAIL_LINE_MAX + 1)
		uv_run(&w->loop, UV_RUN_ONCE);
	end(w);
}
END_TEST

START_TEST(resumes)
{
	struct world *w = begin();

	append("log", "");
	start(w);
	append("log", "one\nhalf");
	expect(w, "one\n");
	stop(w);
	append("log", " done\ntwo\n");
	start(w);
	expect(w, "half done\ntwo\n");
	end(w);
}
END_TEST

START_TEST(marked)
{
	struct world *w = begin();

	append("log", "old\nold too\n");
	w->saved_n = tail_mark(scratch_path("log"), w->saved);
	append("log", "one\n");
	start(w);
	expect(w, "one\n");
	stop(w);
	unlink(scratch_path("log"));
	w->saved_n = tail_mark(scratch_path("log"), w->saved);
	append("log", "two\n");
	start(w);
	expect(w, "two\n");
	end(w);
}
END_TEST

/* Two rotations and a new log while nobody looked. */
START_TEST(resumes_after_rename)
{
	struct world *w = begin();

	append("log", "");
	start(w);
	append("log", "zero\n");
	expect(w, "zero\n");
	stop(w);
	append("log.9", "much older\n");
	ck_assert_int_eq(utimensat(AT_FDCWD, scratch_path("log.9"),
			     (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0),
	    0);
	append("log", "one\n");
	move("log", "log.2");
	ck_assert_int_eq(
	    utimensat(AT_FDCWD, scratch_path("log.2"),
		(struct timespec[2]){ { 1000, 0 }, { 1000, 0 } }, 0),
	    0);
	append("log.1", "two\n");
	ck_assert_int_eq(
	    utimensat(AT_FDCWD, scratch_path("log.1"),
		(struct timespec[2]){ { 2000, 0 }, { 2000, 0 } }, 0),
	    0);
	append("log", "three\n");
	start(w);
	expect(w, "one\ntwo\nthree\n");
	end(w);
}
END_TEST

START_TEST(resumes_after_copytruncate)
{
	struct world *w = begin();
	const char *first = "a line that is long enough to be known again\n"
			    "and another one of that kind\n";

	append("log", "");
	start(w);
	append("log", first);
	expect(w, first);
	stop(w);
	append("log.1", first);
	append("log.1", "unread\n");
	ck_assert_int_eq(truncate(scratch_path("log"), 0), 0);
	append("log", "this is new, and longer than all that was in the log "
		      "before it was truncated, by far\n");
	start(w);
	expect(w, "unread\nthis is new, and longer than all that was in the "
		  "log before it was truncated, by far\n");
	end(w);
}
END_TEST

START_TEST(unreadable)
{
	struct world *w = begin();
	struct err err;

	uv_loop_init(&w->loop);
	ck_assert_int_eq(mkdir(scratch_path("log"), 0700), 0);
	ck_assert_ptr_null(tail_create(&w->loop, scratch_path("log"),
	    slice_make(NULL, 0), on_line, w, &err));
	ck_assert_int_eq(err.code, EINVAL);
	ck_assert_ptr_nonnull(strstr(err.msg, "/log"));
	uv_loop_close(&w->loop);
	rmdir(scratch_path("log"));
	free(w);
	scratch_remove();
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("tail");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, grows);
	tcase_add_test(t, comes_late);
	tcase_add_test(t, directory_comes_late);
	tcase_add_test(t, renamed);
	tcase_add_test(t, truncated);
	tcase_add_test(t, deleted);
	tcase_add_test(t, not_lines);
	tcase_add_test(t, resumes);
	tcase_add_test(t, marked);
	tcase_add_test(t, resumes_after_rename);
	tcase_add_test(t, resumes_after_copytruncate);
	tcase_add_test(t, unreadable);
	return check_run("tail", t);
}
