/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logmatch - reading logins from log lines; see the header.
 */
#include "config.h"

#include "perdition-pbs/logmatch.h"

#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "perdition-pbs/logtime.h"

#include "common/banned.h"

#define HOST_MAX 255
#define GROUPS 3 /* the whole, the address, the user */

struct logmatch {
	bool has_regex;
	regex_t regex;
};

struct logmatch *
logmatch_create(const char *regex, struct err *err)
{
	struct logmatch *m = calloc(1, sizeof(*m));
	char why[200];
	int ret;

	if (m == NULL) {
		err_set(err, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	if (regex[0] == '\0')
		return m;
	ret = regcomp(&m->regex, regex, REG_EXTENDED);
	if (ret != 0) {
		regerror(ret, &m->regex, why, sizeof(why));
		err_set(err, EINVAL, "%s", why);
	} else if (m->regex.re_nsub < 1) {
		regfree(&m->regex);
		err_set(err, EINVAL, "it has no group for the address");
		ret = -1;
	}
	if (ret != 0) {
		free(m);
		return NULL;
	}
	m->has_regex = true;
	return m;
}

void
logmatch_destroy(struct logmatch **mp)
{
	if (*mp == NULL)
		return;
	if ((*mp)->has_regex)
		regfree(&(*mp)->regex);
	free(*mp);
	*mp = NULL;
}

/* --- perdition's own lines ----------------------------------------------- */

static bool
all_of(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z'))
			continue;
		if (c == '\0' || strchr(others, c) == NULL)
			return false;
	}
	return s.n > 0;
}

/* "perdition[12]:" or "perdition.imap4[12]:" */
static bool
is_ident(struct slice word)
{
	static const struct slice name = { "perdition", 9 };
	struct slice ident;
	uint64_t pid;

	if (word.n < 2 || word.p[word.n - 1] != ':' ||
	    word.p[word.n - 2] != ']')
		return false;
	word.n -= 2;
	if (!slice_cut(&word, '[', &ident) ||
	    slice_u64(word, INT32_MAX, &pid) == -1 ||
	    !slice_starts(ident, name))
		return false;
	ident = slice_skip(ident, name.n);
	if (ident.n == 0)
		return true;
	return ident.p[0] == '.' && all_of(slice_skip(ident, 1), "");
}

/*
 * rsyslog joins equal lines to "message repeated 3 times: [ LINE]"; perdition
 * itself has no line that begins so.
 */
static struct slice
unrepeated(struct slice msg)
{
	static const struct slice head = { "message repeated ", 17 };
	static const struct slice tail = { "times: [ ", 9 };
	struct slice rest = msg, count;
	uint64_t n;

	if (!slice_starts(rest, head))
		return msg;
	rest = slice_skip(rest, head.n);
	if (!slice_cut(&rest, ' ', &count) ||
	    slice_u64(count, UINT32_MAX, &n) == -1 ||
	    !slice_starts(rest, tail) || rest.p[rest.n - 1] != ']')
		return msg;
	rest = slice_skip(rest, tail.n);
	if (rest.n > 0)
		rest.n--;
	return rest;
}

static int
match_own(struct slice line, int64_t now, struct logmatch_login *login)
{
	struct slice rest, word;
	struct auth_event ev;
	size_t n = logtime_parse(line, now, &login->when);
	int ret;

	if (n == 0 || n >= line.n || line.p[n] != ' ')
		return 0;
	rest = slice_skip(line, n + 1);
	if (!slice_cut(&rest, ' ', &word))
		return 0;
	if (!is_ident(word)) { /* then it is the host, not another's ident */
		if (word.n == 0 || word.n > HOST_MAX ||
		    word.p[word.n - 1] == ':' || !all_of(word, "._:-") ||
		    !slice_cut(&rest, ' ', &word) || !is_ident(word))
			return 0;
	}
	ret = auth_event_parse_line(unrepeated(rest), &ev);
	if (ret != 1)
		return ret;
	if (ev.kind == AUTH_LOGIN && !ev.ok)
		return 0;
	login->kind = ev.kind;
	login->client = ev.client;
	login->user_len = ev.user_len;
	memcpy(login->user, ev.user, ev.user_len);
	return 1;
}

/* --- the site's pattern -------------------------------------------------- */

static int
match_regex(const struct logmatch *m, struct slice line, int64_t now,
    struct logmatch_login *login)
{
	char text[LOGMATCH_LINE_MAX + 1];
	regmatch_t g[GROUPS];
	struct slice user = { NULL, 0 };

	memcpy(text, line.p, line.n);
	text[line.n] = '\0';
	if (regexec(&m->regex, text, GROUPS, g, 0) != 0 || g[1].rm_so == -1)
		return 0;
	if (addr_parse(slice_make(text + g[1].rm_so,
			   (size_t)(g[1].rm_eo - g[1].rm_so)),
		false, &login->client) == -1) {
		errno = EBADMSG;
		return -1;
	}
	if (g[2].rm_so != -1)
		user = slice_make(
		    text + g[2].rm_so, (size_t)(g[2].rm_eo - g[2].rm_so));
	if (user.n > sizeof(login->user))
		user.n = sizeof(login->user);
	if (user.n > 0)
		memcpy(login->user, user.p, user.n);
	login->user_len = user.n;
	login->kind = AUTH_LOGIN;
	if (logtime_parse(line, now, &login->when) == 0)
		login->when = now;
	return 1;
}

int
logmatch_line(const struct logmatch *m, struct slice line, int64_t now,
    struct logmatch_login *login)
{
	if (line.n == 0 || line.n > LOGMATCH_LINE_MAX ||
	    memchr(line.p, '\0', line.n) != NULL)
		return 0;
	if (m->has_regex)
		return match_regex(m, line, now, login);
	return match_own(line, now, login);
}
