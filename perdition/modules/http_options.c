/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_options - see http_options.h.
 */
#include "config.h"

#include "perdition/modules/http_options.h"

#include <sys/un.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

#define SECONDS_MAX 600
#define CONNECT_TIMEOUT_MS 1000

#define FIELD(name) offsetof(struct http_options, name)

static int
take_text(struct http_options *o, size_t offset, const char *value,
    struct popmap_error *err)
{
	const char **field = (const char **)(void *)((char *)o + offset);

	if (*field != NULL)
		return map_error(err, "given twice");
	for (const char *p = value; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return map_error(err, "a control byte in it");
	}
	*field = value;
	return 0;
}

static int
take_path(struct http_options *o, size_t offset, const char *value,
    struct popmap_error *err)
{
	if (value[0] != '/')
		return map_error(err, "not an absolute path");
	if (offset == FIELD(unix_path) &&
	    strlen(value) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return map_error(err, "too long for a socket's path");
	return take_text(o, offset, value, err);
}

static int
take_url(struct http_options *o, size_t offset, const char *value,
    struct popmap_error *err)
{
	if (strncmp(value, "http://", 7) != 0 &&
	    strncmp(value, "https://", 8) != 0)
		return map_error(err, "neither http:// nor https://");
	return take_text(o, offset, value, err);
}

static int
take_seconds(struct http_options *o, size_t offset, const char *value,
    struct popmap_error *err)
{
	unsigned int *field = (unsigned int *)(void *)((char *)o + offset);
	uint64_t n;

	if (slice_u64(slice_str(value), SECONDS_MAX, &n) == -1 || n == 0)
		return map_error(
		    err, "not a number of seconds from 1 to %d", SECONDS_MAX);
	*field = (unsigned int)n * 1000;
	return 0;
}

static int
take_verify(struct http_options *o, size_t offset, const char *value,
    struct popmap_error *err)
{
	bool *field = (bool *)((char *)o + offset);

	*field = strcmp(value, "no") == 0;
	if (*field || strcmp(value, "yes") == 0)
		return 0;
	return map_error(err, "neither yes nor no");
}

/* RFC 9110 section 5.6.2: a token. */
static bool
is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') &&
		    (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
			return false;
	}
	return s.n > 0;
}

static int
take_header(struct http_options *o, size_t offset, const char *value,
    struct popmap_error *err)
{
	struct slice rest = slice_str(value), name;
	const char *one = NULL;
	struct http_options scratch = { .pass = NULL };

	(void)offset;
	if (o->headers == HTTP_HEADERS_MAX)
		return map_error(err, "more than %d", HTTP_HEADERS_MAX);
	if (take_text(&scratch, FIELD(pass), value, err) == -1)
		return -1;
	one = scratch.pass;
	if (!slice_cut(&rest, ':', &name) || !is_token(name))
		return map_error(err, "not \"NAME: VALUE\"");
	while (rest.n > 0 && rest.p[0] == ' ')
		rest = slice_skip(rest, 1);
	if (rest.n == 0) /* libcurl would leave it out */
		return map_error(err, "no value behind the name");
	o->header[o->headers++] = one;
	return 0;
}

typedef int option_take(struct http_options *, size_t offset, const char *value,
    struct popmap_error *);

static const struct {
	const char *name;
	option_take *take;
	size_t offset;
} table[] = {
	{ "url", take_url, FIELD(url) },
	{ "header", take_header, 0 },
	{ "pass", take_text, FIELD(pass) },
	{ "unix", take_path, FIELD(unix_path) },
	{ "cafile", take_path, FIELD(ca_file) },
	{ "cert", take_path, FIELD(cert) },
	{ "key", take_path, FIELD(key) },
	{ "user", take_text, FIELD(user) },
	{ "password_file", take_path, FIELD(password_file) },
	{ "verify", take_verify, FIELD(no_verify) },
	{ "timeout", take_seconds, FIELD(timeout_ms) },
	{ "connect_timeout", take_seconds, FIELD(connect_timeout_ms) },
};

static int
take_word(struct http_options *o, const char *word, struct popmap_error *err)
{
	struct slice name = SLICE("url");
	struct popmap_error why;
	const char *value = word;

	(void)map_words_pair(word, &name, &value);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!slice_eq(name, slice_str(table[i].name)))
			continue;
		if (table[i].take(o, table[i].offset, value, &why) == 0)
			return 0;
		return map_error(err, "%s: %s", table[i].name, why.msg);
	}
	return map_error(err, "there is no option %.*s", (int)name.n, name.p);
}

static int
check(const struct http_options *o, struct popmap_error *err)
{
	if (o->url == NULL)
		return map_error(err, "map_library_opt: begin it with the "
				      "http:// or https:// URL to be asked");
	if ((o->user == NULL) != (o->password_file == NULL))
		return map_error(
		    err, "user and password_file: give both or neither");
	if (o->key != NULL && o->cert == NULL)
		return map_error(err, "key: give cert too");
	return 0;
}

int
http_options_read(
    struct http_options *o, const char *text, struct popmap_error *err)
{
	int ret;

	memset(o, 0, sizeof(*o));
	ret = map_words_split(&o->words, text, err);
	for (size_t i = 0; ret == 0 && i < o->words.n; i++)
		ret = take_word(o, o->words.word[i], err);
	if (ret == 0)
		ret = check(o, err);
	if (o->connect_timeout_ms == 0)
		o->connect_timeout_ms = CONNECT_TIMEOUT_MS;
	if (ret == -1)
		http_options_clear(o);
	return ret;
}

void
http_options_clear(struct http_options *o)
{
	map_words_clear(&o->words);
	memset(o, 0, sizeof(*o));
}
