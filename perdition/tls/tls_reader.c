/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_reader - see tls_reader.h.
 */
#include "config.h"

#include "perdition/tls/tls_reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/log.h"

#include "common/banned.h"

void
tls_reader_complain(struct tls_reader *r, int code, const char *option,
    const char *path, const char *fmt, ...)
{
	bool missing = code == ENOENT || code == ENOTDIR;
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	option_problems_add(r->problems, "%s: %s: %s", option, path, text);
	if (!missing || r->status == 0)
		r->status = missing ? EX_NOINPUT : EX_CONFIG;
}

void
tls_reader_warn(const char *option, const char *path, const char *text)
{
	log_event(LOG_WARNING, "config", LOG_STR("option", option),
	    LOG_STR("file", path), LOG_STR("text", text));
}

void
tls_reader_add(struct tls_reader *r, struct tls_bundle *b, enum tls_piece type,
    const void *p, size_t n)
{
	if (tls_bundle_add(b, type, slice_make(p, n)) == -1)
		tls_reader_complain(
		    r, errno, "ssl", "all files", "%s", strerror(errno));
}

void
tls_reader_cert(
    struct tls_reader *r, struct tls_bundle *b, enum tls_piece type, X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	if (n > 0)
		tls_reader_add(r, b, type, der, (size_t)n);
	OPENSSL_free(der);
}

int
tls_reader_not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}
