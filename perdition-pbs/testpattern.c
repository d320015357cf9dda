/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * testpattern - what the patterns make of a log; see the header.
 */
#include "config.h"

#include "perdition-pbs/testpattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/log.h"
#include "perdition-pbs/logmatch.h"

#include "common/banned.h"

#define PROGRAM "perdition-pbs"
#define EXIT_NO_LOGIN 1

static void
print_login(const struct logmatch_login *login)
{
	char user[4 * AUTH_USER_MAX + 2], address[ADDR_TEXT_MAX], date[40];
	long n = log_quote(
	    slice_make(login->user, login->user_len), user, sizeof(user));
	time_t t = (time_t)login->when;
	struct tm tm;

	addr_write_ip(&login->client, address);
	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(date, sizeof(date), "?");
	printf("%s pattern=%s address=%s user=%.*s time=%s\n",
	    login->kind == AUTH_CLOSE ? "end" : "login", login->pattern,
	    address, n == -1 ? 0 : (int)n, user, date);
}

/* line: with its newline.  Whether it is of a login, or a login's end. */
static bool
tell(struct logmatch *m, struct slice line, int64_t now)
{
	struct logmatch_login login;
	char why[LOGMATCH_WHY_MAX] = "of no pattern";
	int ret;

	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line = slice_less_cr(slice_make(line.p, line.n - 1));
	ret = logmatch_explain(m, line, now, &login, why);
	if (ret == 1)
		print_login(&login);
	else
		printf("no, %s\n", why);
	return ret == 1;
}

static int
test(struct logmatch *m, FILE *f)
{
	size_t cap = 0, lines = 0, logins = 0;
	int64_t now = time(NULL);
	char *text = NULL;
	ssize_t n;

	while ((n = getline(&text, &cap, f)) != -1) {
		printf("%zu: ", ++lines);
		if (tell(m, slice_make(text, (size_t)n), now))
			logins++;
	}
	free(text);
	if (ferror(f)) {
		perror(PROGRAM);
		return EX_IOERR;
	}
	printf("%zu lines, %zu of logins\n", lines, logins);
	return logins > 0 ? 0 : EXIT_NO_LOGIN;
}

int
testpattern_run(const struct pbs_config *c)
{
	struct logmatch_config mc;
	struct logmatch *m;
	struct err err;
	FILE *f = stdin;
	int status;

	pbs_config_match(c, &mc);
	m = logmatch_create(&mc, &err);
	if (m == NULL) {
		fprintf(stderr, PROGRAM ": %s\n", err.msg);
		return EX_OSERR;
	}
	if (strcmp(c->test_pattern, "-") != 0)
		f = fopen(c->test_pattern, "re");
	if (f == NULL) {
		fprintf(stderr, PROGRAM ": %s: %s\n", c->test_pattern,
		    strerror(errno));
		status = EX_NOINPUT;
	} else {
		status = test(m, f);
	}
	if (f != NULL && f != stdin)
		fclose(f);
	logmatch_destroy(&m);
	return status;
}
