/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Error messages for humans: bounded, on one line, and errno left alone, so
 * that it may be called while errno is still of interest.
 */
#include "config.h"

#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/banned.h"

#undef err_set /* a macro for the analyzer */
#undef err_prefix

/* Ends msg with "..." when the text (len bytes) was longer than cap. */
static void
finish(char *msg, size_t cap, int len)
{
	size_t n;

	if (len < 0)
		msg[0] = '\0'; /* a wide character that cannot be printed */
	else if ((size_t)len >= cap)
		memcpy(msg + cap - 4, "...", 4);
	n = strlen(msg);
	while (n > 0 && (msg[n - 1] == '\n' || msg[n - 1] == '\r'))
		msg[--n] = '\0'; /* libraries like to end in a newline */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)msg[i] < ' ' || msg[i] == 0x7f)
			msg[i] = ' ';
}

int
err_set(struct err *err, int code, const char *fmt, ...)
{
	char msg[sizeof(err->msg)]; /* err->msg may be among the arguments */
	int saved = errno;
	int len;
	va_list ap;

	va_start(ap, fmt);
	len = vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	finish(msg, sizeof(msg), len);
	err->code = code;
	memcpy(err->msg, msg, strlen(msg) + 1);
	errno = saved;
	return -1;
}

int
err_prefix(struct err *err, const char *fmt, ...)
{
	char prefix[sizeof(err->msg)], msg[2 * sizeof(err->msg) + 2];
	int saved = errno;
	int len;
	va_list ap;

	va_start(ap, fmt);
	len = vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	finish(prefix, sizeof(prefix), len);
	len = snprintf(msg, sizeof(msg), "%s: %s", prefix, err->msg);
	msg[sizeof(err->msg) - 1] = '\0';
	finish(msg, sizeof(err->msg), len);
	memcpy(err->msg, msg, strlen(msg) + 1);
	errno = saved;
	return -1;
}
