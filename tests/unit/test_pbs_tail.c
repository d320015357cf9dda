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
#include "perdition-pbs/logs.h"

#include "common/banned.h"

#define DEADLINE_MS 10000

struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct logs *logs;
	const char *paths[4]; /* under the scratch directory */
	char *full[4];
	size_t paths_n;
	char seen[100000]; /* all lines, each with a newline */
	size_t n;
	size_t done_n; /* n when the end of some lines was told */
	struct positions *known, *marks;
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

static struct logs_config
config(struct world *w)
{
	for (size_t i = 0; i < w->paths_n; i++) {
		free(w->full[i]);
		ck_assert_int_ne(
		    asprintf(&w->full[i], "%s/%s", scratch, w->paths[i]), -1);
	}
	return (struct logs_config){ w->full, w->paths_n,
		{ .fn = on_line, .arg = w } };
}

static void
start(struct world *w)
{
	struct logs_config cfg = config(w);
	struct err err;

	w->n = 0;
	w->seen[0] = '\0';
	ck_assert_int_eq(uv_loop_init(&w->loop), 0);
	uv_timer_init(&w->loop, &w->deadline);
	w->deadline.data = w;
	uv_timer_start(&w->deadline, on_deadline, DEADLINE_MS, 0);
	w->logs = logs_create(&w->loop, &cfg, w->known, w->marks, &err);
	ck_assert_msg(w->logs != NULL, "%s", err.msg);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void
remember(void *arg, struct slice name, struct slice position)
{
	ck_assert_int_eq(positions_set(arg, name, position), 0);
}

static void
stop(struct world *w)
{
	logs_save(w->logs, remember, w->known);
	ck_assert(!logs_moved(w->logs));
	logs_destroy(&w->logs);
	uv_close((uv_handle_t *)&w->deadline, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&w->loop), 0);
}

static void
mark(struct world *w)
{
	struct logs_config cfg = config(w);

	logs_mark(&cfg, w->marks);
}

/* As at a start that knows nothing of an earlier life. */
static void
mark_first(struct world *w)
{
	positions_destroy(&w->known);
	w->known = positions_create();
	mark(w);
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

	w->known = positions_create();
	w->marks = positions_create();
	w->paths[w->paths_n++] = "log";
	scratch_make();
	return w;
}

static void
free_world(struct world *w)
{
	for (size_t i = 0; i < w->paths_n; i++)
		free(w->full[i]);
	positions_destroy(&w->known);
	positions_destroy(&w->marks);
	free(w);
	scratch_remove();
}

static void
end(struct world *w)
{
	stop(w);
	free_world(w);
}

START_TEST(grows)
{
	struct world *w = begin();

	append("log", "old\nhalf");
	start(w);
	append("log", " a line\none\ntwo\n");
	expect(w, "one\ntwo\n"); /* of the old nothing, nor the half's rest */
	append("log", "thr");
	append("log", "ee\n\n");
	expect(w, "one\ntwo\nthree\n\n");
	end(w);
}
END_TEST

/* One CR before the LF belongs to the line's end, and no other. */
START_TEST(crlf)
{
	struct world *w = begin();

	start(w);
	append("log", "one\r\n\rtwo\rtwo\r\r\n\r\nfour\r");
	expect(w, "one\n\rtwo\rtwo\r\n\n");
	append("log", "\nfive\n");
	expect(w, "one\n\rtwo\rtwo\r\n\nfour\nfive\n");
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
	while (w->n < 9 || logs_moved(w->logs)) {
		logs_save(w->logs, remember, w->known);
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

/* --- splitting ----------------------------------------------------------- */

static const char *
seek_yes(void *arg, struct slice text, bool first)
{
	(void)arg;
	(void)first;
	return memmem(text.p, text.n, "yes", 3);
}

static void
on_done(void *arg)
{
	struct world *w = arg;

	w->done_n = w->n;
}

/* Gives text in pieces of `step' bytes to tail_split(). */
static void
split(struct world *w, tail_seek *seek, struct slice text, size_t step)
{
	static struct tail_buffer b;
	struct tail_reader r = {
		.fn = on_line, .seek = seek, .done = on_done, .arg = w
	};
	bool skipping = false;

	w->n = w->done_n = b.have = 0;
	w->seen[0] = '\0';
	while (text.n > 0) {
		size_t had = b.have, n = text.n < step ? text.n : step;

		memcpy(b.bytes + had, text.p, n);
		text = slice_skip(text, n);
		b.have += n;
		n = tail_split(&b, had, &skipping, &r);
		b.have -= n;
		memmove(b.bytes, b.bytes + n, b.have);
		ck_assert_uint_eq(w->done_n, w->n); /* told behind each read */
	}
}

/* Whoever wants some lines gets these, wherever a read has ended, and none
 * that is no line. */
START_TEST(seeks)
{
	static const char want[] = "yes\na yes b\nyes yes\nat last yes\n";
	static char text[2 * TAIL_LINE_MAX + 4096];
	static const size_t steps[] = { 1, 2, 3, 5, 7, 64, 1000, TAIL_LINE_MAX,
		sizeof(text) };
	struct world *w = begin();
	size_t n = 0;

#define PUT(s) (memcpy(text + n, s, sizeof(s) - 1), n += sizeof(s) - 1)
	PUT("yes\nno\n\na yes b\nnono\nyes\0\nyes yes\nno yes ");
	memset(text + n, 'x', TAIL_LINE_MAX); /* too long */
	n += TAIL_LINE_MAX;
	PUT(" yes\nno ");
	memset(text + n, 'x', TAIL_LINE_MAX);
	n += TAIL_LINE_MAX;
	PUT("\nno\nat last yes\nno\nyes, without an end");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		split(w, seek_yes, slice_make(text, n), steps[i]);
		ck_assert_str_eq(w->seen, want);
		split(w, NULL, slice_make(text, n), steps[i]);
		ck_assert_str_eq(w->seen,
		    "yes\nno\n\na yes b\nnono\nyes yes\nno\nat last yes\nno"
		    "\n");
	}
	free_world(w);
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
	mark_first(w);
	append("log", "one\n");
	start(w);
	expect(w, "one\n");
	stop(w);
	unlink(scratch_path("log"));
	mark_first(w);
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
	struct logs_config cfg = config(w);
	struct err err;

	uv_loop_init(&w->loop);
	ck_assert_int_eq(mkdir(scratch_path("log"), 0700), 0);
	ck_assert_ptr_null(
	    logs_create(&w->loop, &cfg, w->known, w->marks, &err));
	ck_assert_int_eq(err.code, EINVAL);
	ck_assert_ptr_nonnull(strstr(err.msg, "/log"));
	uv_loop_close(&w->loop);
	rmdir(scratch_path("log"));
	free_world(w);
}
END_TEST

/* --- several ------------------------------------------------------------- */

static struct world *
begin_with(const char *first, const char *second)
{
	struct world *w = begin();

	w->paths_n = 0;
	w->paths[w->paths_n++] = first;
	if (second != NULL)
		w->paths[w->paths_n++] = second;
	return w;
}

START_TEST(several)
{
	struct world *w = begin_with("log", "b*.log");

	append("log", "old\n");
	append("ba.log", "old\n");
	mark(w);
	start(w);
	append("log", "one\n");
	expect(w, "one\n");
	append("ba.log", "two\n");
	expect(w, "one\ntwo\n");
	append("bb.log", "three\n"); /* comes to match: from its beginning */
	expect(w, "one\ntwo\nthree\n");
	append("bb.log.1", "rotated\n");
	append("c.log", "no match\n");
	append("log", "four\n");
	expect(w, "one\ntwo\nthree\nfour\n");
	append("bb.log", "five\n");
	expect(w, "one\ntwo\nthree\nfour\nfive\n");
	stop(w);
	/* Each goes on at its own place, and what is new from its start, as
	 * the pattern was in force; whatever was marked. */
	append("bb.log", "six\n");
	append("bc.log", "seven\n");
	mark(w);
	start(w);
	expect(w, "six\nseven\n");
	end(w);
}
END_TEST

START_TEST(several_resume)
{
	struct world *w = begin_with("log", "b*.log");

	append("log", "");
	append("ba.log", "old\n");
	mark(w);
	start(w);
	append("ba.log", "one\n");
	expect(w, "one\n");
	stop(w);
	append("ba.log", "two\n");
	append("bb.log", "three\n");
	move("ba.log", "ba.log.1"); /* and no successor */
	start(w);
	expect(w, "two\nthree\n");
	stop(w);
	/* Not a pattern that comes into force only now. */
	w->paths[1] = "c*.log";
	append("ca.log", "old\n");
	append("log", "four\n");
	mark(w);
	append("ca.log", "five\n");
	start(w);
	expect(w, "four\nfive\n");
	end(w);
}
END_TEST

/* A pattern's match is renamed to another match. */
START_TEST(renamed_to_a_match)
{
	struct world *w = begin_with("*.log", NULL);

	append("a.log", "old\n");
	mark(w);
	start(w);
	append("a.log", "one\n");
	expect(w, "one\n");
	move("a.log", "b.log");
	append("b.log", "two\n");
	expect(w, "one\ntwo\n");
	append("a.log", "three\n");
	expect(w, "one\ntwo\nthree\n");
	append("b.log", "four\n");
	expect(w, "one\ntwo\nthree\nfour\n");
	stop(w);
	/* And while nobody looked. */
	move("b.log", "c.log");
	move("a.log", "b.log");
	append("b.log", "five\n");
	append("c.log", "six\n");
	start(w);
	while (w->n < strlen("five\nsix\n"))
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert(strcmp(w->seen, "five\nsix\n") == 0 ||
		  strcmp(w->seen, "six\nfive\n") == 0);
	/* A second name of one is no other log. */
	ck_assert_int_eq(symlink("b.log", scratch_path("d.log")), 0);
	logs_reopen(w->logs);
	append("b.log", "seven\n");
	while (strstr(w->seen, "seven\n") == NULL)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(w->n, strlen("five\nsix\nseven\n"));
	end(w);
}
END_TEST

/* Longer than the name of a position can be. */
START_TEST(long_names)
{
	static char path[1000], at[sizeof(path)];
	struct world *w = begin_with("*/*/*/*/*.log", NULL);
	struct logs_config cfg;
	struct err err;

	memset(path, 'x', sizeof(path) - 1);
	memcpy(path + sizeof(path) - 5, ".log", 4);
	for (size_t i = 240; i < 980; i += 241) {
		path[i] = '\0';
		ck_assert_int_eq(mkdir(scratch_path(path), 0700), 0);
		path[i] = '/';
	}
	scratch_write(path, "w", "old\n", 4);
	mark(w);
	start(w);
	scratch_write(path, "a", "new\n", 4);
	logs_reopen(w->logs);
	ck_assert_uint_eq(w->n, 0);
	stop(w);
	w->paths[0] = path;
	cfg = config(w);
	uv_loop_init(&w->loop);
	ck_assert_ptr_null(
	    logs_create(&w->loop, &cfg, w->known, w->marks, &err));
	ck_assert_int_eq(err.code, ENAMETOOLONG);
	uv_loop_close(&w->loop);
	unlink(scratch_path(path));
	memcpy(at, path, sizeof(path));
	for (size_t i = 963; i > 0 && i < sizeof(path); i -= 241) {
		at[i] = '\0';
		rmdir(scratch_path(at));
	}
	free_world(w);
}
END_TEST

/* What a journal of old says, without a name. */
START_TEST(position_without_name)
{
	struct world *w = begin();
	struct slice position;
	char path[PATH_MAX];

	append("log", "old\n");
	mark(w);
	snprintf(path, sizeof(path), "log:%s/log", scratch);
	position = positions_get(w->marks, slice_str(path));
	ck_assert_uint_eq(position.n, sizeof(struct tail_position));
	positions_set(w->known, SLICE(""), position);
	append("log", "one\n");
	mark(w);
	start(w);
	expect(w, "one\n");
	end(w);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("tail");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, grows);
	tcase_add_test(t, crlf);
	tcase_add_test(t, comes_late);
	tcase_add_test(t, directory_comes_late);
	tcase_add_test(t, renamed);
	tcase_add_test(t, truncated);
	tcase_add_test(t, deleted);
	tcase_add_test(t, not_lines);
	tcase_add_test(t, seeks);
	tcase_add_test(t, resumes);
	tcase_add_test(t, marked);
	tcase_add_test(t, resumes_after_rename);
	tcase_add_test(t, resumes_after_copytruncate);
	tcase_add_test(t, unreadable);
	tcase_add_test(t, several);
	tcase_add_test(t, several_resume);
	tcase_add_test(t, renamed_to_a_match);
	tcase_add_test(t, long_names);
	tcase_add_test(t, position_without_name);
	return check_run("tail", t);
}
