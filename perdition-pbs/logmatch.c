/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logmatch - reading logins from log lines; see the header.
 */
#include "config.h"

#include "perdition-pbs/logmatch.h"

#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "perdition-pbs/logbegin.h"
#include "perdition-pbs/loghead.h"
#include "perdition-pbs/logseek.h"
#include "perdition-pbs/logsession.h"
#include "perdition-pbs/logtime.h"
#include "perdition-pbs/patterns.h"

#include "common/banned.h"

#define GROUPS 3      /* the whole, the address, the user */
#define QUOTED_MAX 40 /* bytes of a line, in why not */

/* A line of a pattern, where lines of its kind are looked for. */
struct candidate {
	const struct pattern *pattern;
	const struct pattern_line *line;
	struct slice ident; /* of {syslog}; without a last "*" */
	bool any;           /* it had one: a word follows */
};

struct logmatch {
	struct patterns patterns;
	struct logbegin last; /* line of interest */
	struct candidate *syslog, *stamped;
	size_t syslog_n, stamped_n;
	/* Those of syslog whose idents begin with byte c are from first[c] on,
	 * to first[c + 1]. */
	size_t first[257];
	struct logtime_memo memo;
	struct logsessions *sessions; /* NULL: no pattern needs them */
	struct logseek seek;          /* what a line has to hold */
	bool has_regex;
	regex_t regex;
};

/* What is known of one line while it is looked at. */
struct look {
	struct slice line;
	int64_t now;
	struct logmatch_login *login;
	char *why;       /* or NULL: nobody asks */
	size_t farthest; /* that a shape came, for why */
	/* Of a line that begins as one; until then of no value. */
	struct logtime_stamp stamp;
	struct loghead head;
};

/* --- saying why not ------------------------------------------------------ */

static void
say(struct look *l, const char *text)
{
	if (l->why != NULL)
		snprintf(l->why, LOGMATCH_WHY_MAX, "%s", text);
}

/* what comes from the line: quoted. */
static void
say_of(struct look *l, const char *before, struct slice what)
{
	char quoted[4 * QUOTED_MAX + 2 + 1];
	long n;

	if (l->why == NULL)
		return;
	if (what.n > QUOTED_MAX)
		what.n = QUOTED_MAX;
	n = log_quote(what, quoted, sizeof(quoted) - 1);
	quoted[n == -1 ? 0 : n] = '\0';
	snprintf(l->why, LOGMATCH_WHY_MAX, "%s%s", before, quoted);
}

/* at: the first byte in the line that did not fit. */
static void
say_shape(
    struct look *l, const struct candidate *c, size_t at, struct slice expected)
{
	char before[100];

	if (l->why == NULL || at < l->farthest)
		return;
	l->farthest = at;
	snprintf(before, sizeof(before), "%s: byte %zu: expected %s",
	    c->pattern->name, at + 1, expected.n == 0 ? "the end" : "");
	if (expected.n == 0)
		say(l, before);
	else
		say_of(l, before, expected);
}

/* --- the parts of a login ------------------------------------------------ */

static bool
read_stamp(struct logmatch *m, struct look *l)
{
	if (logtime_read(&l->stamp, l->now, &m->memo, &l->login->when))
		return true;
	say(l, "a login, but its time is none, or is to come");
	return false;
}

static int
malformed(void)
{
	errno = EBADMSG;
	return -1;
}

static int
read_own(struct look *l, struct slice message)
{
	struct logmatch_login *login = l->login;
	struct auth_event ev;
	int ret;

	if (l->head.pid.n == 0) {
		say(l, "perdition: without its process id");
		return 0;
	}
	ret = auth_event_parse_line(message, &ev);
	if (ret == -1) {
		say(l, "perdition: begins as its line of a login, but goes on "
		       "as it writes none");
		return malformed();
	}
	if (ret == 0) {
		say(l, "perdition: another line than of a login");
		return 0;
	}
	if (ev.kind == AUTH_LOGIN && !ev.ok) {
		say(l, "perdition: a login that failed");
		return 0;
	}
	login->kind = ev.kind;
	login->client = ev.client;
	login->user_len = ev.user_len;
	memcpy(login->user, ev.user, ev.user_len);
	return 1;
}

static int
read_client(struct look *l, struct slice text, struct addr *client)
{
	if (addr_parse(text, false, client) == 0)
		return 1;
	say_of(l, "a login, but not of an address: ", text);
	return malformed();
}

static int
read_user(struct look *l, struct slice user)
{
	if (user.n > sizeof(l->login->user)) {
		say(l, "a login, but the user's name is too long");
		return 0;
	}
	if (user.n > 0)
		memcpy(l->login->user, user.p, user.n);
	l->login->user_len = user.n;
	return 1;
}

/* --- one pattern --------------------------------------------------------- */

static int
take_begin(struct logmatch *m, struct look *l, struct slice text)
{
	struct addr client;
	int ret = read_client(l, text, &client);

	if (ret != 1)
		return ret;
	if (read_stamp(m, l)) {
		logsession_begin(
		    m->sessions, &l->head, &client, l->login->when);
		say(l, "the beginning of a session");
	}
	return 0;
}

static int
take_end(struct logmatch *m, struct look *l)
{
	struct addr client;

	if (read_stamp(m, l)) {
		logsession_end(m->sessions, &l->head, l->login->when, &client);
		say(l, "the end of a session");
	}
	return 0;
}

static int
take_login(struct logmatch *m, struct look *l, const struct shape *sh,
    const struct shape_match *sm)
{
	struct logmatch_login *login = l->login;
	bool has_client = true;
	int ret;

	if (shape_has(sh, SHAPE_PERDITION)) {
		ret = read_own(l, sm->own);
	} else {
		ret = read_user(l, sm->user);
		has_client = shape_has(sh, SHAPE_CLIENT);
		if (ret == 1 && has_client)
			ret = read_client(l, sm->client, &login->client);
	}
	if (ret != 1)
		return ret;
	if (!read_stamp(m, l))
		return 0;
	if (has_client ||
	    logsession_end(m->sessions, &l->head, login->when, &login->client))
		return 1;
	say(l, "a login, but how its session began is not known");
	return 0;
}

/* A line that has the shape. */
static int
take(struct logmatch *m, struct look *l, const struct candidate *c,
    const struct shape_match *sm)
{
	l->login->pattern = c->pattern->name;
	switch (c->line->role) {
	case PATTERN_BEGIN:
		return take_begin(m, l, sm->client);
	case PATTERN_END:
		return take_end(m, l);
	case PATTERN_LOGIN:
		break;
	}
	return take_login(m, l, c->line->shape, sm);
}

/* 1, 0, -1 as logmatch_line(), or NEXT: the line has not this shape. */
#define NEXT 2

static int
try(struct logmatch *m, struct look *l, const struct candidate *c,
    struct slice text)
{
	const struct shape *sh = c->line->shape;
	struct shape_match sm;

	if (text.n > LOGMATCH_FOREIGN_MAX && !shape_has(sh, SHAPE_PERDITION)) {
		say(l, "so long that it may have been cut");
		return NEXT;
	}
	if (shape_match(sh, text, &sm))
		return take(m, l, c, &sm);
	say_shape(l, c, (size_t)(text.p - l->line.p) + sm.at, sm.expected);
	return NEXT;
}

/* --- all patterns -------------------------------------------------------- */

static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < '0' || s.p[i] > '9') &&
		    (s.p[i] < 'a' || s.p[i] > 'z') &&
		    (s.p[i] < 'A' || s.p[i] > 'Z'))
			return false;
	return s.n > 0;
}

static bool
has_ident(const struct candidate *c, struct slice ident)
{
	if (!c->any)
		return slice_eq(c->ident, ident);
	return slice_starts(ident, c->ident) &&
	       is_word(slice_skip(ident, c->ident.n));
}

static int
match_syslog(struct logmatch *m, struct look *l, struct slice rest)
{
	unsigned char c;
	bool any = false;

	if (!logbegin_head(&m->last, rest, &l->head)) {
		l->head.pid = slice_make(NULL, 0); /* nor half of one */
		say(l, "no host and ident as syslog writes them follow the "
		       "time");
		return NEXT;
	}
	c = (unsigned char)l->head.ident.p[0];
	for (size_t i = m->first[c]; i < m->first[c + 1u]; i++) {
		int ret;

		if (!has_ident(&m->syslog[i], l->head.ident))
			continue;
		any = true;
		ret = try(
		    m, l, &m->syslog[i], loghead_unrepeated(l->head.message));
		if (ret != NEXT)
			return ret;
	}
	if (!any) {
		say_of(
		    l, "of no server whose pattern is in use: ", l->head.ident);
		l->farthest = l->line.n - l->head.message.n;
	}
	return NEXT;
}

static int
match_patterns(struct logmatch *m, struct look *l)
{
	struct slice rest;
	int ret = NEXT;

	if (m->patterns.n == 0)
		return NEXT;
	if (!logbegin_stamp(&m->last, l->line, &l->stamp)) {
		say(l, "does not begin with a time stamp");
		return NEXT;
	}
	rest = slice_skip(l->line, l->stamp.text.n);
	if (m->syslog_n > 0)
		ret = match_syslog(m, l, rest);
	for (size_t i = 0; i < m->stamped_n && ret == NEXT; i++)
		ret = try(m, l, &m->stamped[i], rest);
	return ret;
}

/* --- the site's regular expression --------------------------------------- */

static int
match_regex(struct logmatch *m, struct look *l)
{
	char text[LOGMATCH_LINE_MAX + 1];
	regmatch_t g[GROUPS];
	struct slice user = { NULL, 0 };
	int ret;

	memcpy(text, l->line.p, l->line.n);
	text[l->line.n] = '\0';
	if (regexec(&m->regex, text, GROUPS, g, 0) != 0 || g[1].rm_so == -1) {
		if (m->patterns.n == 0)
			say(l, "regex does not match");
		return 0;
	}
	l->login->pattern = "regex";
	ret = read_client(l,
	    slice_make(text + g[1].rm_so, (size_t)(g[1].rm_eo - g[1].rm_so)),
	    &l->login->client);
	if (ret != 1)
		return ret;
	if (g[2].rm_so != -1)
		user = slice_make(
		    text + g[2].rm_so, (size_t)(g[2].rm_eo - g[2].rm_so));
	if (user.n > sizeof(l->login->user))
		user.n = sizeof(l->login->user);
	if (!logtime_find(l->line, &l->stamp) ||
	    !logtime_read(&l->stamp, l->now, &m->memo, &l->login->when))
		l->login->when = l->now;
	return read_user(l, user);
}

/* --- a line -------------------------------------------------------------- */

/* NULL, or why it is no line, whatever the patterns. */
static const char *
no_line(struct slice line)
{
	if (line.n == 0)
		return "empty";
	if (line.n > LOGMATCH_LINE_MAX)
		return "too long";
	if (memchr(line.p, '\0', line.n) != NULL)
		return "holds a NUL byte";
	return NULL;
}

int
logmatch_explain(struct logmatch *m, struct slice line, int64_t now,
    struct logmatch_login *login, char why[LOGMATCH_WHY_MAX])
{
	const char *none = no_line(line);
	struct look l; /* not cleared as a whole: that shows in profiles */
	int ret;

	l.line = line;
	l.now = now;
	l.login = login;
	l.why = why;
	l.farthest = 0;
	l.head.pid = slice_make(NULL, 0); /* a line without a head has none */
	if (none != NULL) {
		say(&l, none);
		return 0;
	}
	login->kind = AUTH_LOGIN;
	ret = match_patterns(m, &l);
	if (ret == NEXT)
		ret = m->has_regex ? match_regex(m, &l) : 0;
	if (ret == 1)
		say(&l, "a login");
	return ret;
}

int
logmatch_line(struct logmatch *m, struct slice line, int64_t now,
    struct logmatch_login *login)
{
	return logmatch_explain(m, line, now, login, NULL);
}

const char *
logmatch_seek(struct logmatch *m, struct slice text, bool first)
{
	return logseek_next(&m->seek, text, first);
}

/* --- making it ----------------------------------------------------------- */

static int
compile_regex(struct logmatch *m, const char *regex, struct err *err)
{
	char why[200];
	int ret;

	if (regex[0] == '\0')
		return 0;
	ret = regcomp(&m->regex, regex, REG_EXTENDED);
	if (ret != 0) {
		regerror(ret, &m->regex, why, sizeof(why));
		return err_set(err, EINVAL, "%s", why);
	}
	m->has_regex = true;
	if (m->regex.re_nsub < 1)
		return err_set(err, EINVAL, "it has no group for the address");
	return 0;
}

static void
add_candidate(struct candidate *v, size_t *n, const struct pattern *p,
    const struct pattern_line *line, const char *ident)
{
	struct candidate *c = &v[(*n)++];

	*c = (struct candidate){
		.pattern = p, .line = line, .ident = slice_str(ident)
	};
	if (c->ident.n > 0 && c->ident.p[c->ident.n - 1] == '*') {
		c->any = true;
		c->ident.n--;
	}
}

static void
add_idents(struct logmatch *m, const struct pattern *p,
    const struct pattern_line *line, unsigned char first)
{
	for (size_t i = 0; i < p->idents_n; i++)
		if ((unsigned char)p->idents[i][0] == first)
			add_candidate(
			    m->syslog, &m->syslog_n, p, line, p->idents[i]);
}

/* The lines of each pattern in their order, sorted by their idents' first
 * byte. */
static void
collect(struct logmatch *m)
{
	for (unsigned int c = 0; c < 256; c++) {
		m->first[c] = m->syslog_n;
		for (size_t i = 0; i < m->patterns.n; i++) {
			const struct pattern *p = &m->patterns.v[i];

			for (size_t k = 0; k < p->lines_n; k++)
				if (shape_has(p->lines[k].shape, SHAPE_SYSLOG))
					add_idents(m, p, &p->lines[k],
					    (unsigned char)c);
		}
	}
	m->first[256] = m->syslog_n;
	for (size_t i = 0; i < m->patterns.n; i++) {
		const struct pattern *p = &m->patterns.v[i];

		for (size_t k = 0; k < p->lines_n; k++)
			if (!shape_has(p->lines[k].shape, SHAPE_SYSLOG))
				add_candidate(m->stamped, &m->stamped_n, p,
				    &p->lines[k], "");
	}
}

/* What auth_event_parse_line() takes begins so. */
static void
seek_own(struct logmatch *m, bool ends)
{
	logseek_add(&m->seek, SLICE("Auth: "));
	if (ends)
		logseek_add(&m->seek, SLICE("Closing session: "));
}

static void
prepare_seek(struct logmatch *m, bool ends)
{
	m->seek.all = m->has_regex;
	for (size_t i = 0; i < m->patterns.n; i++) {
		const struct pattern *p = &m->patterns.v[i];

		for (size_t k = 0; k < p->lines_n; k++) {
			const struct shape *sh = p->lines[k].shape;

			if (shape_has(sh, SHAPE_PERDITION))
				seek_own(m, ends);
			else
				logseek_add(&m->seek, shape_literal(sh));
		}
	}
}

static int
prepare(struct logmatch *m, struct err *err)
{
	size_t n = 1;
	bool sessions = false;

	for (size_t i = 0; i < m->patterns.n; i++) {
		const struct pattern *p = &m->patterns.v[i];

		n += p->lines_n * (p->idents_n + 1);
		for (size_t k = 0; k < p->lines_n; k++)
			if (p->lines[k].role != PATTERN_LOGIN)
				sessions = true;
	}
	m->syslog = calloc(n, sizeof(m->syslog[0]));
	m->stamped = calloc(n, sizeof(m->stamped[0]));
	if (sessions)
		m->sessions = logsessions_create();
	if (m->syslog == NULL || m->stamped == NULL ||
	    (sessions && m->sessions == NULL))
		return err_set(err, errno, "%s", strerror(errno));
	collect(m);
	return 0;
}

struct logmatch *
logmatch_create(const struct logmatch_config *c, struct err *err)
{
	struct logmatch *m = calloc(1, sizeof(*m));
	int ret = -1;

	if (m == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	for (size_t i = 0; i < c->patterns_n; i++)
		if (patterns_add_known(&m->patterns, c->patterns[i], err) == -1)
			goto out;
	if (c->file[0] != '\0' &&
	    patterns_add_file(&m->patterns, c->file, err) == -1)
		goto out;
	if (compile_regex(m, c->regex, err) == 0)
		ret = prepare(m, err);
	if (ret == 0)
		prepare_seek(m, c->ends);
out:
	if (ret == -1)
		logmatch_destroy(&m);
	return m;
}

void
logmatch_go_on(struct logmatch *m, struct logmatch *before)
{
	struct logsessions *sessions = before->sessions;

	if (m->sessions == NULL || sessions == NULL)
		return;
	before->sessions = m->sessions;
	m->sessions = sessions;
}

void
logmatch_destroy(struct logmatch **mp)
{
	struct logmatch *m = *mp;

	if (m == NULL)
		return;
	if (m->has_regex)
		regfree(&m->regex);
	patterns_clear(&m->patterns);
	free(m->syslog);
	free(m->stamped);
	logsessions_destroy(&m->sessions);
	free(m);
	*mp = NULL;
}
