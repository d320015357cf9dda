/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_options - what map_library_opt says to module http:
 * [url=]URL [NAME=VALUE ...].
 *
 * Reads no file; knows nothing of libcurl.
 */
#ifndef PERDITION_MODULES_HTTP_OPTIONS_H
#define PERDITION_MODULES_HTTP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "perdition/modules/map_words.h"
#include "perdition/popmap.h"

#define HTTP_HEADERS_MAX 16

struct http_options {           /* texts: NULL when not given */
	struct map_words words; /* what they point into */
	const char *url;        /* http://... or https://... */
	const char *pass;       /* sent as Auth-Pass */
	const char *unix_path;  /* of a socket, instead of the URL's host */
	const char *ca_file;
	const char *cert, *key;           /* of ours, for TLS */
	const char *user, *password_file; /* of ours, for the service */
	bool no_verify;
	unsigned int timeout_ms; /* 0: as the query says */
	unsigned int connect_timeout_ms;
	const char *header[HTTP_HEADERS_MAX]; /* "NAME: VALUE" */
	size_t headers;
};

/* 0, or -1 with err, which shows no secret, and nothing to clear. */
int http_options_read(
    struct http_options *, const char *text, struct popmap_error *);
void http_options_clear(struct http_options *); /* wipes */

#endif
