/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sysjournal - reading the systemd journal; see the header.
 */
#include "config.h"

#include "perdition-pbs/sysjournal.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition-pbs/logmatch.h"

#include "common/banned.h"

#define ENTRIES 1000 /* per turn of the loop */
#define TICK_MS 1000 /* it looks itself, for what inotify does not tell */
#define NOTHING "-"  /* saved: there was no entry; all are new */
#define WORD_MAX 255 /* bytes of a host's name, of an ident */

struct sysjournal {
	struct sysjournal_config cfg;
	sd_journal *j;
	char *cursor;   /* of the last entry dealt with; NULL: none */
	bool unchecked; /* the next entry may be the cursor's own */
	bool behind, moved, failed;
	uv_poll_t poll;
	uv_timer_t tick;
	uv_idle_t more;
	bool started;
	int closing;
};

static int
fail(const struct sysjournal *s, int ret, const char *what, struct err *err)
{
	return err_set(err, -ret, "systemd journal%s%s: %s: %s",
	    s->cfg.dir[0] == '\0' ? "" : " ", s->cfg.dir, what, strerror(-ret));
}

/* --- a line -------------------------------------------------------------- */

/* The value of a field of the entry; valid until the next call. */
static bool
get(sd_journal *j, const char *field, struct slice *value)
{
	const void *data;
	size_t n, name = strlen(field) + 1;

	if (sd_journal_get_data(j, field, &data, &n) < 0 || n < name)
		return false;
	*value = slice_skip(slice_make(data, n), name);
	return true;
}

/* Of one word that can stand where syslog has it, copied; else "". */
static void
get_word(sd_journal *j, const char *field, const char *others,
    char out[WORD_MAX + 1])
{
	struct slice v;

	out[0] = '\0';
	if (!get(j, field, &v) || v.n > WORD_MAX)
		return;
	for (size_t i = 0; i < v.n; i++) {
		char c = v.p[i];

		if ((c < '0' || c > '9') && (c < 'a' || c > 'z') &&
		    (c < 'A' || c > 'Z') &&
		    (c == '\0' || strchr(others, c) == NULL))
			return;
	}
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
}

/* "2026-11-22T17:04:05.678901Z HOST IDENT[PID]: "; its length, or 0. */
static size_t
put_head(sd_journal *j, char *out, size_t cap)
{
	char host[WORD_MAX + 1], ident[WORD_MAX + 1], pid[WORD_MAX + 1];
	uint64_t usec;
	time_t second;
	struct tm tm;
	size_t n;
	int more;

	get_word(j, "SYSLOG_IDENTIFIER", "._/-", ident);
	if (ident[0] == '\0')
		get_word(j, "_COMM", "._/-", ident);
	get_word(j, "SYSLOG_PID", "", pid);
	if (pid[0] == '\0')
		get_word(j, "_PID", "", pid);
	get_word(j, "_HOSTNAME", "._-", host);
	if (ident[0] == '\0' || sd_journal_get_realtime_usec(j, &usec) < 0)
		return 0;
	second = (time_t)(usec / 1000000);
	if (gmtime_r(&second, &tm) == NULL)
		return 0;
	n = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	more = snprintf(out + n, cap - n,
	    ".%06" PRIu64 "Z %s%s%s%s%s%s: ", usec % 1000000, host,
	    host[0] == '\0' ? "" : " ", ident, pid[0] == '\0' ? "" : "[", pid,
	    pid[0] == '\0' ? "" : "]");
	return n == 0 || more < 0 || (size_t)more >= cap - n ? 0
							     : n + (size_t)more;
}

static void
take_entry(struct sysjournal *s)
{
	char line[LOGMATCH_LINE_MAX];
	size_t n = put_head(s->j, line, sizeof(line));
	struct slice message;

	if (n == 0 || !get(s->j, "MESSAGE", &message) ||
	    message.n > sizeof(line) - n || slice_find(message, '\n') != -1 ||
	    slice_find(message, '\0') != -1)
		return;
	if (message.n > 0)
		memcpy(line + n, message.p, message.n);
	s->cfg.reader.fn(s->cfg.reader.arg, slice_make(line, n + message.n));
	if (s->cfg.reader.done != NULL)
		s->cfg.reader.done(s->cfg.reader.arg);
}

/* --- reading ------------------------------------------------------------- */

/* The first entry behind a seek: whether it has been dealt with already. */
static bool
is_known(struct sysjournal *s)
{
	bool same;

	if (!s->unchecked)
		return false;
	s->unchecked = false;
	same = sd_journal_test_cursor(s->j, s->cursor) > 0;
	if (!same)
		log_event(LOG_WARNING, "systemd-journal-gap",
		    LOG_STR("journal", s->cfg.dir),
		    LOG_STR("reason", "what was read last is not there"),
		    LOG_STR("consequence", "going on with what came after it"));
	return same;
}

static void
said(struct sysjournal *s, int ret)
{
	if (ret < 0 && !s->failed)
		log_event(LOG_ERR, "systemd-journal-unreadable",
		    LOG_STR("journal", s->cfg.dir),
		    LOG_STR("error", strerror(-ret)),
		    LOG_STR("consequence", "tried again each second"));
	s->failed = ret < 0;
}

static void read_entries(struct sysjournal *);

static void
on_more(uv_idle_t *h)
{
	read_entries(h->data);
}

static void
read_entries(struct sysjournal *s)
{
	char *cursor;
	bool read = false;
	int ret = 0, n = 0;

	while (n < ENTRIES && (ret = sd_journal_next(s->j)) > 0) {
		n++;
		read = true;
		if (!is_known(s))
			take_entry(s);
	}
	said(s, ret);
	s->behind = n == ENTRIES;
	if (read && sd_journal_get_cursor(s->j, &cursor) >= 0) {
		free(s->cursor);
		s->cursor = cursor;
		s->moved = true;
	}
	if (s->behind)
		uv_idle_start(&s->more, on_more);
	else
		uv_idle_stop(&s->more);
}

/* Files come and go in here; where it stands is not lost by that. */
static void
look(struct sysjournal *s)
{
	int ret = sd_journal_process(s->j);

	said(s, ret);
	read_entries(s);
}

static void
on_readable(uv_poll_t *h, int status, int events)
{
	(void)events;
	if (status >= 0) /* else the tick goes on */
		look(h->data);
}

static void
on_tick(uv_timer_t *h)
{
	look(h->data);
}

/* --- life ---------------------------------------------------------------- */

static int
open_handle(struct sysjournal *s, struct err *err)
{
	int ret = s->cfg.dir[0] == '\0'
		      ? sd_journal_open(&s->j, SD_JOURNAL_LOCAL_ONLY)
		      : sd_journal_open_directory(&s->j, s->cfg.dir, 0);

	if (ret < 0)
		return fail(s, ret, "cannot be opened", err);
	sd_journal_set_data_threshold(s->j, LOGMATCH_LINE_MAX + 64);
	for (size_t i = 0; i < s->cfg.n; i++) {
		ret = sd_journal_add_match(s->j, s->cfg.matches[i], 0);
		if (ret < 0)
			return fail(s, ret, s->cfg.matches[i], err);
	}
	/* Before it is read for the first time, or what comes in between is
	 * not told. */
	ret = sd_journal_get_fd(s->j);
	return ret < 0 ? fail(s, ret, "cannot be watched", err) : 0;
}

/* To the last entry that is there. */
static int
to_end(struct sysjournal *s, struct err *err)
{
	int ret = sd_journal_seek_tail(s->j);

	if (ret >= 0)
		ret = sd_journal_previous(s->j);
	if (ret > 0)
		ret = sd_journal_get_cursor(s->j, &s->cursor);
	else if (ret == 0)
		ret = sd_journal_seek_head(s->j);
	s->moved = true;
	return ret < 0 ? fail(s, ret, "its end cannot be found", err) : 0;
}

struct sysjournal *
sysjournal_open(const struct sysjournal_config *cfg, struct err *err)
{
	struct sysjournal *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	s->cfg = *cfg;
	if (open_handle(s, err) == -1 || to_end(s, err) == -1)
		sysjournal_close(&s);
	return s;
}

static int
seek(struct sysjournal *s, struct slice saved, struct err *err)
{
	int ret;

	if (saved.n == 0)
		return 0;
	free(s->cursor);
	s->cursor = NULL;
	if (slice_eq(saved, SLICE(NOTHING))) {
		ret = sd_journal_seek_head(s->j);
	} else {
		s->cursor = slice_dup(saved);
		if (s->cursor == NULL)
			return fail(s, -errno, "its position", err);
		s->unchecked = true;
		ret = sd_journal_seek_cursor(s->j, s->cursor);
	}
	return ret < 0 ? fail(s, ret, "its position cannot be found", err) : 0;
}

static bool
is_denied(const char *pattern)
{
	glob_t g = { 0 };
	bool denied = false;

	if (glob(pattern, GLOB_NOSORT, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc && !denied; i++)
			denied = access(g.gl_pathv[i], R_OK) == -1 &&
				 errno == EACCES;
	globfree(&g);
	return denied;
}

/* libsystemd passes over files that it may not read without a word. */
static void
warn_if_denied(const struct sysjournal *s)
{
	char pattern[PATH_MAX];
	bool denied;

	snprintf(pattern, sizeof(pattern), "%s/*.journal", s->cfg.dir);
	denied = s->cfg.dir[0] != '\0'
		     ? is_denied(pattern)
		     : is_denied("/var/log/journal/*/system.journal") ||
			   is_denied("/run/log/journal/*/system.journal");
	if (denied)
		log_event(LOG_ERR, "systemd-journal-denied",
		    LOG_STR("journal", s->cfg.dir),
		    LOG_STR("consequence", "not all of it is read"),
		    LOG_STR("remedy", "give its directory to a group that may "
				      "read it, such as systemd-journal"));
}

int
sysjournal_start(
    struct sysjournal *s, uv_loop_t *loop, struct slice saved, struct err *err)
{
	int ret;

	warn_if_denied(s);
	if (seek(s, saved, err) == -1)
		return -1;
	ret = uv_timer_init(loop, &s->tick);
	if (ret == 0)
		ret = uv_idle_init(loop, &s->more);
	if (ret == 0)
		ret = uv_poll_init(loop, &s->poll, sd_journal_get_fd(s->j));
	if (ret == 0)
		ret = uv_poll_start(&s->poll, UV_READABLE, on_readable);
	if (ret != 0)
		return fail(s, ret, "cannot be watched", err);
	s->started = true;
	s->tick.data = s->more.data = s->poll.data = s;
	uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	s->behind = true;
	uv_idle_start(&s->more, on_more);
	return 0;
}

static void
free_it(struct sysjournal *s)
{
	sd_journal_close(s->j);
	free(s->cursor);
	free(s);
}

static void
on_closed(uv_handle_t *h)
{
	struct sysjournal *s = h->data;

	if (--s->closing == 0)
		free_it(s);
}

void
sysjournal_close(struct sysjournal **sp)
{
	struct sysjournal *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	if (!s->started) {
		free_it(s);
		return;
	}
	s->closing = 3;
	uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->tick, on_closed);
	uv_close((uv_handle_t *)&s->more, on_closed);
}

/* --- where it stands ----------------------------------------------------- */

bool
sysjournal_behind(const struct sysjournal *s)
{
	return s->behind;
}

bool
sysjournal_moved(const struct sysjournal *s)
{
	return s->moved;
}

void
sysjournal_save(struct sysjournal *s, positions_saver *save, void *arg)
{
	char name[POSITION_NAME_MAX];

	if (!s->moved)
		return;
	s->moved = false;
	save(arg, sysjournal_name(s->cfg.dir, name),
	    slice_str(s->cursor == NULL ? NOTHING : s->cursor));
}
